"""How much the windows may hold, and what is told when that is not enough."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(slots=True, frozen=True)
class StateLimits:
    """Bounds over all correlations together.

    `max_bytes` is memory as estimated from Python's own object sizes, with the events that wait for stragglers. When it
    is reached, the evidence that groups keep gets shorter first; then the groups that were active least recently go,
    those of the correlation that holds most. `max_events_per_group` is how many events a group's window may hold; the
    oldest go first.
    """

    max_groups: int = 200_000
    max_bytes: int = 128 * 2**20
    max_events_per_group: int = 100_000


class Cause(StrEnum):
    """Why state was given up before its window was over."""

    GROUPS = "groups"
    """There were more groups than `max_groups`."""
    BYTES = "bytes"
    """They took more than `max_bytes`."""
    EVENTS = "events"
    """A group's window had more events than `max_events_per_group`: the oldest were left out."""
    CLOCK = "clock"
    """The host's clock was set back: windows that lie in the future were given up."""


@dataclass(slots=True, frozen=True)
class Eviction:
    """What a correlation lost: `groups` groups (with `Cause.EVENTS`: groups that lost their oldest events)."""

    correlation_id: str
    groups: int
    cause: Cause
