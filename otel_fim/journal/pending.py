"""What has been written and is not durable: kept in memory, in order, until it is."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

from otel_fim.journal.dispatcher import Callback
from otel_fim.journal.lines import Lines


@dataclass(slots=True, frozen=True)
class Entry:
    """One append."""

    lines: Lines
    on_durable: Callback | None
    written_at: float


class Pending:
    """A queue that knows its size in bytes and records. The caller locks."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque()
        self.bytes = 0
        self.records = 0
        self.added = 0
        """Appends ever added."""
        self.removed = 0
        """Appends ever removed."""

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, lines: Lines, on_durable: Callback | None) -> None:
        """Adds an append that was written just now."""
        self._entries.append(Entry(lines, on_durable, time.monotonic()))
        self.bytes += len(lines.data)
        self.records += lines.records
        self.added += 1

    def remove(self) -> Entry:
        """Removes the oldest append."""
        entry = self._entries.popleft()
        self.bytes -= len(entry.lines.data)
        self.records -= entry.lines.records
        self.removed += 1
        return entry

    @property
    def oldest(self) -> float:
        """When the oldest append was written, in seconds of the monotonic clock."""
        return self._entries[0].written_at

    @property
    def data(self) -> bytes:
        """All lines."""
        return b"".join(entry.lines.data for entry in self._entries)
