"""The file that is being written."""

from __future__ import annotations

import contextlib
import os

from otel_fim.journal import files
from otel_fim.journal.segment import Segment


class ActiveFile:
    """An open segment file. `length` bytes of it are whole lines; nothing else is meant to be there."""

    def __init__(self, segment: Segment, descriptor: int) -> None:
        self.segment = segment
        self.length = segment.length
        self._descriptor = descriptor

    @classmethod
    def create(cls, segment: Segment) -> ActiveFile:
        """A new file whose name is durable. Raises `OSError` and leaves nothing behind."""
        descriptor = files.open_new(segment.path)
        try:
            files.sync_directory(segment.directory)
        except OSError:
            os.close(descriptor)
            with contextlib.suppress(OSError):
                os.unlink(segment.path)
            raise
        return cls(segment, descriptor)

    @classmethod
    def open(cls, segment: Segment) -> ActiveFile:
        """A file that is there, to be continued at the end of the segment."""
        return cls(segment, files.open_existing(segment.path, write=True))

    def append(self, data: bytes) -> None:
        """Writes whole lines. After an `OSError` the caller calls `trim`, for a part may be there."""
        files.write_at(self._descriptor, data, self.length)
        self.length += len(data)

    def trim(self, length: int) -> None:
        """Cuts the file to `length` bytes."""
        os.ftruncate(self._descriptor, length)
        self.length = length

    def sync(self) -> None:
        """Waits until what has been written is on disk."""
        files.sync_data(self._descriptor)

    def close(self) -> None:
        """Lets go of the file."""
        os.close(self._descriptor)

    def discard(self) -> None:
        """Closes the file and removes it."""
        self.close()
        with contextlib.suppress(OSError):
            os.unlink(self.segment.path)
