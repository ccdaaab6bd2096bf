"""What the configuration's rules processor says of rules: a hunt for all of them asks those that the stream runs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from otel_fim.config.validate import AgentConfig
from otel_fim.sigma.ir import Correlation, Level, Rule

_PROCESSOR: Final = "rules"
_LOCAL: Final = "local"
_LOCALTIME: Final = "/etc/localtime"
_ORDER: Final = {level: number for number, level in enumerate(Level)}


@dataclass(slots=True, frozen=True)
class Standing:
    """Without a configuration it is the pack, all of it, in UTC."""

    pack: bool = True
    paths: tuple[str, ...] = ()
    placeholders: Mapping[str, Sequence[str]] = field(default_factory=dict)
    exclude: frozenset[str] = frozenset()
    min_level: Level = Level.INFORMATIONAL
    timezone: str = "UTC"
    """`local` is the host's own."""

    def runs(self, rule: Rule | Correlation) -> bool:
        """Whether the stream makes findings of it."""
        meta = rule.meta
        silent = not self.exclude.isdisjoint((meta.id, meta.title))
        return rule.emits and not silent and _ORDER[meta.level] >= _ORDER[self.min_level]


def standing_of(config: AgentConfig | None) -> Standing:
    """Of the rules processor that a pipeline uses, or else of any."""
    if config is None:
        return Standing()
    used = {name for pipeline in config.service.pipelines.values() for name in pipeline.processors}
    processors = [spec for spec in config.processors.values() if spec.type == _PROCESSOR]
    processors.sort(key=lambda spec: spec.id not in used)
    if not processors:
        return Standing()
    settings: Any = processors[0].config
    return Standing(
        pack=settings.pack,
        # The child that reads them has a working directory of its own.
        paths=tuple(map(os.path.abspath, settings.paths)),
        placeholders=settings.placeholders,
        exclude=frozenset(settings.exclude),
        min_level=Level(settings.min_level),
        timezone=settings.timezone,
    )


def zone_name(name: str) -> str:
    """The name that ClickHouse knows a time zone by; for `local`, the one that `TZ` or /etc/localtime names, or else
    UTC."""
    if name != _LOCAL:
        return name
    named = os.environ.get("TZ", "").removeprefix(":")
    if not named:
        _, _, named = str(Path(_LOCALTIME).resolve()).partition("/zoneinfo/")
    named = named.removeprefix("posix/").removeprefix("right/")
    try:
        return ZoneInfo(named).key if named else "UTC"
    except (ValueError, OSError, ZoneInfoNotFoundError):
        return "UTC"
