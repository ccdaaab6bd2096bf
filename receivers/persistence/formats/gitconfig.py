"""git-config(1), CONFIGURATION FILE: sections, sub-sections, values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_SECTION: Final = re.compile(rb'\[\s*([A-Za-z0-9.-]+)\s*(?:"((?:[^"\\]|\\.)*+)"\s*)?\]\s*(.*)', re.DOTALL)
_VALUE: Final = re.compile(rb'"((?:[^"\\]|\\.)*+)(?:"|\\?\Z)|([#;])|((?:[^"#;\\]|\\.)++)|\\', re.DOTALL)
_ESCAPE: Final = re.compile(rb"\\(.)", re.DOTALL)


def settings(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Full name (`core.hookspath`, `filter.LFS.clean`: section and key in lower case) and value."""
    prefix = b""
    pending = b""
    parts: list[bytes] = []
    for raw in data.split(b"\n"):
        line = raw.strip(b"\r")
        backslashes = len(line) - len(line.rstrip(b"\\"))
        if backslashes % 2:
            parts.append(line[:-1])
            continue
        parts.append(line)
        pending = b"".join(parts).strip()
        parts = []
        prefix, pending = _section(prefix, pending)
        if pending:
            yield from _setting(prefix, pending)
    pending = b"".join(parts).strip()
    if pending:
        yield from _setting(*_section(prefix, pending))


def _section(prefix: bytes, line: bytes) -> tuple[bytes, bytes]:
    match = _SECTION.fullmatch(line)
    if match is None:
        return prefix, line
    sub = b"" if match[2] is None else b"." + _ESCAPE.sub(rb"\1", match[2])
    return match[1].lower() + sub, match[3]


def _setting(prefix: bytes, line: bytes) -> Iterator[tuple[bytes, bytes]]:
    if line[:1] in (b"#", b";", b"[", b""):
        return
    key, equals, value = line.partition(b"=")
    found: list[bytes] = []
    for match in _VALUE.finditer(value.strip()):
        if match[2] is not None:
            break
        found.append(_ESCAPE.sub(rb"\1", match[1] if match[1] is not None else match[3] or b""))
    yield prefix + b"." + key.strip().lower(), b"".join(found).strip() if equals else b"true"
