"""Compresses a closed segment so that at every moment one whole copy of it is there."""

from __future__ import annotations

import os
from collections.abc import Callable

from otel_fim.journal import files, zstandard
from otel_fim.journal.segment import Segment


def compress_segment(segment: Segment, stop: Callable[[], bool]) -> int | None:
    """Writes the compressed file beside the plain one, reads it back, and gives it its name.

    The plain file is still there afterwards. Gives the compressed size in bytes, or None when `stop` said so.
    Raises `OSError` and leaves nothing behind.
    """
    plain, compressed = segment.paths()
    temporary = compressed.with_name(compressed.name + files.TEMPORARY_SUFFIX)
    files.remove(temporary)
    source = files.open_existing(plain)
    try:
        target = files.open_new(temporary)
        try:
            if not zstandard.compress(source, target, segment.length, stop) or not _same(
                source, target, segment, stop
            ):
                files.remove(temporary)
                return None
            # The time of the last write is what retention by age goes by.
            written = os.fstat(source).st_mtime_ns
            os.utime(target, ns=(written, written))
            os.fsync(target)
            size = os.fstat(target).st_size
        except BaseException:
            files.remove(temporary)
            raise
        finally:
            os.close(target)
    finally:
        os.close(source)
    os.rename(temporary, compressed)
    files.sync_directory(segment.directory)
    return size


def _same(source: int, target: int, segment: Segment, stop: Callable[[], bool]) -> bool:
    """Evidence is not given up for a copy that nobody has read."""
    total = 0
    for frame in zstandard.read_table(target):
        if stop():
            return False
        try:
            data = zstandard.read_frame(target, frame)
        except zstandard.ZstdError as error:
            raise OSError(f"{segment.path}: its compressed copy cannot be read back: {error}") from error
        if data != os.pread(source, frame.length, frame.start):
            raise OSError(f"{segment.path}: its compressed copy differs from it")
        total += frame.length
    if total != segment.length:
        raise OSError(f"{segment.path}: its compressed copy has {total} of {segment.length} bytes")
    return True
