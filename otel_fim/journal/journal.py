"""The journal: what has been appended stays, in order, and every reader gets all of it."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType

from otel_fim.journal import files
from otel_fim.journal.commit import GroupCommit
from otel_fim.journal.config import JournalConfig
from otel_fim.journal.cursors import CursorSet, journals_of, positions, read_cursor_files
from otel_fim.journal.dispatcher import Dispatcher
from otel_fim.journal.errors import JournalError
from otel_fim.journal.lines import LineEncoder
from otel_fim.journal.maintenance import Maintenance
from otel_fim.journal.metadata import CleanStop, load_metadata, take_clean_stop, write_clean_stop
from otel_fim.journal.notice import JournalNotice
from otel_fim.journal.reader import JournalReader
from otel_fim.journal.recovery import recover
from otel_fim.journal.scan import newest_record, oldest_time, records_since
from otel_fim.journal.segment import clean_up, list_segments
from otel_fim.journal.state import JournalState
from otel_fim.record import Record

_MIN_SEGMENT_BYTES = 4096


class Journal:
    """An open journal; one process has it at a time. All methods may be called from any thread.

    `notify` and the `on_durable` callbacks are called in order from a thread of the journal's own and may take
    their time; only the notices of the opening itself come from within `open`.
    """

    def __init__(
        self,
        directory: Path,
        config: JournalConfig,
        logger: logging.Logger,
        notify: Callable[[JournalNotice], None] | None,
        lock: int,
    ) -> None:
        self.directory = directory
        self._config = config
        self._logger = logger
        self._notify_outside = notify
        self._lock = lock
        self._closed = False
        self._encoder = LineEncoder()
        self._last: Record | None = None
        self._last_known = False
        resting = read_cursor_files(directory / "cursors")
        metadata = load_metadata(directory, journals_of(resting), logger)
        clean_up(directory, logger)
        clean = take_clean_stop(directory)
        known = positions(resting, metadata.id)
        segments = list_segments(directory)
        self.recovery, active, next_record = recover(
            directory, segments, clean, known, logger, created=metadata.created
        )
        self._first_next = next_record
        opened_ns = oldest_time(active.segment)
        self._state = JournalState(segments, active.length, next_record)
        self._dispatcher = Dispatcher(logger)
        self._cursors = CursorSet(
            directory / "cursors",
            metadata.id,
            resting,
            self._state,
            config.sync_interval,
            logger,
            self._notify,
            self._kick,
        )
        self._commit = GroupCommit(
            self._state,
            active,
            config,
            _segment_size(config),
            self._dispatcher,
            logger,
            self._notify,
            self._kick,
        )
        self._maintenance = Maintenance(
            directory,
            self._state,
            config,
            self._cursors,
            self._commit,
            opened_ns,
            logger,
            self._notify,
        )
        self._maintenance.start()
        if notify is not None:
            for notice in self.recovery.notices:
                try:
                    notify(notice)
                except Exception:
                    logger.exception("%s: a notice was not taken: %s", directory, notice.detail)

    @classmethod
    def open(
        cls,
        directory: Path,
        config: JournalConfig,
        *,
        logger: logging.Logger,
        notify: Callable[[JournalNotice], None] | None = None,
    ) -> Journal:
        """Opens the journal in `directory`, or begins one there, and repairs what a crash left behind.

        Raises `JournalLockedError` when another process has it, `JournalFormatError` for a newer format, and
        `JournalError` when the directory cannot be used.
        """
        try:
            files.make_directory(directory)
            lock = files.take_lock(directory)
        except OSError as error:
            raise _unusable(directory, error) from error
        try:
            return cls(directory, config, logger, notify, lock)
        except OSError as error:
            os.close(lock)
            raise _unusable(directory, error) from error
        except BaseException:
            os.close(lock)
            raise

    def _notify(self, notice: JournalNotice) -> None:
        outside = self._notify_outside
        if outside is not None:
            self._dispatcher.put(lambda: outside(notice))

    def _kick(self) -> None:
        self._maintenance.kick()

    # --- Writing ---------------------------------------------------------------------------------------

    def append(self, records: Sequence[Record], on_durable: Callable[[], None] | None = None) -> None:
        """Writes the records, all or none, and returns; `on_durable` is called when they are on disk.

        Waits while more than 8 MiB wait for the disk. Raises `JournalFullError` when there is no room,
        `JournalWriteError` when the disk fails, `JournalClosedError` after `close`; nothing has then been
        appended and `on_durable` is never called.
        """
        lines = self._encoder.encode(records)

        def written() -> None:
            if records:
                self._last, self._last_known = records[-1], True

        self._commit.append(lines, on_durable, written)

    def has_room(self) -> bool:
        """Whether an append would be taken now."""
        return self._commit.has_room()

    def flush(self, timeout: float) -> bool:
        """Waits until everything appended so far is durable; false after `timeout` seconds."""
        return self._commit.flush(timeout)

    def last_record(self) -> Record | None:
        """The newest record, None in an empty journal. Do not change it."""
        if not self._last_known:
            with self._state.changed:
                segments, end = list(self._state.segments), self._state.durable_next
            record = newest_record(segments, self._state.durable_length, end)
            if not self._last_known:
                self._last, self._last_known = record, True
        return self._last

    def recorded(self, since: int) -> Iterator[Record]:
        """The durable records that were observed at `since` (nanoseconds since the epoch) or later, oldest first, as
        they were appended. One line at a time is in memory; no cursor is needed and none moves."""
        with self._state.changed:
            segments, length = list(self._state.segments), self._state.durable_length
        return records_since(segments, length, since)

    # --- Reading ---------------------------------------------------------------------------------------

    def reader(self, name: str) -> JournalReader:
        """The reader with this name; a new one begins with the oldest record. One reader for each name.

        Raises `JournalError` when a new cursor cannot be written.
        """
        try:
            return self._cursors.open(name)
        except OSError as error:
            raise JournalError(
                f"{self.directory}: no cursor can be kept for {name} ({os.strerror(error.errno or 0)}); make room, or "
                "make the directory writable for this user"
            ) from error

    def active_readers(self, names: Iterable[str]) -> None:
        """Says which readers are in use: only these hold back retention. Without this call all cursors do."""
        self._cursors.want(names)

    def cursor_names(self) -> list[str]:
        """The names of all readers that have a cursor, in use or not."""
        return self._cursors.names()

    def remove_cursor(self, name: str) -> None:
        """Forgets where a reader was; if it comes again it begins with the oldest record."""
        self._cursors.remove(name)

    # --- State -----------------------------------------------------------------------------------------

    @property
    def bytes_on_disk(self) -> int:
        """Size of all segments, compressed ones as they are."""
        with self._state.changed:
            return self._state.bytes_on_disk

    @property
    def appended_records(self) -> int:
        """Records appended since the opening."""
        return self._commit.next_record - self._first_next

    @property
    def durable_sequence(self) -> int:
        """Number of the newest durable record, counted from the journal's first; 0 for none."""
        return self._state.durable_next - 1

    @property
    def first_sequence(self) -> int:
        """Number of the oldest record that is still there."""
        with self._state.changed:
            return self._state.first_record

    def maintain(self) -> None:
        """Compresses and retains now instead of soon."""
        self._maintenance.run()

    # --- The end ---------------------------------------------------------------------------------------

    def close(self, timeout: float = 10.0) -> None:
        """Makes everything durable, calls the callbacks that are due, and lets go of the directory.

        Readers are closed; exporters stop before. What a failing disk has not taken after `timeout` seconds
        is given up, logged, and never acknowledged.
        """
        if self._closed:
            return
        self._closed = True
        deadline = time.monotonic() + timeout
        left = self._commit.close(timeout)
        with self._state.changed:
            self._state.closed = True
            self._state.changed.notify_all()
        self._maintenance.close(max(1.0, deadline - time.monotonic()))
        self._cursors.close()
        self._dispatcher.close(max(1.0, deadline - time.monotonic()))
        if left is None:
            # Its thread may still write, so nobody else may.
            self._logger.error("%s: the disk does not answer; the journal stays locked", self.directory)
            return
        if left:
            self._logger.error(
                "%s: %d records could not be made durable and are given up", self.directory, left
            )
        else:
            self._note_clean_stop()
        os.close(self._lock)

    def _note_clean_stop(self) -> None:
        state = self._state
        stop = CleanStop(state.active.first, state.durable_length, state.durable_next)
        try:
            write_clean_stop(self.directory, stop)
        except OSError as error:
            self._logger.warning("%s: the clean stop cannot be noted: %s", self.directory, error)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _segment_size(config: JournalConfig) -> int:
    """Segments are small enough that a limit can be kept by removing whole ones."""
    limits = [limit // 4 for limit in (config.limit, config.retention.max_bytes) if limit]
    return max(_MIN_SEGMENT_BYTES, min([config.segment_size, *limits]))


def _unusable(directory: Path, error: OSError) -> JournalError:
    path = error.filename if isinstance(error.filename, str) else str(directory)
    return JournalError(
        f"{path}: the journal cannot be opened ({os.strerror(error.errno or 0)}); make it readable and writable "
        "for this user, make room, or set another service.state_directory"
    )
