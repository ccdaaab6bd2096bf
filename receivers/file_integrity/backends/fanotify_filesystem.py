"""Marks on whole file systems: every event of the file system arrives, and paths are found from file handles.

Nothing is walked and nothing has to be marked later, so a new directory leaves no gap. In exchange each event of
someone else's has to be looked at: a directory that is not watched is remembered as such, and costs one look-up;
when many come, the kernel is told to keep its writes to itself (Linux 6.0).

A directory that is removed before its first event is read cannot be found any more; its own removal is reported by
the directory above, with everything below it to be compared.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Callable, Hashable, Iterable
from typing import Final

from otel_fim.receivers.file_integrity.backend import Actor, Filter
from otel_fim.receivers.file_integrity.backends import fanotify_api as api
from otel_fim.receivers.file_integrity.backends import kernel
from otel_fim.receivers.file_integrity.backends.coverage import (
    REASON_BACKEND_LIMITED,
    REASON_IO_ERROR,
    Lost,
    next_names,
)
from otel_fim.receivers.file_integrity.backends.directories import Directory
from otel_fim.receivers.file_integrity.backends.hints import CREATED, DELETED, DIRECTORY, SUBTREE, HintBatch
from otel_fim.receivers.file_integrity.backends.mounts import Mount, contains, mount_of, read_mounts
from otel_fim.receivers.file_integrity.cache import BoundedCache

_CACHE_SIZE: Final = 32_768
_FSID_SIZE: Final = 8
_TELL_AGAIN_SECONDS: Final = 1.0
_TRIES: Final = 10
_GONE: Final = frozenset((errno.ESTALE, errno.ENOENT, errno.ENOTDIR, errno.ELOOP))
_HOT_EVENTS: Final = 2_000
"""So many events of a directory that is not watched make it one to be ignored by the kernel."""
_COUNTED_DIRECTORIES: Final = 4_096
_LARGEST_IGNORED: Final = 1_024
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
        for point in self.mount_points.get(key[:_FSID_SIZE], ()):
            try:
                path = path_of_handle(point, key[_FSID_SIZE:])
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
        if len(self.mount_points.get(key[:_FSID_SIZE], ())) == 1:
            self._cache.put(key, self._directory(path, key, None) if self.watches(path) else _FOREIGN)

    def discard(self, key: bytes) -> None:
        self._cache.discard(key)

    def forget_below(self, path: bytes) -> None:
        """The directory at `path` is not there any more."""
        for key, directory in self._cache.items():
            if directory is not _FOREIGN and any(contains(path, each.path) for each in _chain(directory)):
                self._cache.discard(key)

    def forget_foreign(self) -> None:
        """A directory that was not watched has come into what is; nobody knows what lies below it."""
        for key, directory in self._cache.items():
            if directory is _FOREIGN:
                self._cache.discard(key)

    def clear(self) -> None:
        self._cache.clear()


def _chain(directory: Directory | None) -> Iterable[Directory]:
    while directory is not None:
        yield directory
        directory = directory.twin


def path_of_handle(mount_point: bytes, handle: bytes) -> bytes | None:
    """The path under which a directory is seen through a mount; None when it is gone or not below the mount.

    Raises `OSError` when that could not be found out.
    """
    descriptor = -1
    try:
        # The mount is opened each time: an open descriptor would keep it from being unmounted.
        mount = kernel.open_directory(mount_point)
        try:
            descriptor = _open_by_handle(mount, handle)
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


def _open_by_handle(mount: int, handle: bytes) -> int:
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


class FilesystemCoverage:
    """Marks the file systems of the roots and answers as `Coverage` does.

    Raises `OSError` on `begin` when a file system cannot be marked; the caller marks directories then.
    """

    def __init__(
        self,
        roots: Iterable[bytes],
        scope: Filter,
        group: api.Group,
        batch: HintBatch,
        lost: Lost,
        *,
        one_file_system: bool = False,
    ) -> None:
        self._roots = sorted(set(roots))
        self._scope = scope
        self._group = group
        self._batch = batch
        self._lost = lost
        self._one_file_system = one_file_system
        self._ways = next_names(self._roots)
        self._mask = group.entry_events() | api.FAN_MODIFY | api.FAN_ATTRIB | api.FAN_CLOSE_WRITE
        self._marked: dict[bytes, bytes] = {}
        self._told_at = 0.0
        self._ignored = 0
        self._can_ignore = True
        self.places = HandlePaths(scope, self._ways, self._not_found, self._ignore)

    def begin(self) -> None:
        self._mark_mounts(strict=True)

    def step(self, seconds: float) -> bool:  # noqa: ARG002 - nothing is ever left to do
        return False

    def seconds_to_retry(self) -> float | None:
        return None

    def appeared(self, parent: Directory, name: bytes, *, key: Hashable = None, deep: bool = False) -> bool:
        path = parent.prefix + name
        if deep and self.places.watches(path):
            self.places.forget_foreign()
            self._ignore_nothing()
            self._announce(path)
        if isinstance(key, bytes):
            self.places.put(path, key)
        return True

    def vanished(
        self, parent: Directory, name: bytes, key: Hashable, actor: Actor | None, *, moved: bool
    ) -> None:
        path = parent.prefix + name
        if isinstance(key, bytes):
            # In a removed directory nothing was left; only a moved one can have others below it.
            self.places.discard(key)
        if moved or key is None:
            self.places.forget_below(path)
        elif self._scope.descends(path):
            # What was removed in it before is missed when its path was not known yet.
            self._batch.add(path, DELETED | DIRECTORY | SUBTREE, actor)
        if path in self._ways:
            for root in self._roots_below(path):
                self._batch.add(root, DELETED | DIRECTORY | SUBTREE, actor)

    def moved(
        self,
        parent: Directory,
        name: bytes,
        new_parent: Directory,
        new_name: bytes,
        key: Hashable,
        actor: Actor | None,
    ) -> None:
        self.vanished(parent, name, key, actor, moved=True)
        self.appeared(new_parent, new_name, key=key, deep=True)

    def resync(self, path: bytes) -> None:
        self._mark_mounts(strict=False)
        if self.places.watches(path):
            self._announce(path)

    def rebuild(self) -> None:
        self._ignore_nothing()
        self.places.clear()

    def _not_found(self, point: bytes, error: OSError) -> None:
        now = time.monotonic()
        if now - self._told_at >= _TELL_AGAIN_SECONDS:
            self._told_at = now
            self._lost(REASON_IO_ERROR, point, f"the directory of an event was not found: {error.strerror}")

    def _roots_below(self, path: bytes) -> list[bytes]:
        return [root for root in self._roots if root != path and contains(path, root)]

    def _announce(self, path: bytes) -> None:
        if self._scope.descends(path):
            self._batch.add(path, DIRECTORY | SUBTREE)
            return
        for root in self._roots_below(path) if path in self._ways else ():
            with contextlib.suppress(OSError):
                is_directory = stat.S_ISDIR(os.lstat(root).st_mode)
                self._batch.add(root, DIRECTORY | SUBTREE if is_directory else CREATED)

    # --- Marks -----------------------------------------------------------------------------------------

    def _wanted_mounts(self, mounts: list[Mount]) -> list[Mount]:
        wanted = {mount.id: mount for root in self._roots if (mount := mount_of(root, mounts)) is not None}
        if not self._one_file_system:
            for mount in mounts:
                if any(contains(root, mount.point) for root in self._roots) and self._scope.descends(
                    mount.point
                ):
                    wanted[mount.id] = mount
        return list(wanted.values())

    def _mark_mounts(self, *, strict: bool) -> None:
        mounts = read_mounts()
        points: dict[bytes, list[bytes]] = {}
        devices: dict[bytes, bytes] = {}
        for mount in self._wanted_mounts(mounts):
            try:
                fsid = self._mark(mount.point)
            except OSError as error:
                if strict:
                    raise
                self._lost(
                    REASON_BACKEND_LIMITED, mount.point, f"{error.strerror}: changes are not reported here"
                )
                continue
            points.setdefault(fsid, []).append(mount.point)
            devices[fsid] = mount.device
        for fsid in self._marked.keys() - devices.keys():
            self._unmark(self._marked[fsid], mounts)
        self._marked = devices
        self.places.mount_points = points
        self.places.clear()

    def _mark(self, point: bytes) -> bytes:
        descriptor = kernel.open_directory(point, kernel.PATH_FLAGS)
        try:
            _, fsid = kernel.file_system(descriptor)
            self._group.mark(api.FAN_MARK_ADD | api.FAN_MARK_FILESYSTEM, self._mask, descriptor, b".")
        finally:
            os.close(descriptor)
        return fsid

    def _ignore(self, key: bytes) -> None:
        """Has the kernel leave out the writes in one directory, but not what appears there or moves away."""
        if not self._can_ignore:
            return
        if self._ignored >= _LARGEST_IGNORED:
            self._ignore_nothing()
        mask = api.FAN_MODIFY | api.FAN_ATTRIB | api.FAN_CLOSE_WRITE | api.FAN_EVENT_ON_CHILD
        flags = (
            api.FAN_MARK_ADD | api.FAN_MARK_IGNORE | api.FAN_MARK_IGNORED_SURV_MODIFY | api.FAN_MARK_EVICTABLE
        )
        for point in self.places.mount_points.get(key[:_FSID_SIZE], ()):
            try:
                mount = kernel.open_directory(point)
                try:
                    descriptor = _open_by_handle(mount, key[_FSID_SIZE:])
                finally:
                    os.close(mount)
                try:
                    self._group.mark(flags | api.FAN_MARK_ONLYDIR, mask, descriptor, b".")
                finally:
                    os.close(descriptor)
            except OSError as error:
                # Before Linux 6.0 there is no such mark.
                self._can_ignore = error.errno != errno.EINVAL
                continue
            self._ignored += 1
            return

    def _ignore_nothing(self) -> None:
        if self._ignored:
            # File system marks stay: only those on single directories are taken away.
            self._group.flush_directories()
            self._ignored = 0

    def _unmark(self, device: bytes, mounts: list[Mount]) -> None:
        """A file system that is still mounted elsewhere would go on sending its events."""
        for mount in mounts:
            if mount.device == device:
                with contextlib.suppress(OSError):
                    descriptor = kernel.open_directory(mount.point, kernel.PATH_FLAGS)
                    try:
                        flags = api.FAN_MARK_REMOVE | api.FAN_MARK_FILESYSTEM
                        self._group.mark(flags, self._mask, descriptor, b".")
                    finally:
                        os.close(descriptor)
                    return
