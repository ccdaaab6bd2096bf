"""Finding a log's earlier files again: auth.log.1, secure-20261121, and where in them reading had got to."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
from dataclasses import dataclass
from typing import Final

FINGERPRINT_BYTES: Final = 1024
_COMPRESSED: Final = (".gz", ".xz", ".zst", ".bz2", ".lz4")
_SUFFIX: Final = re.compile(r"[.-](\d[\dT:_.-]*)((?:\.(?:gz|xz|zst|bz2|lz4))?)")
_INDEX_DIGITS: Final = 5
"""A number up to this long is a count (1 is the newest); a longer one is a date (the greatest is the newest)."""


@dataclass(slots=True, frozen=True)
class Sibling:
    """An earlier file of a log. `order` grows with age for counts and dates alike."""

    path: str
    inode: int
    size: int
    modified: int
    compressed: bool
    order: tuple[int, ...] | None


def siblings(path: str) -> list[Sibling]:
    """The earlier files beside `path`, newest first. Empty when the directory cannot be read."""
    directory, base = os.path.split(path)
    found = []
    with contextlib.suppress(OSError), os.scandir(directory or ".") as entries:
        for entry in entries:
            if (
                not entry.name.startswith(base)
                or (match := _SUFFIX.fullmatch(entry.name[len(base) :])) is None
            ):
                continue
            with contextlib.suppress(OSError):
                status = entry.stat()
                if stat.S_ISREG(status.st_mode):
                    found.append(
                        Sibling(
                            os.path.join(directory, entry.name),
                            status.st_ino,
                            status.st_size,
                            status.st_mtime_ns,
                            bool(match[2]),
                            _order(match[1]),
                        )
                    )
    if all(sibling.order is not None for sibling in found):
        found.sort(key=lambda sibling: (sibling.order or (), -sibling.modified))
    else:
        found.sort(key=lambda sibling: -sibling.modified)
    return found


def _order(suffix: str) -> tuple[int, ...] | None:
    numbers = re.findall(r"\d+", suffix)
    if len(numbers) == 1 and len(numbers[0]) <= _INDEX_DIGITS:
        return (int(numbers[0]),)
    if len("".join(numbers)) > 24:
        return None
    return tuple(-int(number) for number in numbers)


def fingerprint(before: bytes) -> str:
    """A checksum over the bytes before an offset: tells whether a file still has there what was read."""
    return hashlib.blake2b(before, digest_size=16).hexdigest()


def holds(path: str, offset: int, expected: str) -> int | None:
    """The open descriptor of a regular file that has the bytes with this fingerprint before `offset`, else None."""
    with contextlib.suppress(OSError):
        descriptor = open_regular(path)
        try:
            length = min(offset, FINGERPRINT_BYTES)
            before = os.pread(descriptor, length, offset - length)
            if len(before) == length and fingerprint(before) == expected:
                return descriptor
        except OSError:
            pass
        os.close(descriptor)
    return None


def open_regular(path: str) -> int:
    """A descriptor for reading. Raises `OSError`, also for what is no regular file; never waits for a pipe."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path} is no regular file")
    return descriptor
