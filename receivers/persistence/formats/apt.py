"""apt.conf(5): a tree of options, written as `A::B "value";` or `A { B "value"; };`, with lists of unnamed values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_TOKEN: Final = re.compile(
    rb"""(?P<skip>\s+|//[^\n]*|/\*(?s:.*?)(?:\*/|\Z)|\#(?!include|clear|x-)[^\n]*)"""
    rb"""|"(?P<value>(?:[^"\\]|\\(?s:.))*+)(?:"|\\?\Z)"""
    rb"""|(?P<mark>[{};])"""
    rb"""|(?P<word>[^\s{};"]+)"""
)
_DEEPEST: Final = 64


def options(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Full name (`DPkg::Post-Invoke`, with `::` at the end for an unnamed value of a list) and value.

    `#include` and `#clear` come as options with those names. Blocks below the 64th level are read as if they
    stood on it.
    """
    stack: list[bytes] = []
    name = b""
    pending: list[bytes] = []
    for token in _TOKEN.finditer(data):
        kind = token.lastgroup
        if kind == "skip":
            continue
        if kind == "word":
            if name:
                pending.append(token[0])
            else:
                name = token[0]
            continue
        if kind == "value":
            pending.append(token["value"])
            continue
        if token["mark"] == b"{":
            stack.append(_joined(stack[-1] if stack else b"", name) if len(stack) < _DEEPEST else stack[-1])
            # A value before the block belongs to the name itself.
            yield from ((stack[-1], value) for value in pending)
        else:
            yield from _told(stack[-1] if stack else b"", name, pending)
            if token["mark"] == b"}" and stack:
                stack.pop()
        name, pending = b"", []
    yield from _told(stack[-1] if stack else b"", name, pending)


def _told(scope: bytes, name: bytes, values: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    full = _joined(scope, name) if name else scope + b"::"
    for value in values:
        yield full, value


def _joined(scope: bytes, name: bytes) -> bytes:
    # Names are some words long; longer ones are nobody's, and deep nesting of them must not add up.
    return (scope + b"::" + name if scope and name else scope or name)[:512]
