"""Quoting: the only way that a name or a value gets into a statement."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_ESCAPES: Final = {code: f"\\x{code:02X}" for code in (*range(0x20), 0x7F)}
# ClickHouse has short forms for some; what is left is written in hexadecimal, so that a printed statement can neither
# break a line nor steer a terminal.
_ESCAPES.update({ord("\n"): "\\n", ord("\t"): "\\t", ord("\r"): "\\r", ord("\0"): "\\0", ord("\\"): "\\\\"})
_INVISIBLE: Final = (
    *range(0x80, 0xA0),
    0x200B,
    0x200E,
    0x200F,
    *range(0x2028, 0x202F),
    *range(0x2066, 0x206A),
    0xFEFF,
)
_ESCAPES.update({code: "".join(f"\\x{byte:02X}" for byte in chr(code).encode()) for code in _INVISIBLE})
_LITERAL: Final = {**_ESCAPES, ord("'"): "\\'"}
_IDENTIFIER: Final = {**_ESCAPES, ord("`"): "\\`"}
_COMMENT: Final = {**{code: " " for code in _ESCAPES if code != ord("\\")}}
_LIKE: Final = str.maketrans({"\\": "\\\\", "%": "\\%", "_": "\\_"})


def literal(text: str) -> str:
    """`text` as a string literal, whatever it holds; lone surrogates become question marks."""
    return f"'{text.encode('utf-8', 'replace').decode().translate(_LITERAL)}'"


def identifier(name: str) -> str:
    """`name` as a quoted identifier, whatever it holds."""
    return f"`{name.encode('utf-8', 'replace').decode().translate(_IDENTIFIER)}`"


def array(texts: Iterable[str]) -> str:
    """String literals as an array."""
    return f"[{', '.join(map(literal, texts))}]"


def listed(texts: Iterable[str]) -> str:
    """String literals for IN."""
    return f"({', '.join(map(literal, texts))})"


def comment(text: str) -> str:
    """`text` as a comment to the end of the line."""
    return f"-- {text.encode('utf-8', 'replace').decode().translate(_COMMENT)}"


def like(text: str) -> str:
    """`text` as a part of a LIKE pattern in which nothing is a wildcard; not quoted yet."""
    return text.translate(_LIKE)


def number(value: float) -> str:
    """A number that reads back as the same number."""
    value = float(value)  # an int has no is_integer() before Python 3.12
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
