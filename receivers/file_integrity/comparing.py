"""Comparing with the baseline: everything at start and from time to time, and what somebody asks for in between.

One thread takes the first baseline and compares everything or what was lost; another compares single directories, so
that a directory that appears does not wait for a comparison of everything.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from otel_fim.host.table import ProcessTable
from otel_fim.receivers.file_integrity import paths
from otel_fim.receivers.file_integrity.authors import may_be_author
from otel_fim.receivers.file_integrity.baseline import Baseline
from otel_fim.receivers.file_integrity.config import FileIntegrityConfig
from otel_fim.receivers.file_integrity.gaps import Gaps
from otel_fim.receivers.file_integrity.hasher import GoneError, UnreadableError, observe
from otel_fim.receivers.file_integrity.metadata import FileState, Unhashed, is_directory
from otel_fim.receivers.file_integrity.pending import NOTHING, SCAN, Pending, PendingPaths
from otel_fim.receivers.file_integrity.scanner import Scanner, ScanReport
from otel_fim.receivers.file_integrity.scope import Scope

QUEUE_OVERFLOW: Final = "queue_overflow"
_LONGEST_PAUSE: Final = 60.0
_PATIENCE: Final = 0.25


class Comparer:
    """Finds paths that differ from the baseline and puts them among the waiting ones.

    `on_ready` is called once everything has been compared for the first time, `linked` for every regular file with
    several hard links that is come across.
    """

    def __init__(
        self,
        config: FileIntegrityConfig,
        scope: Scope,
        baseline: Baseline,
        pending: PendingPaths,
        gaps: Gaps,
        logger: logging.Logger,
        processes: ProcessTable,
        *,
        formerly: Scope | None,
        on_ready: Callable[[], None],
        linked: Callable[[bytes], None],
    ) -> None:
        self._config = config
        self._scope = scope
        self._baseline = baseline
        self._pending = pending
        self._gaps = gaps
        self._logger = logger
        self._processes = processes
        self._formerly = formerly
        self._on_ready = on_ready
        self._linked = linked
        self.listing = True
        """Whether the first comparison, which may be the first baseline, is still going on."""
        self._stop = threading.Event()
        self._wanted = threading.Condition()
        # Scopes to be compared because something was lost there; each with the gap's reason.
        self._lost: set[tuple[str, bytes | None]] = set()
        # Places that a backend cannot watch.
        self._unwatched: set[tuple[str, bytes | None]] = set()
        # Directories to be compared, with what led there and whether what lies below them is compared too.
        self._walks: dict[bytes, tuple[Pending, bool]] = {}
        self._scanning = True
        self._walking = False
        # (sequence, then): called once every path that waited at that sequence has been looked at.
        self._barriers: list[tuple[int, Callable[[], None]]] = []
        self._threads = [
            threading.Thread(target=self._scan, name="file_integrity-scan", daemon=True),
            threading.Thread(target=self._walk, name="file_integrity-subtree", daemon=True),
        ]

    def start(self) -> None:
        """Starts the threads; the first thing that happens is a comparison of everything."""
        for thread in self._threads:
            thread.start()

    def stop(self, deadline: float) -> bool:
        """Ends what is going on. False when a thread has not ended by `deadline` (of the monotonic clock)."""
        self._stop.set()
        with self._wanted:
            self._wanted.notify_all()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.1, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def is_quiet(self) -> bool:
        """Whether nothing is being compared or waits for it, and no gap waits to be closed."""
        with self._wanted:
            return not (self._scanning or self._walking or self._walks or self._lost or self._barriers)

    def lost(self, reason: str, scope: bytes | None, detail: str) -> None:
        """Opens a gap and has the scope compared; repeated losses before that is done are one gap. Never waits.

        A gap in time (events that were lost) is closed by the comparison. A place that cannot be watched stays a gap
        however often it is compared.
        """
        # The gap first: it stands before what the comparison finds.
        self._gaps.open(reason, scope, detail)
        with self._wanted:
            self._lost.add((reason, scope))
            if scope is not None and reason != QUEUE_OVERFLOW:
                self._unwatched.add((reason, scope))
            self._wanted.notify_all()

    def want(self, directory: bytes, like: Pending, deep: bool) -> None:
        """Has a directory compared, and what lies below it if `deep`. What is found is told like `like`."""
        with self._wanted:
            queued = self._walks.get(directory)
            self._walks[directory] = (like, deep or (queued is not None and queued[1]))
            self._wanted.notify_all()

    # --- what cannot be looked at ---

    def unreadable(self, directory: bytes, reason: Unhashed) -> None:
        """Opens a gap for a directory that cannot be listed."""
        word = "permission_denied" if reason is Unhashed.PERMISSION_DENIED else "io_error"
        cause = "the agent may not read it" if reason is Unhashed.PERMISSION_DENIED else "an I/O error"
        self._gaps.open(word, directory, f"{paths.display(directory)} cannot be looked at: {cause}")

    def is_closed(self, directory: bytes) -> bool:
        """Whether the directory could not be listed when it was last tried."""
        return self._gaps.is_open("permission_denied", directory) or self._gaps.is_open("io_error", directory)

    def _readable(self, directory: bytes) -> None:
        for word in ("permission_denied", "io_error"):
            if word == "permission_denied" or (word, directory) not in self._unwatched:
                self._gaps.close(word, directory, f"{paths.display(directory)} can be looked at again")

    # --- gaps that a comparison closes ---

    def check_barriers(self) -> None:
        """Closes gaps for which everything has been looked at. For the deciding thread, between two batches."""
        if not self._barriers:
            return
        oldest = self._pending.oldest()
        with self._wanted:
            passed = [b for b in self._barriers if oldest is None or oldest > b[0]]
            self._barriers = [b for b in self._barriers if b not in passed]
        for _, then in passed:
            then()

    def _close_gaps(self, lost: set[tuple[str, bytes | None]]) -> None:
        for reason, scope in lost:
            with self._wanted:
                if (reason, scope) in self._lost or (reason, scope) in self._unwatched:
                    # Lost again since: the gap stays open until the next comparison.
                    continue
            self._gaps.close(
                reason,
                scope,
                "everything in the scope was compared with the baseline; differences are reported",
            )

    # --- comparing ---

    def _scanner(self, like: Pending | None, *, while_down: bool) -> Scanner:
        return Scanner(
            self._baseline,
            self._scope,
            threads=self._config.hash_threads if like is None else 1,
            hash_max_size=self._config.hash_max_size,
            differs=partial(self._differs, like, while_down),
            unreadable=self.unreadable,
            readable=self._readable,
            linked=self._linked,
            stopping=self._stop,
            one_file_system=self._config.one_file_system,
            formerly=self._formerly if while_down else None,
        )

    def _differs(self, like: Pending | None, while_down: bool, found: Sequence[bytes]) -> None:
        backend = SCAN if like is None else like.backend
        when = time.time_ns() if like is None else like.last
        if like is not None:
            # So that the end of who made the directory is known.
            self._processes.catch_up(time.time_ns(), _PATIENCE)
        for path in found:
            lender = like if like is not None and may_be_author(like, path, self._processes) else None
            while not self._stop.is_set():
                # Half of the room is left to events.
                if len(self._pending) * 2 <= self._config.max_pending or self._pending.wait_below(
                    self._config.max_pending // 2, 1.0
                ):
                    self._pending.add(
                        path, backend, NOTHING, when, while_down=while_down, like=lender, force=True
                    )
                    break

    def _walk(self) -> None:
        try:
            while not self._stop.is_set():
                with self._wanted:
                    self._wanted.wait_for(lambda: self._walks or self._stop.is_set(), 1.0)
                    self._walking = bool(self._walks)
                    if not self._walks or self._stop.is_set():
                        continue
                    directory = next(iter(self._walks))
                    like, deep = self._walks.pop(directory)
                try:
                    self._scanner(like, while_down=like.while_down).walk(directory, deep=deep)
                except Exception as error:
                    self._logger.exception("file integrity: a directory could not be compared")
                    self.lost("io_error", None, f"{paths.display(directory)} could not be compared: {error}")
                    self._stop.wait(1.0)
        finally:
            self._baseline.release_reader()

    def _scan(self) -> None:
        try:
            self._first_scan()
            interval = self._config.rescan_interval
            following = time.monotonic() + interval
            while not self._stop.is_set():
                with self._wanted:
                    self._scanning = bool(self._lost)
                    patience = max(0.0, following - time.monotonic()) if interval else 3600.0
                    self._wanted.wait_for(lambda: self._lost or self._stop.is_set(), patience)
                    lost, self._lost = self._lost, set()
                    self._scanning = True
                if self._stop.is_set():
                    return
                begin = time.monotonic()
                self._rescan(lost)
                # While events go on being lost, at most half of the time is spent on comparing.
                self._stop.wait(min(time.monotonic() - begin, _LONGEST_PAUSE))
                if interval and (not lost or any(scope is None for _, scope in lost)):
                    following = time.monotonic() + interval
        finally:
            self._baseline.release_reader()

    def _first_scan(self) -> None:
        report = ScanReport()
        started = time.monotonic()
        known = self._baseline.roots()
        for root in self._scope.roots:
            if self._stop.is_set():
                return
            try:
                report.add(self._scan_root(root, while_down=True))
                if known.get(root) is None and not report.stopped and self._baseline.pending(root) == 0:
                    self._baseline.complete_root(root)
            except Exception as error:
                self._logger.exception("file integrity: %s could not be scanned", paths.display(root))
                self.lost("io_error", None, f"{paths.display(root)} could not be scanned: {error}")
        self.listing = False
        if report.stopped:
            return
        self._formerly = None
        count, directories = self._baseline.count()
        self._logger.info(
            "compared %d paths in %d directories in %.1f s; %d directories were listed for the first time; "
            "%d paths differ; the baseline holds %d paths in %d directories",
            report.files,
            report.directories,
            time.monotonic() - started,
            report.first_listings,
            report.differences,
            count,
            directories,
        )
        self._on_ready()

    def _scan_root(self, root: bytes, *, while_down: bool) -> ScanReport:
        try:
            state: FileState | None = observe(root, self._config.hash_max_size)
        except GoneError:
            state = None
        except UnreadableError as error:
            self.unreadable(root, error.reason)
            return ScanReport()
        if not self._baseline.has_root(root):
            self._baseline.add_root(root, state)
        self._differs(None, while_down, [root])
        if state is None or not self._scope.descends(root):
            return ScanReport()
        if is_directory(state):
            return self._scanner(None, while_down=while_down).walk(root)
        return ScanReport(files=1)

    def _rescan(self, lost: set[tuple[str, bytes | None]]) -> None:
        scopes = {scope for _, scope in lost}
        try:
            if None in scopes or not lost:
                for root in self._scope.roots:
                    self._scan_root(root, while_down=False)
            else:
                for scope in scopes:
                    assert scope is not None
                    self._rescan_below(scope)
        except Exception as error:
            self._logger.exception("file integrity: the comparison with the baseline failed")
            self._stop.wait(5.0)
            with self._wanted:
                self._lost |= lost or {("io_error", None)}
            self._gaps.open("io_error", None, f"the comparison with the baseline failed: {error}")
            return
        if lost and not self._stop.is_set():
            with self._wanted:
                self._barriers.append((self._pending.newest(), partial(self._close_gaps, lost)))

    def _rescan_below(self, scope: bytes) -> None:
        for root in self._scope.roots_below(scope):
            self._scan_root(root, while_down=False)
        if self._scope.roots_above(scope):
            self._differs(None, False, [scope])
            if self._scope.descends(scope) and os.path.isdir(scope) and not os.path.islink(scope):
                self._scanner(None, while_down=False).walk(scope)
