"""What the engine gives: a rule that matched a record, and a correlation that came true."""

from __future__ import annotations

from dataclasses import dataclass

from otel_fim.record import Record
from otel_fim.sigma.ir import Correlation, Rule


@dataclass(slots=True, frozen=True)
class Hit:
    """A rule matched one record."""

    rule: Rule
    record: Record


@dataclass(slots=True, frozen=True)
class Seen:
    """What a correlation keeps of a record that counted: its uid (`log.record.uid`), time (nanoseconds since the epoch)
    and event name."""

    uid: str
    time_unix_nano: int
    event_name: str


@dataclass(slots=True, frozen=True)
class Correlated:
    """A correlation's condition became true for a group at `time_unix_nano`, the time of the event that made it so.

    `group` has the values of `correlation.group_by`, in order, `value` what the condition was met by, `evidence` the
    records in the window, oldest first (at most 100), `count` how many there were. `last` is the newest record of the
    evidence when it is still at hand.
    """

    correlation: Correlation
    time_unix_nano: int
    group: tuple[str, ...]
    value: float
    evidence: tuple[Seen, ...]
    count: int
    last: Record | None = None
