"""The walk over everything that is watched: takes the first baseline, and finds what differs from it later.

A first listing stores what it finds, hashes included. Afterwards only lstat is needed: what differs is handed to
`differs`, and the engine looks at it as at any other change, so there is one place where changes are decided.
Memory does not grow with the number of files: directories are compared one at a time.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from otel_fim.receivers.file_integrity import paths
from otel_fim.receivers.file_integrity.baseline import Baseline
from otel_fim.receivers.file_integrity.hasher import hash_file, reason_of
from otel_fim.receivers.file_integrity.metadata import FileState, Unhashed, from_stat, same_metadata
from otel_fim.receivers.file_integrity.scope import Scope
from otel_fim.receivers.file_integrity.switching import quick_turns

_EXAMPLES: Final = 5
# See `evaluate`: the hash of a file that changed this recently is not trusted yet.
_RECENT_NS: Final = 2_000_000_000


@dataclass(slots=True)
class ScanReport:
    """What a walk did: counts, and what it could not look at."""

    directories: int = 0
    files: int = 0
    hashed_bytes: int = 0
    first_listings: int = 0
    differences: int = 0
    unhashed: dict[Unhashed, int] = field(default_factory=dict)
    unhashed_examples: dict[Unhashed, list[bytes]] = field(default_factory=dict)
    stopped: bool = False

    def add(self, other: ScanReport) -> None:
        self.directories += other.directories
        self.files += other.files
        self.hashed_bytes += other.hashed_bytes
        self.first_listings += other.first_listings
        self.differences += other.differences
        self.stopped |= other.stopped
        for reason, count in other.unhashed.items():
            self.unhashed[reason] = self.unhashed.get(reason, 0) + count
            examples = self.unhashed_examples.setdefault(reason, [])
            examples += other.unhashed_examples[reason][: _EXAMPLES - len(examples)]

    def note_unhashed(self, reason: Unhashed, path: bytes) -> None:
        self.unhashed[reason] = self.unhashed.get(reason, 0) + 1
        examples = self.unhashed_examples.setdefault(reason, [])
        if len(examples) < _EXAMPLES:
            examples.append(path)


class Scanner:
    """Walks directories with several threads.

    `differs(paths)` takes paths whose state is not the baseline's; it may wait. `unreadable(directory, reason)` is
    told of each directory that cannot be listed, `readable(directory)` of each one that can, and `linked(path)` of
    each regular file with several hard links. `formerly` is the
    scope of the run before when the configuration has changed: what was not watched then is taken as given.
    """

    def __init__(
        self,
        baseline: Baseline,
        scope: Scope,
        *,
        threads: int,
        hash_max_size: int,
        differs: Callable[[Sequence[bytes]], None],
        unreadable: Callable[[bytes, Unhashed], None],
        readable: Callable[[bytes], None],
        linked: Callable[[bytes], None],
        stopping: threading.Event,
        one_file_system: bool = False,
        formerly: Scope | None = None,
    ) -> None:
        self._baseline = baseline
        self._scope = scope
        self._threads = threads
        self._hash_max_size = hash_max_size
        self._differs = differs
        self._unreadable = unreadable
        self._readable = readable
        self._linked = linked
        self._stopping = stopping
        self._one_file_system = one_file_system
        self.formerly = formerly

    def walk(self, top: bytes, *, deep: bool = True) -> ScanReport:
        """Walks `top`, a directory, and (unless `deep` is False) all that is watched below it; returns when done or
        stopping.

        A first error of a worker (a full disk, for example) ends the walk and is raised.
        """
        with quick_turns():
            return _Walk(self, top, deep).run()


class _Walk:
    def __init__(self, scanner: Scanner, top: bytes, deep: bool) -> None:
        self._s = scanner
        self._deep = deep
        # A directory, and whether its parent took it as given in a listing that may not be committed yet.
        self._queue: deque[tuple[bytes, bool]] = deque([(top, False)])
        self._busy = 0
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._device: int | None = None
        if scanner._one_file_system:
            try:
                self._device = paths.lstat(top).st_dev
            except OSError:
                self._device = None

    def run(self) -> ScanReport:
        report = ScanReport()
        extra = [
            threading.Thread(target=self._helper, args=(report,), name="file_integrity-walk", daemon=True)
            for _ in range(self._s._threads - 1)
        ]
        for thread in extra:
            thread.start()
        self._work(report)
        for thread in extra:
            thread.join()
        if self._error is not None:
            raise self._error
        report.stopped = self._s._stopping.is_set()
        self._s._baseline.flush()
        return report

    def _helper(self, report: ScanReport) -> None:
        try:
            self._work(report)
        finally:
            self._s._baseline.release_reader()

    def _work(self, report: ScanReport) -> None:
        mine = ScanReport()
        try:
            while (item := self._next()) is not None:
                try:
                    found = self._directory(*item, mine)
                except Exception as error:  # noqa: BLE001 - raised again in the thread that asked for the walk
                    with self._changed:
                        self._error = self._error or error
                    found = []
                with self._changed:
                    self._busy -= 1
                    if self._deep:
                        self._queue.extend(found)
                    self._changed.notify_all()
        finally:
            with self._changed:
                report.add(mine)

    def _next(self) -> tuple[bytes, bool] | None:
        with self._changed:
            while not self._queue and self._busy and self._error is None:
                self._changed.wait(1.0)
            if not self._queue or self._error is not None or self._s._stopping.is_set():
                return None
            self._busy += 1
            # Breadth first: what lies near the top is what people look at first.
            return self._queue.popleft()

    def _directory(self, directory: bytes, given: bool, report: ScanReport) -> list[tuple[bytes, bool]]:
        """Compares or stores one directory; gives the directories below it that are to be walked."""
        scope, baseline = self._s._scope, self._s._baseline
        try:
            fd = paths.open_directory(directory)
        except OSError as error:
            reason = reason_of(error)
            if reason in (Unhashed.DELETED, Unhashed.NOT_REGULAR):
                # Gone or replaced since its parent was listed: that is for the engine to look at.
                self._s._differs([directory])
            else:
                self._s._unreadable(directory, reason)
            return []
        try:
            listed, known = baseline.children(directory)
            first = listed == 0 or (listed is None and given)
            differing: list[bytes] = []
            stored: list[tuple[bytes, FileState]] = []
            first_subdirectories: list[bytes] = []
            below: list[tuple[bytes, bool]] = []
            prefix = directory if directory == b"/" else directory + b"/"
            report.directories += 1
            recent = time.time_ns() - _RECENT_NS
            try:
                entries = os.scandir(fd)
            except OSError as error:
                self._s._unreadable(directory, reason_of(error))
                return []
            formerly = self._s.formerly
            with entries:
                for entry in entries:
                    name = os.fsencode(entry.name)
                    path = prefix + name
                    if not scope.child_passes(path, name):
                        continue
                    before = known.pop(name, None)
                    try:
                        found = entry.stat(follow_symlinks=False)
                        kind = stat.S_IFMT(found.st_mode)
                        if kind == stat.S_IFDIR:
                            if self._device is not None and found.st_dev != self._device:
                                continue
                        elif not scope.child_wanted(path, name):
                            continue
                        report.files += 1
                        if found.st_nlink > 1 and kind == stat.S_IFREG:
                            self._s._linked(path)
                        silent = first or (
                            listed == 1 and formerly is not None and not formerly.wants_entry(path)
                        )
                        if before is not None:
                            if not same_metadata(before, found) or self._could_be_hashed(before):
                                differing.append(path)
                        elif silent:
                            stored.append((name, self._first(name, path, fd, found, report)))
                            if found.st_ctime_ns > recent and kind == stat.S_IFREG:
                                differing.append(path)
                        else:
                            differing.append(path)
                            continue
                        if kind == stat.S_IFDIR and scope.child_descends(path):
                            below.append((path, silent))
                            if silent:
                                first_subdirectories.append(name)
                    except OSError as error:
                        if reason_of(error) is not Unhashed.DELETED:
                            self._s._unreadable(directory, reason_of(error))
                            return below
        finally:
            os.close(fd)
        self._s._readable(directory)
        if known:
            differing += self._missing(directory, prefix, known)
        if first or stored:
            report.first_listings += first
            baseline.add_listing((directory, stored, first_subdirectories))
        if stored and differing and not first:
            # The rows must be there before the paths are looked at, or what was taken as given counts as new.
            baseline.flush()
        if differing:
            report.differences += len(differing)
            self._s._differs(differing)
        return below

    def _missing(self, directory: bytes, prefix: bytes, known: dict[bytes, FileState]) -> list[bytes]:
        """Rows for which nothing was found: gone, or no longer watched, which is forgotten without a report."""
        scope = self._s._scope
        gone = []
        unwatched = []
        for name in known:
            path = prefix + name
            if scope.child_passes(path, name) and scope.child_wanted(path, name):
                gone.append(path)
            else:
                unwatched.append(name)
        if unwatched:
            self._s._baseline.forget(directory, unwatched)
        return gone

    def _could_be_hashed(self, state: FileState) -> bool:
        """Whether the reason why there was no hash may no longer hold."""
        if state.unhashed is None or state.unhashed == Unhashed.NOT_REGULAR:
            return False
        return state.unhashed != Unhashed.TOO_LARGE or state.size <= self._s._hash_max_size

    def _first(
        self, name: bytes, path: bytes, fd: int, found: os.stat_result, report: ScanReport
    ) -> FileState:
        kind = stat.S_IFMT(found.st_mode)
        if kind == stat.S_IFREG:
            state = hash_file(name, fd, found, self._s._hash_max_size)
            if state.sha256 is not None:
                report.hashed_bytes += state.size
            elif state.unhashed is not None:
                report.note_unhashed(Unhashed(state.unhashed), path)
            return state
        if kind == stat.S_IFLNK:
            return from_stat(found, target=os.readlink(name, dir_fd=fd))
        return from_stat(found)
