"""nginx configuration: directives with words, blocks in braces, `#` comments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_TOKEN: Final = re.compile(
    rb"""(\s+|\#[^\n]*)|([{};])|"((?:[^"\\]|\\.)*+)(?:"|\\?\Z)|'((?:[^'\\]|\\.)*+)(?:'|\\?\Z)"""
    rb"""|((?:[^\s{};"'\\\#]|\\.|\$\{[^}\s]{0,64}\})(?:[^\s{};\\]|\\.|\$\{[^}\s]{0,64}\})*+)|\\|\$""",
    re.DOTALL,
)
_BRACE: Final = re.compile(rb"[{}]")
_LONGEST_NAME: Final = 128


def directives(data: bytes) -> Iterator[tuple[bytes, list[bytes]]]:
    """Name and arguments of every directive and block, whatever block it stands in. The argument of a
    `…_by_lua_block` is the code in its braces."""
    at = 0
    line: list[bytes] = []
    while at < len(data):
        match = _TOKEN.match(data, at)
        if match is None:
            at += 1
            continue
        at = match.end()
        if match[1] is not None:
            continue
        if match[2] is None:
            line.append(next(part for part in (match[3], match[4], match[5], match[0]) if part is not None))
            continue
        if match[2] == b"{" and line and line[0][:_LONGEST_NAME].endswith(b"_by_lua_block"):
            end = _closing(data, at)
            yield line[0], [*line[1:], data[at:end].strip()]
            at = end + 1
        elif line:
            yield line[0], line[1:]
        line = []
    if line:
        yield line[0], line[1:]


def _closing(data: bytes, start: int) -> int:
    """Where the brace closes that was opened before `start`; the end of the data when it does not."""
    depth = 1
    for match in _BRACE.finditer(data, start):
        depth += 1 if match[0] == b"{" else -1
        if not depth:
            return match.start()
    return len(data)
