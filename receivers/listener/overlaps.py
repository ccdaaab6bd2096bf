"""Sockets of one owner at one place that are there at the same time are one listener, told of once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from otel_fim.receivers.listener.book import Book, Key, Listener

_REMEMBERED: Final = 256


@dataclass(slots=True)
class Brief:
    """A listener that has come and gone: from `begin` to `end`, monotonic ns."""

    listener: Listener
    begin: int
    end: int


class Overlaps:
    """Knows the listeners that have been told of as closed lately. For one thread."""

    def __init__(self) -> None:
        self._closed: deque[tuple[Key, int, int]] = deque(maxlen=_REMEMBERED)

    def closed(self, listener: Listener, end: int) -> None:
        """A listener that had been told of has ended at that time (monotonic ns)."""
        self._closed.append((listener.key, listener.since, end))

    def untold(self, found: Iterable[Brief], book: Book) -> list[Brief]:
        """Of these listeners, in the order of their beginnings, those that were not a part of another one; several
        that were there at the same time are put together."""
        merged: list[Brief] = []
        last: dict[Key, Brief] = {}
        for each in sorted(found, key=lambda each: each.begin):
            key = each.listener.key
            if self._told(key, each, book):
                continue
            earlier = last.get(key)
            if earlier is not None and each.begin <= earlier.end:
                earlier.end = max(earlier.end, each.end)
                continue
            last[key] = each
            merged.append(each)
        return merged

    def _told(self, key: Key, brief: Brief, book: Book) -> bool:
        going_on = book.get(key)
        if going_on is not None and going_on.since <= brief.end:
            return True
        return any(
            key == told and begin <= brief.end and brief.begin <= end for told, begin, end in self._closed
        )
