"""Reading the journal from a cursor that moves when the other side has acknowledged."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from otel_fim.journal.batch import JournalBatch
from otel_fim.journal.cursor import CursorFile, Position, moved
from otel_fim.journal.errors import JournalClosedError
from otel_fim.journal.lines import count_records
from otel_fim.journal.notice import GapReason, JournalNotice, NoticeKind
from otel_fim.journal.segment import Segment
from otel_fim.journal.source import Source, fetch_all, iter_lines, open_source
from otel_fim.journal.state import JournalState
from otel_fim.otlp import OtlpDecodeError

_NEWLINE: Final = ord("\n")

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
        self._cursor = cursor
        self._position = position
        self._sync_interval = sync_interval
        self._logger = logger
        self._notify = notify
        self._on_moved = on_moved
        self._lock = threading.RLock()
        self._outstanding: JournalBatch | None = None
        self._reported = cursor.state.reported
        self._synced_at = 0.0
        self._cursor_failing = False
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
            first, offset, record = self._position
            try:
                source = self._open(segment)
            except FileNotFoundError:
                # Let go this moment, or taken away by somebody: then all of it counts as damaged.
                self._position = Position(first, limit, record)
                continue
            batch = self._take_indexed(segment, source, max_records, max_bytes)
            if batch is not None:
                return batch
            lines: list[bytes] = []
            records = size = 0
            for line in iter_lines(source, offset, limit):
                if record + records >= end_record:
                    break  # written again to the next segment after a failed fsync
                try:
                    count = count_records(line.data) if line.data is not None else None
                except ValueError:
                    count = None
                if count is None or line.data is None:
                    self._logger.error(
                        "%s: bytes %d to %d cannot be read as a line", segment.path, line.start, line.end
                    )
                elif lines and (records + count > max_records or size + len(line.data) > max_bytes):
                    break
                elif count:
                    lines.append(line.data)
                    records += count
                    size += len(line.data)
                offset = line.end
                if records >= max_records or size >= max_bytes:
                    break
            end = Position(first, offset, record + records)
            if lines:
                return JournalBatch(tuple(lines), records, self._position, end, self._undecodable)
            if end == self._position:
                return None
            self._position = end

    def _take_indexed(
        self, segment: Segment, source: Source, max_records: int, max_bytes: int
    ) -> JournalBatch | None:
        """The same, without a look at the lines, where this process knows them."""
        first, offset, record = self._position
        with self._state.changed:
            index = self._state.index_of(segment)
            spans = index.take(offset, max_records, max_bytes) if index is not None else []
        if not spans:
            return None
        data = fetch_all(source, offset, spans[-1].end - offset)
        if data is None:
            return None
        lines, start = [], 0
        for span in spans:
            end = span.end - offset
            if data[end - 1] != _NEWLINE:
                return None  # not what was written
            lines.append(data[start : end - 1])
            start = end
        records = sum(span.records for span in spans)
        end_position = Position(first, spans[-1].end, record + records)
        return JournalBatch(tuple(lines), records, self._position, end_position, self._undecodable)

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
        told_from, told_to = self._reported
        lost = end - first - max(0, min(end, told_to) - max(first, told_from))
        if lost <= 0:
            return
        touching = told_from <= end and first <= told_to
        span = (min(first, told_from), max(end, told_to)) if touching and told_to else (first, end)
        self._reported = span
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
            if not self._closed and not self._state.closed and span[1] > self._cursor.state.position.record:
                self._store(reported=span)

    def _undecodable(self, line: bytes, error: OtlpDecodeError) -> None:
        count = count_records(line)
        self._notify(
            JournalNotice(
                "damaged",
                "journal_torn",
                f"{self.name} left out {count} records: a line of the journal is JSON but not OTLP: {error}",
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
            if self._reported[1] <= batch.end.record:
                self._reported = (0, 0)
            self._store(position=batch.end)
            if time.monotonic() - self._synced_at >= self._sync_interval:
                self.sync()
            else:
                self._on_moved()

    def _store(self, *, position: Position | None = None, reported: tuple[int, int] | None = None) -> None:
        state = self._cursor.state
        if position is not None:
            state = moved(state, position)
        if reported is not None:
            state = replace(state, reported=reported)
        try:
            self._cursor.store(state)
        except OSError as error:
            self._cursor_error(error)

    def sync(self) -> None:
        """Makes the cursor durable."""
        with self._lock:
            if self._closed:
                return
            crossed = self._cursor.saved.position.segment != self._cursor.state.position.segment
            try:
                self._cursor.sync()
            except OSError as error:
                self._cursor_error(error)
                return
            self._cursor_failing = False
            self._synced_at = time.monotonic()
        if crossed:
            self._on_moved()  # a segment may have become free to go

    def _cursor_error(self, error: OSError) -> None:
        if not self._cursor_failing:
            self._logger.error(
                "the cursor of %s cannot be written (%s); after a crash records are delivered again",
                self.name,
                os.strerror(error.errno or 0),
            )
        self._cursor_failing = True

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
        return self._cursor.saved.position.record

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
            self.sync()
            self._closed = True
            self._close_source()
            self._cursor.close()
        with self._state.changed:
            self._state.changed.notify_all()
