"""All cursors of a journal: those of open readers, and the files of readers that are not open."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from otel_fim.journal import files
from otel_fim.journal.cursor import SUFFIX, CursorFile, CursorState, Position, cursor_path
from otel_fim.journal.notice import JournalNotice
from otel_fim.journal.reader import JournalReader
from otel_fim.journal.segment import Segment
from otel_fim.journal.source import DamagedRegionError, open_source
from otel_fim.journal.state import JournalState

NOBODY: Final = 2**63
"""`delivered` when there is no reader."""


@dataclass(slots=True)
class _Resting:
    """A cursor file without a reader; `problem` is told when the reader comes."""

    file: CursorFile | None
    damaged: bool
    position: Position | None = None
    problem: str | None = None


def read_cursor_files(directory: Path) -> dict[str, _Resting]:
    """The cursor files of a journal, by the reader's name; makes the directory."""
    files.make_directory(directory)
    found: dict[str, _Resting] = {}
    for path in sorted(directory.glob(f"*{SUFFIX}")):
        cursor, damaged = CursorFile.open(path)
        name = unquote(path.name.removesuffix(SUFFIX)) if cursor is None else cursor.state.reader
        found[name] = _Resting(cursor, damaged)
    return found


def journals_of(resting: dict[str, _Resting]) -> set[str]:
    """The ids of the journals that the cursors belong to."""
    return {item.file.state.journal for item in resting.values() if item.file is not None}


def positions(resting: dict[str, _Resting], journal: str) -> list[Position]:
    """Where the readers of this journal were."""
    return [
        item.file.state.position
        for item in resting.values()
        if item.file is not None and item.file.state.journal == journal
    ]


class CursorSet:
    """Opens readers at their cursors and knows what all of them have delivered."""

    def __init__(
        self,
        directory: Path,
        journal: str,
        resting: dict[str, _Resting],
        state: JournalState,
        sync_interval: float,
        logger: logging.Logger,
        notify: Callable[[JournalNotice], None],
        on_moved: Callable[[], None],
    ) -> None:
        self._directory = directory
        self._journal = journal
        self._state = state
        self._sync_interval = sync_interval
        self._logger = logger
        self._notify = notify
        self._on_moved = on_moved
        self._lock = threading.Lock()
        self._resting = resting
        self._readers: dict[str, JournalReader] = {}
        self._wanted: frozenset[str] | None = None
        for item in resting.values():
            self._place(item)

    # --- Readers ---------------------------------------------------------------------------------------

    def open(self, name: str) -> JournalReader:
        """The reader with this name, at its cursor; a new one starts with the oldest record there is."""
        with self._lock:
            reader = self._readers.get(name)
            if reader is not None and not reader.closed:
                return reader
            resting = self._resting.pop(name, None)
            if resting is None and cursor_path(self._directory, name).exists():
                resting = _Resting(*CursorFile.open(cursor_path(self._directory, name)))
                self._place(resting)
            if resting is None or resting.file is None:
                file = CursorFile.create(
                    cursor_path(self._directory, name), CursorState(self._journal, name, self._oldest())
                )
            else:
                file = resting.file
            position = resting.position if resting is not None and resting.position else self._oldest()
            if file.state.journal != self._journal:
                file.store(CursorState(self._journal, name, position))
            reader = JournalReader(
                name,
                self._state,
                file,
                position,
                self._sync_interval,
                self._logger,
                self._notify,
                self._on_moved,
            )
            self._readers[name] = reader
            if self._wanted is not None:
                self._wanted |= {name}
        if resting is not None and resting.problem is not None:
            self._notify(
                JournalNotice(
                    "cursor_reset", "io_error", f"{name}: {resting.problem}", records_lost=0, reader=name
                )
            )
        return reader

    def want(self, names: Iterable[str]) -> None:
        """Only these readers hold back retention from now on."""
        with self._lock:
            self._wanted = frozenset(names)
        self._on_moved()

    def names(self) -> list[str]:
        """All readers that have a cursor."""
        with self._lock:
            return sorted({*self._resting, *self._readers})

    def remove(self, name: str) -> None:
        """Forgets a reader and its cursor."""
        with self._lock:
            reader, resting = self._readers.pop(name, None), self._resting.pop(name, None)
            if self._wanted is not None:
                self._wanted -= {name}
            if reader is not None:
                reader.close()
            if resting is not None and resting.file is not None:
                resting.file.close()
            files.remove(cursor_path(self._directory, name))
            files.sync_directory(self._directory)
        self._on_moved()

    # --- For maintenance -------------------------------------------------------------------------------

    def sync(self) -> None:
        """Makes all cursors durable."""
        for reader in self._open_readers():
            reader.sync()

    def check(self) -> None:
        """Has every reader report what it lost."""
        for reader in self._open_readers():
            reader.check()

    def delivered(self) -> int:
        """The first record that some reader still needs, `NOBODY` when there is no reader."""
        with self._lock:
            known = {name: reader.saved_record for name, reader in self._readers.items()}
            for name, item in self._resting.items():
                known[name] = item.position.record if item.position is not None else 0
            if self._wanted is not None:
                # A reader that is configured but has no cursor yet will want everything.
                known = {name: known.get(name, 0) for name in self._wanted}
        return min(known.values(), default=NOBODY)

    def close(self) -> None:
        """Closes all readers, their cursors durable."""
        for reader in self._open_readers():
            reader.close()
        with self._lock:
            for item in self._resting.values():
                if item.file is not None:
                    item.file.close()
            self._resting.clear()

    def _open_readers(self) -> list[JournalReader]:
        with self._lock:
            return list(self._readers.values())

    # --- Where a cursor leads ----------------------------------------------------------------------------

    def _oldest(self) -> Position:
        with self._state.changed:
            first = self._state.first_record
        return Position(first, 0, first)

    def _place(self, item: _Resting) -> None:
        """Finds out where a cursor leads, and whether that is what it says."""
        if item.file is None:
            item.position = self._oldest()
            item.problem = "its cursor file is empty or damaged; all that the journal has is delivered again"
            return
        item.position, item.problem = self._resolve(item.file.state)
        if item.problem is None and item.damaged:
            item.problem = "its cursor file was damaged; what came after the copy before is delivered again"

    def _resolve(self, cursor: CursorState) -> tuple[Position, str | None]:
        position, state = cursor.position, self._state
        if cursor.journal != self._journal:
            return self._oldest(), "its cursor belongs to another journal; all that this one has is delivered"
        if position.record > state.durable_next:
            return self._oldest(), (
                f"its cursor is at record {position.record}, beyond the journal's end ({state.durable_next - 1}); "
                "all that the journal has is delivered again"
            )
        segment = state.find(position.segment)
        if segment is not None:
            length, end = state.extent(segment)
            if (
                position.offset <= length
                and position.record <= end
                and _at_line_start(segment, position.offset)
            ):
                return position, None
        elif position.record < state.first_record:
            return position, None  # let go by retention; the reader tells what was lost
        elif position.record == state.durable_next:
            return Position(state.active.first, state.durable_length, position.record), None
        segment = segment or state.holding(position.record) or state.segments[0]
        return Position(segment.first, 0, segment.first), (
            f"its cursor does not fit the lines of the journal; {segment.name} is delivered again from its start"
        )


def _at_line_start(segment: Segment, offset: int) -> bool:
    if offset == 0:
        return True
    try:
        source = open_source(segment)
    except OSError:
        return True  # the reader will tell
    try:
        return source.fetch(offset - 1, 1) == b"\n"
    except DamagedRegionError:
        return True
    finally:
        source.close()
