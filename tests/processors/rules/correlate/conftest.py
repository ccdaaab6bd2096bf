"""Rules, correlations and records in few words."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from otel_fim.names import LOG_RECORD_UID
from otel_fim.processors.rules.correlate import Correlator, StateLimits
from otel_fim.record import Record
from otel_fim.sigma.ir import (
    Condition,
    Const,
    Correlation,
    CorrelationType,
    Field,
    GroupKey,
    Meta,
    Operator,
    Rule,
    RuleSet,
    Source,
)

SECOND = 10**9
START = 1_768_314_735 * SECOND
WHO = GroupKey("who", tuple((name, Field(Source.ATTRIBUTE, "who")) for name in "ABC"))
VALUE = tuple((name, Field(Source.ATTRIBUTE, "value")) for name in "ABC")


class Clock:
    """Stands still until it is moved; seconds after the start."""

    def __init__(self) -> None:
        self.nano = START

    def __call__(self) -> int:
        return self.nano

    def to(self, seconds: float) -> None:
        self.nano = START + round(seconds * SECOND)


class Bench:
    """An engine whose clock is `clock`; records are made and found by seconds after the start."""

    def __init__(self, *correlations: Correlation, lateness: float = 0, **limits: int) -> None:
        self.rules = {name: Rule(Meta(name, name), Const(True)) for name in "ABC"}
        self.clock = Clock()
        self.limits = StateLimits(**limits)
        self.ruleset = RuleSet(tuple(self.rules.values()), correlations)
        self.lateness = round(lateness * SECOND)
        self.engine = self.another()
        self.number = 0

    def another(self, ruleset: RuleSet | None = None) -> Correlator:
        """A new engine of the same kind."""
        return Correlator(
            ruleset or self.ruleset, lateness_nano=self.lateness, limits=self.limits, clock=self.clock
        )

    def record(self, seconds: float, who: str | None = "x", value: Any = None, **more: Any) -> Record:
        self.number += 1
        attributes = {LOG_RECORD_UID: f"{self.number:026d}", **more}
        if who is not None:
            attributes["who"] = who
        if value is not None:
            attributes["value"] = value
        moment = START + round(seconds * SECOND)
        return Record(moment, moment, "test.event", attributes=attributes)

    def add(self, rule: str, seconds: float, who: str | None = "x", value: Any = None) -> Record:
        """An event that the rule matched, and that comes no earlier than it happened."""
        record = self.record(seconds, who, value)
        self.clock.nano = max(self.clock.nano, record.time_unix_nano)
        self.engine.add(self.rules[rule], record)
        return record

    def due(self, at: float | None = None) -> list[tuple[str, float, tuple[str, ...], float]]:
        """What is found now, or at a time: id, seconds, group, value."""
        if at is not None:
            self.clock.to(at)
        return self.plain(self.engine.due())

    def flush(self) -> list[tuple[str, float, tuple[str, ...], float]]:
        return self.plain(self.engine.flush())

    @staticmethod
    def plain(found: list[Any]) -> list[tuple[str, float, tuple[str, ...], float]]:
        return [(f.correlation.meta.id, (f.time_unix_nano - START) / SECOND, f.group, f.value) for f in found]


def correlation(
    name: str = "c",
    kind: str = "event_count",
    rules: str | tuple[str, ...] = "A",
    span: float = 10,
    at_least: float | None = None,
    group_by: tuple[GroupKey, ...] = (WHO,),
    **more: Any,
) -> Correlation:
    """A correlation of rules A, B, C by the attribute `who`, of the attribute `value`."""
    condition = None if at_least is None else Condition(((Operator.GTE, float(at_least)),))
    more.setdefault("value", VALUE if kind.startswith("value_") else ())
    return Correlation(
        Meta(name, name),
        CorrelationType(kind),
        tuple(rules),
        round(span * SECOND),
        group_by,
        condition,
        **more,
    )


@pytest.fixture
def make() -> SimpleNamespace:
    """`make.bench(*correlations, lateness, max_groups...)` and `make.correlation(...)`."""
    return SimpleNamespace(bench=Bench, correlation=correlation, start=START, second=SECOND, who=WHO)
