"""What a source is, and what the receiver gives it.

A source reads one place (the journal, a log file, the kernel's audit) on a thread of its own and hands `Entry`
values to its sink. With each batch goes a position: JSON that only the source understands, which stands for
everything that the source has told its sink so far, gaps and rejected input included. The receiver keeps the
position, atomically, after the records made of that batch are durable, and gives the newest kept one back at the
next start. So a kill at any moment loses nothing.

It is at-least-once: what was handed over and was not durable, or was durable with the position not yet kept, is
handed over again. Such a duplicate has the same `source` and `Entry.identity` as before: the journal's cursor; inode,
offset and checksum in a file; time and serial number of an audit message; line, process and time of a row in utmp.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final, Literal, Protocol, TypeAlias

from otel_fim.receivers.auth.event import Entry

Position: TypeAlias = "str | int | float | bool | list[Position] | dict[str, Position] | None"
"""Anything that `json` writes and reads back equal. None: there is none yet."""

StartAt: TypeAlias = Literal["end", "beginning"]
"""Where a source begins that has no position: with what comes from now on, or with what is there."""

# Reasons of gaps; those of names.OTEL_FIM_COVERAGE_REASON where it has one.
REASON_MISSING: Final = "path_missing"
REASON_DENIED: Final = "permission_denied"
REASON_ERROR: Final = "io_error"
REASON_OVERFLOW: Final = "queue_overflow"
REASON_LIMITED: Final = "backend_limited"
REASON_STOPPED: Final = "agent_stopped"
REASON_DESTROYED: Final = "log_destroyed"
"""A log was truncated, replaced, compressed or vacuumed before its end was read."""


class Sink(Protocol):
    """Takes what one source tells. Called from the source's thread only, in order; may wait (back pressure).

    `entries` may raise `StoppingError`: the batch was not taken, the source ends and its last position stands.
    """

    def entries(self, entries: Sequence[Entry], position: Position) -> None:
        """A batch, in the order of the source, and the position after it. An empty batch only moves the position."""

    def rejected(self, reason: str, count: int = 1) -> None:
        """Input that is malformed, counted by reason (a short constant such as `bad_timestamp`)."""

    def gap(self, reason: str, detail: str, start_ns: int, end_ns: int | None = None) -> None:
        """What could not be seen, between two times in ns since the epoch.

        Without an end the gap is open until `restored` is called with the same reason. A source has at most one
        open gap of each reason.
        """

    def restored(self, reason: str, detail: str) -> None:
        """The open gap of this reason is over, now."""


class Source(ABC):
    """One place that tells of logins. `name` is what `Entry.source` says: journald, audit, wtmp, a file's path."""

    name: str

    @abstractmethod
    def available(self) -> str | None:
        """None when the source can be used here; else the reason, a sentence for people without a full stop.

        May be asked at any time before `start`, costs a few system calls, never raises. A source that is not
        available may be started all the same: it tells a gap and waits for what is missing (a file that appears
        later, rights that are given), except for a kind of source that this system does not have.
        """

    @abstractmethod
    def start(self, sink: Sink, position: Position = None) -> None:
        """Begins to read, on a thread of its own, after `position`. Called once; does not raise.

        A position that the source does not understand (of another version, damaged) counts as none, and is told
        as a gap.
        """

    @abstractmethod
    def stop(self, timeout: float) -> bool:
        """Ends reading within `timeout` seconds; False when the thread did not end (its sink holds it up)."""
