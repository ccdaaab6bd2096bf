"""From the file handles in events to the paths of directories, remembered as long as they hold."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Hashable
from typing import Final

from otel_fim.host.cache import BoundedCache
from otel_fim.receivers.file_integrity.backend import Filter
from otel_fim.receivers.file_integrity.backends import kernel
from otel_fim.receivers.file_integrity.backends.directories import Directory, twins
from otel_fim.receivers.file_integrity.backends.mounts import contains

FSID_SIZE: Final = 8
_CACHE_SIZE: Final = 32_768
_TRIES: Final = 10
_GONE: Final = frozenset((errno.ESTALE, errno.ENOENT, errno.ENOTDIR, errno.ELOOP))
_HOT_EVENTS: Final = 2_000
"""So many events of a directory that is not watched make it one to be ignored by the kernel."""
_COUNTED_DIRECTORIES: Final = 4_096
_FOREIGN: Final = Directory(None, b"/", None)
"""Stands in the cache for every directory that is not watched."""


class HandlePaths:
    """Finds the paths of directories from their keys. `get` has the form of `dict.get`, for the translator."""

    def __init__(
        self,
        scope: Filter,
        ways: dict[bytes, set[bytes]],
        failed: Callable[[bytes, OSError], None],
        hot: Callable[[bytes], None],
    ) -> None:
        self._scope = scope
        self._ways = ways
        self._failed = failed
        self._hot = hot
        self._counts: dict[bytes, int] = {}
        self._cache: BoundedCache[Hashable, Directory] = BoundedCache(_CACHE_SIZE)
        self.mount_points: dict[bytes, list[bytes]] = {}

    def __len__(self) -> int:
        return len(self._cache)

    def get(self, key: bytes) -> Directory | None:
        """The directory at each of its watched paths, chained by `twin`; None when it has none."""
        found = self._cache.get(key)
        if found is None:
            if not key:
                return None
            found = self._find(key)
        if found is not _FOREIGN:
            return found
        count = self._counts[key] = self._counts.get(key, 0) + 1
        if count == _HOT_EVENTS:
            self._hot(key)
        elif len(self._counts) > _COUNTED_DIRECTORIES:
            self._counts.clear()
        return None

    def _find(self, key: bytes) -> Directory:
        first: Directory | None = None
        for point in self.mount_points.get(key[:FSID_SIZE], ()):
            try:
                path = path_of_handle(point, key[FSID_SIZE:])
            except OSError as error:
                # Not remembered: the next event tries again.
                self._failed(point, error)
                return _FOREIGN
            if path is not None and self.watches(path):
                first = self._directory(path, key, first)
        found = _FOREIGN if first is None else first
        self._cache.put(key, found)
        return found

    def watches(self, path: bytes) -> bool:
        """Whether events of a directory, or in it, may be of interest."""
        return path in self._ways or self._scope.descends(path) or self._scope.wants(path, directory=True)

    @staticmethod
    def _directory(path: bytes, key: Hashable, twin: Directory | None) -> Directory:
        directory = Directory(None, path, key)
        directory.prefix = path if path == b"/" else path + b"/"
        directory.twin = twin
        return directory

    def put(self, path: bytes, key: bytes) -> None:
        """A directory whose path is known from its event."""
        if len(self.mount_points.get(key[:FSID_SIZE], ())) == 1:
            self._cache.put(key, self._directory(path, key, None) if self.watches(path) else _FOREIGN)

    def discard(self, key: bytes) -> None:
        self._cache.discard(key)

    def forget_below(self, path: bytes) -> None:
        """The directory at `path` is not there any more."""
        for key, directory in self._cache.items():
            if directory is not _FOREIGN and any(contains(path, each.path) for each in twins(directory)):
                self._cache.discard(key)

    def forget_foreign(self) -> None:
        """A directory that was not watched has come into what is; nobody knows what lies below it."""
        for key, directory in self._cache.items():
            if directory is _FOREIGN:
                self._cache.discard(key)

    def clear(self) -> None:
        self._cache.clear()


def path_of_handle(mount_point: bytes, handle: bytes) -> bytes | None:
    """The path under which a directory is seen through a mount; None when it is gone or not below the mount.

    Raises `OSError` when that could not be found out.
    """
    descriptor = -1
    try:
        # The mount is opened each time: an open descriptor would keep it from being unmounted.
        mount = kernel.open_directory(mount_point)
        try:
            descriptor = open_directory_by_handle(mount, handle)
        finally:
            os.close(mount)
        status = os.fstat(descriptor)
        if status.st_nlink == 0:
            return None
        path = _path_of(descriptor)
        # What lies outside of a bind mount, or below another mount, is given a path that leads elsewhere.
        check = kernel.open_directory(path, kernel.PATH_FLAGS)
        try:
            seen = os.fstat(check)
        finally:
            os.close(check)
        return path if (seen.st_dev, seen.st_ino) == (status.st_dev, status.st_ino) else None
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def open_directory_by_handle(mount: int, handle: bytes) -> int:
    """An O_PATH descriptor. Raises `OSError`."""
    for _ in range(_TRIES):
        try:
            return kernel.open_by_handle(mount, handle, os.O_PATH | os.O_DIRECTORY)
        except OSError as error:
            # Also what some file systems say of an inode number that is being given to a new file right now.
            if error.errno != errno.ENOMEM:
                raise
    return kernel.open_by_handle(mount, handle, os.O_PATH | os.O_DIRECTORY)


def _path_of(descriptor: int) -> bytes:
    """The path of an open directory; part by part where it is longer than readlink(2) gives."""
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}".encode())
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
    parent = os.open(b"..", kernel.DIRECTORY_FLAGS, dir_fd=descriptor)
    try:
        inode = os.fstat(descriptor).st_ino
        with os.scandir(parent) as entries:
            name = next((os.fsencode(entry.name) for entry in entries if entry.inode() == inode), None)
        if name is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return _path_of(parent) + b"/" + name
    finally:
        os.close(parent)
