"""`Reader`: the kinds' eyes. Regular files only, inside the root only, and nothing twice that has not changed."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, TypeVar

from otel_fim.receivers.persistence.item import Item
from otel_fim.receivers.persistence.kind import Place, is_swap_file, matches
from otel_fim.receivers.persistence.rooted import Rooted
from otel_fim.receivers.persistence.text import digest, text_of
from otel_fim.receivers.persistence.trusting import NotFollowedError, RefusedError

T = TypeVar("T")

NOT_LOOKED_AT: Final = "not_looked_at"
"""The problem of a place in which there may be more than is known yet."""
MAX_FILE_BYTES: Final = 4 << 20
MAX_HASHED_BYTES: Final = 256 << 20
_MAX_DEPTH: Final = 12
_MAX_ENTRIES: Final = 100_000
# A file may change again within the grain of its times: such a one is read again at the next look.
_UNSURE_NANOSECONDS: Final = 2_000_000_000

Signature = tuple[int, int, int, int, int, int, int, int]


def signature(found: os.stat_result) -> Signature:
    """Differs when content or metadata of a file do (but for changes within the grain of its times)."""
    return (
        found.st_dev,
        found.st_ino,
        found.st_size,
        found.st_mtime_ns,
        found.st_ctime_ns,
        found.st_mode,
        found.st_uid,
        found.st_gid,
    )


@dataclass(slots=True, frozen=True)
class Entry:
    """A name in a directory. `is_directory` is false for a link to a directory."""

    path: bytes
    is_directory: bool
    is_link: bool
    is_file: bool

    @property
    def name(self) -> bytes:
        return self.path.rpartition(b"/")[2]


@dataclass
class File:
    """A regular file that was read: its path inside the root, its content and what stat(2) tells of it."""

    path: bytes
    data: bytes
    stat: os.stat_result
    place: Place | None = None
    rejected: int = field(default=0, init=False)

    @cached_property
    def sha256(self) -> str:
        return digest(self.data)

    @property
    def text_path(self) -> str:
        return text_of(self.path)

    @property
    def user(self) -> str:
        """The user in whose home directory the file lies, empty elsewhere."""
        return self.place.user if self.place is not None else ""

    def reject(self, count: int = 1) -> None:
        """Counts input that makes no sense."""
        self.rejected += count

    def item(
        self,
        kind: str,
        content: bytes | None = None,
        *,
        key: str | None = None,
        line: int | None = None,
        command: str = "",
        user: str = "",
        trigger: str = "",
        enabled: bool = True,
    ) -> Item:
        """An item of this file. `content` is the item's own, None for the whole file. The id is the path, with
        `:key` (or `:line`) behind it."""
        suffix = key if key is not None else None if line is None else str(line)
        return Item(
            kind=kind,
            id=self.text_path if suffix is None else f"{self.text_path}:{suffix}",
            path=self.path,
            content_hash=self.sha256 if content is None else digest(content),
            command=command,
            user=user,
            trigger=trigger,
            enabled=enabled,
            line=line if key is None else None,
            uid=self.stat.st_uid,
            gid=self.stat.st_gid,
            mode=stat.S_IMODE(self.stat.st_mode),
            file_hash=self.sha256,
        )


class Reader:
    """Reads for one receiver, on one thread.

    `problems` holds what could not be read since it was last cleared, by path inside the root: permission_denied,
    too_large, too_many, not_followed, io_error. `rejected` counts input that a parser could not make sense of.
    Whatever is not there is no problem: None, or nothing, is given back.
    """

    def __init__(self, root: bytes = b"/", max_file_bytes: int = MAX_FILE_BYTES) -> None:
        self._rooted = Rooted(root)
        self._max_file_bytes = max_file_bytes
        self._cache: dict[tuple[bytes, object], tuple[Signature, int, Any]] = {}
        self._used: set[tuple[bytes, object]] = set()
        self.problems: dict[bytes, str] = {}
        self.rejected = 0
        self.files_read = 0

    def forget_unused(self) -> None:
        """Drops what was not asked for since the last call: for the end of a whole scan."""
        for key in self._cache.keys() - self._used:
            del self._cache[key]
        self._used.clear()

    def stat(self, path: bytes, *, follow: bool = True) -> os.stat_result | None:
        """stat(2) of the path inside the root; None when it is not there or not to be seen."""
        return self._noting(path, lambda: self._rooted.stat(path, follow=follow))

    def readlink(self, path: bytes) -> bytes | None:
        """Where a symbolic link points, as it stands there; None for anything else."""
        return self._noting(path, lambda: self._rooted.readlink(path))

    def resolve(self, path: bytes) -> bytes | None:
        """The path inside the root with every symbolic link followed; None when it leads nowhere."""
        return self._noting(path, lambda: self._rooted.resolve(path))

    def entries(self, directory: bytes) -> list[Entry]:
        """What a directory holds, by name; links to directories are followed to get there."""
        found = self._noting(directory, lambda: self._rooted.scan(directory, _MAX_ENTRIES))
        if found is not None and len(found) >= _MAX_ENTRIES:
            self.problems[directory] = "too_many"
        prefix = directory.rstrip(b"/") + b"/"
        return [
            Entry(prefix + name, kind == stat.S_IFDIR, kind == stat.S_IFLNK, kind == stat.S_IFREG)
            for name, kind in sorted(found or ())
        ]

    def walk(self, directory: bytes, depth: int = _MAX_DEPTH) -> Iterator[Entry]:
        """Everything below a directory but the directories themselves; links are not descended into."""
        left = _MAX_ENTRIES
        stack = [(directory, depth)]
        while stack:
            where, deeper = stack.pop()
            for entry in self.entries(where):
                left -= 1
                if left < 0:
                    self.problems[directory] = "too_many"
                    return
                if not entry.is_directory:
                    yield entry
                elif deeper:
                    stack.append((entry.path, deeper - 1))
                else:
                    self.problems[entry.path] = "too_many"

    def files(self, place: Place) -> Iterator[bytes]:
        """The paths of the place's files and links; the file that a place without `names` is, in any case."""
        if place.names is None:
            yield place.path
            return
        entries = self.walk(place.path) if place.recursive else iter(self.entries(place.path))
        for entry in entries:
            name = entry.name
            if not (entry.is_file or entry.is_link) or not matches(name, place.names):
                continue
            if place.recursive or not is_swap_file(name):
                yield entry.path

    def file(self, path: bytes, place: Place | None = None) -> File | None:
        """Reads a regular file now, whatever is remembered."""
        found = self._noting(path, lambda: self._rooted.stat(path, follow=True))
        return None if found is None else self._read(path, place, found)

    def parsed(self, path: bytes, parse: Callable[[File], T], place: Place | None = None) -> T | None:
        """What `parse` makes of the file, remembered until the file changes; None when there is none to read.

        `parse` is a function of its own (not a lambda made for each call): what is remembered is kept under it.
        """
        key = (path, parse)
        found = self._noting(path, lambda: self._rooted.stat(path, follow=True))
        if found is None:
            return None
        self._used.add(key)
        known = self._cache.get(key)
        sign = signature(found)
        if known is not None and known[0] == sign and known[1] > found.st_ctime_ns + _UNSURE_NANOSECONDS:
            result: T = known[2]
            return result
        read_at = time.time_ns()
        file = self._read(path, place, found)
        if file is None:
            return None
        result = parse(file)
        # Told once for each content, not at every look at a file that has only just changed.
        if known is None or known[0] != sign:
            self.rejected += file.rejected
        # Files of /proc and /sys have no size and say nothing of their changes.
        if file.stat.st_size or not file.data:
            self._cache[key] = (signature(file.stat), read_at, result)
        return result

    def sha256(self, path: bytes, limit: int = MAX_HASHED_BYTES) -> str | None:
        """The hash of a regular file of any kind, remembered until it changes; None when it cannot be had."""
        key = (path, "sha256")
        found = self._noting(path, lambda: self._rooted.stat(path, follow=True))
        if found is None or not stat.S_ISREG(found.st_mode):
            return None
        self._used.add(key)
        known = self._cache.get(key)
        if (
            known is not None
            and known[0] == signature(found)
            and known[1] > found.st_ctime_ns + _UNSURE_NANOSECONDS
        ):
            text: str = known[2]
            return text
        if found.st_size > limit:
            self.problems[path] = "too_large"
            return None
        read_at = time.time_ns()
        hashed = self._noting(path, lambda: self._hash(path))
        if hashed is not None:
            self._cache[key] = (hashed[0], read_at, hashed[1])
        return None if hashed is None else hashed[1]

    def _hash(self, path: bytes) -> tuple[Signature, str]:
        with open(self._rooted.open_file(path), "rb", buffering=0) as file:
            before = signature(os.fstat(file.fileno()))
            return before, hashlib.file_digest(file, "sha256").hexdigest()

    def _read(self, path: bytes, place: Place | None, found: os.stat_result) -> File | None:
        if not stat.S_ISREG(found.st_mode):
            return None
        if found.st_size > self._max_file_bytes:
            self.problems[path] = "too_large"
            return None
        return self._noting(path, lambda: self._read_now(path, place))

    def _read_now(self, path: bytes, place: Place | None) -> File | None:
        with open(self._rooted.open_file(path), "rb", buffering=0) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                return None
            content = bytearray()
            while chunk := file.read(self._max_file_bytes + 1 - len(content)):
                content += chunk
                if len(content) > self._max_file_bytes:
                    self.problems[path] = "too_large"
                    return None
        self.files_read += 1
        return File(path, bytes(content), found, place)

    def _noting(self, path: bytes, call: Callable[[], T]) -> T | None:
        try:
            return call()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except PermissionError:
            self.problems[self._rooted.closed_at(path)] = "permission_denied"
        except RefusedError:
            return None
        except NotFollowedError:
            self.problems[path] = "not_followed"
        except (OSError, ValueError):
            self.problems[path] = "io_error"
        return None
