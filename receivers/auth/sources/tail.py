"""Follows a log by name: through rotation by renaming or by copying and emptying, and through restarts.

Files are read from a queue, the oldest first; the last one is the file that the name stands for now. What was
rotated stays in the queue for a while, because its writer may have it open still. Where reading had got to is
recognised by inode and by a checksum over the bytes before the offset, so that a file that was emptied and filled
again, or a rotated copy, is taken for what it is. What was gone before it could be read is a gap.

Not to be seen by anyone: what is written between logrotate's copying and emptying (`copytruncate`).
"""

from __future__ import annotations

import contextlib
import os
import time
import zlib
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, Protocol

from otel_fim.receivers.auth.sources.framing import (
    REJECTED_LONG,
    REJECTED_UNTERMINATED,
    WINDOW_BYTES,
    Framing,
)
from otel_fim.receivers.auth.sources.history import MOST_FILES, History
from otel_fim.receivers.auth.sources.rotation import FINGERPRINT_BYTES, Sibling, holds, open_regular, siblings
from otel_fim.receivers.auth.sources.source import (
    REASON_DENIED,
    REASON_DESTROYED,
    REASON_ERROR,
    REASON_MISSING,
    Position,
    StartAt,
)
from otel_fim.receivers.auth.sources.tailed import Place, Tailed, decode, encode

LINGER_SECONDS: Final = 60.0
"""How long a rotated file has to be quiet before it is closed."""
MISSING_SECONDS: Final = 10.0
"""How long a name may stand for no file before that is a gap; rotation leaves it empty for a moment."""


class Frame(NamedTuple):
    """A line or record. `identity` is inode, offset and checksum."""

    identity: str
    data: bytes


class Reader(Protocol):
    """What a tail tells: see `source.Sink`. `frames` may raise to end the tail."""

    def frames(self, frames: list[Frame], modified: int) -> None: ...
    def rejected(self, reason: str, count: int = 1) -> None: ...
    def gap(self, reason: str, detail: str, start_ns: int, end_ns: int | None = None) -> None: ...
    def restored(self, reason: str, detail: str) -> None: ...


class Tail:
    """For one thread. `pump` reads what there is and returns; a `Waiter` says when to call it again.

    With `start_at` end it begins behind what is in the file when the tail is made.
    """

    def __init__(
        self,
        path: str,
        framing: Framing,
        reader: Reader,
        *,
        start_at: StartAt = "end",
        linger: float = LINGER_SECONDS,
        missing: float = MISSING_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._framing = framing
        self._reader = reader
        self._end = _size(path) if start_at == "end" else None
        self._linger = linger
        self._missing = missing
        self._monotonic = monotonic
        self._queue: list[Tailed] = []
        # The time of the newest rotated file that has been dealt with, for when there is no file to go on from.
        self._newest = max((sibling.modified for sibling in siblings(path)), default=0)
        self._history = History(path, self._queue)
        self._moved = False
        self._missing_since: float | None = None
        self._seen = time.time_ns()
        self._gaps: set[str] = set()

    def descriptors(self) -> Iterable[int]:
        return [file.descriptor for file in self._queue]

    def position(self) -> Position:
        return encode([file.place() for file in self._queue], self._seen, self._newest)

    def close(self) -> None:
        for file in self._queue:
            file.close()
        self._queue.clear()

    def begin(self) -> Position:
        """Where a tail without a former position begins; None while there is no file."""
        with contextlib.suppress(OSError):
            self._adopt()
        return self.position() if self._queue else None

    def restore(self, position: Position) -> None:
        """Goes on where a former tail was. Raises `ValueError` for what is no position of a tail."""
        places, self._seen, self._newest = decode(position)
        self._end = None
        if not places:
            return
        for place in places[:-1]:
            self._queue += self._earlier(place, self._history.siblings(), newer=False)
        descriptor = self._still_current(places[-1])
        if descriptor is None:
            self._queue += self._earlier(places[-1], self._history.siblings())
        else:
            place = places[-1]
            self._queue.append(self._open(descriptor, place.offset, place.skipping, place.modified))
        self._moved = True
        if not self._queue:
            self._newest = max((sibling.modified for sibling in siblings(self._path)), default=self._newest)
        # At once: what the name stands for now may be rotated before the first look.
        with contextlib.suppress(OSError):
            self._adopt()

    def pump(self) -> None:
        """Reads all that can be read now. Raises what the reader raises."""
        try:
            self._adopt()
            at = 0
            while at < len(self._queue):
                if self._read(self._queue[at]):
                    at += 1
            self._retire()
            self._close_gap(REASON_ERROR, "can be read again")
        except OSError as error:
            self._open_gap(REASON_ERROR, f"{self._path} cannot be read: {error.strerror or error}")
        if self._moved:
            self._moved = False
            self._reader.frames([], 0)

    def seconds_to_next(self) -> float | None:
        """When `pump` has to be called though nothing changed; None: not for that."""
        if self._missing_since is not None and REASON_MISSING not in self._gaps:
            return self._missing
        return self._linger if len(self._queue) > 1 else None

    # --- Which files --------------------------------------------------------------------------------------

    def _adopt(self) -> None:
        """Brings the queue to end with the file that the name stands for."""
        try:
            status = os.stat(self._path)
            last = self._queue[-1] if self._queue else None
            if last is not None and (last.device, last.inode) == (status.st_dev, status.st_ino):
                self._present()
                if last.offset == 0:
                    self._emptied_unseen(last)
                return
            descriptor = open_regular(self._path)
        except FileNotFoundError:
            self._absent()
            return
        except PermissionError as error:
            self._open_gap(REASON_DENIED, f"{self._path} cannot be read: {error.strerror}; run as root")
            return
        self._present()
        if last is None:
            offset = 0
            if self._end is not None and self._end[0] == os.fstat(descriptor).st_ino:
                offset = self._framing.end(descriptor, self._end[1])
            self._queue += [*self._unknown(), self._open(descriptor, offset)]
        else:
            try:
                self._settle(last)
                between = self._since(last)
            except BaseException:
                os.close(descriptor)
                raise
            self._queue += [*between, self._open(descriptor)]
        self._moved = True

    def _present(self) -> None:
        self._missing_since = None
        self._close_gap(REASON_MISSING, "is there again")
        self._close_gap(REASON_DENIED, "can be read again")

    def _absent(self) -> None:
        now = self._monotonic()
        if self._missing_since is None:
            self._missing_since = now
        if self._queue:
            self._follow(self._queue[-1])
        elif unknown := self._unknown():
            self._queue += unknown
            self._moved = True
        if now - self._missing_since >= self._missing:
            self._open_gap(REASON_MISSING, f"{self._path} does not exist; it is read when it appears")

    def _unknown(self) -> list[Tailed]:
        """Without a file to go on from: what was begun and rotated since the last look."""
        return self._open_all(
            sibling for sibling in self._history.siblings() if sibling.modified > self._newest
        )

    def _follow(self, last: Tailed) -> None:
        """While the name stands for nothing: files that had it after `last` and were rotated as well."""
        self._settle(last)
        newer, _ = self._history.after(last)
        if not all(sibling.compressed for sibling in newer):
            self._queue += self._since(last)
            self._moved = True

    def _since(self, last: Tailed) -> list[Tailed]:
        """The files that had the name after `last`, which is held open, and before the present one."""
        newer, certain = self._history.after(last)
        if not certain:
            self._destroyed(f"{self._path} was rotated more than once, and not all of it is left")
            newer = [sibling for sibling in newer if not sibling.compressed]
        return self._open_all(newer)

    def _settle(self, last: Tailed) -> None:
        """Finds out whether the file was emptied before it was rotated, while it still ends the queue."""
        known = len(last.before)
        if last.offset == 0:
            if any(sibling.inode == last.inode for sibling in self._history.siblings(last.inode)):
                self._emptied_unseen(last)
        elif os.pread(last.descriptor, known, last.offset - known) != last.before:
            self._emptied(last)

    def _emptied_unseen(self, last: Tailed) -> None:
        """At offset 0 nothing tells an emptied file from one just begun, but the copy that was made of it does."""
        modified = os.fstat(last.descriptor).st_mtime_ns
        if modified == last.modified:
            return
        found = self._history.older(self._history.siblings(last.inode), last)
        copies = [sibling for sibling in found if sibling.modified > last.modified]
        last.modified = modified
        if copies:
            self._queue[-1:] = [*self._open_all(copies), last]
            self._moved = True

    def _emptied(self, last: Tailed) -> None:
        """The file was emptied, and perhaps filled again: what was not read may be in a copy."""
        chain = self._earlier(last.place(), self._history.older(self._history.siblings(last.inode), last))
        last.rewind()
        self._queue[-1:] = [*chain, last]
        self._moved = True

    def _still_current(self, place: Place) -> int | None:
        """The descriptor of the file that the name stands for, when that is the one of this place."""
        descriptor = holds(self._path, place.offset, place.fingerprint)
        if descriptor is None or place.offset > 0 or os.fstat(descriptor).st_ino == place.inode:
            return descriptor
        os.close(descriptor)
        return None

    def _earlier(self, place: Place, found: list[Sibling], *, newer: bool = True) -> list[Tailed]:
        """Of siblings the one that has this place, and those after it (`newer`). What is not found is a gap."""
        if place.offset == 0:
            # Nothing to recognise it by but its inode, and before it was rotated it may have been copied and emptied.
            later = [s for s in found if s.modified > place.modified or s.inode == place.inode]
            if not any(sibling.inode == place.inode for sibling in later):
                self._gone(place, found)
            return self._open_all(later)
        for index in sorted(range(len(found)), key=lambda i: found[i].inode != place.inode):
            sibling = found[index]
            descriptor = None if sibling.compressed else holds(sibling.path, place.offset, place.fingerprint)
            if descriptor is not None:
                file = self._open(descriptor, place.offset, place.skipping)
                return [file, *(self._open_all(found[:index]) if newer else [])]
        self._gone(place, found)
        if not newer:
            return []
        return self._open_all(s for s in found if s.modified >= place.modified and not s.compressed)

    def _gone(self, place: Place, found: list[Sibling]) -> None:
        squeezed = [s for s in found if s.compressed and s.modified >= place.modified]
        where = f"; the rest may be in {squeezed[-1].path}" if squeezed else ""
        self._destroyed(
            f"{self._path} was emptied, replaced or removed after byte {place.offset} was read, and no plain copy has "
            f"what followed{where}"
        )

    def _open_all(self, newest_first: Iterable[Sibling]) -> list[Tailed]:
        """Files to be read from their beginning, oldest first."""
        opened = []
        for sibling in list(newest_first)[::-1]:
            if sibling.compressed:
                self._destroyed(f"{sibling.path} was compressed before it was read")
                continue
            with contextlib.suppress(FileNotFoundError):
                opened.append(self._open(open_regular(sibling.path)))
        return opened

    def _open(
        self, descriptor: int, offset: int = 0, skipping: bool = False, modified: int | None = None
    ) -> Tailed:
        file = Tailed.at(descriptor, offset, skipping=skipping, grown=self._monotonic())
        if modified is not None:
            file.modified = modified
        return file

    def _retire(self) -> None:
        """Closes rotated files that have been quiet for long."""
        now = self._monotonic()
        for file in self._queue[:-1]:
            if now - file.grown >= self._linger or len(self._queue) > MOST_FILES:
                if file.rest():
                    self._reader.rejected(REJECTED_UNTERMINATED)
                self._history.done(file)
                file.close()
                self._queue.remove(file)
                self._moved = True

    # --- What is in them ----------------------------------------------------------------------------------

    def _read(self, file: Tailed) -> bool:
        """To the end; False when the queue has other files in this one's stead."""
        while True:
            known = len(file.before)
            modified = os.fstat(file.descriptor).st_mtime_ns
            # One read for what is known and what is new: in between the file may be emptied.
            data = os.pread(file.descriptor, known + WINDOW_BYTES, file.offset - known)
            if data[:known] != file.before:
                if file is self._queue[-1]:
                    self._emptied(file)
                else:
                    self._destroyed(f"a rotated file of {self._path} was changed while it was read")
                    file.close()
                    self._queue.remove(file)
                return False
            self._seen = time.time_ns()
            file.modified = modified
            new = data[known:]
            found = self._framing.split(new, file.skipping)
            if not found.consumed:
                return True
            frames = [
                Frame(f"{file.inode:x}:{file.offset + at:x}:{zlib.crc32(frame):08x}", frame)
                for at, frame in found.frames
            ]
            file.offset += found.consumed
            file.before = data[: known + found.consumed][-FINGERPRINT_BYTES:]
            file.skipping = found.skipping
            file.grown = self._monotonic()
            if found.cut:
                self._reader.rejected(REJECTED_LONG, found.cut)
            self._moved = False
            self._reader.frames(frames, modified)

    # --- Gaps ---------------------------------------------------------------------------------------------

    def _destroyed(self, detail: str) -> None:
        self._reader.gap(REASON_DESTROYED, detail, self._seen, time.time_ns())
        self._moved = True

    def _open_gap(self, reason: str, detail: str) -> None:
        if reason not in self._gaps:
            self._gaps.add(reason)
            self._reader.gap(reason, detail, time.time_ns())

    def _close_gap(self, reason: str, detail: str) -> None:
        if reason in self._gaps:
            self._gaps.discard(reason)
            self._reader.restored(reason, f"{self._path} {detail}")


def _size(path: str) -> tuple[int, int] | None:
    """Inode and size of what the name stands for."""
    with contextlib.suppress(OSError):
        status = os.stat(path)
        return status.st_ino, status.st_size
    return None
