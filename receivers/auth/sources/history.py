"""Which rotated files there are of a log, and which of them came after a file that is held open."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from otel_fim.receivers.auth.sources import rotation
from otel_fim.receivers.auth.sources.rotation import Sibling
from otel_fim.receivers.auth.sources.tailed import Tailed

MOST_FILES: Final = 32


class History:
    """Of the log `path`. `queue` are the files that are read now, the owner's own list."""

    def __init__(self, path: str, queue: Sequence[Tailed]) -> None:
        self._path = path
        self._queue = queue
        self._done: dict[int, int] = {}

    def done(self, file: Tailed) -> None:
        """Nothing more is expected of a file; should it change after all, it counts again. Raises `OSError`."""
        while len(self._done) >= MOST_FILES:
            del self._done[next(iter(self._done))]
        self._done[file.inode] = os.fstat(file.descriptor).st_mtime_ns

    def siblings(self, also: int | None = None) -> list[Sibling]:
        """The rotated files that are neither in the queue nor done with, and the one with the inode `also`."""
        known = {file.inode for file in self._queue} - {also}
        return [
            sibling
            for sibling in rotation.siblings(self._path)
            if sibling.inode not in known and self._done.get(sibling.inode) != sibling.modified
        ]

    def after(self, last: Tailed) -> tuple[list[Sibling], bool]:
        """The rotated files newer than `last`, and whether these are certainly all."""
        found = self.siblings(last.inode)
        index = next((i for i, sibling in enumerate(found) if sibling.inode == last.inode), None)
        if index is not None:
            return found[:index], True
        # Copies of a file that was never read count as well (see `_emptied_unseen`).
        modified = os.fstat(last.descriptor).st_mtime_ns if last.offset else last.modified
        # A compressed one of the same time is `last` itself, which has been read through its descriptor.
        newer = [s for s in found if s.modified > modified or (s.modified == modified and not s.compressed)]
        return newer, not newer

    @staticmethod
    def older(found: list[Sibling], last: Tailed) -> list[Sibling]:
        """Of siblings those that are older than `last`: all, unless it was rotated itself."""
        index = next((i for i, sibling in enumerate(found) if sibling.inode == last.inode), -1)
        return found[index + 1 :]
