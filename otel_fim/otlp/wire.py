"""Protobuf's wire format, as far as OTLP logs need it (protobuf.dev/programming-guides/encoding)."""

from __future__ import annotations

from typing import Final

_MASK: Final = 2**64 - 1


def varint(value: int) -> bytes:
    """The variable-length form of an integer; a negative one as its 64-bit two's complement."""
    if value < 0:
        value &= _MASK
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


LENGTHS: Final = tuple(varint(n) for n in range(16384))
"""The lengths that take one or two bytes."""


def length(size: int) -> bytes:
    """The variable-length form of a size in bytes."""
    return LENGTHS[size] if size < 16384 else varint(size)


def message(tag: bytes, content: bytes) -> bytes:
    """A length-delimited field, present also when it is empty."""
    return tag + length(len(content)) + content


def text(tag: bytes, value: str) -> bytes:
    """A string field; left out when it is empty, as proto3 has it."""
    return message(tag, value.encode()) if value else b""


def number(tag: bytes, value: int) -> bytes:
    """A varint field; left out when it is zero, as proto3 has it."""
    return tag + varint(value) if value else b""
