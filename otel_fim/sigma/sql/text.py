"""Statements as lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

Lines: TypeAlias = list[str]


def select(columns: Sequence[str]) -> Lines:
    """SELECT with one column a line."""
    return [
        "SELECT",
        *(f"    {column}{',' if i + 1 < len(columns) else ''}" for i, column in enumerate(columns)),
    ]


def indented(lines: Sequence[str], depth: int = 1) -> Lines:
    """The lines, each `depth` steps further to the right."""
    return [f"{'    ' * depth}{line}" for line in lines]
