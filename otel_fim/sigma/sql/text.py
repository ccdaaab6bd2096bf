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


def indented(lines: Sequence[str]) -> Lines:
    """The lines one step further to the right."""
    return [f"    {line}" for line in lines]


class Parts:
    """The parts of a statement that have names: `WITH name AS (…)`. ClickHouse puts each in where it is named."""

    def __init__(self, taken: str = "") -> None:
        """`taken` is a name that no part may have: the table's own."""
        self._taken = taken
        self._parts: dict[str, Lines] = {}

    def add(self, name: str, lines: Lines) -> str:
        """The name that the part got, which is `name` unless there is such a part already."""
        number, unique = 1, name
        while unique in self._parts or unique == self._taken:
            number += 1
            unique = f"{name}_{number}"
        self._parts[unique] = lines
        return unique

    def lines(self) -> Lines:
        """The WITH clause."""
        found: Lines = ["WITH"]
        for place, (name, lines) in enumerate(self._parts.items(), start=1):
            found += [f"{name} AS (", *indented(lines), ")," if place < len(self._parts) else ")"]
        return found
