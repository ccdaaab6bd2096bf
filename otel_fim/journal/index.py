"""Where the lines lie that this process has written: readers that keep up need not look for line ends, nor parse
a line to learn how many records it has."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from typing import Final, NamedTuple

KEPT_SEGMENTS: Final = 3
"""Indexes of the newest segments stay in memory, twelve bytes a line."""


class LineSpan(NamedTuple):
    """A line that ends, newline and all, at `end`, and has this many records."""

    end: int
    records: int


class LineIndex:
    """The durable lines of one segment from byte `start` on."""

    def __init__(self, start: int) -> None:
        self.start = start
        self._ends = array("Q")
        self._records = array("I")

    def add(self, lines: Iterable[tuple[int, int]]) -> None:
        """Adds lines behind the last one: their sizes with newline, and their numbers of records."""
        end = self._ends[-1] if self._ends else self.start
        for size, records in lines:
            end += size
            self._ends.append(end)
            self._records.append(records)

    def take(self, offset: int, max_records: int, max_bytes: int) -> list[LineSpan]:
        """Lines from `offset` on, at least one, otherwise within both limits; none when it is not known here."""
        if offset == self.start:
            index = 0
        else:
            index = bisect_left(self._ends, offset) + 1
            if offset < self.start or index > len(self._ends) or self._ends[index - 1] != offset:
                return []
        spans: list[LineSpan] = []
        total = 0
        for position in range(index, len(self._ends)):
            end, records = self._ends[position], self._records[position]
            if spans and (total + records > max_records or end - offset > max_bytes):
                break
            spans.append(LineSpan(end, records))
            total += records
        return spans
