"""Lines of configuration files: continued ones joined, words split as a shell would, keys and values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_WORD: Final = re.compile(
    rb"""[^\s"'\\]+|\\(?:.|\Z)|"((?:[^"\\]|\\.)*+)(?:"|\\?\Z)|'([^']*+)(?:'|\Z)|(\s+)""", re.DOTALL
)
_ESCAPED: Final = re.compile(rb"\\(.)", re.DOTALL)


def joined(data: bytes, *, comment: bytes = b"#") -> Iterator[bytes]:
    """Lines without white space around them; one that ends in a backslash goes on in the next. Empty lines and
    those that begin with one of the bytes in `comment` are left out; a comment line is not continued."""
    parts: list[bytes] = []
    for raw in data.split(b"\n"):
        line = raw.rstrip(b"\r")
        if not parts and line.lstrip()[:1] and line.lstrip()[:1] in comment:
            continue
        if line.endswith(b"\\"):
            parts.append(line[:-1])
            continue
        parts.append(line)
        whole = b" ".join(parts).strip() if len(parts) > 1 else line.strip()
        parts = []
        if whole:
            yield whole
    whole = b" ".join(parts).strip()
    if whole:
        yield whole


def plain(data: bytes, *, comment: bytes = b"#") -> Iterator[bytes]:
    """Lines without white space around them, but for empty ones and comments."""
    for raw in data.split(b"\n"):
        line = raw.strip()
        if line and line[:1] not in comment:
            yield line


def words(line: bytes) -> list[bytes]:
    """Words split at white space; quotes and backslashes hold one together, as in a shell. A quote that is not
    closed reaches to the end."""
    found: list[bytes] = []
    current: list[bytes] = []
    for match in _WORD.finditer(line):
        if match[3] is not None:
            if current:
                found.append(b"".join(current))
                current = []
        elif match[1] is not None:
            current.append(_ESCAPED.sub(rb"\1", match[1]))
        elif match[2] is not None:
            current.append(match[2])
        elif match[0][:1] == b"\\":
            current.append(match[0][1:])
        else:
            current.append(match[0])
    if current:
        found.append(b"".join(current))
    return found


def unquoted(value: bytes) -> bytes:
    """The value without the pair of quotes around it."""
    if len(value) > 1 and value[:1] in b"\"'" and value[:1] == value[-1:]:
        return value[1:-1]
    return value


def ini(data: bytes, *, comment: bytes = b"#;") -> Iterator[tuple[bytes, bytes, bytes]]:
    """Section, key and value of every `key = value` in a file of `[section]`s; a key alone has an empty value."""
    section = b""
    for line in plain(data, comment=comment):
        if line.startswith(b"["):
            section = line[1:].partition(b"]")[0].strip()
            continue
        key, _, value = line.partition(b"=")
        yield section, key.strip(), value.strip()
