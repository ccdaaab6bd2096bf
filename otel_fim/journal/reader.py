"""Reading the journal from a cursor that moves when the other side has acknowledged."""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from otel_fim.journal.batch import JournalBatch
from otel_fim.journal.bookmark import Bookmark
from otel_fim.journal.cursor import CursorFile, Position
from otel_fim.journal.errors import JournalClosedError
from otel_fim.journal.notice import GapReason, JournalNotice, NoticeKind
from otel_fim.journal.segment import Segment
from otel_fim.journal.source import Line, Source, open_source, records_in
from otel_fim.journal.state import JournalState
from otel_fim.journal.take import Taken, take_indexed, take_parsed
from otel_fim.otlp import OtlpDecodeError

_READ_ATTEMPTS: Final = 5
"""So often an unreadable place is tried before it counts as lost; the exporter's runner waits in between."""

__all__ = ["JournalBatch", "JournalReader"]


class JournalReader:
    """One exporter's view of the journal. `read` is for one thread; everything else may be called from any.

    `read` gives what comes after the last acknowledged batch, so a batch that is not acknowledged comes again.
    """

    def __init__(
        self,
        name: str,
        state: JournalState,
        cursor: CursorFile,
        position: Position,
        sync_interval: float,
        logger: logging.Logger,
        notify: Callable[[JournalNotice], None],
        on_moved: Callable[[], None],
    ) -> None:
        self.name = name
        self._state = state
        self._bookmark = Bookmark(name, cursor, sync_interval, logger)
        self._position = position
        self._logger = logger
        self._notify = notify
        self._on_moved = on_moved
        self._lock = threading.RLock()
        self._outstanding: JournalBatch | None = None
        self._read_errors = 0
        self._source: Source | None = None
        self._source_of: Segment | None = None
        self._woken = False
        self._closed = False

    # --- Reading ---------------------------------------------------------------------------------------

    def read(self, max_records: int, max_bytes: int, timeout: float) -> JournalBatch | None:
        """The next batch of durable records: whole lines, at least one, otherwise within both limits.

        Waits up to `timeout` seconds for the first. None when there is nothing, after `wake`, or when the
        reader or the journal has been closed. Raises `OSError` when the segment cannot be read.
        """
        deadline = time.monotonic() + timeout
        while True:
            with self._state.changed:
                seen = self._state.durable_next, self._state.durable_length
            with self._lock:
                if self._closed or self._state.closed:
                    return None
                self._outstanding = None
                self._outstanding = batch = self._take(max_records, max_bytes)
            if batch is not None:
                return batch
            with self._state.changed:
                while seen == (self._state.durable_next, self._state.durable_length):
                    left = deadline - time.monotonic()
                    if self._woken or self._closed or self._state.closed or left <= 0:
                        self._woken = False
                        return None
                    self._state.changed.wait(left)

    def _take(self, max_records: int, max_bytes: int) -> JournalBatch | None:
        while True:
            segment, limit, end_record = self._settle()
            if segment is None:
                return None
            start = self._position
            try:
                taken = self._take_from(segment, limit, end_record, max_records, max_bytes)
            except FileNotFoundError:
                # Let go this moment, or taken away by somebody: then all of it counts as damaged.
                taken = Taken((), 0, limit)
            except OSError as error:
                taken = self._unreadable(segment, limit, error)
            else:
                self._read_errors = 0
            end = Position(segment.first, taken.offset, start.record + taken.records)
            if taken.lines:
                return JournalBatch(taken.lines, taken.records, start, end, self._undecodable)
            self._position = end

    def _take_from(
        self, segment: Segment, limit: int, end_record: int, max_records: int, max_bytes: int
    ) -> Taken:
        _, offset, record = self._position
        source = self._open(segment)
        with self._state.changed:
            index = self._state.index_of(segment)
            spans = index.take(offset, max_records, max_bytes) if index is not None else []
        taken = take_indexed(source, offset, spans) if spans else None
        if taken is None:
            left = end_record - record
            taken = take_parsed(segment, source, offset, limit, left, max_records, max_bytes, self._logger)
        return taken

    def _unreadable(self, segment: Segment, limit: int, error: OSError) -> Taken:
        """Raises the error, until it has come so often that what cannot be read counts as damaged."""
        self._read_errors += 1
        if error.errno != errno.EIO or self._read_errors < _READ_ATTEMPTS:
            self._close_source()
            raise error
        self._logger.error("%s: cannot be read; what cannot be had is left out: %s", segment.path, error)
        if self._source is None:
            return Taken((), 0, limit)
        self._source.skip_errors = True
        return Taken((), 0, self._position.offset)

    def _settle(self) -> tuple[Segment | None, int, int]:
        """Moves over ends of segments and over losses, to where the next line is; (None, 0, 0) at the end."""
        while True:
            self.check()
            with self._state.changed:
                segment = self._state.find(self._position.segment)
                if segment is None:
                    continue  # removed this moment
                following = self._state.following(segment)
                limit, end_record = self._state.extent(segment)
            _, offset, record = self._position
            if offset < limit and (record < end_record or following is None):
                return segment, limit, end_record if following is not None else 2**63
            if record < end_record:
                self._lose(
                    record,
                    end_record,
                    "damaged",
                    "journal_torn",
                    f"{segment.name} should hold {end_record - segment.first} records, but lines of it are "
                    "damaged or missing",
                )
                self._position = Position(segment.first, offset, end_record)
            if following is None:
                return None, 0, 0
            self._position = Position(following.first, 0, following.first)

    def check(self) -> None:
        """Reports what the journal had to let go before this reader came to it."""
        with self._lock:
            with self._state.changed:
                if self._state.find(self._position.segment) is not None:
                    return
                first = self._state.first_record
            # What is in hand may still be delivered, so it does not count as lost yet.
            ours = self._position.record if self._outstanding is None else self._outstanding.end.record
            if ours < first:
                self._lose(
                    ours,
                    first,
                    "retention_forced",
                    "journal_retention",
                    "the journal had reached service.journal.limit, and its oldest segments were removed before "
                    "they were delivered",
                )
            if self._outstanding is None:
                self._position = Position(first, 0, first)

    def _lose(self, first: int, end: int, kind: NoticeKind, reason: GapReason, detail: str) -> None:
        lost, span = self._bookmark.lose(first, end)
        if lost <= 0:
            return
        self._notify(
            JournalNotice(
                kind,
                reason,
                f"{self.name} lost {lost} records, up to number {end - 1}: {detail}",
                records_lost=lost,
                reader=self.name,
                confirm=lambda: self._told(span),
            )
        )

    def _told(self, span: tuple[int, int]) -> None:
        with self._lock:
            if not self._closed:
                self._bookmark.told(span)

    def _undecodable(self, line: bytes, error: OtlpDecodeError) -> None:
        count = records_in(Line(0, len(line), line))
        self._notify(
            JournalNotice(
                "damaged",
                "journal_torn",
                f"{self.name} left out {count if count is not None else 'some'} records: a line of the journal "
                f"is not OTLP: {error}",
                records_lost=count,
                reader=self.name,
            )
        )

    def _open(self, segment: Segment) -> Source:
        if self._source is None or self._source_of is not segment:
            self._close_source()
            self._source = open_source(segment)
            self._source_of = segment
        return self._source

    def _close_source(self) -> None:
        if self._source is not None:
            self._source.close()
        self._source = self._source_of = None

    # --- Acknowledging ---------------------------------------------------------------------------------

    def acknowledge(self, batch: JournalBatch) -> None:
        """Moves the cursor behind the batch.

        The move survives a crash of the agent at once, and a power cut at most one `sync_interval` later: what
        was acknowledged in between is then delivered again. A cursor file that cannot be written is logged
        and tried again. Raises `JournalClosedError`.
        """
        with self._lock:
            if self._closed or self._state.closed:
                raise JournalClosedError(f"the reader {self.name} has been closed")
            if batch.end[:2] <= self._position[:2]:
                return
            self._outstanding = None
            self._position = batch.end
            self._bookmark.move(batch.end)
            if self._bookmark.due:
                self.sync()
            else:
                self._on_moved()

    def sync(self) -> None:
        """Makes the cursor durable."""
        with self._lock:
            crossed = not self._closed and self._bookmark.sync()
        if crossed:
            self._on_moved()  # a segment may have become free to go

    # --- State -----------------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether `close` has been called."""
        return self._closed

    @property
    def position(self) -> Position:
        """What has been acknowledged."""
        return self._position

    @property
    def saved_record(self) -> int:
        """The first record that a power cut would have delivered again."""
        return self._bookmark.saved_record

    @property
    def pending_records(self) -> int:
        """Durable records that are not acknowledged."""
        with self._state.changed:
            return max(0, self._state.durable_next - max(self._position.record, self._state.first_record))

    @property
    def pending_bytes(self) -> int:
        """Size of their lines, before compression."""
        with self._state.changed:
            position = self._position
            total = self._state.durable_length
            for segment in self._state.segments[:-1]:
                if segment.first >= position.segment:
                    total += segment.length
            if self._state.find(position.segment) is not None:
                total -= position.offset
            return max(0, total)

    def wake(self) -> None:
        """Makes a `read` that waits, or the next one that would wait, return None."""
        with self._state.changed:
            self._woken = True
            self._state.changed.notify_all()

    def close(self) -> None:
        """Makes the cursor durable and lets go of the files. A `read` that waits returns None."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._close_source()
            self._bookmark.close()
        with self._state.changed:
            self._state.changed.notify_all()
