"""inotify watches through watchdog's `InotifyFD`, one for each directory, and the events they bring."""

from __future__ import annotations

import errno
import itertools
import os
import threading
from collections.abc import Callable, Hashable, Sequence
from typing import Final

from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchDescriptor,
)

from otel_fim.receivers.file_integrity.backends.watcher import Depth

LARGEST_BACKLOG: Final = 262_144
"""Events that may wait in memory; beyond it they are dropped, which is told like an overflow of the kernel's queue."""

_ENTRIES: Final = (
    InotifyConstants.IN_CREATE
    | InotifyConstants.IN_DELETE
    | InotifyConstants.IN_MOVED_FROM
    | InotifyConstants.IN_MOVED_TO
    | InotifyConstants.IN_DELETE_SELF
    | InotifyConstants.IN_MOVE_SELF
)
_CONTENT: Final = (
    _ENTRIES | InotifyConstants.IN_MODIFY | InotifyConstants.IN_CLOSE_WRITE | InotifyConstants.IN_ATTRIB
)
_FLAGS: Final = (
    InotifyConstants.IN_ONLYDIR
    | InotifyConstants.IN_DONT_FOLLOW
    | InotifyConstants.IN_EXCL_UNLINK
    | InotifyConstants.IN_MASK_ADD
)


_FILE: Final = (
    InotifyConstants.IN_MODIFY
    | InotifyConstants.IN_CLOSE_WRITE
    | InotifyConstants.IN_ATTRIB
    | InotifyConstants.IN_DONT_FOLLOW
    | InotifyConstants.IN_MASK_ADD
)


class EventReader(InotifyFD):
    """watchdog's reading thread, which hands over whole batches instead of calling back for every event.

    watchdog's own emitters follow directories recursively, also excluded ones, resolve names that are not
    theirs any more and hold renames back for half a second; only its lowest layer is used here.
    `wake` is called when there is something to take.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        super().__init__()
        self._wake_taker = wake
        self._backlog: list[InotifyEvent] = []
        self._dropped = False
        self._backlog_lock = threading.Lock()

    def run(self) -> None:
        while self.should_keep_running():
            events = self.read_events()
            if not events:
                continue
            for event in events:
                if event.is_ignored:
                    # watchdog forgets the watch, which the kernel has removed.
                    self.handle_event(event)
            with self._backlog_lock:
                if len(self._backlog) + len(events) > LARGEST_BACKLOG:
                    self._backlog.clear()
                    self._dropped = True
                else:
                    self._backlog.extend(events)
            self._wake_taker()

    def take(self) -> tuple[list[InotifyEvent], bool]:
        """What has been read since the last call, and whether some was dropped for want of room."""
        with self._backlog_lock:
            events, self._backlog = self._backlog, []
            dropped, self._dropped = self._dropped, False
        return events, dropped


class _Ignored:
    """The callback that watchdog wants for every watch; events are taken from the reader instead."""

    def on_event(self, event: InotifyEvent) -> None:
        pass

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        pass

    def on_queue_overflow(self) -> None:
        pass


class Watches:
    """Implements `coverage.Watcher`: keys are watch descriptors."""

    def __init__(self, reader: EventReader) -> None:
        self._reader = reader
        self._callback = _Ignored()
        self._ids = itertools.count(1)
        self._callbacks: dict[WatchDescriptor, CallbackId] = {}

    def watch(self, directory: int, name: bytes, depth: Depth) -> Hashable:
        if depth is Depth.NAME:
            # The directory above tells of it by name.
            return None
        return self._add(directory, name, (_CONTENT if depth is Depth.CONTENT else _ENTRIES) | _FLAGS)

    def _add(self, directory: int, name: bytes, mask: int) -> WatchDescriptor:
        # Through the open directory, so that neither links nor the length of the path matter.
        path = b"/proc/self/fd/%d/%s" % (directory, name or b".")
        callback_id = CallbackId(next(self._ids))
        descriptor = self._reader.add_callback(path, Mask(mask), self._callback, callback_id)
        if descriptor < 0:
            # watchdog passes over EACCES and keeps a watch with the number -1.
            self._reader.remove_callbacks([(descriptor, callback_id)])
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)
        if descriptor in self._callbacks:
            self._reader.remove_callbacks([(descriptor, callback_id)])
        else:
            self._callbacks[descriptor] = callback_id
        return descriptor

    def watch_file(self, directory: int, name: bytes) -> Hashable:
        """Watches one file, whichever of its names is used. Raises `OSError`."""
        return self._add(directory, name, _FILE)

    def unwatch(self, keys: Sequence[Hashable]) -> None:
        self._reader.remove_callbacks(
            [
                (WatchDescriptor(key), self._callbacks.pop(WatchDescriptor(key)))
                for key in keys
                if key in self._callbacks
            ]
        )

    def removed(self, descriptor: WatchDescriptor) -> None:
        """The kernel has removed a watch: its directory is gone or its file system was unmounted."""
        self._callbacks.pop(descriptor, None)
