"""One file that is being followed, and how its place is written down."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Final, Self

from otel_fim.receivers.auth.sources.rotation import FINGERPRINT_BYTES, fingerprint
from otel_fim.receivers.auth.sources.source import Position

_VERSION: Final = 1


@dataclass(slots=True, frozen=True)
class Place:
    """How far a file was read. `modified` is the file's time of modification then, in ns."""

    inode: int
    offset: int
    fingerprint: str
    skipping: bool
    modified: int


@dataclass(slots=True)
class Tailed:
    """An open file. `before` are the last bytes before `offset`, `grown` the monotonic time of its last growth."""

    descriptor: int
    device: int
    inode: int
    modified: int
    offset: int = 0
    before: bytes = b""
    skipping: bool = False
    grown: float = 0.0
    _fingerprint: tuple[bytes, str] = field(default=(b"", fingerprint(b"")))

    @classmethod
    def at(cls, descriptor: int, offset: int = 0, *, skipping: bool = False, grown: float = 0.0) -> Self:
        """Takes over the descriptor. Raises `OSError`."""
        status = os.fstat(descriptor)
        length = min(offset, FINGERPRINT_BYTES)
        before = os.pread(descriptor, length, offset - length) if length else b""
        return cls(
            descriptor, status.st_dev, status.st_ino, status.st_mtime_ns, offset, before, skipping, grown
        )

    def place(self) -> Place:
        if self._fingerprint[0] is not self.before:
            self._fingerprint = (self.before, fingerprint(self.before))
        return Place(self.inode, self.offset, self._fingerprint[1], self.skipping, self.modified)

    def rewind(self) -> None:
        """To the beginning, after the file was emptied."""
        self.offset, self.before, self.skipping = 0, b"", False
        self.modified = os.fstat(self.descriptor).st_mtime_ns

    def rest(self) -> int:
        """Bytes behind the offset."""
        return max(0, os.fstat(self.descriptor).st_size - self.offset)

    def close(self) -> None:
        os.close(self.descriptor)


def encode(places: list[Place], seen: int, newest: int) -> Position:
    """`seen` is the wall clock in ns when the file was last looked at, `newest` as in `Tail`."""
    return {
        "version": _VERSION,
        "seen": seen,
        "newest": newest,
        "files": [
            {
                "inode": place.inode,
                "offset": place.offset,
                "fingerprint": place.fingerprint,
                "skipping": place.skipping,
                "modified": place.modified,
            }
            for place in places
        ],
    }


def decode(position: Position) -> tuple[list[Place], int, int]:
    """Raises `ValueError` for what `encode` has not written."""
    if not isinstance(position, dict) or position.get("version") != _VERSION:
        raise ValueError("not a position in a file")
    files, seen, newest = position.get("files"), position.get("seen"), position.get("newest")
    if not isinstance(files, list) or not isinstance(seen, int) or not isinstance(newest, int):
        raise ValueError("the position lacks its files")
    return [_place(file) for file in files], seen, newest


def _place(file: Position) -> Place:
    match file:
        case {
            "inode": int(inode),
            "offset": int(offset),
            "fingerprint": str(expected),
            "skipping": bool(skipping),
            "modified": int(modified),
        } if offset >= 0:
            return Place(inode, offset, expected, skipping, modified)
    raise ValueError("the position's files are damaged")
