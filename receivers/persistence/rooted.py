"""System calls on paths inside a root: a symbolic link in a container's tree means a path in that tree.

With the root `/` the kernel does all of it. Otherwise links are followed here, and what has been opened is compared
with where it should be, so that nobody who renames meanwhile leads the agent outside.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

_OPEN: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_MOST_LINKS: Final = 40


class RefusedError(OSError):
    """The path leads outside the root, or in circles."""


class Rooted:
    """Paths are bytes, absolute as seen inside the root. Methods raise `OSError`."""

    def __init__(self, root: bytes) -> None:
        self.root = os.path.realpath(root)
        self._own = self.root == b"/"

    def stat(self, path: bytes, *, follow: bool) -> os.stat_result:
        if self._own:
            return self._looped(lambda: os.stat(path, follow_symlinks=follow))
        return os.lstat(self._outside(path, follow=follow))

    def readlink(self, path: bytes) -> bytes:
        try:
            return os.readlink(self._outside(path, follow=False))
        except OSError as error:
            if error.errno == errno.EINVAL:
                raise FileNotFoundError(error.errno, "no symbolic link") from error
            raise

    def resolve(self, path: bytes) -> bytes:
        """With every link followed. Raises `FileNotFoundError` when it leads nowhere."""
        resolved = self._follow(path, follow=True)
        os.lstat(self._real(resolved))
        return resolved

    def open_file(self, path: bytes) -> int:
        """Opens a file without waiting for a FIFO's other end or taking a terminal. The caller checks what it is."""
        if self._own:
            return self._looped(lambda: os.open(path, _OPEN))
        return self._checked(self._outside(path, follow=True), os.O_NOFOLLOW)

    def scan(self, directory: bytes) -> list[tuple[bytes, int]]:
        """Names and file types (`stat.S_IFMT`) of what a directory holds."""
        if self._own:
            descriptor = self._looped(lambda: os.open(directory, _OPEN | os.O_DIRECTORY))
        else:
            descriptor = self._checked(self._outside(directory, follow=True), os.O_DIRECTORY | os.O_NOFOLLOW)
        found = []
        try:
            with os.scandir(descriptor) as entries:
                for entry in entries:
                    kind = (
                        stat.S_IFLNK
                        if entry.is_symlink()
                        else stat.S_IFDIR
                        if entry.is_dir(follow_symlinks=False)
                        else stat.S_IFREG
                        if entry.is_file(follow_symlinks=False)
                        else 0
                    )
                    found.append((os.fsencode(entry.name), kind))
        finally:
            os.close(descriptor)
        return found

    def closed_at(self, path: bytes) -> bytes:
        """The topmost directory on the way that may not be entered, or the path itself."""
        cut = path.find(b"/", 1)
        while cut > 0:
            above = path[:cut]
            try:
                if not os.access(self._outside(above, follow=True), os.X_OK):
                    return above
            except OSError:
                return above
            cut = path.find(b"/", cut + 1)
        return path

    def has_link_of_a_user(self, path: bytes) -> bool:
        """Whether somebody other than root has put a symbolic link into the path."""
        cut = path.find(b"/", 1)
        while True:
            part = path if cut < 0 else path[:cut]
            found = self.stat(part, follow=False)
            if stat.S_ISLNK(found.st_mode) and found.st_uid != 0:
                return True
            if cut < 0:
                return False
            cut = path.find(b"/", cut + 1)

    @staticmethod
    def _looped(call: Callable[[], T]) -> T:
        try:
            return call()
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise RefusedError(error.errno, error.strerror) from error
            raise

    def _real(self, inside: bytes) -> bytes:
        return inside if self._own else self.root + inside

    def _outside(self, path: bytes, *, follow: bool) -> bytes:
        if self._own:
            return path
        return self._real(self._follow(path, follow=follow))

    def _follow(self, path: bytes, *, follow: bool) -> bytes:
        parts = [part for part in reversed(path.split(b"/")) if part and part != b"."]
        done: list[bytes] = []
        links = 0
        while parts:
            part = parts.pop()
            if part == b"..":
                if done:
                    done.pop()
                continue
            done.append(part)
            if not parts and not follow:
                break
            where = b"/" + b"/".join(done)
            try:
                target = os.readlink(self._real(where))
            except OSError as error:
                if error.errno == errno.EINVAL:
                    continue
                raise
            links += 1
            if links > _MOST_LINKS:
                raise RefusedError(errno.ELOOP, "too many symbolic links")
            done = [] if target.startswith(b"/") else done[:-1]
            parts += [part for part in reversed(target.split(b"/")) if part and part != b"."]
        return b"/" + b"/".join(done)

    def _checked(self, outside: bytes, flags: int) -> int:
        descriptor = os.open(outside, _OPEN | flags)
        try:
            where = os.readlink(b"/proc/self/fd/%d" % descriptor)
        except OSError:
            # No /proc, no comparison: other systems have no containers to be led out of.
            return descriptor
        if where != outside:
            os.close(descriptor)
            raise RefusedError(errno.ELOOP, "the path changed while it was opened")
        return descriptor
