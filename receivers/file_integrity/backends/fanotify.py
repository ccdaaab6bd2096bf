"""The fanotify backend: sees every change in the watched directories and the process behind it. Needs root."""

from __future__ import annotations

import errno
import logging
import os
import resource
import select
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from otel_fim.receivers.file_integrity.actor import ActorResolver
from otel_fim.receivers.file_integrity.backend import Backend, BackendUnavailableError, Filter, Sink
from otel_fim.receivers.file_integrity.backends import fanotify_events, kernel
from otel_fim.receivers.file_integrity.backends.coverage import REASON_IO_ERROR, Coverage
from otel_fim.receivers.file_integrity.backends.fanotify_api import ALL_FEATURES, Features, Group
from otel_fim.receivers.file_integrity.backends.fanotify_marks import DirectoryMarks
from otel_fim.receivers.file_integrity.backends.fanotify_translate import Translator
from otel_fim.receivers.file_integrity.backends.hints import HintBatch
from otel_fim.receivers.file_integrity.backends.mounts import MountWatch

_LARGEST_READ: Final = 256 * 1024
_SMALL_READ: Final = 16 * 1024
_LARGEST_EVENT: Final = 2048
_SMALLEST_EVENT: Final = 64
_STEP_SECONDS: Final = 0.002
_ERROR_PAUSE_SECONDS: Final = 1.0

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


class FanotifyBackend(Backend):
    """Watches through fanotify on a thread of its own, named `fanotify`.

    `ignored_pids` are the processes whose changes are not reported (the agent's children; the agent itself
    is always left out). `features` and `unlimited_queue` are narrowed in tests only.
    """

    name = "fanotify"

    def __init__(
        self,
        *,
        ignored_pids: Callable[[], frozenset[int]] = frozenset,
        one_file_system: bool = False,
        retry_interval: float = 60.0,
        logger: logging.Logger | None = None,
        features: Features = ALL_FEATURES,
        unlimited_queue: bool = True,
    ) -> None:
        self._ignored_pids = ignored_pids
        self._one_file_system = one_file_system
        self._retry_interval = retry_interval
        self._logger = logger or logging.getLogger(__name__)
        self._features = features
        self._unlimited_queue = unlimited_queue
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._stopping = False
        self._wake = -1
        self._read_size = _SMALL_READ
        self._queue_empty_at = time.monotonic_ns()

    def start(self, roots: Sequence[bytes], scope: Filter, sink: Sink) -> None:
        self._group = open_group(self._features, unlimited_queue=self._unlimited_queue)
        self._sink = sink
        self._batch = HintBatch(sink)
        self._actors = ActorResolver()
        self._marks = DirectoryMarks(self._group)
        self._coverage = Coverage(
            roots,
            scope,
            self._marks,
            self._batch,
            sink.lost,
            one_file_system=self._one_file_system,
            retry_interval=self._retry_interval,
        )
        own = os.getpid()
        self._translator = Translator(
            self._coverage,
            scope,
            self._actors,
            self._batch,
            sink.lost,
            lambda: self._ignored_pids() | {own},
        )
        self._mounts = MountWatch()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._coverage.begin()
        self._thread = threading.Thread(target=self._run, name="fanotify", daemon=True)
        self._thread.start()
        self._ready.wait()

    def stop(self, timeout: float) -> None:
        if self._thread is None:
            return
        self._stopping = True
        os.eventfd_write(self._wake, 1)
        self._thread.join(timeout)
        if self._thread.is_alive():
            self._logger.warning("the fanotify reader did not stop within %.1f s", timeout)
            return
        self._thread = None
        self._group.close()
        self._mounts.close()
        os.close(self._wake)

    def describe(self) -> str:
        return (
            "fanotify, a mark on each directory: sees who did it; writes through mmap are left to the rescan"
        )

    # --- The reading thread --------------------------------------------------------------------------

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._group.descriptor, select.POLLIN)
        poll.register(self._mounts.descriptor, select.POLLPRI | select.POLLERR)
        poll.register(self._wake, select.POLLIN)
        busy = True
        while not self._stopping:
            try:
                busy = self._turn(poll, busy)
                if not busy:
                    self._ready.set()
            except Exception as error:
                # The death of this thread would be a gap that nobody is told of.
                self._logger.exception("the fanotify reader failed and goes on")
                self._sink.lost(REASON_IO_ERROR, None, f"reading fanotify events failed: {error}")
                self._ready.set()
                time.sleep(_ERROR_PAUSE_SECONDS)
        self._ready.set()

    def _turn(self, poll: select.poll, busy: bool) -> bool:
        """Reads what is there and works a little on the walks; True when these are not finished."""
        if busy:
            timeout: float | None = 0
        else:
            pause = self._coverage.seconds_to_retry()
            timeout = None if pause is None else pause * 1000
        for descriptor, _ in poll.poll(timeout):
            if descriptor == self._group.descriptor:
                self._read()
            elif descriptor == self._mounts.descriptor:
                self._remounted()
        busy = self._coverage.step(_STEP_SECONDS)
        self._batch.flush()
        return busy

    def _read(self) -> None:
        before = time.monotonic_ns()
        try:
            buffer = os.read(self._group.descriptor, self._read_size)
        except BlockingIOError:
            return
        parsed = fanotify_events.parse(buffer)
        try:
            self._actors.begin(self._queue_empty_at)
            self._translator.handle(parsed.events)
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
        if changes:
            self._marks.mounts_changed()
            for point in dict.fromkeys(mount.point for mount in changes):
                self._coverage.resync(point)


def largest_read() -> int:
    """Bytes to read at once: every event brings an open descriptor, and half of those allowed is enough."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    events = max(64, (soft if soft != resource.RLIM_INFINITY else 65536) // 2)
    return max(_SMALL_READ, min(_LARGEST_READ, events * _SMALLEST_EVENT))
