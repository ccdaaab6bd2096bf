"""Marks on single directories, each known by its file handle."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Hashable, Sequence
from typing import Final

from otel_fim.receivers.file_integrity.backends.fanotify_api import (
    FAN_ATTRIB,
    FAN_CLOSE_WRITE,
    FAN_EVENT_ON_CHILD,
    FAN_MARK_ADD,
    FAN_MARK_DONT_FOLLOW,
    FAN_MARK_ONLYDIR,
    FAN_MARK_REMOVE,
    FAN_MODIFY,
    Group,
)
from otel_fim.receivers.file_integrity.backends.kernel import (
    BTRFS_MAGIC,
    DIRECTORY_FLAGS,
    HandleReader,
    file_system,
    open_by_handle,
    open_directory,
)
from otel_fim.receivers.file_integrity.backends.watcher import Depth

FSID_SIZE: Final = 8


class DirectoryMarks:
    """Implements `coverage.Watcher`: keys are those of the events (see `fanotify_events`).

    An inode mark follows its directory wherever it is moved, so a directory that leaves the watched trees
    has to be found by its handle to have the mark taken away.
    """

    def __init__(self, group: Group) -> None:
        self._group = group
        self._handles = HandleReader()
        self._file_systems: dict[int, bytes] = {}
        self._places: dict[bytes, bytes] = {}
        self._entries = group.entry_events()
        self._content = self._entries | FAN_MODIFY | FAN_ATTRIB | FAN_CLOSE_WRITE | FAN_EVENT_ON_CHILD

    def watch(self, directory: int, name: bytes, depth: Depth) -> Hashable:
        handle, mount_id = self._handles.read(directory, name)
        fsid = self._file_systems.get(mount_id)
        if fsid is None:
            fsid = self._look_up(mount_id, directory, name)
        if depth is not Depth.NAME:
            mask = self._content if depth is Depth.CONTENT else self._entries
            flags = FAN_MARK_ADD | FAN_MARK_ONLYDIR | FAN_MARK_DONT_FOLLOW
            self._group.mark(flags, mask, directory, name or b".")
        return fsid + handle

    def watch_file(self, directory: int, name: bytes) -> Hashable:
        """Watches one file, whichever of its names is used. Raises `OSError`."""
        handle, mount_id = self._handles.read(directory, name)
        fsid = self._file_systems.get(mount_id)
        if fsid is None:
            fsid = self._look_up(mount_id, directory, name)
        mask = FAN_MODIFY | FAN_ATTRIB | FAN_CLOSE_WRITE
        self._group.mark(FAN_MARK_ADD | FAN_MARK_DONT_FOLLOW, mask, directory, name)
        return fsid + handle

    def _look_up(self, mount_id: int, directory: int, name: bytes) -> bytes:
        flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name or b".", flags, dir_fd=directory)
        try:
            kind, fsid = file_system(descriptor)
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                self._places[fsid] = os.readlink(f"/proc/self/fd/{descriptor}".encode())
        finally:
            os.close(descriptor)
        if kind != BTRFS_MAGIC:
            # On btrfs every subvolume has an id of its own, so there the mount does not tell.
            self._file_systems[mount_id] = fsid
        return fsid

    def mounts_changed(self) -> None:
        """The kernel gives the ids of mounts that are gone to new ones."""
        self._file_systems.clear()
        self._places.clear()

    def unwatch(self, keys: Sequence[Hashable]) -> None:
        for key in keys:
            if isinstance(key, bytes):
                # Where handles cannot be opened the mark stays; events with keys that nobody knows are skipped.
                with contextlib.suppress(OSError):
                    self._remove(key)

    def _remove(self, key: bytes) -> None:
        place = self._places.get(key[:FSID_SIZE])
        if place is None:
            return
        mount = open_directory(place)
        try:
            descriptor = open_by_handle(mount, key[FSID_SIZE:], DIRECTORY_FLAGS)
        finally:
            os.close(mount)
        try:
            self._group.mark(FAN_MARK_REMOVE, self._content, descriptor, None)
        finally:
            os.close(descriptor)
