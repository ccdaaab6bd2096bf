"""A reader's memory: how far it is, on disk, and which losses have been told."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import replace

from otel_fim.journal.cursor import CursorFile, Position, moved


class Bookmark:
    """A cursor file that is synced at most once an interval, and whose errors are logged once.

    The caller locks.
    """

    def __init__(self, name: str, file: CursorFile, sync_interval: float, logger: logging.Logger) -> None:
        self._name = name
        self._file = file
        self._sync_interval = sync_interval
        self._logger = logger
        self._synced_at = 0.0
        self._failing = False
        self._reported = file.state.reported

    @property
    def saved_record(self) -> int:
        """The first record that would be delivered again after a power cut."""
        return self._file.saved.position.record

    @property
    def due(self) -> bool:
        """Whether the last sync is an interval ago."""
        return time.monotonic() - self._synced_at >= self._sync_interval

    def move(self, position: Position) -> None:
        """Notes what has been acknowledged; a crash of this process does not undo it."""
        if self._reported[1] <= position.record:
            self._reported = (0, 0)
        try:
            self._file.store(moved(self._file.state, position))
        except OSError as error:
            self._log(error)

    def sync(self) -> bool:
        """Makes the position durable; true when it has come to another segment since the last time."""
        crossed = self._file.saved.position.segment != self._file.state.position.segment
        try:
            self._file.sync()
        except OSError as error:
            self._log(error)
            return False
        self._failing = False
        self._synced_at = time.monotonic()
        return crossed

    def lose(self, first: int, end: int) -> tuple[int, tuple[int, int]]:
        """Notes that records from `first` to before `end` are lost.

        Gives how many of them had not been told yet, and the span that is told when they have been.
        """
        told_from, told_to = self._reported
        lost = end - first - max(0, min(end, told_to) - max(first, told_from))
        if lost > 0:
            touching = told_to and told_from <= end and first <= told_to
            self._reported = (min(first, told_from), max(end, told_to)) if touching else (first, end)
        return lost, self._reported

    def told(self, span: tuple[int, int]) -> None:
        """Notes that the loss of these records is known elsewhere, so that it is not told after a restart."""
        if span[1] <= self._file.state.position.record:
            return
        try:
            self._file.store(replace(self._file.state, reported=span))
        except OSError as error:
            self._log(error)

    def close(self) -> None:
        """Makes the position durable and closes the file."""
        self.sync()
        self._file.close()

    def _log(self, error: OSError) -> None:
        if not self._failing:
            self._logger.error(
                "the cursor of %s cannot be written (%s); after a crash records are delivered again",
                self._name,
                os.strerror(error.errno or 0),
            )
        self._failing = True
