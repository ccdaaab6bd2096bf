"""Keeps every wanted directory watched: the first walk, new and moved directories, mounts, roots that do not exist.

Shared by the backends that watch directory by directory. All of it runs on the backend's one thread, in small
steps between the reading of events, so that nothing needs a lock and events are never left waiting for a walk.

Every directory on the way from `/` to a root is watched as well, for the names of the next directories only:
so a root that is removed, moved, mounted over or not there yet is noticed when that changes.
"""

from __future__ import annotations

import os
import stat
import time
from collections import deque
from collections.abc import Hashable, Iterable

from otel_fim.receivers.file_integrity.backend import Filter
from otel_fim.receivers.file_integrity.backends.directories import Directory, DirectoryTree
from otel_fim.receivers.file_integrity.backends.failures import DENIED, Failures
from otel_fim.receivers.file_integrity.backends.hints import (
    ATTRIBUTES,
    CONTENT,
    CREATED,
    DELETED,
    DIRECTORY,
    SUBTREE,
    HintBatch,
)
from otel_fim.receivers.file_integrity.backends.kernel import DIRECTORY_FLAGS, PATH_FLAGS, open_directory
from otel_fim.receivers.file_integrity.backends.watcher import Depth, Lost, Watcher, Who, next_names, nobody


class _Walk:
    """A walk in progress. `deep`: look again at what is known already. `announce`: say at the end that the
    subtree has to be compared. `spawn`: announce each new directory by itself instead. `retries`: the path
    whose failure made it necessary."""

    __slots__ = ("announce", "deep", "failed", "retries", "root", "spawn", "waiting")

    def __init__(
        self,
        root: Directory,
        *,
        deep: bool = False,
        announce: bool = True,
        spawn: bool = False,
        retries: bytes | None = None,
    ) -> None:
        self.root = root
        self.deep = deep
        self.announce = announce
        self.spawn = spawn
        self.retries = retries
        self.failed = False
        self.waiting = [root]


class Coverage:
    """The watched directories and the work left to do on them."""

    def __init__(
        self,
        roots: Iterable[bytes],
        scope: Filter,
        watcher: Watcher,
        batch: HintBatch,
        lost: Lost,
        *,
        one_file_system: bool = False,
        retry_interval: float = 60.0,
    ) -> None:
        self._roots = frozenset(roots)
        self._scope = scope
        self._watcher = watcher
        self._batch = batch
        self._one_file_system = one_file_system
        self._ways = next_names(self._roots)
        self._walks: deque[_Walk] = deque()
        self._failures = Failures(self._roots, lost, retry_interval)
        self.tree = DirectoryTree(None)

    # --- What the backend calls -----------------------------------------------------------------------

    def begin(self) -> None:
        """Starts the first walk. Raises `OSError` when `/` cannot be opened."""
        descriptor = open_directory(b"/", PATH_FLAGS)
        try:
            key = self._watcher.watch(descriptor, b"", self._depth(b"/") or Depth.ENTRIES)
            self.tree.set_key(self.tree.top, key)
        except OSError as error:
            if self._scope.descends(b"/"):
                self._failures.note(b"/", error)
        finally:
            os.close(descriptor)
        self._walks.append(_Walk(self.tree.top, announce=False))

    def step(self, seconds: float) -> bool:
        """Works for about `seconds`; True while there is more to do now."""
        deadline = time.monotonic() + seconds
        if self._failures.due():
            self._retry()
        while self._walks:
            walk = self._walks[0]
            while walk.waiting:
                directory = walk.waiting.pop()
                if directory.attached:
                    self._sync(directory, walk)
                if time.monotonic() >= deadline:
                    return True
            self._walks.popleft()
            self._finish(walk)
        return False

    def seconds_to_retry(self) -> float | None:
        """When `step` has something to do again although nothing happens; None for never."""
        return self._failures.pause()

    def appeared(self, parent: Directory, name: bytes, *, key: Hashable = None, deep: bool = False) -> bool:  # noqa: ARG002
        """A directory was created here or, with `deep`, moved here with all that it holds. False when nothing
        below it is wanted or can be watched. (`key` is of use to file system marks only.)"""
        path = parent.prefix + name
        depth = self._depth(path)
        if not parent.attached or depth is None:
            return False
        try:
            descriptor = open_directory(parent.path, PATH_FLAGS)
        except OSError as error:
            # Gone means renamed or removed meanwhile: the event that says so is on its way.
            self._failures.note(path, error)
            return False
        try:
            if self._crosses(descriptor, name, path):
                depth = Depth.NAME
            child, new = self._attach(parent, descriptor, name, depth)
        except OSError as error:
            self._failures.note(path, error)
            return False
        finally:
            os.close(descriptor)
        if depth is Depth.NAME:
            return False
        if new or deep:
            self._walks.append(_Walk(child, deep=deep))
        return True

    def vanished(self, parent: Directory, name: bytes, key: Hashable, who: Who, *, moved: bool) -> None:
        """A directory was removed from here, or moved away. `key` is the directory's, where the event tells."""
        child = parent.child(name)
        # Another key: the name has been given to a new directory, which a walk has found before its event.
        if child is not None and (key is None or child.key == key):
            self._forget(child, unwatch=moved)
        self._left(parent, name, who)

    def moved(
        self,
        parent: Directory,
        name: bytes,
        new_parent: Directory,
        new_name: bytes,
        key: Hashable,
        who: Who,
    ) -> None:
        """A directory was renamed, both ends being watched."""
        child = parent.child(name)
        if child is not None and (key is None or child.key == key):
            self._move(child, new_parent, new_name)
        self._left(parent, name, who)
        # Other patterns may hold at the new place: everything below is looked at again.
        self.appeared(new_parent, new_name, deep=True)
        if key is None:
            # Which directory it was is not known: two may have changed places.
            self.appeared(parent, name, deep=True)

    def resync(self, path: bytes) -> None:
        """Something was mounted or unmounted at `path`."""
        if self._depth(path) is None:
            return
        directory, name = os.path.split(path)
        parent = self.tree.find(directory)
        if path == b"/" or parent is None:
            self._walks.append(_Walk(self.tree.nearest(path), deep=True))
        elif not self.appeared(parent, name, deep=True):
            self._announce(path)

    def rebuild(self) -> None:
        """Events were lost: everything is looked at again, and what is new is announced."""
        self._walks.append(_Walk(self.tree.top, deep=True, announce=False, spawn=True))

    # --- Walking -----------------------------------------------------------------------------------------

    def _finish(self, walk: _Walk) -> None:
        if walk.retries is not None and not walk.failed:
            self._failures.mended(walk.retries)
        if walk.announce and walk.root.attached:
            self._announce(walk.root.path)

    def _sync(self, directory: Directory, walk: _Walk) -> None:
        """Makes the known children of a directory those that it has and that are wanted."""
        seen = set()
        try:
            # On the way to a root nothing is listed, and so nothing need be readable.
            flags = DIRECTORY_FLAGS if self._scope.descends(directory.path) else PATH_FLAGS
            descriptor = open_directory(directory.path, flags)
            try:
                for name, depth in self._wanted_children(directory, descriptor):
                    seen.add(name)
                    try:
                        child, new = self._attach(directory, descriptor, name, depth)
                    except OSError as error:
                        walk.failed |= self._failures.note(directory.prefix + name, error)
                        continue
                    if depth is Depth.NAME:
                        continue
                    if new and walk.spawn:
                        self._walks.append(_Walk(child))
                    elif new or walk.deep:
                        walk.waiting.append(child)
            finally:
                os.close(descriptor)
        except OSError as error:
            walk.failed |= self._failures.note(directory.path, error)
            return
        if directory.children:
            for child in [child for name, child in directory.children.items() if name not in seen]:
                if directory.path in self._failures.blind:
                    self._roots_gone(child.path, nobody)
                self._forget(child, unwatch=True)

    def _wanted_children(self, directory: Directory, descriptor: int) -> list[tuple[bytes, Depth]]:
        prefix = directory.prefix
        if not self._scope.descends(directory.path):
            return self._next_on_the_way(directory, descriptor)
        with os.scandir(descriptor) as entries:
            names = [os.fsencode(entry.name) for entry in entries if entry.is_dir(follow_symlinks=False)]
        wanted = []
        for name in names:
            depth = self._depth(prefix + name)
            if depth is Depth.CONTENT and self._crosses(descriptor, name, prefix + name):
                depth = Depth.NAME
            if depth is not None:
                wanted.append((name, depth))
        return wanted

    def _next_on_the_way(self, directory: Directory, descriptor: int) -> list[tuple[bytes, Depth]]:
        wanted = []
        for name in self._ways.get(directory.path, ()):
            below = directory.prefix + name
            if _is_directory(descriptor, name):
                wanted.append((name, self._depth(below) or Depth.ENTRIES))
            elif below in self._roots:
                # A root that is a file, or may become one, is seen through the directory that it lies in.
                try:
                    self._watcher.watch(descriptor, b"", Depth.CONTENT)
                except OSError as error:
                    self._failures.note(below, error)
                    self._failures.blind.add(directory.path)
        return wanted

    def _attach(
        self, parent: Directory, descriptor: int, name: bytes, depth: Depth
    ) -> tuple[Directory, bool]:
        """Watches a directory; True when it was not known at this place before. Raises `OSError`."""
        key: Hashable
        try:
            key = self._watcher.watch(descriptor, name, depth)
        except OSError as error:
            if depth is Depth.CONTENT or error.errno not in DENIED:
                raise
            # A directory on the way that cannot be watched does not hide the root below it, which is looked
            # for at every retry.
            key = None
            self._failures.blind.add(parent.prefix + name)
        self._failures.watched(parent.prefix + name)
        known = parent.child(name)
        if known is not None:
            if known.key == key:
                return known, False
            self._forget(known, unwatch=True)
        return self.tree.add(parent, name, key), True

    def _move(self, child: Directory, parent: Directory, name: bytes) -> None:
        if self._depth(parent.prefix + name) is None or not parent.attached or _is_below(parent, child):
            self._forget(child, unwatch=True)
            return
        occupant = parent.child(name)
        if occupant is child:
            return
        if occupant is not None and occupant.key == child.key:
            # A walk has seen the directory at its new place already.
            self._forget(child, unwatch=True)
            return
        if occupant is not None:
            self._forget(occupant, unwatch=True)
        self.tree.move(child, parent, name)

    def _forget(self, directory: Directory, *, unwatch: bool) -> None:
        gone = self.tree.remove(directory)
        if unwatch and gone:
            self._watcher.unwatch(gone)

    def _left(self, parent: Directory, name: bytes, who: Who) -> None:
        """A directory is not here any more: with it went the roots below it."""
        path = parent.prefix + name
        if path in self._ways:
            self._roots_gone(path, who)
        if path in self._ways or path in self._roots:
            # The root may come back as a file: the directory above has to be watched for its content then.
            self._walks.append(_Walk(parent, announce=False, spawn=True))

    def _crosses(self, descriptor: int, name: bytes, path: bytes) -> bool:
        """Whether a sub-directory is the door to another file system that is not to be entered."""
        if not self._one_file_system or path in self._roots:
            return False
        try:
            return (
                os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_dev != os.fstat(descriptor).st_dev
            )
        except OSError:
            return False

    # --- Judging paths ---------------------------------------------------------------------------------

    def _depth(self, path: bytes) -> Depth | None:
        """How a directory at `path` is to be watched; None for not at all."""
        if self._scope.descends(path):
            return Depth.CONTENT
        if path in self._ways:
            return Depth.ENTRIES
        return Depth.NAME if self._scope.wants(path, directory=True) else None

    def _roots_below(self, path: bytes) -> list[bytes]:
        prefix = path if path == b"/" else path + b"/"
        return sorted(root for root in self._roots if root.startswith(prefix))

    def _roots_gone(self, path: bytes, who: Who) -> None:
        for root in [path] if path in self._roots else self._roots_below(path):
            self._batch.add(root, DELETED | DIRECTORY | SUBTREE, who())

    def _announce(self, path: bytes) -> None:
        if self._scope.descends(path):
            self._batch.add(path, DIRECTORY | SUBTREE)
            return
        for root in self._roots_below(path):
            try:
                mode = os.lstat(root).st_mode
            except OSError:
                continue
            self._batch.add(root, DIRECTORY | SUBTREE if stat.S_ISDIR(mode) else CREATED)

    # --- What goes wrong -------------------------------------------------------------------------------

    def _retry(self) -> None:
        """Tries again what could not be watched; as long as that fails, this is polling."""
        for path in self._failures.paths:
            self._walks.append(_Walk(self.tree.nearest(path), deep=True, retries=path))
        for path in self._failures.blind:
            directory = self.tree.find(path)
            if directory is not None:
                self._walks.append(_Walk(directory, announce=False, spawn=True))
                for name in self._ways.get(path, ()):
                    if directory.prefix + name in self._roots and directory.child(name) is None:
                        self._batch.add(directory.prefix + name, CONTENT | ATTRIBUTES)


def _is_below(directory: Directory | None, other: Directory) -> bool:
    while directory is not None:
        if directory is other:
            return True
        directory = directory.parent
    return False


def _is_directory(descriptor: int, name: bytes) -> bool:
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode)
    except OSError:
        return False
