"""The engine against docs/detection.md taken literally: lists, and a look at every window anew."""

from __future__ import annotations

import itertools
import math
import operator
import statistics
from collections.abc import Callable, Sequence
from fractions import Fraction
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_fim.processors.rules.correlate import Correlator, StateLimits
from otel_fim.processors.rules.hits import Correlated
from otel_fim.record import Record, Resource
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
    RuleAnd,
    RuleExpression,
    RuleNot,
    RuleOr,
    RuleRef,
    RuleSet,
    Source,
)
from otel_fim.sigma.values import number_of, text_of

SECOND = 10**9
START = 1_768_314_735 * SECOND
NOW = START + 3600 * SECOND
RULES = {name: Rule(Meta(name, name), Const(True)) for name in "ABC"}
Found = tuple[str, int, tuple[str, ...], float, int, tuple[str, ...]]
Hit = tuple[str, Record]


# --- docs/detection.md, literally --------------------------------------------------------------------------


class Event:
    def __init__(
        self,
        rule: str,
        time: int,
        group: tuple[str, ...],
        value: Any,
        evidence: set[tuple[int, str]],
        count: int,
    ) -> None:
        self.rule, self.time, self.group = rule, time, group
        self.value, self.evidence, self.count = value, evidence, count


def text_in(record: Record, field: Field) -> str | None:
    attributes = record.attributes if field.source is Source.ATTRIBUTE else record.resource.attributes
    return text_of(attributes[field.name]) if field.name in attributes else None


def value_for(correlation: Correlation, text: str) -> Any:
    if correlation.type is CorrelationType.VALUE_COUNT:
        return text
    return number_of(text)


def events_of(correlation: Correlation, hits: Sequence[Hit], findings: dict[str, list[Any]]) -> list[Event]:
    events = []
    wants = correlation.type.startswith("value_")
    for rule_id in dict.fromkeys(correlation.rules):
        for name, record in hits:
            if name != rule_id:
                continue
            group = [text_in(record, dict(key.fields)[rule_id]) for key in correlation.group_by]
            text = text_in(record, dict(correlation.value)[rule_id]) if wants else ""
            value = None if text is None else value_for(correlation, text) if wants else ""
            if None in group or value is None:
                continue
            uid = str(record.attributes["log.record.uid"])
            time = record.time_unix_nano
            events.append(Event(rule_id, time, tuple(map(str, group)), value, {(time, uid)}, 1))
        for inner, event in findings.get(rule_id, []):
            names = [key.name for key in inner.group_by]
            group = [event.group[names.index(key.name)] for key in correlation.group_by]
            value = value_for(correlation, event.group[names.index(correlation.value_name)]) if wants else ""
            if value is not None:
                events.append(Event(rule_id, event.time, tuple(group), value, event.evidence, event.count))
    return events


COMPARE: dict[Operator, Callable[[Any, Any], bool]] = {each: getattr(operator, alias) for each, alias in zip(
    Operator, ("eq", "ne", "lt", "le", "gt", "ge"), strict=True
)}  # fmt: skip


def meets(correlation: Correlation, value: float) -> bool:
    assert correlation.condition is not None
    return all(COMPARE[each](value, bound) for each, bound in correlation.condition.bounds)


def true_for(expression: RuleExpression, seen: set[str]) -> bool:
    match expression:
        case RuleRef(rule_id):
            return rule_id in seen
        case RuleNot(item):
            return not true_for(item, seen)
        case RuleAnd(items):
            return all(true_for(each, seen) for each in items)
        case RuleOr(items):
            return any(true_for(each, seen) for each in items)


def look(correlation: Correlation, window: list[Event]) -> tuple[float, bool]:
    values = [event.value for event in window]
    match correlation.type:
        case CorrelationType.EVENT_COUNT:
            value: float = len(window)
        case CorrelationType.VALUE_COUNT:
            value = len(set(values))
        case CorrelationType.VALUE_SUM:
            value = float(sum(map(Fraction, values)))
        case CorrelationType.VALUE_AVG:
            value = float(sum(map(Fraction, values)) / len(values))
        case CorrelationType.VALUE_MEDIAN:
            value = statistics.median(values)
        case CorrelationType.VALUE_PERCENTILE:
            # quantiles() wants two points at least, and gives those between 1 and 99 of a hundred parts.
            points = values if len(values) > 1 else values * 2
            value = statistics.quantiles(points, n=100, method="inclusive")[int(correlation.percentile) - 1]
        case _:
            seen = {event.rule for event in window}
            value = len(seen)
            if correlation.expression is not None:
                holds = true_for(correlation.expression, seen)
            elif correlation.condition is not None:
                holds = meets(correlation, value)
            else:
                holds = seen == set(correlation.rules)
            if correlation.type is CorrelationType.TEMPORAL_ORDERED:
                rows = itertools.product(
                    *([e.time for e in window if e.rule == r] for r in correlation.rules)
                )
                holds = holds and any(list(row) == sorted(row) for row in rows)
            return value, holds
    return value, meets(correlation, value)


def reference(ruleset: RuleSet, hits: Sequence[Hit]) -> list[Found]:
    findings: dict[str, list[Any]] = {}
    found: list[Found] = []
    for correlation in ruleset.correlations:
        made = findings.setdefault(correlation.meta.id, [])
        events = events_of(correlation, hits, findings)
        for group in {event.group for event in events}:
            own = [event for event in events if event.group == group]
            before, held = 0, False
            for time in sorted({event.time for event in own}):
                low = time - correlation.timespan_nano
                window = [event for event in own if low <= event.time <= time]
                value, holds = look(correlation, window)
                if holds and not (held and before >= low):
                    evidence = set().union(*(event.evidence for event in window))
                    count = sum(event.count for event in window)
                    made.append((correlation, Event("", time, group, None, evidence, count)))
                    uids = tuple(uid for _, uid in sorted(evidence)[-100:])
                    if correlation.emits:
                        found.append((correlation.meta.id, time, group, value, count, uids))
                before, held = time, holds
    return sorted(found)


# --- Random rules and streams ------------------------------------------------------------------------------

PLAIN = GroupKey("who", tuple((name, Field(Source.ATTRIBUTE, "who")) for name in "ABC"))
ALIAS = GroupKey(
    "who",
    (
        ("A", Field(Source.ATTRIBUTE, "who")),
        ("B", Field(Source.ATTRIBUTE, "whom")),
        ("C", Field(Source.ATTRIBUTE, "who")),
    ),
)
HOST = GroupKey("host", tuple((name, Field(Source.RESOURCE, "host.name")) for name in "ABC"))
VALUE = tuple((name, Field(Source.ATTRIBUTE, "value")) for name in "ABC")
GROUPINGS = [(), (PLAIN,), (ALIAS,), (HOST,), (ALIAS, HOST)]
RESOURCES = [Resource({"host.name": "h1"}), Resource({"host.name": "h2"})]
KINDS = list(CorrelationType)
TEMPORAL = (CorrelationType.TEMPORAL, CorrelationType.TEMPORAL_ORDERED)


@st.composite
def conditions(draw: st.DrawFn, kind: CorrelationType) -> Condition | None:
    if kind in TEMPORAL and draw(st.booleans()):
        return None
    numbers = (
        st.integers(0, 4) if not kind.startswith("value_") or kind == "value_count" else st.integers(-3, 12)
    )
    bound = st.tuples(st.sampled_from(Operator), numbers.map(float))
    return Condition(tuple(draw(st.lists(bound, min_size=1, max_size=2))))


def expressions(names: Sequence[str]) -> st.SearchStrategy[RuleExpression]:
    refs: st.SearchStrategy[Any] = st.sampled_from(names).map(RuleRef)
    return st.recursive(
        refs,
        lambda inner: st.one_of(
            inner.map(RuleNot),
            st.lists(inner, min_size=1, max_size=3).map(lambda items: RuleAnd(tuple(items))),
            st.lists(inner, min_size=1, max_size=3).map(lambda items: RuleOr(tuple(items))),
        ),
        max_leaves=4,
    )


@st.composite
def correlations(draw: st.DrawFn, number: int, inner: Sequence[Correlation]) -> Correlation:
    kind = draw(st.sampled_from(KINDS))
    chained = bool(inner) and draw(st.booleans())
    rules = draw(st.lists(st.sampled_from("ABC"), min_size=0 if chained else 1, max_size=3, unique=True))
    grouping = draw(st.sampled_from(GROUPINGS))
    value_name = "value"
    if chained:
        below = draw(st.sampled_from(inner))
        names = [key.name for key in below.group_by]
        grouping = tuple(key for key in grouping if key.name in names)
        value_name = draw(st.sampled_from(names)) if names else ""
        if not names and kind.startswith("value_"):
            kind = CorrelationType.EVENT_COUNT
        rules = draw(st.permutations([*rules, below.meta.id]))
    expression = None
    if kind is CorrelationType.TEMPORAL and draw(st.booleans()):
        expression = draw(expressions(rules))
    return Correlation(
        Meta(f"c{number}", f"c{number}"),
        kind,
        tuple(rules),
        draw(st.integers(1, 12)) * SECOND,
        grouping,
        draw(conditions(kind)),
        VALUE if kind.startswith("value_") else (),
        value_name,
        float(draw(st.integers(1, 99))),
        expression,
        emits=draw(st.integers(0, 9)) > 0,
    )


@st.composite
def rulesets(draw: st.DrawFn) -> RuleSet:
    made: list[Correlation] = []
    for number in range(draw(st.integers(1, 3))):
        made.append(draw(correlations(number, made)))
    return RuleSet(tuple(RULES.values()), tuple(made))


TEXTS = st.sampled_from(["1", "2", "3", "0.1", "0.2", "1e3", "-7", "none", "", 4, 2.5])


@st.composite
def streams(draw: st.DrawFn) -> list[Hit]:
    """Hits in order of time, with many at the same."""
    hits = []
    time = START
    for number in range(draw(st.integers(0, 25))):
        time += draw(st.sampled_from([0, 0, SECOND, SECOND, 2 * SECOND, 5 * SECOND, 9 * SECOND, 20 * SECOND]))
        attributes = {"log.record.uid": f"{number:04d}"}
        for name in ("who", "whom"):
            if draw(st.integers(0, 7)):
                attributes[name] = draw(st.sampled_from(["1", "2"]))
        if draw(st.integers(0, 7)):
            attributes["value"] = draw(TEXTS)
        record = Record(
            time, time, f"e{number % 3}", attributes=attributes, resource=draw(st.sampled_from(RESOURCES))
        )
        for rule in draw(st.sampled_from(["A", "B", "C", "AB"])):
            hits.append((rule, record))
    return hits


def plain(findings: Sequence[Correlated]) -> list[Found]:
    return sorted(
        (f.correlation.meta.id, f.time_unix_nano, f.group, f.value, f.count, tuple(s.uid for s in f.evidence))
        for f in findings
    )


def same(found: Sequence[Correlated], expected: list[Found]) -> None:
    got = plain(found)
    assert [(*each[:3], *each[4:]) for each in got] == [(*each[:3], *each[4:]) for each in expected]
    for one, other in zip(got, expected, strict=True):
        assert math.isclose(one[3], other[3], rel_tol=1e-12, abs_tol=1e-12)


def correlator(ruleset: RuleSet, lateness: int = 10 * SECOND) -> Correlator:
    return Correlator(ruleset, lateness_nano=lateness, limits=StateLimits(), clock=lambda: NOW)


relaxed = settings(
    deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@relaxed
@given(rulesets(), streams())
def test_the_engine_finds_what_the_page_says(ruleset: RuleSet, hits: list[Hit]) -> None:
    engine = correlator(ruleset)
    for name, record in hits:
        engine.add(RULES[name], record)
    same(engine.flush(), reference(ruleset, hits))


def arrivals(hits: list[Hit], chance: Random) -> list[tuple[Record, list[str]]]:
    """The records in an order in which none is late, each with the rules that it matched."""
    records: dict[str, tuple[Record, list[str]]] = {}
    for name, record in hits:
        records.setdefault(str(record.attributes["log.record.uid"]), (record, []))[1].append(name)
    return sorted(records.values(), key=lambda each: each[0].time_unix_nano + chance.randint(0, 10 * SECOND))


@relaxed
@given(rulesets(), streams(), st.integers(0, 2**32))
def test_order_of_arrival_and_restarts_do_not_show(ruleset: RuleSet, hits: list[Hit], seed: int) -> None:
    chance = Random(seed)
    engine = correlator(ruleset)
    found: list[Correlated] = []
    for record, names in arrivals(hits, chance):
        for name in names:
            engine.add(RULES[name], record)
        if chance.random() < 0.4:
            found += engine.due()
        if chance.random() < 0.3:
            state = engine.state()
            engine = correlator(ruleset)
            assert engine.restore(state) == []
    found += engine.flush()
    assert engine.late == 0
    same(found, reference(ruleset, hits))


@relaxed
@given(rulesets(), streams(), st.integers(0, 2**32))
def test_a_kill_loses_no_finding_and_makes_none_twice(ruleset: RuleSet, hits: list[Hit], seed: int) -> None:
    """The state is of some time before; the journal has everything up to the kill, findings behind their events."""
    chance = Random(seed)
    arriving = arrivals(hits, chance)
    saved = chance.randint(0, len(arriving))
    killed = chance.randint(saved, len(arriving))
    engine = Correlator(ruleset, lateness_nano=10 * SECOND, limits=StateLimits(), clock=lambda: START - 1)
    engine._clock = lambda: NOW
    journal: list[Correlated] = []
    state = engine.state()
    for number, (record, names) in enumerate(arriving[:killed]):
        for name in names:
            engine.add(RULES[name], record)
        if number + 1 == saved:
            state = engine.state()
        if chance.random() < 0.5:
            journal += engine.due()
    again = correlator(ruleset)
    again.restore(state)
    for found in journal:
        again.told(found.correlation.meta.id, found.time_unix_nano, found.group)
    for record, names in arriving[:killed]:
        if record.observed_time_unix_nano >= again.replay_from:
            for name in names:
                again.replay(RULES[name], record)
    journal += again.replayed()
    for record, names in arriving[killed:]:
        for name in names:
            again.add(RULES[name], record)
        journal += again.due()
    journal += again.flush()
    same(journal, reference(ruleset, hits))
