"""Events that wait for stragglers, and how far time has gone on."""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from typing import Final

from otel_fim.processors.rules.correlate.plan import Key
from otel_fim.processors.rules.correlate.windows import Item
from otel_fim.record import Record

RECORDS: Final = 1000
"""So many of the events that wait keep their record, for the finding that they may make."""
_RECORD_BYTES: Final = 4096
_ITEM_BYTES: Final = 420
_RECORD_TEXT: Final = 16_384
_NESTED: Final = 1000


class Waiting:
    """Events in order of their time. Those that come in order cost next to nothing. `bytes` is what they weigh."""

    def __init__(self) -> None:
        self.bytes = 0
        self._row: deque[Item] = deque()
        self._stragglers: list[Item] = []

    def __len__(self) -> int:
        return len(self._row) + len(self._stragglers)

    def put(self, item: Item) -> None:
        self.bytes += item.size
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

    def take(self, before: int) -> list[Item]:
        """Takes out all that happened at the instant of the oldest, in order; none when that is not before `before`."""
        row, stragglers = self._row, self._stragglers
        if not stragglers:
            if not row or row[0].time >= before:
                return []
            item = row.popleft()
            self.bytes -= item.size
            items, time = [item], item.time
            while row and row[0].time == time:
                item = row.popleft()
                self.bytes -= item.size
                items.append(item)
            return items
        first = self.first_time()
        items = []
        while first is not None and first < before and self.first_time() == first:
            first_in_row = row and (not stragglers or row[0] < stragglers[0])
            item = row.popleft() if first_in_row else heappop(stragglers)
            self.bytes -= item.size
            items.append(item)
        return items

    def items(self) -> list[Item]:
        """All that wait, in order."""
        return sorted([*self._row, *self._stragglers])


def is_small(record: Record) -> bool:
    """Whether a record's texts are few enough to keep it: thousands of characters, not a megabyte."""
    size = 0
    for value in (record.body, *record.attributes.values()):
        if isinstance(value, str | bytes):
            size += len(value)
        elif isinstance(value, list):
            size += sum([len(each) if isinstance(each, str) else _NESTED for each in value])
        elif isinstance(value, dict):
            size += _NESTED
    return size <= _RECORD_TEXT


def size_of(key: Key, record: Record | None) -> int:
    """What an event weighs while it waits."""
    size = _ITEM_BYTES + sum(map(len, key))
    return size if record is None else size + _RECORD_BYTES


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
