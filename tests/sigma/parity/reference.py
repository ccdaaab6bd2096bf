"""docs/detection.md, word by word: slow, and as short as can be. Both engines are held against it."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass

from otel_fim import names
from otel_fim.names import events
from otel_fim.processors.rules.match.interpret import holds
from otel_fim.processors.rules.match.view import ABSENT, getter, text_form, time_of
from otel_fim.record import Record
from otel_fim.sigma.ir import (
    Correlation,
    CorrelationType,
    Field,
    Operator,
    Rule,
    RuleAnd,
    RuleExpression,
    RuleNot,
    RuleOr,
    RuleRef,
    RuleSet,
)
from otel_fim.sigma.values import number_of

_COMPARE = {
    Operator.EQ: operator.eq,
    Operator.NEQ: operator.ne,
    Operator.LT: operator.lt,
    Operator.LTE: operator.le,
    Operator.GT: operator.gt,
    Operator.GTE: operator.ge,
}


@dataclass(frozen=True)
class Finding:
    """What is compared: `group` and `evidence` are empty for a rule about one record but for its own id."""

    rule_id: str
    time: int
    group: tuple[str, ...]
    value: float
    count: int
    evidence: frozenset[str]


@dataclass(frozen=True)
class _Event:
    rule_id: str
    time: int
    group: tuple[str, ...]
    value: str
    uids: tuple[tuple[int, str], ...]
    records: int


def _is_looked_at(rule: Rule, record: Record) -> bool:
    """Findings only by rules that name them."""
    if rule.event_names is None:
        return record.event_name != events.FINDING
    return record.event_name in rule.event_names


def findings(ruleset: RuleSet, records: Sequence[Record], timezone: str = "UTC") -> set[Finding]:
    """All findings of all rules and correlations."""
    result: set[Finding] = set()
    matched: dict[str, list[Record]] = {}
    for rule in ruleset.rules:
        found = [
            record
            for record in records
            if _is_looked_at(rule, record) and holds(rule.condition, record, timezone=timezone)
        ]
        matched[rule.meta.id] = found
        result |= {
            Finding(rule.meta.id, time_of(each), (), 1.0, 1, frozenset({_uid(each)})) for each in found
        }
    chained: dict[str, tuple[Correlation, list[_Event]]] = {}
    for correlation in ruleset.correlations:
        events = [
            event
            for rule_id in dict.fromkeys(correlation.rules)
            for event in (
                _chained(correlation, rule_id, *chained[rule_id])
                if rule_id in chained
                else _events(correlation, rule_id, matched[rule_id])
            )
        ]
        found_events = _correlate(correlation, events)
        chained[correlation.meta.id] = correlation, [event for event, _ in found_events]
        for event, value in found_events:
            uids = frozenset(uid for _, uid in event.uids)
            result.add(Finding(correlation.meta.id, event.time, event.group, value, event.records, uids))
    return result


def _uid(record: Record) -> str:
    return str(record.attributes.get(names.LOG_RECORD_UID, ""))


def _text(field: Field | None, record: Record) -> str | None:
    if field is None:
        return None
    value = getter(field)(record)
    return None if value is ABSENT else text_form(value)  # type: ignore[arg-type]


def _has_value(correlation: Correlation) -> bool:
    return correlation.type.startswith("value_")


def _counts(correlation: Correlation, value: str | None) -> bool:
    if not _has_value(correlation):
        return True
    if value is None:
        return False
    return correlation.type is CorrelationType.VALUE_COUNT or number_of(value) is not None


def _events(correlation: Correlation, rule_id: str, records: Sequence[Record]) -> list[_Event]:
    found = []
    for record in records:
        group = [_text(dict(key.fields).get(rule_id), record) for key in correlation.group_by]
        value = _text(dict(correlation.value).get(rule_id), record)
        if None not in group and _counts(correlation, value):
            uids = ((time_of(record), _uid(record)),)
            found.append(_Event(rule_id, time_of(record), tuple(map(str, group)), value or "", uids, 1))
    return found


def _chained(
    correlation: Correlation, rule_id: str, inner: Correlation, events: Sequence[_Event]
) -> list[_Event]:
    found = []
    for event in events:
        by_name = dict(zip([key.name for key in inner.group_by], event.group, strict=True))
        group = [by_name.get(key.name) for key in correlation.group_by]
        value = by_name.get(correlation.value_name)
        if None not in group and _counts(correlation, value):
            found.append(
                _Event(rule_id, event.time, tuple(map(str, group)), value or "", event.uids, event.records)
            )
    return found


def _correlate(correlation: Correlation, events: Sequence[_Event]) -> list[tuple[_Event, float]]:
    found = []
    for group in {event.group for event in events}:
        ours = sorted((event for event in events if event.group == group), key=lambda event: event.time)
        before: int | None = None
        held = False
        for time in sorted({event.time for event in ours}):
            window = [event for event in ours if time - correlation.timespan_nano <= event.time <= time]
            if before is None or before < time - correlation.timespan_nano:
                held = False
            value, now = _measure(correlation, window)
            if now and not held:
                newest = sorted(window, key=lambda event: (event.time, event.uids))[-100:]
                uids = tuple(sorted({uid for event in newest for uid in event.uids})[-100:])
                records = sum(event.records for event in window)
                found.append((_Event("", time, group, "", uids, records), value))
            before, held = time, now
    return found


def _measure(correlation: Correlation, window: Sequence[_Event]) -> tuple[float, bool]:
    kind = correlation.type
    if kind in (CorrelationType.TEMPORAL, CorrelationType.TEMPORAL_ORDERED):
        return _seen(correlation, window)
    if kind is CorrelationType.EVENT_COUNT:
        value = float(len(window))
    elif kind is CorrelationType.VALUE_COUNT:
        value = float(len({event.value for event in window}))
    else:
        numbers = sorted(float(event.value) for event in window)
        if kind is CorrelationType.VALUE_SUM:
            value = sum(numbers)
        elif kind is CorrelationType.VALUE_AVG:
            value = sum(numbers) / len(numbers)
        else:
            part = 0.5 if kind is CorrelationType.VALUE_MEDIAN else correlation.percentile / 100
            rank = part * (len(numbers) - 1)
            low = int(rank)
            high = min(low + 1, len(numbers) - 1)
            value = numbers[low] + (rank - low) * (numbers[high] - numbers[low])
    return value, _meets(correlation, value)


def _meets(correlation: Correlation, value: float) -> bool:
    assert correlation.condition is not None
    return all(_COMPARE[each](value, bound) for each, bound in correlation.condition.bounds)


def _seen(correlation: Correlation, window: Sequence[_Event]) -> tuple[float, bool]:
    ordered = correlation.type is CorrelationType.TEMPORAL_ORDERED
    rules = correlation.rules if ordered else tuple(dict.fromkeys(correlation.rules))
    seen = {event.rule_id for event in window}
    value = float(sum(rule_id in seen for rule_id in rules))
    if correlation.expression is not None:
        result = _asked(correlation.expression, seen)
    elif correlation.condition is not None:
        result = _meets(correlation, value)
    else:
        result = value == len(rules)
    return value, result and (not ordered or _in_order(rules, window, -1))


def _in_order(rules: Sequence[str], window: Sequence[_Event], after: int) -> bool:
    if not rules:
        return True
    times = [event.time for event in window if event.rule_id == rules[0] and event.time >= after]
    return bool(times) and _in_order(rules[1:], window, min(times))


def _asked(expression: RuleExpression, seen: set[str]) -> bool:
    match expression:
        case RuleRef(rule_id):
            return rule_id in seen
        case RuleNot(item):
            return not _asked(item, seen)
        case RuleAnd(items):
            return all(_asked(each, seen) for each in items)
        case RuleOr(items):
            return any(_asked(each, seen) for each in items)


__all__ = ["Finding", "findings"]
