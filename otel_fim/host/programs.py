"""From a program's device and inode to its path: those seen running, and those where programs are kept."""

from __future__ import annotations

import contextlib
import os
import time
from typing import Final

from otel_fim.host.cache import BoundedCache

_DIRECTORIES: Final = (
    b"/usr/bin",
    b"/usr/sbin",
    b"/usr/local/bin",
    b"/usr/local/sbin",
    b"/bin",
    b"/sbin",
    b"/usr/libexec",
    b"/opt/bin",
)
_REREAD_SECONDS: Final = 30.0
_CACHE_SIZE: Final = 4096


class Programs:
    """Never guesses: a path is given only while the file there has that device and inode."""

    def __init__(self) -> None:
        self._known: BoundedCache[tuple[int, int], bytes] = BoundedCache(_CACHE_SIZE)
        self._kept: dict[tuple[int, int], bytes] = {}
        self._read_at = 0.0

    def learn(self, link: str, path: bytes) -> None:
        """`link` leads to the file that `path` names. Nothing happens when it cannot be looked at."""
        with contextlib.suppress(OSError):
            status = os.stat(link)
            self._known.put((status.st_dev, status.st_ino), path)

    def learn_identity(self, device: int, inode: int, path: bytes) -> None:
        """The same with what has been looked at already."""
        self._known.put((device, inode), path)

    def path(self, device: int, inode: int) -> bytes | None:
        """The path of a program; None when it is not known or not there any more."""
        key = (device, inode)
        if not inode:
            return None
        path = self._known.get(key) or self._kept.get(key)
        if path is None and time.monotonic() - self._read_at >= _REREAD_SECONDS:
            self._read_directories()
            path = self._kept.get(key)
        return path if path is not None and _identity(path) == key else None

    def _read_directories(self) -> None:
        self._read_at = time.monotonic()
        kept: dict[tuple[int, int], bytes] = {}
        # The kernel names a program without links in its path, as /proc/PID/exe does.
        for directory in dict.fromkeys(os.path.realpath(each) for each in _DIRECTORIES):
            with contextlib.suppress(OSError), os.scandir(directory) as entries:
                device = os.stat(directory).st_dev
                for entry in entries:
                    if entry.is_file(follow_symlinks=False):
                        kept.setdefault((device, entry.inode()), entry.path)
        self._kept = kept


def _identity(path: bytes) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
