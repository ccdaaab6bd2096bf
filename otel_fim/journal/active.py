"""The file that is being written."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from typing import Literal, TypeAlias

from otel_fim.journal import files
from otel_fim.journal.segment import Segment

Harm: TypeAlias = Literal["removed", "replaced", "cut"]


class ActiveFile:
    """An open segment file. `length` bytes of it are whole lines; nothing else is meant to be there."""

    def __init__(self, segment: Segment, descriptor: int) -> None:
        self.segment = segment
        self.length = segment.length
        self._descriptor = descriptor

    @classmethod
    def create(cls, segment: Segment, data: bytes = b"") -> ActiveFile:
        """A new file with `data`, all of it durable. Raises `OSError` and leaves nothing behind."""
        descriptor = files.open_new(segment.path)
        active = cls(segment, descriptor)
        try:
            if data:
                active.append(data)
                active.sync()
            files.sync_directory(segment.directory)
        except OSError:
            active.close()
            with contextlib.suppress(OSError):
                os.unlink(segment.path)
            raise
        segment.disk_size = active.length
        segment.written_ns = time.time_ns()
        return active

    @classmethod
    def open(cls, segment: Segment) -> ActiveFile:
        """A file that is there, to be continued at the end of the segment."""
        return cls(segment, files.open_existing(segment.path, write=True))

    def append(self, data: bytes) -> None:
        """Writes whole lines. After an `OSError` the caller calls `trim`, for a part may be there."""
        files.write_at(self._descriptor, data, self.length)
        self.length += len(data)

    def trim(self, length: int) -> None:
        """Cuts the file to `length` bytes, if it is longer."""
        if os.fstat(self._descriptor).st_size > length:
            os.ftruncate(self._descriptor, length)
        self.length = length

    def sync(self) -> None:
        """Waits until what has been written is on disk."""
        files.sync_data(self._descriptor)

    def close(self) -> None:
        """Lets go of the file."""
        os.close(self._descriptor)

    def harm(self) -> Harm | None:
        """What another program has done to the file, as far as its name and its size tell."""
        own = os.fstat(self._descriptor)
        try:
            named = os.stat(self.segment.path, follow_symlinks=False)
        except FileNotFoundError:
            return "removed"
        if (named.st_dev, named.st_ino) != (own.st_dev, own.st_ino):
            return "replaced"
        return "cut" if own.st_size < self.length else None

    def restore(self) -> ActiveFile:
        """The file again under its own name, durable, from the open descriptor, which still has it all.

        A file that has taken its place is kept beside it. Raises `OSError`.
        """
        path = self.segment.path
        files.make_directory(path.parent)
        with contextlib.suppress(FileNotFoundError):
            path.rename(path.with_name(f"{path.name}.foreign"))
        segment = Segment(self.segment.directory, self.segment.first)
        active = ActiveFile.create(segment, self._content())
        self.close()
        return active

    def _content(self) -> bytes:
        data = b""
        while len(data) < self.length:
            piece = os.pread(self._descriptor, self.length - len(data), len(data))
            if not piece:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            data += piece
        return data
