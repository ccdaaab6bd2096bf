"""Waits until a file changes: inotify on the file and on its directory, through watchdog's system calls."""

from __future__ import annotations

import contextlib
import os
import select
import struct
from collections.abc import Iterable
from typing import Final

from watchdog.observers.inotify_c import InotifyConstants as In
from watchdog.observers.inotify_c import (
    Mask,
    WatchDescriptor,
    inotify_add_watch,
    inotify_init,
    inotify_rm_watch,
)

POLL_SECONDS: Final = 2.0
"""Between two looks where inotify cannot be used."""
SAFETY_SECONDS: Final = 60.0
"""Between two looks where it can: network file systems and overlays may keep quiet."""

_DIRECTORY: Final = Mask(
    In.IN_CREATE
    | In.IN_MOVED_TO
    | In.IN_MOVED_FROM
    | In.IN_DELETE
    | In.IN_DELETE_SELF
    | In.IN_MOVE_SELF
    | In.IN_ONLYDIR
)
_FILE: Final = Mask(In.IN_MODIFY | In.IN_ATTRIB | In.IN_MOVE_SELF)
_EVENT: Final = struct.Struct("=iIII")
_EVENT_BYTES: Final = 65_536


class Waiter:
    """For one thread, save `wake`. `path` is the file's name; only changes of it and of `open_files` end a wait."""

    def __init__(self, path: str) -> None:
        self._directory = os.fsencode(os.path.dirname(path) or ".")
        self._base = os.fsencode(os.path.basename(path))
        self._woken, self._waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._poll = select.poll()
        self._poll.register(self._woken, select.POLLIN)
        self._directory_watch: int | None = None
        self._files: dict[tuple[int, int], int] = {}
        self._complete = False
        self._inotify = inotify_init()
        if self._inotify >= 0:
            os.set_inheritable(self._inotify, False)
            os.set_blocking(self._inotify, False)
            self._poll.register(self._inotify, select.POLLIN)

    @property
    def polling(self) -> bool:
        """Whether changes are found by looking again rather than told by the kernel."""
        return not self._complete

    def watch(self, open_files: Iterable[int]) -> bool:
        """Watches the directory, and the files that these descriptors stand for, whatever their names become.

        True when a watch is new: what changed before it was there is not told.
        """
        if self._inotify < 0:
            return False
        before = (self._directory_watch, dict(self._files))
        wanted: dict[tuple[int, int], int] = {}
        for descriptor in open_files:
            status = os.fstat(descriptor)
            wanted[status.st_dev, status.st_ino] = descriptor
        for key in self._files.keys() - wanted.keys():
            inotify_rm_watch(self._inotify, WatchDescriptor(self._files.pop(key)))
        self._complete = self._watch_directory()
        for key in wanted.keys() - self._files.keys():
            number = inotify_add_watch(self._inotify, b"/proc/self/fd/%d" % wanted[key], _FILE)
            if number >= 0:
                self._files[key] = number
            else:
                self._complete = False
        return before != (self._directory_watch, self._files)

    def _watch_directory(self) -> bool:
        if self._directory_watch is None:
            number = inotify_add_watch(self._inotify, self._directory, _DIRECTORY)
            self._directory_watch = number if number >= 0 else None
        return self._directory_watch is not None

    def wait(self, seconds: float | None = None) -> None:
        """Returns after a change, after `wake`, and at the latest after `seconds`."""
        limit = POLL_SECONDS if self.polling else SAFETY_SECONDS
        timeout = limit if seconds is None else min(limit, seconds)
        while True:
            ready = self._poll.poll(timeout * 1000)
            if not ready or any(descriptor == self._woken for descriptor, _ in ready):
                return
            if self._take():
                return

    def _take(self) -> bool:
        """Reads the events; whether one of them matters."""
        matters = False
        with contextlib.suppress(BlockingIOError):
            while events := os.read(self._inotify, _EVENT_BYTES):
                at = 0
                while at + _EVENT.size <= len(events):
                    number, mask, _, length = _EVENT.unpack_from(events, at)
                    name = events[at + _EVENT.size : at + _EVENT.size + length].rstrip(b"\0")
                    at += _EVENT.size + length
                    matters |= self._concerns(number, mask, name)
        return matters

    def _concerns(self, number: int, mask: int, name: bytes) -> bool:
        if number == self._directory_watch:
            if mask & (In.IN_IGNORED | In.IN_MOVE_SELF | In.IN_DELETE_SELF):
                if mask & In.IN_MOVE_SELF:
                    inotify_rm_watch(self._inotify, WatchDescriptor(number))
                self._directory_watch = None
                return True
            return name == self._base
        if mask & In.IN_IGNORED:
            self._files = {key: value for key, value in self._files.items() if value != number}
        return True

    def wake(self) -> None:
        """Ends the present wait and all later ones. From any thread, before `close`."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._waker, b"!")

    def close(self) -> None:
        for descriptor in (self._woken, self._waker, self._inotify):
            if descriptor >= 0:
                os.close(descriptor)
