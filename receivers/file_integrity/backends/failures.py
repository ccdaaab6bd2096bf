"""What could not be watched: told once, tried again."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterable
from typing import Final

from otel_fim.receivers.file_integrity.backends.mounts import contains
from otel_fim.receivers.file_integrity.backends.watcher import (
    REASON_BACKEND_LIMITED,
    REASON_IO_ERROR,
    REASON_PERMISSION,
    REASON_WATCH_LIMIT,
    Lost,
)

DENIED: Final = frozenset((errno.EACCES, errno.EPERM))
_UNSUPPORTED: Final = frozenset((errno.ENODEV, errno.EXDEV, errno.EOPNOTSUPP, errno.EINVAL, errno.EOVERFLOW))
_GONE: Final = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ESTALE))


class Failures:
    """`paths` are to be tried again. `blind` are directories on the way to a root that this user may not watch: what
    becomes of the root is looked up at every retry."""

    def __init__(self, roots: Iterable[bytes], lost: Lost, retry_interval: float) -> None:
        self._roots = sorted(roots)
        self._lost = lost
        self._interval = retry_interval
        self._told: dict[bytes, str] = {}
        self._retry_at = time.monotonic() + retry_interval
        self.paths: set[bytes] = set()
        self.blind: set[bytes] = set()

    def note(self, path: bytes, error: OSError) -> bool:
        """One gap for each path; True when it may pass and will be tried again."""
        if error.errno in _GONE:
            return False
        reason, remedy, again = _judge(error)
        if error.errno == errno.ENOSPC:
            # One gap for the root, not one for each of its directories.
            path = next((root for root in self._roots if contains(root, path)), path)
        if again:
            self.paths.add(path)
        if self._told.get(path) != reason:
            self._told[path] = reason
            self._lost(reason, path, f"{error.strerror}: {remedy}")
        return again

    def mended(self, path: bytes) -> None:
        """Nothing is wrong there any more: should something be again, it is told again."""
        self.paths.discard(path)
        self._told.pop(path, None)

    def watched(self, path: bytes) -> None:
        """A single directory could be watched."""
        if self._told and path not in self.paths:
            self._told.pop(path, None)

    def pause(self) -> float | None:
        """Seconds until something is to be tried again; None for never."""
        return max(0.0, self._retry_at - time.monotonic()) if self.paths or self.blind else None

    def due(self) -> bool:
        """Whether it is time; it is then not for another interval."""
        if self.pause() != 0:
            return False
        self._retry_at = time.monotonic() + self._interval
        return True


def _judge(error: OSError) -> tuple[str, str, bool]:
    """The gap's reason, a sentence, and whether it may pass."""
    if error.errno in DENIED:
        return REASON_PERMISSION, "the directory cannot be watched by this user", False
    if error.errno == errno.ENOSPC:
        return (
            REASON_WATCH_LIMIT,
            "raise fs.inotify.max_user_watches; until then this is compared periodically",
            True,
        )
    if error.errno in _UNSUPPORTED:
        return (
            REASON_BACKEND_LIMITED,
            "this file system reports no changes; list the path in a receiver with backend: polling",
            False,
        )
    return REASON_IO_ERROR, "the directory could not be watched; it is tried again", True
