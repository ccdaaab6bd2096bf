"""`processors.novelty`: how long it learns, how much it remembers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from otel_fim.config.model import ComponentConfig, Duration
from otel_fim.names import NOVELTY_KINDS

Kind = Literal[
    "user",
    "source",
    "user_source",
    "privilege",
    "executable",
    "executable_hash",
    "parent_child",
    "user_executable",
    "listener",
    "persistence",
    "persistence_kind",
]


class NoveltyConfig(ComponentConfig):
    """The settings of the novelty processor."""

    learning_period: Duration = 7 * 86_400
    """How long a host is learnt before anything is called new there, from its first record on. It is time that the
    agent runs: neither the clock nor a pause moves it. A week has the weekly jobs and the days without people; with
    less, what happens once a week is called new when it comes. `0` calls everything new that comes first."""
    rare_days: int = Field(default=3, ge=0, le=14)
    """What was seen on this many of the last 30 days or fewer is rare. Said once a host is known for more than twice
    as many days, when daily things have been seen more often. `0` calls nothing rare."""
    kinds: list[Kind] = Field(default=list(NOVELTY_KINDS), min_length=1)
    """Which things are looked at. One that is added later is learnt from then on."""
    max_entries: int = Field(default=100_000, ge=1_000, le=5_000_000)
    """How many things are remembered, of all hosts together; each kind has its share, so that a flood of one leaves the
    others alone. Above it, the host with the most gives up what it has not seen for longest. 65 bytes of memory
    each, 120 in a flood."""
    max_hosts: int = Field(default=1_000, ge=1, le=100_000)
    """How many hosts are known at a time, told apart by `host.name`. Above it, a host that has been silent for a day
    makes room; when there is none, nothing is called new on the hosts that are too many, and a coverage gap says so."""
