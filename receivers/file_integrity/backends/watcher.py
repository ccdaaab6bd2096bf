"""What watching a directory means: how much of it, what it needs of a backend, and what goes wrong with it."""

from __future__ import annotations

import enum
import os
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Final, Protocol

from otel_fim.receivers.file_integrity.backend import Actor

REASON_BACKEND_LIMITED: Final = "backend_limited"
REASON_IO_ERROR: Final = "io_error"
REASON_PERMISSION: Final = "permission_denied"
REASON_QUEUE_OVERFLOW: Final = "queue_overflow"
REASON_WATCH_LIMIT: Final = "watch_limit"

Lost = Callable[[str, "bytes | None", str], None]
Who = Callable[[], "Actor | None"]
"""Looks up the process behind an event, which is only done when it is to be told."""


def nobody() -> None:
    """For backends that cannot see who did it."""


class Depth(enum.Enum):
    """How much of a directory is watched."""

    NAME = enum.auto()
    """Only that it exists and what its attributes are: nothing below it is wanted."""
    ENTRIES = enum.auto()
    """What is created, removed and renamed in it: it lies on the way to a root."""
    CONTENT = enum.auto()
    """That, and what happens to the files in it."""


class Watcher(Protocol):
    """How one directory is watched. `name` is b"" for the open directory itself; links are not followed."""

    def watch(self, directory: int, name: bytes, depth: Depth) -> Hashable:
        """Watches a directory and gives what its events will carry, None when it has none of its own. Doing it
        again is harmless and never takes anything away. Raises `OSError`."""

    def unwatch(self, keys: Sequence[Hashable]) -> None:
        """Stops watching directories that have moved away. Never raises."""


def next_names(roots: Iterable[bytes]) -> dict[bytes, set[bytes]]:
    """For every directory above a root the names that lead on: {b"/": {b"etc"}} for b"/etc"."""
    ways: dict[bytes, set[bytes]] = {}
    for root in roots:
        path = root
        while path != b"/":
            path, name = os.path.split(path)
            ways.setdefault(path, set()).add(name)
    return ways
