"""The bounded queue between receivers and processors: who puts waits, nothing is dropped."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from otel_fim.component import StoppingError
from otel_fim.record import Record


@dataclass(slots=True, frozen=True)
class Item:
    """What one `emit` handed over: records that stay together, and what to call when they are on disk."""

    records: list[Record]
    on_durable: Callable[[], None] | None = None


class RecordQueue:
    """First in, first out, bounded by the number of records.

    An item larger than the bound is taken when the queue is empty, so that nothing waits for ever. Items of
    the agent itself (`put_internal`) are not bounded: they are few, and they must not wait for the very
    stoppage that they report.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._items: deque[Item] = deque()
        self._size = 0
        self._closed = False
        self._changed = threading.Condition()

    @property
    def size(self) -> int:
        """Records that wait."""
        return self._size

    def put(self, item: Item) -> None:
        """Adds an item, waiting for room. Raises `StoppingError` once the queue is closed."""
        count = len(item.records)
        with self._changed:
            while not self._closed and self._size and self._size + count > self._capacity:
                self._changed.wait()
            self._add(item)

    def put_internal(self, item: Item) -> None:
        """Adds an item of the agent itself, at once. Raises `StoppingError` once the queue is closed."""
        with self._changed:
            self._add(item)

    def _add(self, item: Item) -> None:
        if self._closed:
            raise StoppingError("the pipeline has stopped taking records")
        self._items.append(item)
        self._size += len(item.records)
        self._changed.notify_all()

    def take(self, max_records: int, timeout: float) -> list[Item]:
        """The oldest items, up to about `max_records` records; empty after `timeout` seconds or when closed
        and drained."""
        with self._changed:
            if not self._items and not self._closed:
                self._changed.wait(timeout)
            taken: list[Item] = []
            count = 0
            while self._items and count < max_records:
                item = self._items.popleft()
                taken.append(item)
                count += len(item.records)
            self._size -= count
            if taken:
                self._changed.notify_all()
            return taken

    def close(self) -> None:
        """No more puts: who waits in one gets `StoppingError`; what is inside can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def drained(self) -> bool:
        """Closed and empty."""
        with self._changed:
            return self._closed and not self._items
