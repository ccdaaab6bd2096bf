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
from collections.abc import Hashable, Iterable
from typing import Final

from otel_fim.receivers.file_integrity.backend import Filter
from otel_fim.receivers.file_integrity.backends import fanotify_api as api
from otel_fim.receivers.file_integrity.backends import kernel
from otel_fim.receivers.file_integrity.backends.directories import Directory
from otel_fim.receivers.file_integrity.backends.handle_paths import (
    FSID_SIZE,
    HandlePaths,
    open_directory_by_handle,
)
from otel_fim.receivers.file_integrity.backends.hints import CREATED, DELETED, DIRECTORY, SUBTREE, HintBatch
from otel_fim.receivers.file_integrity.backends.mounts import Mount, contains, mount_of, read_mounts
from otel_fim.receivers.file_integrity.backends.watcher import (
    REASON_BACKEND_LIMITED,
    REASON_IO_ERROR,
    Lost,
    Who,
    next_names,
)

_TELL_AGAIN_SECONDS: Final = 1.0
_LARGEST_IGNORED: Final = 1_024


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
        self._handles = kernel.HandleReader()
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

    def vanished(self, parent: Directory, name: bytes, key: Hashable, who: Who, *, moved: bool) -> None:
        path = parent.prefix + name
        if isinstance(key, bytes):
            # In a removed directory nothing was left; only a moved one can have others below it.
            self.places.discard(key)
        if moved or key is None:
            self.places.forget_below(path)
        elif self._scope.descends(path):
            # What was removed in it before is missed when its path was not known yet.
            self._batch.add(path, DELETED | DIRECTORY | SUBTREE, who())
        if path in self._ways:
            for root in self._roots_below(path):
                self._batch.add(root, DELETED | DIRECTORY | SUBTREE, who())

    def moved(
        self,
        parent: Directory,
        name: bytes,
        new_parent: Directory,
        new_name: bytes,
        key: Hashable,
        who: Who,
    ) -> None:
        self.vanished(parent, name, key, who, moved=True)
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
            handle, _ = self._handles.read(descriptor, b"")
        finally:
            os.close(descriptor)
        # Events are of no use when their handles may not be opened (CAP_DAC_READ_SEARCH).
        mount = kernel.open_directory(point)
        try:
            os.close(open_directory_by_handle(mount, handle))
        finally:
            os.close(mount)
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
        for point in self.places.mount_points.get(key[:FSID_SIZE], ()):
            try:
                mount = kernel.open_directory(point)
                try:
                    descriptor = open_directory_by_handle(mount, key[FSID_SIZE:])
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
