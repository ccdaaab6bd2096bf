"""Quoting: the only way that a name or a value gets into a statement."""

from __future__ import annotations

from typing import Final

_IDENTIFIER_ESCAPES: Final = str.maketrans({"\\": "\\\\", "`": "\\`", "\0": "\\0"})
_LITERAL_ESCAPES: Final = str.maketrans({"\\": "\\\\", "'": "\\'", "\0": "\\0"})


def identifier(name: str) -> str:
    """`name` as a quoted ClickHouse identifier, whatever it holds."""
    return f"`{name.translate(_IDENTIFIER_ESCAPES)}`"


def literal(text: str) -> str:
    """`text` as a ClickHouse string literal, whatever it holds."""
    return f"'{text.translate(_LITERAL_ESCAPES)}'"


def qualified(database: str, table: str) -> str:
    """The table's full name, quoted."""
    return f"{identifier(database)}.{identifier(table)}"
