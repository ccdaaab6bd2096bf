"""System calls that the kernel answers at once, made without giving up Python's interpreter lock.

Python gives the lock up for each system call. A thread that then has to wait for it behind one that computes
gets it back 5 ms later (`sys.getswitchinterval`): long enough for the process that is to be read to be gone. Only
for what the kernel answers out of its own memory: nothing here may touch a disk, a network, or the memory of another
process (`cmdline` and `environ` in /proc), which that process can have anybody wait for.
"""

from __future__ import annotations

import ctypes
import os
import struct
import threading
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
_STATX_NLINK: Final = 0x4
_STATX_NLINK_AT: Final = struct.Struct("=16xI")


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
_access = _libc.access
_access.argtypes = (ctypes.c_char_p, ctypes.c_int)
_statx = getattr(_libc, "statx", None)


class _Buffer(threading.local):
    """One for each thread: another one may run between the call and the copy."""

    def __init__(self) -> None:
        self.content = ctypes.create_string_buffer(_SIZE)
        self.address = ctypes.addressof(self.content)


_buffer = _Buffer()


def _error(path: bytes | None = None) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), path)


def read_small(path: bytes) -> bytes:
    """A file of /proc, up to 8 KiB, in one read, which the kernel answers consistently. Raises `OSError`."""
    address = _buffer.address
    descriptor = _open(path, os.O_RDONLY | os.O_CLOEXEC)
    if descriptor < 0:
        raise _error(path)
    length = _read(descriptor, address, _SIZE)
    # Before anything else asks the system: the error's number is the last call's.
    error = _error(path) if length < 0 else None
    _close(descriptor)
    if error is not None:
        raise error
    return ctypes.string_at(address, length)


def open_small(path: bytes) -> int:
    """A descriptor of a file of /proc: of the process that has the pid now, and of no later one. Raises `OSError`."""
    descriptor = int(_open(path, os.O_RDONLY | os.O_CLOEXEC))
    if descriptor < 0:
        raise _error(path)
    return descriptor


def exists(path: bytes) -> bool:
    """Whether there is such a file in /proc."""
    return int(_access(path, os.F_OK)) == 0


def read(descriptor: int, size: int) -> bytes:
    """read(2) on a descriptor that does not block. Raises `OSError`, as `os.read` does."""
    buffer = ctypes.create_string_buffer(size)
    length = _read(descriptor, buffer, size)
    if length < 0:
        raise _error()
    return ctypes.string_at(buffer, length)


def readlink(path: bytes) -> bytes:
    """The target of a link in /proc. Raises `OSError`."""
    address = _buffer.address
    length = _readlink(path, address, _SIZE)
    if length < 0:
        raise _error(path)
    return ctypes.string_at(address, length)


def link_count(link: bytes) -> int:
    """How many names what a link in /proc leads to has, as far as the kernel knows without asking a server. Raises
    `OSError`."""
    if _statx is None:
        return os.stat(link).st_nlink
    buffer = ctypes.create_string_buffer(_STATX_SIZE)
    if _statx(_AT_FDCWD, link, _AT_STATX_DONT_SYNC, _STATX_NLINK, buffer) < 0:
        raise _error(link)
    (count,) = _STATX_NLINK_AT.unpack_from(buffer)
    return int(count)


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
