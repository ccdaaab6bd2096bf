"""SHA-256 of files that others may be writing to, replacing or deleting at the same moment.

A hash is given only when it is known to be the hash of one state of one file: the file is opened without
following a link, its identity is checked after opening, and its size and times are the same before and after.
hashlib and read release the interpreter's lock, so several threads hash at once.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
from typing import Final

from otel_fim.receivers.file_integrity import paths
from otel_fim.receivers.file_integrity.metadata import FileState, Unhashed, from_stat

# O_NONBLOCK: a FIFO put in the file's place does not hold the thread up. O_NOATIME: reading leaves no trace.
_OPEN_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_ATTEMPTS: Final = 3
_BUFFER_SIZE: Final = 512 * 1024
_SMALL: Final = 128 * 1024

_local = threading.local()


class GoneError(Exception):
    """The path does not exist (any more)."""


class UnreadableError(Exception):
    """The path's directory does not let the agent see the path; `reason` says why."""

    def __init__(self, reason: Unhashed, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def reason_of(error: OSError) -> Unhashed:
    """The reason that stands for an error while a file is opened or read."""
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ESTALE):
        return Unhashed.DELETED
    if error.errno in (errno.EACCES, errno.EPERM):
        return Unhashed.PERMISSION_DENIED
    if error.errno in (errno.ELOOP, errno.ENXIO):
        # A link, or a socket or device without a driver, has taken the file's place since lstat.
        return Unhashed.NOT_REGULAR
    return Unhashed.IO_ERROR


def observe(path: bytes, max_size: int) -> FileState:
    """The state of `path` now. Raises `GoneError` when it does not exist, `UnreadableError` when it cannot be seen."""
    try:
        found = paths.lstat(path)
        if stat.S_ISREG(found.st_mode):
            with paths.short(path) as (rest, descriptor):
                return hash_file(rest, descriptor, found, max_size)
        if stat.S_ISLNK(found.st_mode):
            return from_stat(found, target=paths.readlink(path))
    except OSError as error:
        reason = reason_of(error)
        if reason is Unhashed.DELETED:
            raise GoneError(path) from error
        raise UnreadableError(
            reason, f"{paths.display(path)} cannot be looked at: {error.strerror or error}"
        ) from error
    return from_stat(found)


def hash_file(name: bytes, dir_fd: int | None, found: os.stat_result, max_size: int) -> FileState:
    """The state of the regular file `name` (relative to `dir_fd`) that lstat gave `found` for.

    Raises `OSError` (ENOENT) when it is gone; whatever else keeps it from being hashed is in the state.
    """
    for _ in range(_ATTEMPTS):
        if found.st_size > max_size:
            return from_stat(found, unhashed=Unhashed.TOO_LARGE)
        try:
            fd = _open(name, dir_fd)
        except OSError as error:
            reason = reason_of(error)
            if reason is Unhashed.DELETED:
                raise
            if reason is not Unhashed.NOT_REGULAR:
                return from_stat(found, unhashed=reason)
        else:
            try:
                state = _hash_descriptor(fd, found)
            except OSError as error:
                return from_stat(found, unhashed=reason_of(error))
            finally:
                os.close(fd)
            if state is not None:
                return state
        found = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
        if not stat.S_ISREG(found.st_mode):
            target = os.readlink(name, dir_fd=dir_fd) if stat.S_ISLNK(found.st_mode) else None
            return from_stat(found, target=target)
    return from_stat(found, unhashed=Unhashed.CHANGING)


def _open(name: bytes, dir_fd: int | None) -> int:
    try:
        return os.open(name, _OPEN_FLAGS | os.O_NOATIME, dir_fd=dir_fd)
    except PermissionError as error:
        # O_NOATIME is refused (EPERM) for files of other users unless the agent is privileged.
        if error.errno != errno.EPERM:
            raise
        return os.open(name, _OPEN_FLAGS, dir_fd=dir_fd)


def _same(one: os.stat_result, other: os.stat_result) -> bool:
    return (
        one.st_ino == other.st_ino
        and one.st_ctime_ns == other.st_ctime_ns
        and one.st_size == other.st_size
        and one.st_mtime_ns == other.st_mtime_ns
        and one.st_mode == other.st_mode
        and one.st_dev == other.st_dev
    )


def _hash_descriptor(fd: int, found: os.stat_result) -> FileState | None:
    """The state with the hash, or None when the file is not the one of `found` or changed meanwhile."""
    if not _same(os.fstat(fd), found):
        return None
    size = found.st_size
    if size <= _SMALL:
        # One byte more than there should be: a file that grew is noticed without another call.
        content = os.read(fd, size + 1)
        digest = hashlib.sha256(content)
        left = size - len(content)
    else:
        digest = hashlib.sha256()
        left = size
    if left > 0:
        buffer: memoryview | None = getattr(_local, "buffer", None)
        if buffer is None:
            buffer = _local.buffer = memoryview(bytearray(_BUFFER_SIZE))
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        while left > 0:
            count = os.readv(fd, [buffer[: min(left, _BUFFER_SIZE)]])
            if count == 0:
                return None
            digest.update(buffer[:count])
            left -= count
    after = os.fstat(fd)
    if left < 0 or not _same(after, found):
        return None
    return from_stat(after, sha256=digest.digest())
