"""The watched directories as a tree below `/`, found by what their events carry (a file handle, a watch number)."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Final

TOP_NAME: Final = b"/"


class Directory:
    """One directory at one path. `prefix` is its path with a slash at the end, ready for a name.

    `twin` leads to another path of the same directory (a bind mount). `key` is None where the directory is
    known but could not be watched.
    """

    __slots__ = ("attached", "children", "key", "name", "parent", "prefix", "twin")

    def __init__(self, parent: Directory | None, name: bytes, key: Hashable) -> None:
        self.parent = parent
        self.name = name
        self.key = key
        self.prefix: bytes = b"/" if parent is None else parent.prefix + name + b"/"
        self.children: dict[bytes, Directory] | None = None
        self.twin: Directory | None = None
        self.attached = True

    @property
    def path(self) -> bytes:
        return self.prefix[:-1] or b"/"

    def child(self, name: bytes) -> Directory | None:
        return None if self.children is None else self.children.get(name)

    def subtree(self) -> Iterator[Directory]:
        """The directory and all below it, parents first."""
        waiting = [self]
        while waiting:
            directory = waiting.pop()
            yield directory
            if directory.children:
                waiting.extend(directory.children.values())


class DirectoryTree:
    """All known directories. `by_key` is read for every event; a directory's twins hang on it."""

    def __init__(self, top_key: Hashable) -> None:
        self.by_key: dict[Hashable, Directory] = {}
        self.top = Directory(None, TOP_NAME, None)
        self.set_key(self.top, top_key)

    def __len__(self) -> int:
        return len(self.by_key)

    def add(self, parent: Directory, name: bytes, key: Hashable) -> Directory:
        """A new directory in place of whatever was known under that name, which must have been removed."""
        directory = Directory(parent, name, None)
        if parent.children is None:
            parent.children = {}
        parent.children[name] = directory
        self.set_key(directory, key)
        return directory

    def set_key(self, directory: Directory, key: Hashable) -> None:
        directory.key = key
        if key is not None:
            directory.twin = self.by_key.get(key)
            self.by_key[key] = directory

    def remove(self, directory: Directory) -> list[Hashable]:
        """Forgets a directory and all below it; gives the keys that no other path has."""
        if directory.parent is not None and directory.parent.children is not None:
            known = directory.parent.children.get(directory.name)
            if known is directory:
                del directory.parent.children[directory.name]
        gone = []
        for each in list(directory.subtree()):
            each.attached = False
            each.children = None
            if each.key is not None and self._unlink(each):
                gone.append(each.key)
        return gone

    def _unlink(self, directory: Directory) -> bool:
        """Takes one path out of the chain of twins; True when it was the last."""
        first = self.by_key.get(directory.key)
        if first is directory:
            if directory.twin is None:
                del self.by_key[directory.key]
                return True
            self.by_key[directory.key] = directory.twin
        else:
            while first is not None and first.twin is not directory:
                first = first.twin
            if first is not None:
                first.twin = directory.twin
        directory.twin = None
        return False

    def move(self, directory: Directory, parent: Directory, name: bytes) -> None:
        """Gives a directory another place; the paths of all below it follow. The place must be free, and
        must not lie below the directory itself."""
        old = directory.parent
        if old is not None and old.children is not None:
            old.children.pop(directory.name, None)
        if parent.children is None:
            parent.children = {}
        parent.children[name] = directory
        directory.parent = parent
        directory.name = name
        for each in directory.subtree():
            if each.parent is not None:
                each.prefix = each.parent.prefix + each.name + b"/"

    def find(self, path: bytes) -> Directory | None:
        """The directory known at an absolute path."""
        directory: Directory | None = self.top
        for name in path.split(b"/"):
            if name and directory is not None:
                directory = directory.child(name)
        return directory

    def nearest(self, path: bytes) -> Directory:
        """The directory at `path` or the closest one above it that is known."""
        directory = self.top
        for name in path.split(b"/"):
            if name:
                child = directory.child(name)
                if child is None:
                    break
                directory = child
        return directory


def twins(directory: Directory | None) -> Iterator[Directory]:
    """A directory at each of its paths."""
    while directory is not None:
        yield directory
        directory = directory.twin
