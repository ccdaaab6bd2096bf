"""System calls that Python has no function for: file handles, statfs, openat2, and safe ways to open directories.

Sources: name_to_handle_at(2), open_by_handle_at(2), openat2(2), statfs(2). 64-bit Linux only.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import struct
from typing import Final

from otel_fim.host import quick

AT_FDCWD: Final = -100
AT_EMPTY_PATH: Final = 0x1000
AT_HANDLE_FID: Final = 0x200
"""The handle need only identify the file, not open it again (Linux 6.5); overlayfs gives no other."""
BTRFS_MAGIC: Final = 0x9123683E

MAX_HANDLE_SIZE: Final = 128
_HANDLE_HEADER: Final = struct.Struct("=Ii")
_SYS_OPENAT2: Final = 437
_RESOLVE_NO_MAGICLINKS: Final = 0x02
_RESOLVE_NO_SYMLINKS: Final = 0x04
_PATH_MAX: Final = 4096
_CHUNK: Final = 3072
_STATFS_FSID_OFFSET: Final = 56
"""Of `f_fsid` in struct statfs on 64-bit systems: two longs and five 64-bit counters before it."""

DIRECTORY_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
PATH_FLAGS: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

libc: Final = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def supported() -> bool:
    """Whether the structures here have this machine's layout."""
    return struct.calcsize("P") == 8 and os.uname().machine != "s390x"


def check(result: int, name: bytes | str | None = None) -> int:
    """The result of a C function, or `OSError` with its errno."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)
    return result


def file_system(descriptor: int) -> tuple[int, bytes]:
    """`f_type` and the eight bytes of `f_fsid` of the file system that a descriptor is on. Raises `OSError`."""
    buffer = ctypes.create_string_buffer(256)
    while libc.fstatfs(descriptor, buffer) != 0:
        if ctypes.get_errno() != errno.EINTR:
            check(-1)
    kind = ctypes.c_ulong.from_buffer(buffer).value
    return kind, buffer.raw[_STATFS_FSID_OFFSET : _STATFS_FSID_OFFSET + 8]


class HandleReader:
    """Reads file handles in the form in which fanotify reports them: length, type and the opaque bytes."""

    def __init__(self) -> None:
        self._buffer = ctypes.create_string_buffer(_HANDLE_HEADER.size + MAX_HANDLE_SIZE)
        self._mount_id = ctypes.c_int()
        self._flags = AT_HANDLE_FID

    def read(self, directory: int, name: bytes) -> tuple[bytes, int]:
        """The handle of `name` in the open `directory` (b"" for itself; links are not followed) and the id of
        the mount that it is on. Raises `OSError`: EOPNOTSUPP where the file system has no handles."""
        flags = self._flags | (0 if name else AT_EMPTY_PATH)
        if self._call(directory, name, flags) < 0:
            if ctypes.get_errno() != errno.EINVAL or not self._flags:
                check(-1, name)
            # Before Linux 6.5 the flag is unknown; what the kernel reports then is the ordinary handle.
            self._flags = 0
            check(self._call(directory, name, flags & ~AT_HANDLE_FID), name)
        size, _ = _HANDLE_HEADER.unpack_from(self._buffer)
        return self._buffer.raw[: _HANDLE_HEADER.size + size], self._mount_id.value

    def _call(self, directory: int, name: bytes, flags: int) -> int:
        _HANDLE_HEADER.pack_into(self._buffer, 0, MAX_HANDLE_SIZE, 0)
        result: int = libc.name_to_handle_at(
            directory, name, self._buffer, ctypes.byref(self._mount_id), flags
        )
        return result


def open_by_handle(mount: int, handle: bytes, flags: int) -> int:
    """A descriptor for the file of a handle as `HandleReader` gives it. `mount` is open on the same mount.

    Raises `OSError`: ESTALE when the file is gone, EPERM without CAP_DAC_READ_SEARCH.
    """
    # The kernel believes the length that the handle states; it must not exceed what is there.
    size, _ = _HANDLE_HEADER.unpack_from(handle)
    if size != len(handle) - _HANDLE_HEADER.size:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    buffer = ctypes.create_string_buffer(handle, len(handle))
    return check(libc.open_by_handle_at(mount, buffer, flags | os.O_CLOEXEC))


def open_directory(path: bytes, flags: int = DIRECTORY_FLAGS, start: int = AT_FDCWD) -> int:
    """A descriptor for a directory, no symbolic link followed in any part of `path`, however long it is.

    A relative path starts at the open directory `start`. Raises `OSError`.
    """
    if len(path) < _PATH_MAX:
        return _open_no_links(path, flags, start)
    descriptor = -1
    try:
        while len(path) >= _PATH_MAX:
            cut = path.rfind(b"/", 1, _CHUNK)
            head, path = path[:cut], path[cut + 1 :]
            following = _open_no_links(head, PATH_FLAGS, start if descriptor < 0 else descriptor)
            if descriptor >= 0:
                os.close(descriptor)
            descriptor = following
        return _open_no_links(path, flags, descriptor)
    finally:
        if descriptor >= 0:
            os.close(descriptor)


_has_openat2 = True


def _open_no_links(path: bytes, flags: int, start: int) -> int:
    global _has_openat2
    if _has_openat2:
        how = _OpenHow(flags, 0, _RESOLVE_NO_SYMLINKS | _RESOLVE_NO_MAGICLINKS)
        descriptor = libc.syscall(
            _SYS_OPENAT2, start, ctypes.c_char_p(path), ctypes.byref(how), ctypes.c_size_t(24)
        )
        if descriptor >= 0:
            return int(descriptor)
        number = ctypes.get_errno()
        # ENOSYS before Linux 5.6; EPERM from a seccomp filter that does not know the call.
        if number not in (errno.ENOSYS, errno.EPERM):
            raise OSError(number, os.strerror(number), path)
        descriptor = os.open(path, flags, dir_fd=None if start == AT_FDCWD else start)
        _has_openat2 = False
        return int(descriptor)
    return os.open(path, flags, dir_fd=None if start == AT_FDCWD else start)


def close_quietly(descriptors: list[int]) -> None:
    """Closes what the kernel handed out; one that is closed already is no reason to leave the others open."""
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            quick.close(descriptor)
