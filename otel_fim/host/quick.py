"""System calls that the kernel answers at once, made without giving up Python's interpreter lock.

Python gives the lock up for each system call. A thread that then has to wait for it behind one that computes
gets it back 5 ms later (`sys.getswitchinterval`): long enough for the process that is to be read to be gone. Only
for /proc, pidfds and descriptors of the kernel's own: nothing here may touch a disk or a network.
"""

from __future__ import annotations

import ctypes
import os
import struct
from typing import Final, NamedTuple

_SIZE: Final = 8192
_AT_FDCWD: Final = -100
_AT_EMPTY_PATH: Final = 0x1000
_STATX_INO: Final = 0x100
_STATX_SIZE: Final = 256
_AT_STATX_DONT_SYNC: Final = 0x4000
_STATX_BASIC_STATS: Final = 0x7FF
_STATX_IDENTITY: Final = struct.Struct("=32xQQ48xqI4xqI4x8xII")
"""`stx_ino`, `stx_size`, `stx_ctime`, `stx_mtime`, `stx_dev_major` and `stx_dev_minor`."""
_STATX_INO_AT: Final = struct.Struct("=32xQ")
"""`stx_ino` in struct statx, which is laid out alike everywhere (statx(2))."""


class FileIdentity(NamedTuple):
    """Two readings that are the same are of the same content: programs cannot set the ctime."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


_libc = ctypes.PyDLL(None, use_errno=True)
_open = _libc.open
_open.argtypes = (ctypes.c_char_p, ctypes.c_int)
_read = _libc.read
_read.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)
_read.restype = ctypes.c_ssize_t
_readlink = _libc.readlink
_readlink.argtypes = (ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t)
_readlink.restype = ctypes.c_ssize_t
_close = _libc.close
_close.argtypes = (ctypes.c_int,)
_statx = getattr(_libc, "statx", None)


def _error(path: bytes | None = None) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), path)


def read_small(path: bytes) -> bytes:
    """A file of /proc, up to 8 KiB, in one read, which the kernel answers consistently. Raises `OSError`."""
    descriptor = _open(path, os.O_RDONLY | os.O_CLOEXEC)
    if descriptor < 0:
        raise _error(path)
    try:
        return read(descriptor, _SIZE)
    finally:
        _close(descriptor)


def read(descriptor: int, size: int) -> bytes:
    """read(2) on a descriptor that does not block. Raises `OSError`, as `os.read` does."""
    buffer = ctypes.create_string_buffer(size)
    length = _read(descriptor, buffer, size)
    if length < 0:
        raise _error()
    return ctypes.string_at(buffer, length)


def readlink(path: bytes) -> bytes:
    """The target of a link in /proc. Raises `OSError`."""
    buffer = ctypes.create_string_buffer(_SIZE)
    length = _readlink(path, buffer, _SIZE)
    if length < 0:
        raise _error(path)
    return ctypes.string_at(buffer, length)


def file_identity(link: bytes) -> FileIdentity:
    """What a link in /proc leads to, as far as the kernel knows without asking a server. Raises `OSError`."""
    if _statx is None:
        found = os.stat(link)
        return FileIdentity(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    buffer = ctypes.create_string_buffer(_STATX_SIZE)
    if _statx(_AT_FDCWD, link, _AT_STATX_DONT_SYNC, _STATX_BASIC_STATS, buffer) < 0:
        raise _error(link)
    inode, size, changed, changed_ns, modified, modified_ns, major, minor = _STATX_IDENTITY.unpack_from(
        buffer
    )
    return FileIdentity(
        os.makedev(major, minor), inode, size, modified * 10**9 + modified_ns, changed * 10**9 + changed_ns
    )


def close(descriptor: int) -> None:
    """Raises `OSError`."""
    if _close(descriptor) < 0:
        raise _error()


def inode(descriptor: int) -> int:
    """The inode number of what a descriptor stands for. Raises `OSError`."""
    if _statx is None:
        return os.fstat(descriptor).st_ino
    buffer = ctypes.create_string_buffer(_STATX_SIZE)
    if _statx(descriptor, b"", _AT_EMPTY_PATH, _STATX_INO, buffer) < 0:
        raise _error()
    (number,) = _STATX_INO_AT.unpack_from(buffer)
    return int(number)
