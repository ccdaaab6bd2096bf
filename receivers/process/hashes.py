"""SHA-256 of executables: each file is read once, and again when it has changed."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from typing import Final

from otel_fim.host.cache import BoundedCache
from otel_fim.host.quick import FileIdentity
from otel_fim.receivers.process.happening import Image

TOO_LARGE: Final = "too_large"
DELETED: Final = "deleted"
REPLACED: Final = "replaced"
PERMISSION_DENIED: Final = "permission_denied"
IO_ERROR: Final = "io_error"
NO_EXECUTABLE: Final = "no_executable"
_CACHE_SIZE: Final = 4096
_CHUNK: Final = 256 * 1024
_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)


class Hashes:
    """For one thread."""

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        self._cache: BoundedCache[FileIdentity, str] = BoundedCache(_CACHE_SIZE)

    def of(self, image: Image) -> tuple[str | None, str | None]:
        """The hash, or why there is none."""
        if image.executable is None:
            return None, NO_EXECUTABLE
        if image.identity is not None:
            known = self._cache.get(image.identity)
            if known is not None:
                return known, None
            if image.identity.size > self._max_size:
                return None, TOO_LARGE
        reason = DELETED
        # Through the process, while it is there: its file may be in a container, or unlinked.
        for path in (b"/proc/%d/exe" % image.pid, _bytes(image.executable)):
            if image.identity is None and path.startswith(b"/proc/"):
                # Nothing says that the pid is still its own.
                continue
            try:
                return self._hash(path, image.identity)
            except _OtherFileError:
                reason = REPLACED
            except OSError as error:
                if error.errno in (errno.EACCES, errno.EPERM):
                    reason = PERMISSION_DENIED
                elif error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ESRCH) and reason == DELETED:
                    reason = IO_ERROR
        return None, reason

    def _hash(self, path: bytes, identity: FileIdentity | None) -> tuple[str | None, str | None]:
        descriptor = os.open(path, _FLAGS)
        try:
            found = _identity(descriptor)
            if identity is not None and found != identity:
                raise _OtherFileError
            known = self._cache.get(found)
            if known is not None:
                return known, None
            if found.size > self._max_size:
                return None, TOO_LARGE
            digest = hashlib.sha256()
            while chunk := os.read(descriptor, _CHUNK):
                digest.update(chunk)
            if _identity(descriptor) != found:
                raise _OtherFileError
        finally:
            os.close(descriptor)
        self._cache.put(found, digest.hexdigest())
        return digest.hexdigest(), None


class _OtherFileError(Exception):
    pass


def _identity(descriptor: int) -> FileIdentity:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise _OtherFileError
    return FileIdentity(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _bytes(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")
