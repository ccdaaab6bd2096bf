"""System calls on paths inside a root: a symbolic link in a container's tree means a path in that tree.

With the root `/` the kernel does all of it. Otherwise links are followed here. Files and directories are opened by
`trusting`, so that nobody who renames meanwhile leads the agent outside.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from typing import TypeVar

from otel_fim.receivers.persistence.trusting import MOST_LINKS, RefusedError, open_trusting

T = TypeVar("T")


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
        return open_trusting(self.root, path)

    def scan(self, directory: bytes, most: int) -> list[tuple[bytes, int]]:
        """Names and file types (`stat.S_IFMT`) of what a directory holds, `most` of them."""
        descriptor = open_trusting(self.root, directory, directory=True)
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
                    if len(found) >= most:
                        break
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
            if links > MOST_LINKS:
                raise RefusedError(errno.ELOOP, "too many symbolic links")
            done = [] if target.startswith(b"/") else done[:-1]
            parts += [part for part in reversed(target.split(b"/")) if part and part != b"."]
        return b"/" + b"/".join(done)
