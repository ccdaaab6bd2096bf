"""Group commit: lines are written at once, made durable together, and only then acknowledged.

What has been written but is not durable stays in memory, because a failed fsync may have thrown it away (the
kernel marks the pages clean and forgets them). It is then written again to a new segment; nothing is ever
acknowledged on the strength of a later fsync of the same file.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Final

from otel_fim.config.model import format_size
from otel_fim.journal import files
from otel_fim.journal.active import ActiveFile
from otel_fim.journal.config import JournalConfig
from otel_fim.journal.dispatcher import Callback, Dispatcher
from otel_fim.journal.errors import NO_ROOM, JournalClosedError, JournalFullError, write_error
from otel_fim.journal.lines import Lines
from otel_fim.journal.notice import GapReason, JournalNotice
from otel_fim.journal.pending import Pending
from otel_fim.journal.segment import Segment
from otel_fim.journal.state import JournalState

UNSYNCED_BYTES: Final = 8 * 2**20
"""An append waits when more than this would be written and not durable: what memory holds, and how far back
the opening after a crash looks for bytes that never reached the disk."""
_RETRY_SECONDS: Final = 0.5


class GroupCommit:
    """Writes the active segment, and a thread that makes it durable, rotates it and works around failures."""

    def __init__(
        self,
        state: JournalState,
        active: ActiveFile,
        config: JournalConfig,
        segment_size: int,
        dispatcher: Dispatcher,
        logger: logging.Logger,
        notify: Callable[[JournalNotice], None],
        on_rotated: Callable[[], None],
    ) -> None:
        self._state = state
        self._active = active
        self._config = config
        self._segment_size = segment_size
        self._dispatcher = dispatcher
        self._logger = logger
        self._notify = notify
        self._on_rotated = on_rotated
        self._directory = active.segment.directory
        self._changed = state.changed
        self._next_record = state.durable_next
        self._pending = Pending()
        self._waiting = 0
        self._rotate = False
        self._guard = False
        self._closing = False
        self._give_up_at = 0.0
        self._failure: OSError | None = None
        self._failed_at = 0
        self._retry_at = 0.0
        self._thread = threading.Thread(target=self._run, name="journal-commit", daemon=True)
        self._thread.start()

    # --- Appending -------------------------------------------------------------------------------------

    @property
    def next_record(self) -> int:
        """Number that the next record gets."""
        return self._next_record

    def has_room(self) -> bool:
        """Whether an append would be taken now."""
        return self._failure is None and self._room(0)

    def append(self, lines: Lines, on_durable: Callback | None, written: Callback) -> None:
        """Writes lines, all or none; `written` is called while the order is still held.

        Raises `JournalFullError`, `JournalWriteError` or `JournalClosedError`; the journal is then unchanged.
        """
        data = lines.data
        with self._changed:
            self._wait_for_turn(len(data))
            if data:
                if not self._room(len(data)):
                    raise JournalFullError(
                        f"{self._directory}: less than {format_size(self._config.min_free)} would be free on "
                        "the file system; make room, or lower service.journal.min_free"
                    )
                self._write(data)
            self._pending.add(lines, on_durable)
            self._next_record += lines.records
            written()
            if len(self._pending) == 1 or self._due():
                self._changed.notify_all()

    def _wait_for_turn(self, size: int) -> None:
        while True:
            if self._closing:
                raise JournalClosedError(f"{self._directory}: the journal has been closed")
            if self._failure is not None:
                raise write_error(self._active.segment.path, self._failure)
            if self._active.length and self._active.length + size > self._segment_size and size:
                self._rotate = True
            elif not self._rotate and (
                not self._pending.bytes or self._pending.bytes + size <= UNSYNCED_BYTES
            ):
                return
            self._waiting += 1
            self._changed.notify_all()
            self._changed.wait()
            self._waiting -= 1

    def _room(self, size: int) -> bool:
        try:
            return files.free_bytes(self._directory) - size >= self._config.min_free
        except OSError:
            return True  # the write itself will tell

    def _write(self, data: bytes) -> None:
        before = self._active.length
        try:
            self._active.append(data)
        except OSError as error:
            try:
                self._active.trim(before)
            except OSError as worse:
                self._fail(worse)
            if error.errno == errno.EFBIG and before:
                self._rotate = True  # this file may not grow, the next one may
            raise write_error(self._active.segment.path, error) from error
        self._active.segment.disk_size = self._active.length
        self._active.segment.written_ns = time.time_ns()

    # --- Waiting for the disk --------------------------------------------------------------------------

    def flush(self, timeout: float) -> bool:
        """Waits until everything appended so far is durable."""
        deadline = time.monotonic() + timeout
        with self._changed:
            target = self._pending.added
            self._waiting += 1
            self._changed.notify_all()
            try:
                while self._pending.removed < target:
                    left = deadline - time.monotonic()
                    if left <= 0 or not self._thread.is_alive():
                        return False
                    self._changed.wait(left)
                return True
            finally:
                self._waiting -= 1

    def rotate(self) -> None:
        """Asks for a new segment, unless the active one is empty."""
        with self._changed:
            if self._active.length:
                self._rotate = True
                self._changed.notify_all()

    def guard(self) -> None:
        """Has the thread look whether the active file is still what its name leads to, and bring it back if not."""
        with self._changed:
            self._guard = True
            self._changed.notify_all()

    def close(self, timeout: float) -> int | None:
        """Makes everything durable and ends the thread.

        Gives the number of records that stayed undurable, or None when the disk does not answer.
        """
        with self._changed:
            self._closing = True
            self._give_up_at = time.monotonic() + timeout
            self._retry_at = 0.0
            self._changed.notify_all()
        self._thread.join(timeout + 2 * _RETRY_SECONDS)
        if self._thread.is_alive():
            return None
        self._active.close()
        return self._pending.records

    # --- The thread ------------------------------------------------------------------------------------

    def _run(self) -> None:
        running = True
        while running:
            try:
                running = self._step()
            except Exception:
                # Whatever it is: appends must be refused rather than wait for a thread that is gone.
                self._logger.exception("%s: committing failed", self._directory)
                with self._changed:
                    running = not self._closing or time.monotonic() < self._give_up_at
                    self._fail(OSError(errno.EIO, os.strerror(errno.EIO)))

    def _due(self) -> bool:
        if self._failure is not None:
            return time.monotonic() >= self._retry_at
        if self._guard or not self._pending:
            return self._guard or self._rotate or self._closing
        return (
            self._waiting > 0
            or self._rotate
            or self._closing
            or self._pending.records >= self._config.sync_records
            or time.monotonic() - self._pending.oldest >= self._config.sync_interval
        )

    def _wait_seconds(self) -> float | None:
        if self._failure is not None:
            return max(0.0, self._retry_at - time.monotonic())
        if not self._pending:
            return None
        return max(0.0, self._pending.oldest + self._config.sync_interval - time.monotonic())

    def _step(self) -> bool:
        """One commit; False at the end."""
        with self._changed:
            while not self._due():
                self._changed.wait(self._wait_seconds())
            if self._failure is not None:
                self._relocate()
                return not self._closing or (
                    self._failure is not None and time.monotonic() < self._give_up_at
                )
            if self._guard:
                self._guard = False
                self._bring_back()
                return True
            active, count = self._active, len(self._pending)
        if count:
            try:
                active.sync()
            except OSError as error:
                self._sync_failed(error)
                return True
        with self._changed:
            self._advance(count)
            if self._rotate and not self._pending:
                self._new_segment()
            self._changed.notify_all()
            return not (self._closing and not self._pending and self._failure is None)

    def _advance(self, count: int) -> None:
        for _ in range(count):
            entry = self._pending.remove()
            self._state.durable_length += len(entry.lines.data)
            self._state.durable_next += entry.lines.records
            self._state.index.add(entry.lines.spans)
            if entry.on_durable is not None:
                self._dispatcher.put(entry.on_durable)

    def _new_segment(self) -> None:
        self._rotate = False
        if not self._active.length:
            return
        try:
            active = ActiveFile.create(Segment(self._directory, self._next_record))
        except OSError as error:
            self._fail(error)
            return
        self._replace(active)

    def _replace(self, active: ActiveFile) -> None:
        old = self._active
        old.close()
        old.segment.length = self._state.durable_length
        old.segment.disk_size = old.length
        self._state.begin(active.segment)
        self._active = active
        self._on_rotated()

    # --- Failures --------------------------------------------------------------------------------------

    def _sync_failed(self, error: OSError) -> None:
        with self._changed:
            self._fail(error)
            self._retry_at = time.monotonic()
            self._logger.error(
                "%s: fsync failed (%s); %d records are kept in memory and will be written again elsewhere",
                self._active.segment.path,
                os.strerror(error.errno or 0),
                self._pending.records,
            )

    def _fail(self, error: OSError) -> None:
        if self._failure is None:
            self._failed_at = time.time_ns()
        self._failure = error
        self._retry_at = time.monotonic() + _RETRY_SECONDS
        self._changed.notify_all()

    def _relocate(self) -> None:
        """Writes what is not durable to a new segment that begins where the durable part ends."""
        failure = self._failure
        assert failure is not None
        old, durable = self._active, self._state.durable_length
        try:
            # Where this fails too, readers still stop in time: a segment ends where the next one begins.
            old.trim(durable)
        except OSError as error:
            self._logger.warning("%s: cannot be cut to its durable part: %s", old.segment.path, error)
        try:
            if durable == 0:
                files.remove(old.segment.path)  # nothing of it is durable, and the new one needs its name
            active = ActiveFile.create(Segment(self._directory, self._state.durable_next), self._pending.data)
        except OSError as error:
            self._fail(error)
            return
        if durable == 0:
            self._state.segments.pop()
        self._replace(active)
        records = self._pending.records
        self._advance(len(self._pending))
        self._failure = None
        self._rotate = False
        self._changed.notify_all()
        self._logger.warning("%s: the journal goes on in %s", self._directory, active.segment.name)
        if not records:
            return  # a rotation failed; nothing had to be saved
        reason: GapReason = "disk_full" if failure.errno in NO_ROOM else "io_error"
        self._notify(
            JournalNotice(
                "write_failed",
                reason,
                f"writing {old.segment.name} failed ({os.strerror(failure.errno or 0)}); {records} records that "
                f"were not durable have been written to {active.segment.name}",
                records_lost=0,
                start_unix_nano=self._failed_at,
            )
        )

    def _bring_back(self) -> None:
        """Another program may have removed, replaced or cut the file that is being written."""
        segment, began = self._active.segment, time.time_ns()
        try:
            harm = self._active.harm()
            if harm is None:
                return
            if harm == "cut":
                self._fail(OSError(errno.EIO, os.strerror(errno.EIO)))
                self._retry_at = time.monotonic()
            else:
                self._active = self._active.restore()
                self._state.segments[-1] = self._active.segment
        except OSError as error:
            self._fail(error)
            return
        what = "the journal goes on in a new one" if harm == "cut" else "it has been put back whole"
        self._notify(
            JournalNotice(
                "damaged",
                "io_error",
                f"{segment.path} was {harm} by another program while it was being written; {what}",
                records_lost=None if harm == "cut" else 0,
                start_unix_nano=began,
            )
        )
