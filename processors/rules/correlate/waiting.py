"""Events that wait for stragglers, and how far time has gone on."""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from typing import Final

from otel_fim.processors.rules.correlate.windows import Item

RECORDS: Final = 1000
"""So many of the events that wait keep their record, for the finding that they may make."""
_RECORD_BYTES: Final = 4096
_ITEM_BYTES: Final = 420


class Waiting:
    """Events in order of their time. Those that come in order cost next to nothing. `bytes` is what they weigh."""

    def __init__(self) -> None:
        self.bytes = 0
        self._row: deque[Item] = deque()
        self._stragglers: list[Item] = []

    def __len__(self) -> int:
        return len(self._row) + len(self._stragglers)

    def put(self, item: Item) -> None:
        self.bytes += _size(item)
        row = self._row
        if not row or item > row[-1]:
            row.append(item)
        else:
            heappush(self._stragglers, item)

    def first_time(self) -> int | None:
        """The time of the oldest, None when there is none."""
        row, stragglers = self._row, self._stragglers
        if not stragglers:
            return row[0].time if row else None
        return min(row[0].time, stragglers[0].time) if row else stragglers[0].time

    def take(self) -> Item:
        """Takes out the oldest."""
        row, stragglers = self._row, self._stragglers
        item = row.popleft() if not stragglers or (row and row[0] < stragglers[0]) else heappop(stragglers)
        self.bytes -= _size(item)
        return item

    def items(self) -> list[Item]:
        """All that wait, in order."""
        return sorted([*self._row, *self._stragglers])


def _size(item: Item) -> int:
    size = _ITEM_BYTES + sum([len(text) for text in item.key])
    return size if item.record is None else size + _RECORD_BYTES


class Arrivals:
    """When events came: after `lateness` all that came until then are looked at, though nothing newer has come."""

    def __init__(self) -> None:
        self._seen: deque[tuple[int, int]] = deque()

    def note(self, now: int, newest: int) -> None:
        """By `now`, events up to the time `newest` have come."""
        if not self._seen or self._seen[-1][1] < newest:
            self._seen.append((now, newest))

    def until(self, now: int, lateness: int) -> int:
        """The time before which everything has been waited for; 0 when nothing has."""
        seen, before = self._seen, now - lateness
        horizon = 0
        while seen and seen[0][0] <= before:
            horizon = min(seen[0][1], before) + 1
            if seen[0][1] > before:
                break  # it says that it happens in a moment: that is waited for too
            seen.popleft()
        return horizon

    def clear(self) -> None:
        self._seen.clear()
