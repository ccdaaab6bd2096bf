"""AnyValue and KeyValue in protobuf (opentelemetry-proto 1.11, common.proto), built for speed.

An attribute is two messages around a value. All the bytes before the value depend on the key and the value's
length only, so they are made once for each such pair: an attribute is then one look-up and one join.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from otel_fim.otlp.bounded import Computed, short
from otel_fim.otlp.errors import (
    INT64_MAX,
    INT64_MIN,
    MAX_NESTING,
    FieldError,
    integer_error,
    nesting_error,
    type_error,
)
from otel_fim.otlp.wire import length, message, varint
from otel_fim.record import AnyValue

_double: Final = struct.Struct("<d").pack
_LONGEST_HEAD: Final = 256
_TRUE: Final = b"\x10\x01"
_FALSE: Final = b"\x10\x00"


class Heads(dict[int, bytes]):
    """`heads[n]` is what stands before a string of n bytes in the KeyValue field `tag` with one key."""

    __slots__ = ("_key", "_tag")

    def __init__(self, tag: bytes, key: str) -> None:
        super().__init__()
        encoded = key.encode()
        self._tag = tag
        self._key = message(b"\x0a", encoded) if encoded else b""

    def __missing__(self, size: int) -> bytes:
        inner = b"\x0a" + length(size)
        head = self.around(len(inner) + size) + inner
        if size <= _LONGEST_HEAD:
            self[size] = head
        return head

    def around(self, size: int) -> bytes:
        """What stands before an AnyValue of `size` bytes."""
        outer = self._key + b"\x12" + length(size)
        return self._tag + length(len(outer) + size) + outer


class KeyHeads(Computed[str, Heads]):
    """The heads of each key in the KeyValue field `tag`."""

    __slots__ = ()

    def __init__(self, tag: bytes) -> None:
        super().__init__(lambda key: Heads(tag, key), 512, short)


_IN_KVLIST: Final = KeyHeads(b"\x0a")


def append_attributes(
    attributes: Mapping[str, AnyValue], heads: KeyHeads, append: Callable[[bytes], None]
) -> None:
    """Hands the parts of each KeyValue field to `append`.

    Raises `FieldError` naming the key for what OTLP cannot carry, `UnicodeEncodeError` for lone surrogates.
    """
    for key, value in attributes.items():
        if value.__class__ is str:
            encoded = value.encode()
            append(heads[key][len(encoded)])
            append(encoded)
        else:
            try:
                encoded = encode_value(value)
                append(heads[key].around(len(encoded)))
                append(encoded)
            except FieldError as error:
                raise FieldError(f"attribute {key!r}: {error}") from None


def encode_value(value: AnyValue, depth: int = 0) -> bytes:
    """The content of an AnyValue message; empty for None."""
    kind = value.__class__
    if kind is int or (isinstance(value, int) and kind is not bool):
        if not INT64_MIN <= value <= INT64_MAX:  # type: ignore[operator]
            raise FieldError(integer_error(value))  # type: ignore[arg-type]
        return b"\x18" + varint(value)  # type: ignore[arg-type]
    if kind is bool:
        return _TRUE if value else _FALSE
    if value is None:
        return b""
    if isinstance(value, str):
        return message(b"\x0a", value.encode())
    if isinstance(value, float):
        return b"\x21" + _double(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return message(b"\x3a", bytes(value))
    return _encode_nested(value, depth + 1)


def _encode_nested(value: AnyValue, depth: int) -> bytes:
    if depth > MAX_NESTING:
        raise FieldError(nesting_error())
    parts: list[bytes] = []
    if isinstance(value, Mapping):
        for key, item in value.items():
            encoded = encode_value(item, depth)
            parts += (_IN_KVLIST[key].around(len(encoded)), encoded)
        return message(b"\x32", b"".join(parts))
    if isinstance(value, Sequence):
        for item in value:
            parts.append(message(b"\x0a", encode_value(item, depth)))
        return message(b"\x2a", b"".join(parts))
    raise FieldError(type_error(value))
