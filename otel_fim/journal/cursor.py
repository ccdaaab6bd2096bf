"""Where a reader is: a small file of two slots, of which the one that is known to be on disk is never touched.

Overwriting a slot needs no room, so a reader goes on, and lets retention free space, on a disk that is full.
Each slot is one line of JSON, padded to a block of its own.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote
from zlib import crc32

import orjson

from otel_fim.journal import files

SLOT_BYTES: Final = 4096
SUFFIX: Final = ".cursor"
_VERSION: Final = 1
_MAX_NAME_BYTES: Final = 200


class Position(NamedTuple):
    """A place between two lines: in the segment that begins with record `segment`, after `offset` bytes of
    lines; `record` is the number of the record that comes next."""

    segment: int
    offset: int
    record: int


START: Final = Position(0, 0, 0)
"""Before everything: the oldest record that is there comes next."""


@dataclass(slots=True, frozen=True)
class CursorState:
    """`reported` are records (first, and the one after the last) that are lost and whose loss has been told."""

    journal: str
    reader: str
    position: Position = START
    reported: tuple[int, int] = (0, 0)


def cursor_path(directory: Path, reader: str) -> Path:
    """The file of a reader, whose name may hold any character."""
    name = quote(reader, safe="")
    if len(name) > _MAX_NAME_BYTES:
        name = f"{name[:100]}-{hashlib.sha256(reader.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"
    return directory / (name + SUFFIX)


class CursorFile:
    """One reader's file. `saved` is what a power cut leaves at least; `state` what a crash of this process does."""

    def __init__(self, path: Path, descriptor: int, state: CursorState, slot: int, sequence: int) -> None:
        self.state = state
        self.saved = state
        self._path = path
        self._descriptor = descriptor
        self._saved_slot = slot
        self._sequence = sequence
        self._dirty = False
        self._unwritten = False

    @classmethod
    def create(cls, path: Path, state: CursorState) -> CursorFile:
        """A new file, durable. Raises `OSError`, and `ValueError` for a name of some thousand bytes."""
        files.replace_file(path, _slot(state, 1) + _blank())
        return cls(path, files.open_existing(path, write=True), state, 0, 1)

    @classmethod
    def open(cls, path: Path) -> tuple[CursorFile | None, bool]:
        """The file, or None when neither slot can be read; and whether a slot was damaged.

        A power cut may damage the slot that was being written; the other one is then where the reader was
        shortly before.
        """
        descriptor = files.open_existing(path, write=True)
        content = os.pread(descriptor, 2 * SLOT_BYTES, 0)
        slots = [_parse(content[:SLOT_BYTES]), _parse(content[SLOT_BYTES:])]
        damaged = any(
            parsed is None and piece.strip() for parsed, piece in zip(slots, _halves(content), strict=True)
        )
        good = [(parsed[1], index, parsed[0]) for index, parsed in enumerate(slots) if parsed is not None]
        if not good:
            os.close(descriptor)
            return None, True
        sequence, index, state = max(good, key=lambda item: item[0])
        files.sync_data(descriptor)
        return cls(path, descriptor, state, index, sequence), damaged

    def store(self, state: CursorState) -> None:
        """Survives a crash of the process on return, a power cut after `sync`.

        After an `OSError` the file has an older state; `sync` tries again.
        """
        self.state = state
        self._dirty = self._unwritten = True
        self._sequence += 1
        files.write_at(self._descriptor, _slot(state, self._sequence), (1 - self._saved_slot) * SLOT_BYTES)
        self._unwritten = False

    @property
    def dirty(self) -> bool:
        """Whether `sync` has something to do."""
        return self._dirty

    def sync(self) -> None:
        """Makes the stored state durable. Raises `OSError`."""
        if not self._dirty:
            return
        if self._unwritten:
            self.store(self.state)
        state = self.state
        # After a failed fsync the pages count as clean though they are lost: only writing again helps.
        self._unwritten = True
        files.sync_data(self._descriptor)
        self._unwritten = self._dirty = False
        self._saved_slot = 1 - self._saved_slot
        self.saved = state

    def close(self) -> None:
        """Lets go of the file."""
        os.close(self._descriptor)

    def remove(self) -> None:
        """Closes and removes the file, durably."""
        self.close()
        files.remove(self._path)
        files.sync_directory(self._path.parent)


def _halves(content: bytes) -> tuple[bytes, bytes]:
    return content[:SLOT_BYTES], content[SLOT_BYTES:]


def _blank() -> bytes:
    return b" " * (SLOT_BYTES - 1) + b"\n"


def _slot(state: CursorState, sequence: int) -> bytes:
    content = {
        "version": _VERSION,
        "sequence": sequence,
        "journal": state.journal,
        "reader": state.reader,
        "segment": state.position.segment,
        "offset": state.position.offset,
        "record": state.position.record,
        "reported": state.reported,
    }
    content["check"] = _check(content)
    data = orjson.dumps(content)
    if len(data) >= SLOT_BYTES:
        raise ValueError(f"the reader's name {state.reader[:40]!r}… is too long for a cursor")
    return data.ljust(SLOT_BYTES - 1) + b"\n"


def _check(content: dict[str, Any]) -> str:
    return f"{crc32(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)):08x}"


def _parse(data: bytes) -> tuple[CursorState, int] | None:
    try:
        content = orjson.loads(data.strip(b" \n"))
        check = content.pop("check")
        if check != _check(content) or content["version"] != _VERSION:
            return None
        position = Position(content["segment"], content["offset"], content["record"])
        lost_from, lost_to = content["reported"]
        state = CursorState(content["journal"], content["reader"], position, (lost_from, lost_to))
        return state, content["sequence"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def moved(state: CursorState, position: Position) -> CursorState:
    """`state` at another position; a loss that lies behind is forgotten."""
    reported = state.reported if state.reported[1] > position.record else (0, 0)
    return replace(state, position=position, reported=reported)
