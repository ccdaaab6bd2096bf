"""What a group has in its window, brought up to date with every event."""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, ClassVar, Final, NamedTuple, TypeAlias

from otel_fim.processors.rules.correlate.plan import ChainedFeed, Feed, Key, Plan, Value
from otel_fim.processors.rules.hits import Seen
from otel_fim.record import Record

Mark: TypeAlias = "str | tuple[Seen, ...]"
"""A record's uid; of a finding that is an event of another correlation, its evidence."""

_COMPACT: Final = 32


class Item(NamedTuple):
    """An event of one correlation. Items sort by time, then by uid, so that the order of arrival does not show."""

    time: int
    mark: Mark
    number: int
    feed: Feed | ChainedFeed
    key: Key
    value: Value
    name: str
    record: Record | None
    weight: int
    """How many records it rests on."""
    size: int
    """Bytes while it waits."""


class Window:
    """The events of a group in its window, and whether the condition held at the last of them. This one counts.

    `times` are in order, those before `head` are over. `trail` has a mark and an event name for each of the newest
    events; `weights` how many records each event rests on, None when that is one. `held` is the condition's last
    answer, `before` the one at the time before that, `cut` that the oldest events were left out for want of room,
    `cost` what the window was last taken to weigh.
    """

    __slots__ = ("before", "cost", "cut", "fixed", "head", "held", "times", "trail", "weights")

    BASE: ClassVar[int] = 498
    """Bytes of an empty window with its place among the groups, as tracemalloc sees it."""
    EACH: ClassVar[float] = 8.6
    """Bytes of an event, without its evidence."""

    def __init__(self, plan: Plan, key: Key) -> None:
        self.times = array("q")
        self.head = 0
        self.trail: list[Any] = []
        self.weights = array("q") if plan.chained else None
        self.held = self.before = False
        self.cut = False
        self.fixed = self.BASE + 8 * len(key) + sum([sys.getsizeof(text) for text in key])
        self.cost = 0

    def __len__(self) -> int:
        return len(self.times) - self.head

    def expire(self, low: int) -> None:
        """Leaves out what happened before `low`."""
        times = self.times
        if times and times[self.head] < low:
            self.forget(bisect_left(times, low, self.head))

    def forget(self, head: int) -> None:
        """Leaves out the events before the one at `head`."""
        self._leave(self.head, head)
        left = len(self.times) - head
        if not left:
            self._drop(head)
            self.head = 0
            self.trail.clear()
            self.held = self.before = self.cut = False
            return
        if head > _COMPACT and head > left:
            self._drop(head)
            head = 0
        self.head = head
        if len(self.trail) > 2 * (left + _COMPACT):
            del self.trail[: -2 * left]

    def push(self, item: Item) -> None:
        """Takes an event that is not older than the last."""
        self.times.append(item.time)
        self.trail += (item.mark, item.name)
        if self.weights is not None:
            self.weights.append(item.weight)

    def measure(self, plan: Plan) -> tuple[float, bool]:
        """The value at the last event's time, and whether the condition holds."""
        count = len(self.times) - self.head
        return count, plan.meets(count)

    def trim(self, evidence: int) -> None:
        """Keeps the marks of about this many of the newest records."""
        trail = self.trail
        if self.weights is not None:
            records = kept = 0
            while records < evidence and 2 * kept < len(trail):
                kept += 1
                mark = trail[-2 * kept]
                records += len(mark) if isinstance(mark, tuple) else 1
            evidence = kept
        if len(trail) > 2 * evidence:
            del trail[: len(trail) - 2 * evidence]

    def size(self) -> int:
        """Bytes in memory, about."""
        trail = len(self.trail)
        total = self.fixed + int(len(self.times) * self.EACH) + trail * 49
        if self.weights is not None:
            # Evidence of evidence: a tuple and up to 100 entries, whose texts are the inner windows' own.
            total += len(self.weights) * 9 + sum([_mark_size(mark) for mark in self.trail[::2]])
        return total

    def evidence(self, most: int) -> tuple[Seen, ...]:
        """The newest records in the window, oldest first."""
        count = min(len(self), len(self.trail) // 2, most)
        times, trail = self.times, self.trail
        if not count:
            return ()
        if self.weights is None:
            found = [
                Seen(trail[-2 * back], times[-back], trail[1 - 2 * back])
                for back in range(count, 0, -1)
                # A record that several rules matched is an event for each, one behind the other.
                if back == count or trail[-2 * back] != trail[-2 * back - 2] or not trail[-2 * back]
            ]
            return tuple(found)
        union: dict[Seen, None] = {}
        for back in range(1, count + 1):
            mark = trail[-2 * back]
            records = mark if isinstance(mark, tuple) else (Seen(mark, times[-back], trail[1 - 2 * back]),)
            union.update(dict.fromkeys(records))
        return tuple(sorted(union, key=lambda seen: (seen.time_unix_nano, seen.uid))[-most:])

    def record_count(self) -> int:
        """How many records the events in the window rest on; one that several findings rest on counts for each."""
        return len(self) if self.weights is None else sum(self.weights[self.head :])

    # --- What each type has of its own -----------------------------------------------------------------------

    def own(self) -> Sequence[Any]:
        """What the state file keeps beside times and marks: one entry for each event in the window, or each rule."""
        return ()

    def set_own(self, own: Sequence[Any]) -> None:
        """Takes what `own` gave. Raises `TypeError`, `ValueError` or `OverflowError` for anything else."""

    def _leave(self, start: int, end: int) -> None:
        """The events at these places are in the window no longer."""

    def _drop(self, count: int) -> None:
        """The first `count` events are not needed any more."""
        del self.times[:count]
        if self.weights is not None:
            del self.weights[:count]


def _mark_size(mark: Mark) -> int:
    return 56 + 176 * len(mark) if isinstance(mark, tuple) else 0
