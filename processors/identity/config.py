"""`processors.identity`: how long it waits, and how far back it tells."""

from __future__ import annotations

from pydantic import Field

from otel_fim.config.model import ComponentConfig, Duration
from otel_fim.host.process import MAX_ANCESTORS


class IdentityConfig(ComponentConfig):
    """The settings of the identity processor."""

    patience: Duration = 0.25
    """How long a batch may wait for the process table to know of everything that happened before its newest record.
    Mostly that takes less than a millisecond. A table that did not keep up is not waited for again until it does, or
    for a second, then two, up to a minute. `0` never waits: the newest processes are then more often unknown."""
    ancestors: int = Field(default=MAX_ANCESTORS, ge=0, le=MAX_ANCESTORS)
    """How many ancestors `otel_fim.process.ancestors` lists, the parent first; `0` leaves the list out."""
