"""The fanotify backend: sees every change in the watched directories and the process behind it. Needs root."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import resource
import select
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal

from otel_fim.host import quick
from otel_fim.host.exits import DRAIN_SECONDS, ExitAccounting
from otel_fim.receivers.file_integrity.actor import ActorResolver
from otel_fim.receivers.file_integrity.backend import Backend, BackendUnavailableError, Filter, Sink
from otel_fim.receivers.file_integrity.backends import fanotify_events, kernel
from otel_fim.receivers.file_integrity.backends.coverage import Coverage
from otel_fim.receivers.file_integrity.backends.fanotify_api import ALL_FEATURES, Features, Group
from otel_fim.receivers.file_integrity.backends.fanotify_filesystem import FilesystemCoverage
from otel_fim.receivers.file_integrity.backends.fanotify_marks import DirectoryMarks
from otel_fim.receivers.file_integrity.backends.fanotify_translate import Cover, Places, Translator
from otel_fim.receivers.file_integrity.backends.hints import (
    ATTRIBUTES,
    CONTENT,
    DIRECTORY,
    SUBTREE,
    HintBatch,
)
from otel_fim.receivers.file_integrity.backends.links import LinkedFiles
from otel_fim.receivers.file_integrity.backends.loop import Loop
from otel_fim.receivers.file_integrity.backends.mounts import MountWatch, mounted_files
from otel_fim.receivers.file_integrity.backends.watcher import REASON_IO_ERROR, Depth

_LARGEST_READ: Final = 64 * 1024
_SMALL_READ: Final = 16 * 1024
_LARGEST_EVENT: Final = 2048
_SMALLEST_EVENT: Final = 64
_STEP_SECONDS: Final = 0.002

DIRECTORY_LIMIT: Final = 100_000
"""Directories up to which each is marked when the choice is left to the backend."""
REMEDY: Final = "it needs CAP_SYS_ADMIN and CAP_DAC_READ_SEARCH: run the agent as root"


def open_group(features: Features = ALL_FEATURES, *, unlimited_queue: bool = True) -> Group:
    """A fanotify group, or `BackendUnavailableError` that says what is missing."""
    if not kernel.supported():
        raise BackendUnavailableError("fanotify is used on 64-bit Linux only; use backend: inotify")
    try:
        return Group(features, unlimited_queue=unlimited_queue)
    except OSError as error:
        if error.errno == errno.EPERM:
            raise BackendUnavailableError(f"fanotify is not permitted here; {REMEDY}") from error
        if error.errno in (errno.EINVAL, errno.ENOSYS):
            raise BackendUnavailableError(
                "this kernel's fanotify reports no names (Linux 5.9 or newer is needed); use backend: inotify"
            ) from error
        raise BackendUnavailableError(
            f"fanotify cannot be used: {error.strerror}; use backend: inotify"
        ) from error


def probe(roots: Iterable[bytes]) -> list[bytes]:
    """The roots on file systems that fanotify cannot report. Raises `BackendUnavailableError` when it can be used
    nowhere."""
    group = open_group()
    try:
        marks = DirectoryMarks(group)
        return [root for root in roots if not _is_reported(marks, root)]
    finally:
        group.close()


def _is_reported(marks: DirectoryMarks, path: bytes) -> bool:
    """Tries it on the directory itself, or on the nearest one above that exists."""
    while True:
        try:
            descriptor = kernel.open_directory(path, kernel.PATH_FLAGS)
            break
        except OSError:
            if path == b"/":
                return False
            path = os.path.dirname(path)
    try:
        marks.watch(descriptor, b"", Depth.ENTRIES)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EACCES):
            raise BackendUnavailableError(f"fanotify may not mark {os.fsdecode(path)!r}; {REMEDY}") from error
        return False
    finally:
        os.close(descriptor)
    return True


class FanotifyBackend(Backend):
    """Watches through fanotify on a thread of its own, named `fanotify`.

    `marks`: on each directory, on whole file systems, or (auto) on directories up to `directory_limit` of them
    and on file systems beyond. File systems whose handles cannot be opened (overlayfs) get marks on directories.
    `ignored_pids` are the processes whose changes are not reported (the agent's children; the agent itself
    is always left out). `features` and `unlimited_queue` are narrowed in tests only.
    """

    name = "fanotify"

    def __init__(
        self,
        *,
        marks: Literal["auto", "directory", "filesystem"] = "auto",
        ignored_pids: Callable[[], frozenset[int]] = frozenset,
        one_file_system: bool = False,
        retry_interval: float = 60.0,
        logger: logging.Logger | None = None,
        directory_limit: int = DIRECTORY_LIMIT,
        features: Features = ALL_FEATURES,
        unlimited_queue: bool = True,
    ) -> None:
        self._mode = marks
        self._ignored_pids = ignored_pids
        self._one_file_system = one_file_system
        self._retry_interval = retry_interval
        self._logger = logger or logging.getLogger(__name__)
        self._directory_limit = directory_limit
        self._features = features
        self._unlimited_queue = unlimited_queue
        self._loop: Loop | None = None
        self._marks: DirectoryMarks | None = None
        self._tree_size: Callable[[], int] | None = None
        self._read_size = _SMALL_READ
        self._queue_empty_at = time.monotonic_ns()

    def start(self, roots: Sequence[bytes], scope: Filter, sink: Sink) -> None:
        self._roots = tuple(roots)
        self._scope = scope
        self._sink = sink
        self._batch = HintBatch(sink)
        with contextlib.ExitStack() as opened:
            self._group = open_group(self._features, unlimited_queue=self._unlimited_queue)
            opened.callback(self._group.close)
            self._mounts = MountWatch()
            opened.callback(self._mounts.close)
            self._exits = _exit_accounting(self._logger)
            if self._exits is not None:
                opened.callback(self._exits.close)
            # Nothing is marked yet, and who ends from here on is in the accounting.
            self._queue_empty_at = time.monotonic_ns()
            self._actors = ActorResolver(self._exits)
            loop = Loop(self.name, self._idle, sink.lost, self._logger)
            opened.callback(loop.stop, 0)
            self._file_marks = DirectoryMarks(self._group)
            self._links = LinkedFiles(
                self._file_marks.watch_file, lambda path: self._batch.add(path, CONTENT), loop.wake
            )
            if self._mode != "filesystem" or not self._mark_file_systems():
                self._mark_directories()
            for point in mounted_files(self._mounts.mounts, scope):
                self._links.request(point)
            loop.add(self._group.descriptor, select.POLLIN, self._read)
            loop.add(self._mounts.descriptor, select.POLLPRI | select.POLLERR, self._remounted)
            self._loop = loop
            self._opened = opened.pop_all()
        self._loop.start()

    def stop(self, timeout: float) -> None:
        if self._loop is not None and self._loop.stop(timeout):
            self._loop = None
            self._opened.close()

    def watch_links(self, path: bytes) -> None:
        if self._loop is not None:
            self._links.request(path)

    def describe(self) -> str:
        what = "a mark on each directory" if self._marks is not None else "marks on whole file systems"
        pids = "" if self._group.features.pidfd else " (without pidfds, so less surely)"
        return f"fanotify, {what}: sees who did it{pids}; writes through mmap are left to the rescan"

    # --- Marks -----------------------------------------------------------------------------------------

    def _mark_directories(self) -> None:
        self._marks = DirectoryMarks(self._group)
        coverage = Coverage(
            self._roots,
            self._scope,
            self._marks,
            self._batch,
            self._sink.lost,
            one_file_system=self._one_file_system,
            retry_interval=self._retry_interval,
        )
        coverage.begin()
        self._tree_size = coverage.tree.__len__
        self._use(coverage.tree.by_key, coverage)

    def _mark_file_systems(self) -> bool:
        coverage = FilesystemCoverage(
            self._roots,
            self._scope,
            self._group,
            self._batch,
            self._sink.lost,
            one_file_system=self._one_file_system,
        )
        try:
            coverage.begin()
        except OSError as error:
            self._logger.warning("file systems cannot be marked (%s): marking directories", error)
            return False
        self._marks = None
        self._tree_size = None
        self._use(coverage.places, coverage)
        return True

    def _use(self, places: Places, coverage: Cover) -> None:
        self._coverage = coverage
        self._translator = Translator(
            places,
            coverage,
            self._scope,
            self._actors,
            self._batch,
            self._sink.lost,
            self._links,
            os.getpid(),
            self._ignored_pids,
        )

    def _too_many_directories(self) -> None:
        """Marks the file systems, then takes the marks off the directories: nothing is missed in between."""
        if self._mark_file_systems():
            self._group.flush_directories()
            for root in self._roots:
                # The walk that stops here may have had directories to announce.
                self._batch.add(root, DIRECTORY | SUBTREE)
        else:
            self._tree_size = None

    # --- The reading thread --------------------------------------------------------------------------

    def _idle(self) -> float | None:
        more = self._coverage.step(_STEP_SECONDS)
        more |= self._links.step()
        if self._mode == "auto" and self._tree_size is not None and self._tree_size() > self._directory_limit:
            self._too_many_directories()
        self._batch.flush()
        if more:
            return 0
        pause = self._coverage.seconds_to_retry()
        if self._exits is not None:
            self._exits.drain_when_due()
            pause = DRAIN_SECONDS if pause is None else min(pause, DRAIN_SECONDS)
        return pause

    def _read(self) -> None:
        before = time.monotonic_ns()
        try:
            buffer = quick.read(self._group.descriptor, self._read_size)
        except BlockingIOError:
            return
        parsed = fanotify_events.parse(buffer)
        try:
            self._actors.begin(self._queue_empty_at)
            events = (
                parsed.events if self._group.features.rename else fanotify_events.pair_moves(parsed.events)
            )
            self._translator.handle(events)
        finally:
            kernel.close_quietly(fanotify_events.pidfds(parsed.events))
        if parsed.error is not None:
            self._sink.lost(REASON_IO_ERROR, None, f"malformed fanotify events: {parsed.error}")
        if len(buffer) < self._read_size - _LARGEST_EVENT:
            self._queue_empty_at = before
            self._read_size = _SMALL_READ
        else:
            self._read_size = largest_read()

    def _remounted(self) -> None:
        changes = self._mounts.changes()
        for point in mounted_files(changes, self._scope):
            self._batch.add(point, CONTENT | ATTRIBUTES)
            self._links.request(point)
        if changes:
            self._file_marks.mounts_changed()
            if self._marks is not None:
                self._marks.mounts_changed()
            for point in dict.fromkeys(mount.point for mount in changes):
                self._coverage.resync(point)


def _exit_accounting(logger: logging.Logger) -> ExitAccounting | None:
    try:
        return ExitAccounting()
    except OSError as error:
        logger.info("processes that end at once are known by their pid only: taskstats: %s", error.strerror)
        return None


def largest_read() -> int:
    """Bytes to read at once: every event brings an open descriptor, and half of those allowed is enough."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    events = max(64, (soft if soft != resource.RLIM_INFINITY else 65536) // 2)
    return max(_SMALL_READ, min(_LARGEST_READ, events * _SMALLEST_EVENT))
