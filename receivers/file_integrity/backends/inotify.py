"""The inotify backend: for anyone who may read what is watched. It cannot see who did it."""

from __future__ import annotations

import logging
import os
import select
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

from watchdog.observers.inotify_c import InotifyConstants as In
from watchdog.observers.inotify_c import InotifyEvent

from otel_fim.receivers.file_integrity.backend import Backend, BackendUnavailableError, Filter, Sink
from otel_fim.receivers.file_integrity.backends.coverage import Coverage
from otel_fim.receivers.file_integrity.backends.directories import Directory, twins
from otel_fim.receivers.file_integrity.backends.hints import (
    ATTRIBUTES,
    CONTENT,
    CREATED,
    DELETED,
    DIRECTORY,
    MOVED_FROM,
    MOVED_TO,
    SUBTREE,
    HintBatch,
)
from otel_fim.receivers.file_integrity.backends.inotify_watches import EventReader, Watches
from otel_fim.receivers.file_integrity.backends.kernel import check, libc
from otel_fim.receivers.file_integrity.backends.links import LinkedFiles
from otel_fim.receivers.file_integrity.backends.loop import Loop
from otel_fim.receivers.file_integrity.backends.mounts import MountWatch, mounted_files
from otel_fim.receivers.file_integrity.backends.watcher import REASON_QUEUE_OVERFLOW, nobody

_STEP_SECONDS: Final = 0.005
_OTHER_END_SECONDS: Final = 0.05
"""How long the first half of a rename waits for the second; the kernel queues them one right after the other."""
_STOP_SECONDS: Final = 5.0
_BITS: Final = (
    (In.IN_CREATE, CREATED),
    (In.IN_DELETE | In.IN_DELETE_SELF, DELETED),
    (In.IN_MODIFY | In.IN_CLOSE_WRITE, CONTENT),
    (In.IN_ATTRIB, ATTRIBUTES),
    (In.IN_MOVED_FROM, MOVED_FROM),
    (In.IN_MOVED_TO, MOVED_TO),
    (In.IN_ISDIR, DIRECTORY),
)
_SELF: Final = In.IN_DELETE_SELF | In.IN_MOVE_SELF


def probe() -> None:
    """Raises `BackendUnavailableError` when there is no inotify, or no instance left for this user."""
    try:
        os.close(check(libc.inotify_init1(os.O_CLOEXEC)))
    except (OSError, AttributeError) as error:
        raise BackendUnavailableError(
            f"inotify cannot be used: {error}; raise fs.inotify.max_user_instances or use backend: polling"
        ) from error


class _Departure(NamedTuple):
    """The first half of a rename."""

    parent: Directory
    event: InotifyEvent
    since: float


class InotifyBackend(Backend):
    """Watches through inotify, by way of watchdog: one watch for each directory, on a thread named `inotify`.

    `max_user_watches` and the queue's 16,384 events are the kernel's limits; reaching either is told as a gap.
    """

    name = "inotify"

    def __init__(
        self,
        *,
        one_file_system: bool = False,
        retry_interval: float = 60.0,
        logger: logging.Logger | None = None,
    ) -> None:
        self._one_file_system = one_file_system
        self._retry_interval = retry_interval
        self._logger = logger or logging.getLogger(__name__)
        self._loop: Loop | None = None
        self._reader: EventReader | None = None
        self._mounts: MountWatch | None = None
        self._departures: dict[int, _Departure] = {}
        self._bits: dict[int, int] = {}

    def start(self, roots: Sequence[bytes], scope: Filter, sink: Sink) -> None:
        probe()
        self._roots = frozenset(roots)
        self._lost = sink.lost
        self._scope = scope
        self._batch = HintBatch(sink)
        self._loop = Loop(self.name, self._idle, sink.lost, self._logger)
        try:
            self._mounts = MountWatch()
            self._reader = EventReader(self._loop.wake)
            # At once: watchdog leaves it to the running thread to give back what it holds.
            self._reader.start()
            self._watches = Watches(self._reader)
            self._links = LinkedFiles(
                self._watches.watch_file, lambda path: self._batch.add(path, CONTENT), self._loop.wake
            )
            self._coverage = Coverage(
                roots,
                scope,
                self._watches,
                self._batch,
                sink.lost,
                one_file_system=self._one_file_system,
                retry_interval=self._retry_interval,
            )
            self._coverage.begin()
        except BaseException:
            self.stop(_STOP_SECONDS)
            raise
        for point in mounted_files(self._mounts.mounts, scope):
            self._links.request(point)
        self._loop.add(self._mounts.descriptor, select.POLLPRI | select.POLLERR, self._remounted)
        self._loop.start()

    def stop(self, timeout: float) -> None:
        if self._loop is None:
            return
        # The reader first: it wakes the loop through a descriptor that stopping the loop closes.
        if self._reader is not None:
            self._reader.stop()
            self._reader.join(timeout)
        if (self._reader is None or not self._reader.is_alive()) and self._loop.stop(timeout):
            self._loop = None
            if self._mounts is not None:
                self._mounts.close()

    def watch_links(self, path: bytes) -> None:
        if self._loop is not None:
            self._links.request(path)

    def describe(self) -> str:
        return "inotify, a watch on each directory: cannot see who did it; writes through mmap are left to the rescan"

    # --- On the loop's thread -------------------------------------------------------------------------

    def _idle(self) -> float | None:
        assert self._reader is not None
        events, dropped = self._reader.take()
        if dropped:
            self._overflow("more events were waiting than the agent keeps in memory")
        for event in events:
            self._handle(event)
        self._give_up_departures()
        more = self._coverage.step(_STEP_SECONDS)
        more |= self._links.step()
        self._batch.flush()
        if more:
            return 0
        pauses = [_OTHER_END_SECONDS] if self._departures else []
        retry = self._coverage.seconds_to_retry()
        return min(pauses + ([] if retry is None else [retry]), default=None)

    def _remounted(self) -> None:
        assert self._mounts is not None
        changes = self._mounts.changes()
        for point in mounted_files(changes, self._scope):
            self._batch.add(point, CONTENT | ATTRIBUTES)
            self._links.request(point)
        for point in dict.fromkeys(mount.point for mount in changes):
            self._coverage.resync(point)

    def _overflow(self, detail: str) -> None:
        self._departures.clear()
        self._lost(REASON_QUEUE_OVERFLOW, None, detail)
        self._coverage.rebuild()

    def _handle(self, event: InotifyEvent) -> None:
        mask = event.mask
        if mask & In.IN_Q_OVERFLOW:
            self._overflow("the kernel's inotify queue was full (fs.inotify.max_queued_events)")
            return
        if mask & In.IN_IGNORED:
            self._watches.removed(event.wd)
            self._links.forget_key(event.wd)
            return
        for path in self._links.others(event.wd, ()):
            if self._scope.wants(path, directory=False):
                self._batch.add(path, self._bits_of(mask))
        for directory in list(twins(self._coverage.tree.by_key.get(event.wd))):
            if event.name:
                self._entry(event, directory)
            elif mask & _SELF:
                self._self_gone(event, directory)
            elif self._scope.wants(directory.path, directory=True):
                self._batch.add(directory.path, self._bits_of(mask) | DIRECTORY)

    def _bits_of(self, mask: int) -> int:
        bits = self._bits.get(mask)
        if bits is None:
            bits = self._bits[mask] = sum(bit for flags, bit in _BITS if mask & flags)
        return bits

    def _entry(self, event: InotifyEvent, parent: Directory) -> None:
        mask = event.mask
        is_directory = bool(mask & In.IN_ISDIR)
        if mask & In.IN_MOVED_FROM:
            if (earlier := self._departures.pop(event.cookie, None)) is not None:
                self._gone(earlier)
            self._departures[event.cookie] = _Departure(parent, event, time.monotonic())
            return
        departure = self._departures.pop(event.cookie, None) if mask & In.IN_MOVED_TO else None
        if self._departures:
            self._free_name(parent, event.name)
        if departure is not None:
            self._renamed(departure, event, parent)
            return
        path = parent.prefix + event.name
        moved = bool(mask & In.IN_MOVED_TO)
        extra = SUBTREE if moved and is_directory else 0
        if self._reports(path, is_directory):
            self._batch.add(path, self._bits_of(mask) | extra)
        if is_directory and mask & In.IN_DELETE:
            self._coverage.vanished(parent, event.name, None, nobody, moved=False)
            # Its name may belong to another directory by now, which a walk has found before its event.
            self._coverage.appeared(parent, event.name)
        elif is_directory and mask & (In.IN_CREATE | In.IN_MOVED_TO):
            self._coverage.appeared(parent, event.name, deep=moved)
        elif is_directory and mask & In.IN_ATTRIB and parent.child(event.name) is None:
            # It may have become readable.
            self._coverage.appeared(parent, event.name)

    def _reports(self, path: bytes, is_directory: bool) -> bool:
        # A directory that is not wanted itself may hold what is.
        return self._scope.wants(path, directory=is_directory) or (
            is_directory and self._scope.descends(path)
        )

    def _renamed(self, departure: _Departure, event: InotifyEvent, parent: Directory) -> None:
        is_directory = bool(event.mask & In.IN_ISDIR)
        extra = DIRECTORY | SUBTREE if is_directory else 0
        old_path = departure.parent.prefix + departure.event.name
        path = parent.prefix + event.name
        old_wanted = self._reports(old_path, is_directory)
        if self._reports(path, is_directory):
            self._batch.add(path, MOVED_TO | extra, None, old_path if old_wanted else None)
        elif old_wanted:
            self._batch.add(old_path, MOVED_FROM | extra)
        if is_directory:
            self._coverage.moved(departure.parent, departure.event.name, parent, event.name, None, nobody)

    def _give_up_departures(self) -> None:
        if self._departures:
            now = time.monotonic()
            for cookie, departure in list(self._departures.items()):
                if now - departure.since >= _OTHER_END_SECONDS:
                    del self._departures[cookie]
                    self._gone(departure)

    def _free_name(self, parent: Directory, name: bytes) -> None:
        """What left under this name left before what comes now."""
        for cookie, departure in list(self._departures.items()):
            if departure.parent is parent and departure.event.name == name:
                del self._departures[cookie]
                self._gone(departure)

    def _gone(self, departure: _Departure) -> None:
        """Moved to where nothing is watched."""
        parent, name = departure.parent, departure.event.name
        is_directory = bool(departure.event.mask & In.IN_ISDIR)
        path = parent.prefix + name
        if self._reports(path, is_directory):
            self._batch.add(path, MOVED_FROM | (DIRECTORY | SUBTREE if is_directory else 0))
        if is_directory:
            self._coverage.vanished(parent, name, None, nobody, moved=True)

    def _self_gone(self, event: InotifyEvent, directory: Directory) -> None:
        """A watched directory was removed or moved. Its parent tells that too, where it could be watched."""
        if directory.path in self._roots and directory.parent is not None and directory.parent.key is None:
            self._batch.add(directory.path, DELETED | DIRECTORY | SUBTREE)
            moved = bool(event.mask & In.IN_MOVE_SELF)
            self._coverage.vanished(directory.parent, directory.name, directory.key, nobody, moved=moved)
