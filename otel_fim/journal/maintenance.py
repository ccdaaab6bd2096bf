"""What can wait: durable cursors, compression, retention. One thread for each journal."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from otel_fim.journal import files
from otel_fim.journal.commit import GroupCommit
from otel_fim.journal.compression import compress_segment
from otel_fim.journal.config import JournalConfig
from otel_fim.journal.notice import JournalNotice
from otel_fim.journal.segment import Segment
from otel_fim.journal.state import JournalState

_PASS_SECONDS: Final = 30.0
_RETRY_SECONDS: Final = 60.0
_AGE_SHARE: Final = 10
"""A segment is closed when it has been open for this part of `max_age`, so that a quiet host's oldest record
outlives the limit by no more than that part."""


class Cursors(Protocol):
    """The readers, as far as maintenance has to do with them."""

    def sync(self) -> None:
        """Makes all cursors durable."""

    def check(self) -> None:
        """Has every reader report what it lost."""

    def delivered(self) -> int:
        """The first record that some reader still needs; a very large number when there is no reader."""


class Maintenance:
    """Runs a pass when kicked, and twice a minute."""

    def __init__(
        self,
        directory: Path,
        state: JournalState,
        config: JournalConfig,
        cursors: Cursors,
        commit: GroupCommit,
        opened_ns: int,
        logger: logging.Logger,
        notify: Callable[[JournalNotice], None],
    ) -> None:
        self._directory = directory
        self._state = state
        self._config = config
        self._cursors = cursors
        self._commit = commit
        self._notify = notify
        self._guarded_at = time.monotonic()
        self._logger = logger
        self._active = state.active
        self._opened_ns = opened_ns
        self._compress_after = 0.0
        self._kicked = threading.Event()
        self._stopping = threading.Event()
        self._pass = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="journal-maintenance", daemon=True)

    def start(self) -> None:
        """Begins with the first pass."""
        self._kicked.set()
        self._thread.start()

    def kick(self) -> None:
        """Asks for a pass soon."""
        self._kicked.set()

    def close(self, timeout: float) -> None:
        """Ends the thread; what it was compressing is compressed after the next opening."""
        self._stopping.set()
        self._kicked.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            self._kicked.wait(_PASS_SECONDS)
            self._kicked.clear()
            if self._stopping.is_set():
                return
            try:
                self.run()
            except Exception:
                self._logger.exception("%s: maintenance failed; it is tried again", self._directory)

    def run(self) -> None:
        """One pass."""
        with self._pass:
            self._cursors.sync()
            if time.monotonic() - self._guarded_at >= _PASS_SECONDS:
                self.guard()
            self._rotate_by_age()
            self._retain()
            while not self._stopping.is_set() and self._compress_one():
                self._cursors.sync()
                self._retain()
            self._force()

    def guard(self) -> None:
        """Looks whether all files are still there: who removes one may be the one to be watched."""
        self._guarded_at = time.monotonic()
        self._commit.guard()
        with self._state.changed:
            closed = [segment for segment in self._state.segments[:-1] if not segment.missing]
        for segment in closed:
            if any(path.exists() for path in segment.paths()):
                continue
            with self._state.changed:
                _, end = self._state.extent(segment)
                segment.missing, segment.disk_size = True, 0
            self._notify(
                JournalNotice(
                    "damaged",
                    "io_error",
                    f"{segment.path} was removed by another program; its {end - segment.first} records are no longer "
                    "in the journal",
                )
            )

    # --- Age and compression ---------------------------------------------------------------------------

    def _rotate_by_age(self) -> None:
        with self._state.changed:
            active = self._state.active
            if active is not self._active:
                self._active, self._opened_ns = active, time.time_ns()
        open_seconds = (time.time_ns() - self._opened_ns) / 1e9
        if open_seconds > self._config.retention.max_age / _AGE_SHARE:
            self._commit.rotate()

    def _compress_one(self) -> bool:
        """Compresses the oldest closed segment that is not compressed; false when there is none."""
        if not self._config.compression or time.monotonic() < self._compress_after:
            return False
        with self._state.changed:
            closed = self._state.segments[:-1]
        segment = next((s for s in closed if not s.compressed and not s.missing), None)
        if segment is None:
            return False
        try:
            size = compress_segment(segment, self._stopping.is_set)
        except OSError as error:
            # No room, or an unreadable block: the plain file is as good, and the next pass tries again.
            self._logger.warning("%s: not compressed: %s", segment.path, error)
            self._compress_after = time.monotonic() + _RETRY_SECONDS
            return False
        if size is None:
            return False
        plain = segment.path
        with self._state.changed:
            segment.compressed = True
            segment.disk_size = size
        files.remove(plain)
        files.sync_directory(self._directory)
        self._logger.debug("%s: compressed to %d bytes", plain, size)
        return True

    # --- Retention -------------------------------------------------------------------------------------

    def _retain(self) -> None:
        """Removes the oldest segments that are delivered and beyond `retention`."""
        delivered = self._cursors.delivered()
        limits = self._config.retention
        while (segment := self._oldest_closed()) is not None:
            with self._state.changed:
                _, end = self._state.extent(segment)
                total = self._state.bytes_on_disk
            age = (time.time_ns() - segment.written_ns) / 1e9
            if end > delivered or (total <= limits.max_bytes and age <= limits.max_age):
                break
            self._logger.info("%s: removed by service.journal.retention", segment.path)
            self._remove(segment)

    def _force(self) -> None:
        """Removes the oldest segments, delivered or not, while the journal is larger than `limit`."""
        removed = False
        while self._config.limit and (segment := self._oldest_closed()) is not None:
            with self._state.changed:
                total = self._state.bytes_on_disk
            if total <= self._config.limit:
                break
            self._logger.warning("%s: removed by service.journal.limit", segment.path)
            self._remove(segment)
            removed = True
        if removed:
            self._cursors.check()

    def _oldest_closed(self) -> Segment | None:
        """The segment that goes next; never the one with the newest record, which a chain continues from."""
        with self._state.changed:
            segments = self._state.segments
            newest = segments[-1] if self._state.durable_next > segments[-1].first else None
            keep = 1 if newest is not None else 2
            return segments[0] if len(segments) > keep else None

    def _remove(self, segment: Segment) -> None:
        with self._state.changed:
            self._state.segments.remove(segment)
            path = segment.path
        files.remove(path)
        # At once: after a power cut the oldest must be gone before the next one is.
        files.sync_directory(self._directory)
