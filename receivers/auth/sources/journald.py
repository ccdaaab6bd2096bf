"""The system's journal, through `journalctl --follow`.

The child is started with `--cursor`, at the last entry that was taken rather than after it: the entry comes first and
is left out, or does not come first, and then it is known that the journal does not have it any more (vacuumed, or
kept in memory over a reboot) and what followed it may be gone with it. That is a gap.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from otel_fim.receivers.auth.event import Entry
from otel_fim.receivers.auth.sources import journalctl
from otel_fim.receivers.auth.sources.file_source import BelledSource
from otel_fim.receivers.auth.sources.framing import REJECTED_LONG
from otel_fim.receivers.auth.sources.journal_entry import JournalEntry, parse_line
from otel_fim.receivers.auth.sources.source import (
    REASON_DESTROYED,
    REASON_ERROR,
    REASON_LIMITED,
    Position,
    Sink,
    StartAt,
)

_CONFIRM_SECONDS: Final = 60.0
"""The entry at the cursor comes at once; a journal that is silent for this long does not have it."""
_RUNNING_SECONDS: Final = 5.0
"""A child that lives this long after others have failed is well."""
_FIRST_WAIT: Final = 1.0
_LONGEST_WAIT: Final = 60.0
_STEADY_SECONDS: Final = 60.0
_SETTLE_SECONDS: Final = 0.05


@dataclass(slots=True, frozen=True)
class _Place:
    """The last entry that was taken, or no entry yet and a time to begin at; `time` is in microseconds."""

    cursor: str | None
    time: int

    def encode(self) -> Position:
        return {"version": 1, "cursor": self.cursor, "time": self.time}

    @classmethod
    def decode(cls, position: Position) -> _Place:
        """Raises `ValueError` for what `encode` has not written."""
        match position:
            case {"version": 1, "cursor": str() | None as cursor, "time": int(moment)} if moment >= 0:
                return cls(cursor, moment)
        raise ValueError("not a position in the journal")

    def seek(self) -> list[str]:
        if self.cursor is not None:
            return [f"--cursor={self.cursor}"]
        return [f"--since=@{self.time // 1_000_000}.{self.time % 1_000_000:06d}"] if self.time else []


class JournaldSource(BelledSource):
    """Follows the journal. `directory` is one with journal files in it, instead of the system's."""

    def __init__(
        self,
        *,
        start_at: StartAt = "end",
        directory: str | None = None,
        confirm: float = _CONFIRM_SECONDS,
    ) -> None:
        super().__init__("journald")
        self._confirm = confirm
        self._start_at = start_at
        self._directory = directory
        self._child: journalctl.Journalctl | None = None
        self._failing = False
        self._place = _Place(None, 0)
        self._started = 0

    def available(self) -> str | None:
        return journalctl.unavailable(self._directory)

    def child_pids(self) -> list[int]:
        """The process of journalctl, while there is one."""
        child = self._child
        return [] if child is None else [child.pid]

    def start(self, sink: Sink, position: Position = None) -> None:
        self._started = time.time_ns() // 1000
        super().start(sink, position)

    def _session(self, sink: Sink) -> None:
        self._place = self._begin(sink)
        wait = _FIRST_WAIT
        while not self._stopping.is_set():
            started = time.monotonic()
            try:
                self._child = journalctl.Journalctl(self._place.seek(), directory=self._directory)
            except OSError as error:
                ending = f"journalctl cannot be started: {error.strerror or error}"
            else:
                try:
                    ending = self._follow(sink, self._child)
                finally:
                    self._child.end()
                    self._child = None
            if self._stopping.is_set() or not ending:
                continue
            if time.monotonic() - started > _STEADY_SECONDS:
                wait = _FIRST_WAIT
            elif not self._failing:
                self._failing = True
                detail = f"the journal is not read: {ending}; trying again, from the last entry that was read"
                sink.gap(REASON_LIMITED, detail, time.time_ns())
            self._stopping.wait(wait)
            wait = min(2 * wait, _LONGEST_WAIT)

    def _begin(self, sink: Sink) -> _Place:
        if self._position is not None:
            try:
                return _Place.decode(self._position)
            except ValueError as error:
                now = time.time_ns()
                sink.gap(REASON_ERROR, f"{error}; it is read from its {self._start_at}", now, now)
        place = _Place(None, self._started if self._start_at == "end" else 0)
        self._hand(sink, [], place.encode())
        return place

    def _follow(self, sink: Sink, child: journalctl.Journalctl) -> str:
        """Reads until the source is stopped or the child ends; why it did, empty to begin anew at once."""
        assert self._bell is not None
        bell = self._bell[1].fileno()
        confirming = self._place.cursor is not None
        started = time.monotonic()
        while not self._stopping.is_set():
            until = self._until(started, confirming)
            left = None if until is None else max(0.0, until - time.monotonic())
            lines = child.lines(bell, left)
            if lines is None:
                return child.last_words()
            if self._failing and time.monotonic() >= started + _RUNNING_SECONDS:
                self._failing = False
                sink.restored(
                    REASON_LIMITED, "the journal is read again, from the last entry that had been read"
                )
            if confirming and not lines and time.monotonic() >= started + self._confirm:
                self._lost(sink, None)
                # The clock may have been set back: what was written since would not be found by the cursor's time.
                self._place = _Place(None, min(self._place.time, time.time_ns() // 1000))
                self._hand(sink, [], self._place.encode())
                return ""
            if child.too_long:
                sink.rejected(REJECTED_LONG, child.too_long)
                child.too_long = 0
            if lines:
                parsed = self._parse(sink, lines)
                if confirming and parsed:
                    confirming = False
                    if parsed[0].cursor == self._place.cursor:
                        del parsed[0]
                    else:
                        self._lost(sink, parsed[0])
                self._take(sink, parsed)
                self._stopping.wait(_SETTLE_SECONDS)
        return ""

    def _until(self, started: float, confirming: bool) -> float | None:
        """How long a child may be silent before something is to be said."""
        if self._failing:
            return started + _RUNNING_SECONDS
        return started + self._confirm if confirming else None

    def _parse(self, sink: Sink, lines: list[bytes]) -> list[JournalEntry]:
        parsed = []
        for line in lines:
            entry = parse_line(line)
            if isinstance(entry, str):
                sink.rejected(entry)
            else:
                parsed.append(entry)
        return parsed

    def _take(self, sink: Sink, parsed: list[JournalEntry]) -> None:
        if parsed:
            place = _Place(parsed[-1].cursor, parsed[-1].realtime)
            entries: list[Entry] = [entry.entry for entry in parsed]
            self._hand(sink, entries, place.encode())
            self._place = place

    def _lost(self, sink: Sink, first: JournalEntry | None) -> None:
        end = time.time_ns() if first is None else first.realtime * 1000
        detail = "the journal does not have the last entry that was read any more, and what followed it may be gone"
        sink.gap(REASON_DESTROYED, detail, self._place.time * 1000, max(end, self._place.time * 1000))
