"""Segments: files of lines, named by the number of their first record."""

from __future__ import annotations

import contextlib
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from otel_fim.journal import files, zstandard

_NAME: Final = re.compile(r"(\d{20})\.jsonl(\.zst)?")
PLAIN_SUFFIX: Final = ".jsonl"
COMPRESSED_SUFFIX: Final = ".jsonl.zst"


@dataclass(slots=True, eq=False)
class Segment:
    """A run of lines: `first` is the number of its first record, counted from 1 over the whole journal.

    `length` is the size of its lines (before compression), `disk_size` what it takes on disk, `written_ns` the
    time of its last write (nanoseconds since the epoch), `missing` that another program has taken it away.
    """

    directory: Path
    first: int
    compressed: bool = False
    length: int = 0
    disk_size: int = 0
    written_ns: int = 0
    missing: bool = False

    @property
    def name(self) -> str:
        """The file's name."""
        return f"{self.first:020d}{COMPRESSED_SUFFIX if self.compressed else PLAIN_SUFFIX}"

    @property
    def path(self) -> Path:
        """Where the file is now."""
        return self.directory / self.name

    def paths(self) -> tuple[Path, Path]:
        """Where the file can be, uncompressed and compressed."""
        stem = f"{self.first:020d}"
        return self.directory / (stem + PLAIN_SUFFIX), self.directory / (stem + COMPRESSED_SUFFIX)


def list_segments(directory: Path) -> list[Segment]:
    """The segments in a directory, oldest first; changes nothing, and may run beside an open journal.

    A segment that is there twice, because compressing was interrupted, is taken uncompressed.
    """
    # Listed twice: a segment that is compressed this moment changes its name, and one listing can miss both.
    names = {*os.listdir(directory), *os.listdir(directory)}
    numbers = sorted({int(match[1]) for match in map(_NAME.fullmatch, names) if match})
    found = (_find(directory, number) for number in numbers)
    return [segment for segment in found if segment is not None]


def _find(directory: Path, first: int) -> Segment | None:
    for compressed in (False, True):
        segment = Segment(directory, first, compressed)
        with contextlib.suppress(FileNotFoundError):
            _measure(segment)
            return segment
    return None  # removed by retention


def clean_up(directory: Path, logger: logging.Logger) -> None:
    """Removes what an interrupted compression or rename left behind."""
    removed = False
    for entry in os.listdir(directory):
        if entry.endswith(files.TEMPORARY_SUFFIX):
            files.remove(directory / entry)
            removed = True
    for segment in list_segments(directory):
        plain, compressed = segment.paths()
        if segment.compressed or not compressed.exists():
            continue
        twin = Segment(directory, segment.first, compressed=True)
        with contextlib.suppress(OSError, zstandard.ZstdError):
            _measure(twin)
        # The compressed file gets its name only when it is whole, so it takes the plain one's place.
        whole = twin.length == segment.length
        logger.info(
            "compressing %s had been interrupted; the %s file stays", plain, "zstd" if whole else "plain"
        )
        files.remove(plain if whole else compressed)
        removed = True
    if removed:
        files.sync_directory(directory)


def _measure(segment: Segment) -> None:
    descriptor = files.open_existing(segment.path)
    try:
        status = os.fstat(descriptor)
        segment.disk_size = status.st_size
        segment.written_ns = status.st_mtime_ns
        segment.length = status.st_size
        if segment.compressed:
            segment.length = sum(frame.length for frame in zstandard.read_table(descriptor))
    finally:
        os.close(descriptor)
