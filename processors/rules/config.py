"""`processors.rules`: which rules run, and how much correlations may remember."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from otel_fim.config.model import ByteSize, ComponentConfig, Duration
from otel_fim.processors.rules.match.moments import zone_of


class RulesConfig(ComponentConfig):
    """The settings of the rules processor."""

    paths: list[str] = Field(default=[])
    """Folders and files of Sigma rules beside the project's own. In folders all `*.yml` and `*.yaml` are read, except
    `*.samples.yml`. Rules that cannot be used are named in `rejected.txt` in the processor's state directory, the first
    200 of them in the log too, and the others run."""
    pack: bool = True
    """Whether the project's own rules run."""
    exclude: list[str] = Field(default=[])
    """Ids or titles of rules and correlations that make no findings. Correlations still count what an excluded rule
    matches."""
    min_level: Literal["informational", "low", "medium", "high", "critical"] = "informational"
    """Rules and correlations below this level make no findings. Correlations still count what they match."""
    placeholders: dict[str, list[str]] = Field(default={})
    """Values of `%name%` in rules with the modifier `expand`, by name: `admins: [root, alice]`."""
    timezone: str = "local"
    """Where hours and weekdays of rules about times are taken: `local` for the host's own, `UTC`, or a name such as
    `Europe/Berlin`. `otel-fim hunt` with this configuration takes the same."""
    lateness: Duration = 5.0
    """How long correlations wait for events that come out of order. An event that comes later than that is left out
    and counted (`otel_fim_rules_late_events`); findings of correlations come this much later."""
    max_groups: int = Field(default=200_000, ge=1)
    """How many groups (values of `group-by`) all correlations together may remember. Above it those that were quiet
    for longest are forgotten, and a coverage gap says so."""
    max_state_bytes: ByteSize = Field(default=128 * 2**20, ge=2**20)
    """How much memory all of that may take; as above."""
    max_file_size: ByteSize = Field(default=2**20, ge=1)
    """A larger file of rules is rejected."""

    @field_validator("timezone")
    @classmethod
    def _is_known(cls, value: str) -> str:
        zone_of(value)
        return value
