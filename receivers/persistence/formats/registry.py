"""Text that `reg export` and regedit write: keys, values and their types.

Format: Microsoft, "How to add, modify, or delete registry subkeys and values by using a .reg file".
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_HEADERS: Final = ("Windows Registry Editor Version 5.00", "REGEDIT4")
_NAME: Final = re.compile(r'(?:@|"((?:[^"\\]|\\.)*+)")\s*=\s*(.*)', re.DOTALL)
_STRING: Final = re.compile(r'"((?:[^"\\]|\\.)*+)"', re.DOTALL)
_HEX: Final = re.compile(r"hex(?:\(([0-9a-fA-F]{1,8})\))?:([0-9a-fA-F,\s]*)")
_DWORD: Final = re.compile(r"dword:([0-9a-fA-F]{1,8})")
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_TEXTS: Final = (1, 2)
_MULTIPLE: Final = 7


@dataclass(slots=True, frozen=True)
class Value:
    """A value of the registry; `name` is empty for the default value. `data` is a text, a number, a list of texts or
    bytes, as its type says."""

    key: str
    name: str
    data: str | int | list[str] | bytes


def decoded(data: bytes) -> str | None:
    """The text; None when it has no header of a .reg file."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = data.decode("utf-16", "replace")
    else:
        text = data.removeprefix(codecs.BOM_UTF8).decode("utf-8", "backslashreplace")
    return text if text.lstrip("\r\n").startswith(_HEADERS) else None


def values(text: str) -> Iterator[Value | None]:
    """Every value in the order in which they stand; None for a line that is none."""
    key = ""
    is_ansi = text.lstrip("\r\n").startswith("REGEDIT4")
    parts: list[str] = []
    # Not splitlines(): a text in the registry may hold what Python takes for the end of a line.
    for raw in text.split("\n")[1:]:
        line = raw.rstrip("\r")
        stripped = line.strip()
        if parts or ("=hex" in line and line.endswith("\\")):
            parts.append(stripped.removesuffix("\\"))
            if line.endswith("\\"):
                continue
            stripped, parts = "".join(parts), []
        if not stripped or stripped.startswith(";"):
            continue
        if stripped.startswith("["):
            key = stripped[1:].removesuffix("]")
            continue
        yield _value(key, stripped, is_ansi)
    if parts:
        yield _value(key, "".join(parts), is_ansi)


def _value(key: str, line: str, is_ansi: bool) -> Value | None:
    match = _NAME.fullmatch(line)
    if match is None or not key or key.startswith("-"):
        return None
    name = "" if match[1] is None else _ESCAPE.sub(r"\1", match[1])
    body = match[2]
    if (text := _STRING.fullmatch(body)) is not None:
        return Value(key, name, _ESCAPE.sub(r"\1", text[1]))
    if (number := _DWORD.fullmatch(body)) is not None:
        return Value(key, name, int(number[1], 16))
    if (found := _HEX.fullmatch(body)) is None:
        return None
    try:
        raw = bytes.fromhex(found[2].replace(",", " "))
    except ValueError:
        return None
    kind = int(found[1], 16) if found[1] is not None else 3
    if kind in _TEXTS or kind == _MULTIPLE:
        string = raw.decode("latin-1" if is_ansi else "utf-16-le", "replace")
        return Value(
            key, name, [p for p in string.split("\0") if p] if kind == _MULTIPLE else string.rstrip("\0")
        )
    if kind == 4 and len(raw) == 4:
        return Value(key, name, int.from_bytes(raw, "little"))
    return Value(key, name, raw)
