"""Opens a path for an agent that may read everything, on behalf of whoever laid the links on the way.

A symbolic link of an ordinary user may lead anywhere. What is opened behind one has to be what its owner may read: the
agent must not carry the content of others' files into records. Every step is taken from a descriptor of the one before
(openat(2), `O_PATH`), so nobody who renames meanwhile is followed somewhere else than what was looked at.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import Final

READ: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_PATH: Final = getattr(os, "O_PATH", 0)
MOST_LINKS: Final = 40
# They tell a reader of itself, or let it read by other rules than a file's mode.
_NOT_FOR_USERS: Final = (b"proc", b"sys")


class RefusedError(OSError):
    """The path leads outside the root, or in circles."""


class NotFollowedError(OSError):
    """A user's link leads to what that user may not read."""


def open_trusting(root: bytes, path: bytes, *, directory: bool = False) -> int:
    """A descriptor for reading of a file or directory. `path` begins with a slash and is meant inside `root`, where
    links are followed. Raises `OSError`, of which `NotFollowedError` and `RefusedError` are special ones."""
    flags = READ | (os.O_DIRECTORY if directory else 0)
    outside = path if root == b"/" else root + path
    if not _PATH:
        return _without_links(outside, flags, root)
    found = _directly(outside, flags, own=root == b"/")
    return _Way(root).open(path, flags) if found is None else found


def _directly(outside: bytes, flags: int, *, own: bool) -> int | None:
    """The descriptor when no link at all is on the way, which is so nearly always; None when there may be one. Below
    another root than the host's `own`, a link may seem to lead nowhere."""
    try:
        if stat.S_IFMT(os.lstat(outside).st_mode) not in (stat.S_IFREG, stat.S_IFDIR):
            return None
        descriptor = os.open(outside, flags | os.O_NOFOLLOW)
    except OSError as error:
        if not own or error.errno == errno.ELOOP:
            return None
        raise
    try:
        if os.readlink(b"/proc/self/fd/%d" % descriptor) == outside:
            return descriptor
    except OSError:
        pass
    os.close(descriptor)
    return None


def _without_links(outside: bytes, flags: int, root: bytes) -> int:
    """Systems without `O_PATH`: what is opened lies inside the root, and that is all."""
    real = os.path.realpath(outside)
    if root != b"/" and not real.startswith(root + b"/"):
        raise RefusedError(errno.ELOOP, "the path leads outside the root")
    return os.open(real, flags)


class _Way:
    """The directories that a path has led through so far, and whose links have led there."""

    def __init__(self, root: bytes) -> None:
        self._root = root
        self._entered: list[int] = []
        self._owners: set[int] = set()
        self._trusted = {0, os.geteuid()}

    def open(self, path: bytes, flags: int) -> int:
        self._entered.append(os.open(self._root, _PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        try:
            return self._go(path, flags)
        finally:
            self._leave(0)

    def _go(self, path: bytes, flags: int) -> int:
        parts = _parts(path)
        links = 0
        while parts:
            part = parts.pop()
            if part == b"..":
                if len(self._entered) > 1:
                    self._leave(len(self._entered) - 1)
                continue
            if self._owners and len(self._entered) == 1 and part in _NOT_FOR_USERS:
                raise NotFollowedError(errno.EACCES, "a user's link leads into /proc or /sys")
            step = os.open(part, _PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._entered[-1])
            try:
                status = os.fstat(step)
                if stat.S_ISLNK(status.st_mode):
                    links += 1
                    if links > MOST_LINKS:
                        raise RefusedError(errno.ELOOP, "too many symbolic links")
                    if status.st_uid not in self._trusted:
                        self._owners.add(status.st_uid)
                    target = os.readlink(b"", dir_fd=step)
                    if target.startswith(b"/"):
                        self._leave(1)
                    parts += _parts(target)
                    continue
                if parts:
                    self._check(status, stat.S_IXOTH)
                    self._entered.append(step)
                    step = -1
                    continue
                self._check(status, stat.S_IROTH)
                return self._really(part, flags, status)
            finally:
                if step >= 0:
                    os.close(step)
        # The root itself.
        return os.open(self._root, flags)

    def _really(self, name: bytes, flags: int, expected: os.stat_result) -> int:
        if not (stat.S_ISREG(expected.st_mode) or stat.S_ISDIR(expected.st_mode)):
            # Opening a device may do something.
            raise FileNotFoundError(errno.ENOENT, "neither a file nor a directory")
        descriptor = os.open(name, flags | os.O_NOFOLLOW, dir_fd=self._entered[-1])
        found = os.fstat(descriptor)
        if (found.st_dev, found.st_ino) != (expected.st_dev, expected.st_ino):
            os.close(descriptor)
            raise FileNotFoundError(errno.ENOENT, "another file took its place while it was opened")
        return descriptor

    def _check(self, status: os.stat_result, wanted: int) -> None:
        for owner in self._owners:
            # Groups are not asked: who is in which may not be known here.
            if status.st_uid != owner and not status.st_mode & wanted:
                raise NotFollowedError(errno.EACCES, "the owner of a link on the way may not read it")

    def _leave(self, kept: int) -> None:
        while len(self._entered) > kept:
            os.close(self._entered.pop())


def _parts(path: bytes) -> list[bytes]:
    """The names in a path, the first one last."""
    return [part for part in reversed(path.split(b"/")) if part and part != b"."]
