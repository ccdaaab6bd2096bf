"""Reading lines out of a segment, compressed or not, past whatever is damaged."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from otel_fim.journal import files, zstandard
from otel_fim.journal.lines import count_records
from otel_fim.journal.segment import Segment

_CHUNK_BYTES: Final = 256 * 1024
_BLOCK_BYTES: Final = 4096


@dataclass(slots=True, frozen=True)
class Line:
    """A line without its newline, and where it lies in the segment; `data` is None for what cannot be read."""

    start: int
    end: int
    data: bytes | None


def records_in(line: Line) -> int | None:
    """Number of records in a line, None when it is not one."""
    if line.data is None:
        return None
    try:
        return count_records(line.data)
    except ValueError:
        return None


class DamagedRegionError(Exception):
    """The bytes up to `end` cannot be had."""

    def __init__(self, end: int) -> None:
        super().__init__(f"damaged up to byte {end}")
        self.end = end


class Source(Protocol):
    """Bytes of a segment's lines. With `skip_errors` what the disk cannot read counts as damaged."""

    skip_errors: bool

    def fetch(self, offset: int, size: int) -> bytes:
        """At most `size` bytes from `offset`; empty at the end. Raises `DamagedRegionError`."""

    def close(self) -> None:
        """Lets go of the file."""


class PlainSource:
    """A segment that is not compressed. It stays readable when the file's name goes away."""

    def __init__(self, descriptor: int) -> None:
        self.skip_errors = False
        self._descriptor = descriptor

    def fetch(self, offset: int, size: int) -> bytes:
        """See `Source`."""
        if not self.skip_errors:
            return os.pread(self._descriptor, size, offset)
        # One block at a time, so that no more is given up than has to be.
        end = (offset // _BLOCK_BYTES + 1) * _BLOCK_BYTES
        try:
            return os.pread(self._descriptor, min(size, end - offset), offset)
        except OSError:
            raise DamagedRegionError(end) from None

    def close(self) -> None:
        """See `Source`."""
        os.close(self._descriptor)


class CompressedSource:
    """A segment in zstd; keeps the frame that was read last."""

    def __init__(self, descriptor: int) -> None:
        self.skip_errors = False
        self._descriptor = descriptor
        self._frames = zstandard.read_table(descriptor)
        self._starts = [frame.start for frame in self._frames]
        self._index = -1
        self._data = b""

    def fetch(self, offset: int, size: int) -> bytes:
        """See `Source`."""
        index = bisect_right(self._starts, offset) - 1
        if index < 0:
            return b""
        frame = self._frames[index]
        if index != self._index:
            try:
                self._data = zstandard.read_frame(self._descriptor, frame)
            except zstandard.ZstdError:
                raise DamagedRegionError(frame.start + frame.length) from None
            except OSError:
                if not self.skip_errors:
                    raise
                raise DamagedRegionError(frame.start + frame.length) from None
            self._index = index
        return self._data[offset - frame.start : offset - frame.start + size]

    def close(self) -> None:
        """See `Source`."""
        os.close(self._descriptor)


def open_source(segment: Segment) -> Source:
    """Opens a segment, whichever form it has by now. Raises `FileNotFoundError` when it has been removed."""
    plain, compressed = segment.paths()
    try:
        # The plain file is removed only after the compressed one is there: looked for in this order, one is found.
        return PlainSource(files.open_existing(plain))
    except FileNotFoundError:
        descriptor = files.open_existing(compressed)
    try:
        return CompressedSource(descriptor)
    except BaseException:
        os.close(descriptor)
        raise


def fetch_all(source: Source, offset: int, size: int) -> bytes | None:
    """`size` bytes from `offset`, or None when they cannot be had."""
    pieces = []
    while size:
        try:
            piece = source.fetch(offset, size)
        except DamagedRegionError:
            return None
        if not piece:
            return None
        pieces.append(piece)
        offset += len(piece)
        size -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def iter_lines(source: Source, offset: int, limit: int) -> Iterator[Line]:
    """The lines between two offsets; what cannot be read, or has no newline, comes as a `Line` without data."""
    start = position = offset
    pending = b""
    size = _CHUNK_BYTES
    while position < limit:
        try:
            chunk = source.fetch(position, min(size, limit - position))
        except DamagedRegionError as damage:
            position = min(damage.end, limit)
            yield Line(start, position, None)
            start, pending = position, b""
            continue
        if not chunk:
            yield Line(start, limit, None)  # shorter than it was when it was measured
            return
        position += len(chunk)
        whole, newline, rest = (pending + chunk).rpartition(b"\n")
        if not newline:
            pending, size = rest, size * 2
            continue
        for data in whole.split(b"\n"):
            end = start + len(data) + 1
            yield Line(start, end, data)
            start = end
        pending, size = rest, _CHUNK_BYTES
    if pending:
        yield Line(start, position, None)
