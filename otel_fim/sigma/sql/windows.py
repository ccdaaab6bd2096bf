"""Sliding windows over the events of a correlation, in one pass in the order of time.

A window is [t − timespan, t] for each time *t* at which a group has an event. No window is looked at again: an event
comes at its time and goes a nanosecond after it has become too old, so what is in the window is the running sum of what
came and what went. Different values come when they were not there and go when they do not come again in time; a rule
has been seen when its last event is young enough, and an order of rules when the latest time at which a chain of them
can have begun is.

Sums are taken in whole numbers of 2⁻⁶⁴, in which coming and going leaves no rest behind. A percentile needs the
window's numbers themselves: there, and only there, the cost is the number of events in a window for each time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, assert_never

from otel_fim.sigma.ir import (
    Correlation,
    CorrelationType,
    RuleAnd,
    RuleExpression,
    RuleNot,
    RuleOr,
    RuleRef,
)
from otel_fim.sigma.sql.conditions import number_text, sign
from otel_fim.sigma.sql.layout import SqlError
from otel_fim.sigma.sql.quoting import comment, number
from otel_fim.sigma.sql.text import Lines, indented, select

_LONG_AGO: Final = "toInt64(-4611686018427387904)"
_NEVER: Final = "toInt64(4611686018427387904)"
_WAYS: Final = "ARRAY JOIN [toInt64(1), toInt64(-1)] AS way"
"""Each event comes (1) and goes (-1)."""
_FINENESS: Final = 2**64
_LARGEST: Final = 2**120
"""A number in a sum counts as this much at most: 1.3e36."""
_FRAME: Final = 2**31
"""A RANGE frame takes 32 bits; a longer time is cut into longer steps, and what is too much is left out after."""


def windows(correlation: Correlation, events: Lines) -> Lines:
    """`t`, `g`, `n` (events in the window), `seen` (events of the group so far), `value` and `holds`, for each time at
    which a group has an event. Raises `SqlError`."""
    match correlation.type:
        case CorrelationType.EVENT_COUNT:
            return _event_count(correlation, events)
        case CorrelationType.VALUE_COUNT:
            return _value_count(correlation, events)
        case CorrelationType.VALUE_SUM | CorrelationType.VALUE_AVG:
            return _value_sum(correlation, events)
        case CorrelationType.VALUE_PERCENTILE | CorrelationType.VALUE_MEDIAN:
            return _percentile(correlation, events)
        case CorrelationType.TEMPORAL:
            return _temporal(correlation, events)
        case CorrelationType.TEMPORAL_ORDERED:
            return _ordered(correlation, events)
    assert_never(correlation.type)


# --- The types -----------------------------------------------------------------------------------------------


def _event_count(correlation: Correlation, events: Lines) -> Lines:
    value = "toFloat64(n)"
    return _looked(correlation, _steps(events, correlation), [], value, _bounds(correlation, value))


def _value_count(correlation: Correlation, events: Lines) -> Lines:
    value = "toFloat64(different)"
    levels = [{"different": "sum(different_change) OVER past"}]
    return _looked(correlation, _value_steps(events, correlation), levels, value, _bounds(correlation, value))


def _value_sum(correlation: Correlation, events: Lines) -> Lines:
    numeric = f"has_v AND {number_text('v')}"
    exact = f"toInt256(greatest(least(toFloat64OrZero(v), {_LARGEST}.0), -{_LARGEST}.0) * {_FINENESS}.0)"
    steps = _steps(
        events, correlation, flows={"amount": f"sumIf({exact}, {numeric})", "known": f"countIf({numeric})"}
    )
    levels = [{"amount": "sum(amount_change) OVER past", "known": "sum(known_change) OVER past"}]
    value = f"toFloat64(amount) / {_FINENESS}.0"
    if correlation.type is CorrelationType.VALUE_AVG:
        value = f"if(known > 0, {value} / known, 0)"
    return _looked(correlation, steps, levels, value, f"known > 0 AND {_bounds(correlation, value)}")


def _percentile(correlation: Correlation, events: Lines) -> Lines:
    span = correlation.timespan_nano
    part = 0.5 if correlation.type is CorrelationType.VALUE_MEDIAN else correlation.percentile / 100
    numeric = f"has_v AND {number_text('v')}"
    numbers = f"groupArrayIf((t, toFloat64OrZero(v)), {numeric})"
    steps = _steps(events, correlation, marks={"numbers": (numbers, "[]")})
    step = span // _FRAME + 1
    near = f"PARTITION BY g ORDER BY step RANGE BETWEEN {span // step + 1} PRECEDING AND CURRENT ROW"
    levels = [
        {"step": f"intDiv(moment, {step})"},
        {"around": f"groupArrayArray(numbers) OVER ({near})"},
        {
            "amounts": "arraySort(arrayMap(e -> e.2, arrayFilter("
            f"e -> e.1 BETWEEN moment - {span} AND moment, around)))"
        },
        {"rank": f"greatest(toInt64(length(amounts)) - 1, 0) * {number(part)}"},
    ]
    low, high = "amounts[toUInt32(floor(rank)) + 1]", "amounts[toUInt32(ceil(rank)) + 1]"
    value = f"{low} + ({high} - {low}) * (rank - floor(rank))"
    return _looked(
        correlation, steps, levels, value, f"length(amounts) > 0 AND {_bounds(correlation, value)}"
    )


def _temporal(correlation: Correlation, events: Lines) -> Lines:
    numbered = _numbered(correlation)
    levels = [{f"last_{i}": f"max(if(at_{i}, moment, {_LONG_AGO})) OVER past" for i in numbered.values()}]
    present = {
        rule_id: f"(last_{i} >= moment - {correlation.timespan_nano})" for rule_id, i in numbered.items()
    }
    value = f"toFloat64({' + '.join(present.values())})"
    if correlation.expression is not None:
        holds = _boolean(correlation.expression, present)
    elif correlation.condition is not None:
        holds = _bounds(correlation, value)
    else:
        holds = " AND ".join(present.values())
    return _looked(correlation, _rule_steps(events, correlation), levels, value, holds)


def _ordered(correlation: Correlation, events: Lines) -> Lines:
    numbered = _numbered(correlation)
    levels = []
    begun = "moment"
    for place, rule_id in enumerate(correlation.rules, start=1):
        levels.append({f"chain_{place}": f"max(if(at_{numbered[rule_id]}, {begun}, {_LONG_AGO})) OVER past"})
        begun = f"chain_{place}"
    value = f"toFloat64({len(correlation.rules)})"
    holds = f"{begun} >= moment - {correlation.timespan_nano}"
    return _looked(correlation, _rule_steps(events, correlation), levels, value, holds)


# --- Their parts ---------------------------------------------------------------------------------------------


def _rule_steps(events: Lines, correlation: Correlation) -> Lines:
    marks = {f"at_{i}": (f"countIf(rule = {i}) > 0", "0") for i in _numbered(correlation).values()}
    return _steps(events, correlation, marks=marks)


def _steps(
    events: Lines,
    correlation: Correlation,
    *,
    flows: Mapping[str, str] | None = None,
    marks: Mapping[str, tuple[str, str]] | None = None,
) -> Lines:
    """Per group and `moment`: `n_change` and `arrivals` of events, `is_event`, the changes of `flows` (what comes and
    goes), and `marks` (what is said of the events that come; the second text is what there is without any)."""
    flows, marks = {"n": "toInt64(count())", **(flows or {})}, marks or {}
    per_time = [
        "g",
        "t",
        *(f"{how} AS {name}_now" for name, how in flows.items()),
        *(f"{how} AS {name}_now" for name, (how, _) in marks.items()),
    ]
    both_ways = [
        "g",
        "way",
        f"if(way > 0, t, t + {correlation.timespan_nano + 1}) AS moment",
        "if(way > 0, n_now, 0) AS came",
        *(f"{name}_now * way AS {name}_way" for name in flows),
        *(f"if(way > 0, {name}_now, {nothing}) AS {name}_way" for name, (_, nothing) in marks.items()),
    ]
    totals = [
        "g",
        "moment",
        "max(way) > 0 AS is_event",
        "sum(came) AS arrivals",
        *(f"sum({name}_way) AS {name}_change" for name in flows),
        *(f"argMax({name}_way, way) AS {name}" for name in marks),
    ]
    return [
        *select(totals),
        "FROM (",
        *indented(select(both_ways)),
        "    FROM (",
        *indented([*select(per_time), "FROM (", *indented(events), ")", "GROUP BY g, t"], 2),
        "    )",
        f"    {_WAYS}",
        ")",
        "GROUP BY g, moment",
    ]


def _value_steps(events: Lines, correlation: Correlation) -> Lines:
    """As `_steps`, with `different_change`: a value comes when it was not in the window already, and goes when it does
    not come again in time."""
    span = correlation.timespan_nano
    over = "PARTITION BY g, has_v, v ORDER BY t ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING"
    per_value = [
        "g",
        "t",
        "has_v",
        "n_now",
        f"lagInFrame(t, 1, {_LONG_AGO}) OVER ({over}) AS before",
        f"leadInFrame(t, 1, {_NEVER}) OVER ({over}) AS after",
    ]
    both_ways = [
        "g",
        "way",
        f"if(way > 0, t, t + {span + 1}) AS moment",
        "if(way > 0, n_now, 0) AS came",
        "n_now * way AS n_way",
        f"multiIf(NOT has_v, 0, way > 0, before < t - {span}, -(after > t + {span})) AS different_way",
    ]
    totals = [
        "g",
        "moment",
        "max(way) > 0 AS is_event",
        "sum(came) AS arrivals",
        "sum(n_way) AS n_change",
        "sum(different_way) AS different_change",
    ]
    return [
        *select(totals),
        "FROM (",
        *indented(select(both_ways)),
        "    FROM (",
        *indented(select(per_value), 2),
        "        FROM (",
        "            SELECT g, t, has_v, v, toInt64(count()) AS n_now",
        "            FROM (",
        *indented(events, 4),
        "            )",
        "            GROUP BY g, t, has_v, v",
        "        )",
        "    )",
        f"    {_WAYS}",
        ")",
        "GROUP BY g, moment",
    ]


def _looked(
    correlation: Correlation, steps: Lines, levels: Sequence[Mapping[str, str]], value: str, holds: str
) -> Lines:
    """Running values over `steps`, one level on top of the other, and the condition on top of all."""
    lines = steps
    for level in [{"n": "sum(n_change) OVER past", "seen": "sum(arrivals) OVER past"}, *levels]:
        lines = [
            *select(["*", *(f"{how} AS {name}" for name, how in level.items())]),
            "FROM (",
            *indented(lines),
            ")",
        ]
        if any("OVER past" in how for how in level.values()):
            rows = "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"
            lines.append(f"WINDOW past AS (PARTITION BY g ORDER BY moment {rows})")
    return [
        comment(_words(correlation)),
        *select(["moment AS t", "g", "n", "seen", f"{value} AS value", f"toUInt8({holds}) AS holds"]),
        "FROM (",
        *indented(lines),
        ")",
        "WHERE is_event",
    ]


def _numbered(correlation: Correlation) -> dict[str, int]:
    return {rule_id: i for i, rule_id in enumerate(dict.fromkeys(correlation.rules), start=1)}


def _bounds(correlation: Correlation, value: str) -> str:
    condition = correlation.condition
    if condition is None or not condition.bounds:
        raise SqlError(f"correlation {correlation.meta.title!r} has no condition")
    return " AND ".join(f"{value} {sign(operator)} {number(bound)}" for operator, bound in condition.bounds)


def _boolean(expression: RuleExpression, present: Mapping[str, str]) -> str:
    match expression:
        case RuleRef(rule_id):
            if rule_id not in present:
                raise SqlError(f"the condition names {rule_id!r}, which the correlation does not refer to")
            return present[rule_id]
        case RuleNot(item):
            return f"(NOT {_boolean(item, present)})"
        case RuleAnd(items):
            return f"({' AND '.join(_boolean(each, present) for each in items)})"
        case RuleOr(items):
            return f"({' OR '.join(_boolean(each, present) for each in items)})"
    assert_never(expression)


def _words(correlation: Correlation) -> str:
    seconds = correlation.timespan_nano / 1_000_000_000
    by = ", ".join(key.name for key in correlation.group_by)
    return f"{correlation.type} within {seconds:g} s" + (f" by {by}" if by else "")
