"""A file of lines that only grows: whole lines on disk, or none of them."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from stat import S_ISREG
from typing import Final

from otel_fim.component import StartError

_BLOCK_BYTES: Final = 2**16
_FILE_MODE: Final = 0o640
_DIRECTORY_MODE: Final = 0o750
_LINE_START: Final = b'{"resourceLogs"'
_VECTOR: Final = min(os.sysconf("SC_IOV_MAX"), 512)


class LinesFile:
    """An open file, locked against a second writer. `torn` is how many bytes of an unfinished line were cut when
    it was opened.

    Raises `StartError` when it is no file of OTLP/JSON lines or another program writes it, `OSError` when it
    cannot be opened.
    """

    def __init__(self, path: Path, *, truncate: bool = False) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True, mode=_DIRECTORY_MODE)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
        self._descriptor = os.open(path, flags, _FILE_MODE)
        try:
            self._check(path)
            if truncate:
                os.ftruncate(self._descriptor, 0)
            self.torn = self._cut_torn_line()
            os.fsync(self._descriptor)
            sync_directory(path.parent)
        except BaseException:
            os.close(self._descriptor)
            raise

    def close(self) -> None:
        os.close(self._descriptor)

    @property
    def size(self) -> int:
        return os.fstat(self._descriptor).st_size

    @property
    def is_in_place(self) -> bool:
        """False when another program has renamed or removed the file."""
        try:
            there = os.stat(self.path)
        except FileNotFoundError:
            return False
        mine = os.fstat(self._descriptor)
        return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)

    def append(self, lines: Sequence[bytes], *, sync: bool) -> None:
        """Adds the lines, each with a newline. When that fails the file is as long as before and `OSError` tells
        why; when even that fails, the rest is cut before the next line is written."""
        start = self.size
        try:
            pieces: list[bytes] = []
            for line in lines:
                pieces += (line, b"\n")
            for index in range(0, len(pieces), _VECTOR):
                self._write(pieces[index : index + _VECTOR])
            if sync:
                os.fdatasync(self._descriptor)
        except BaseException:
            os.ftruncate(self._descriptor, start)
            raise

    def last_line(self) -> bytes | None:
        """The last line without its newline, None when there is none."""
        end = self.size
        return None if end == 0 else self._read(self._line_start(end - 1), end - 1)

    def cut_last_line(self) -> None:
        """Takes the last line away."""
        os.ftruncate(self._descriptor, self._line_start(self.size - 1))

    def _write(self, pieces: list[bytes]) -> None:
        wanted = sum(map(len, pieces))
        written = os.writev(self._descriptor, pieces)
        if written == wanted:
            return
        # A short write means that the disk is all but full; the next one says so.
        rest = memoryview(b"".join(pieces))[written:]
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def _check(self, path: Path) -> None:
        if not S_ISREG(os.fstat(self._descriptor).st_mode):
            raise StartError(f"{path} is not a regular file; name another path")
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartError(
                f"{path} is being written by another program or exporter; name another path"
            ) from None
        start = os.pread(self._descriptor, len(_LINE_START), 0)
        if not _LINE_START.startswith(start):
            raise StartError(f"{path} holds something other than OTLP/JSON lines; name another path")

    def _cut_torn_line(self) -> int:
        size = self.size
        end = self._line_start(size)
        if end != size:
            os.ftruncate(self._descriptor, end)
        return size - end

    def _line_start(self, end: int) -> int:
        """The offset behind the last newline before `end`."""
        while end > 0:
            start = max(0, end - _BLOCK_BYTES)
            found = self._read(start, end).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            end = start
        return 0

    def _read(self, start: int, end: int) -> bytes:
        data = bytearray()
        while start + len(data) < end:
            piece = os.pread(self._descriptor, end - start - len(data), start + len(data))
            if not piece:
                break
            data += piece
        return bytes(data)


def sync_directory(path: Path) -> None:
    """Waits until the directory's names are on disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
