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
from dataclasses import dataclass
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
from otel_fim.sigma.sql.conditions import sign
from otel_fim.sigma.sql.layout import SqlError
from otel_fim.sigma.sql.quoting import comment, number
from otel_fim.sigma.sql.text import Lines, Parts, select

LONG_AGO: Final = "toInt64(-4611686018427387904)"
_NEVER: Final = "toInt64(4611686018427387904)"
_FINENESS: Final = 2**64
_LARGEST: Final = 2**120
"""A number in a sum counts as this much at most: 1.3e36."""
_COUNTED: Final = {"n": "toInt64(count())", "records": "toInt64(sum(records))"}
_FRAME: Final = 2**31
"""A RANGE frame takes 32 bits; a longer time is cut into longer steps, and what is too much is left out after."""


def windows(correlation: Correlation, events: str, parts: Parts) -> str:
    """The name of a part with `t`, `g`, `n` (events in the window), `seen` (events of the group so far), `records`
    (that the events in the window rest on), `value` and `holds`, for each time at which a group has an event. `events`
    names the part with the events. Raises `SqlError`."""
    match correlation.type:
        case CorrelationType.EVENT_COUNT:
            return _event_count(_Making(correlation, events, parts))
        case CorrelationType.VALUE_COUNT:
            return _value_count(_Making(correlation, events, parts))
        case CorrelationType.VALUE_SUM | CorrelationType.VALUE_AVG:
            return _value_sum(_Making(correlation, events, parts))
        case CorrelationType.VALUE_PERCENTILE | CorrelationType.VALUE_MEDIAN:
            return _percentile(_Making(correlation, events, parts))
        case CorrelationType.TEMPORAL:
            return _temporal(_Making(correlation, events, parts))
        case CorrelationType.TEMPORAL_ORDERED:
            return _ordered(_Making(correlation, events, parts))
    assert_never(correlation.type)


@dataclass(slots=True, frozen=True)
class _Making:
    """What all steps need."""

    correlation: Correlation
    events: str
    parts: Parts

    def add(self, name: str, lines: Lines) -> str:
        return self.parts.add(name, lines)


# --- The types -----------------------------------------------------------------------------------------------


def _event_count(making: _Making) -> str:
    value = "toFloat64(n)"
    return _looked(making, _steps(making), [], value, _bounds(making.correlation, value))


def _value_count(making: _Making) -> str:
    correlation = making.correlation
    value = "toFloat64(different)"
    levels = [{"different": "sum(different_change) OVER past"}]
    return _looked(making, _value_steps(making), levels, value, _bounds(correlation, value))


def _value_sum(making: _Making) -> str:
    correlation = making.correlation
    limited = f"greatest(least(toFloat64OrZero(v), {_LARGEST}.0), -{_LARGEST}.0)"
    steps = _steps(making, flows={"amount": f"sum(toInt256({limited} * {_FINENESS}.0))"})
    levels = [{"amount": "sum(amount_change) OVER past"}]
    value = f"toFloat64(amount) / {_FINENESS}.0"
    if correlation.type is CorrelationType.VALUE_AVG:
        value = f"{value} / greatest(n, 1)"
    return _looked(making, steps, levels, value, _bounds(correlation, value))


def _percentile(making: _Making) -> str:
    correlation = making.correlation
    span = correlation.timespan_nano
    part = 0.5 if correlation.type is CorrelationType.VALUE_MEDIAN else correlation.percentile / 100
    steps = _steps(making, marks={"numbers": ("groupArray((t, toFloat64OrZero(v)))", "[]")})
    step = span // _FRAME + 1
    near = f"PARTITION BY g ORDER BY step RANGE BETWEEN {span // step + 1} PRECEDING AND CURRENT ROW"
    levels = [
        {"step": f"intDiv(moment, {step})"},
        {"around": f"groupArrayArray(numbers) OVER ({near})"},
        {
            "amounts": "arraySort(arrayMap(e -> e.2, arrayFilter("
            f"e -> e.1 BETWEEN moment - {span} AND moment, around)))"
        },
        {"rank": f"{number(part)} * (toFloat64(length(amounts)) - 1) + 1"},
        {"low": "toUInt32(greatest(rank, 1))"},
    ]
    value = (
        "if(low >= length(amounts), amounts[-1], "
        "amounts[low] + (rank - low) * (amounts[low + 1] - amounts[low]))"
    )
    return _looked(making, steps, levels, value, _bounds(correlation, value))


def _temporal(making: _Making) -> str:
    correlation = making.correlation
    numbered = _numbered(correlation)
    levels = [{f"last_{i}": f"max(if(at_{i}, moment, {LONG_AGO})) OVER past" for i in numbered.values()}]
    present = {
        rule_id: f"(last_{i} >= moment - {correlation.timespan_nano})" for rule_id, i in numbered.items()
    }
    value = f"toFloat64({' + '.join(present.values())})"
    holds = _asked(correlation, present, value) or " AND ".join(present.values())
    return _looked(making, _rule_steps(making), levels, value, holds)


def _ordered(making: _Making) -> str:
    correlation = making.correlation
    numbered = _numbered(correlation)
    span = correlation.timespan_nano
    first = {f"last_{i}": f"max(if(at_{i}, moment, {LONG_AGO})) OVER past" for i in numbered.values()}
    levels: list[dict[str, str]] = []
    begun = "moment"
    for place, rule_id in enumerate(correlation.rules, start=1):
        levels.append({f"chain_{place}": f"max(if(at_{numbered[rule_id]}, {begun}, {LONG_AGO})) OVER past"})
        begun = f"chain_{place}"
    levels[0].update(first)
    present = {rule_id: f"(last_{i} >= moment - {span})" for rule_id, i in numbered.items()}
    value = f"toFloat64({' + '.join(present[rule_id] for rule_id in correlation.rules)})"
    asked = _asked(correlation, present, value)
    holds = f"{begun} >= moment - {span}" + (f" AND ({asked})" if asked else "")
    return _looked(making, _rule_steps(making), levels, value, holds)


# --- Their parts ---------------------------------------------------------------------------------------------


def _rule_steps(making: _Making) -> str:
    marks = {f"at_{i}": (f"countIf(rule = {i}) > 0", "0") for i in _numbered(making.correlation).values()}
    return _steps(making, marks=marks)


def _steps(
    making: _Making,
    *,
    flows: Mapping[str, str] | None = None,
    marks: Mapping[str, tuple[str, str]] | None = None,
) -> str:
    """Per group and `moment`: `n_change`, `records_change` and `arrivals` of events, `is_event`, the changes of `flows`
    (what comes and goes), and `marks` (what is said of the events that come; the second text is what there is without
    any)."""
    flows, marks = {**_COUNTED, **(flows or {})}, marks or {}
    now = [
        *(f"{how} AS {name}_now" for name, how in flows.items()),
        *(f"{how} AS {name}_now" for name, (how, _) in marks.items()),
    ]
    times = making.add("times", [*select(["g", "t", *now]), f"FROM {making.events}", "GROUP BY g, t"])
    return _coming_and_going(
        making,
        times,
        {name: f"{name}_now * way" for name in flows},
        {name: f"if(way > 0, {name}_now, {nothing})" for name, (_, nothing) in marks.items()},
    )


def _value_steps(making: _Making) -> str:
    """As `_steps`, with `different_change`: a value comes when it was not in the window already, and goes when it does
    not come again in time."""
    span = making.correlation.timespan_nano
    over = "PARTITION BY g, v ORDER BY t ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING"
    now = [f"{how} AS {name}_now" for name, how in _COUNTED.items()]
    times = making.add("times", [*select(["g", "t", "v", *now]), f"FROM {making.events}", "GROUP BY g, t, v"])
    around = [
        "*",
        f"lagInFrame(t, 1, {LONG_AGO}) OVER ({over}) AS before",
        f"leadInFrame(t, 1, {_NEVER}) OVER ({over}) AS after",
    ]
    values = making.add("values_around", [*select(around), f"FROM {times}"])
    different = f"if(way > 0, toInt64(before < t - {span}), -toInt64(after > t + {span}))"
    flows = {**{name: f"{name}_now * way" for name in _COUNTED}, "different": different}
    return _coming_and_going(making, values, flows, {})


def _coming_and_going(making: _Making, times: str, flows: Mapping[str, str], marks: Mapping[str, str]) -> str:
    ways = [
        "g",
        "way",
        f"if(way > 0, t, t + {making.correlation.timespan_nano + 1}) AS moment",
        "if(way > 0, n_now, 0) AS came",
        *(f"{how} AS {name}_way" for name, how in (*flows.items(), *marks.items())),
    ]
    totals = [
        "g",
        "moment",
        "max(way) > 0 AS is_event",
        "sum(came) AS arrivals",
        *(f"sum({name}_way) AS {name}_change" for name in flows),
        *(f"argMax({name}_way, way) AS {name}" for name in marks),
    ]
    lines = [
        comment("each event comes (1) at its time, and goes (-1) when it has become too old"),
        *select(ways),
        f"FROM {times}",
        "ARRAY JOIN [toInt64(1), toInt64(-1)] AS way",
    ]
    name = making.add("ways", lines)
    return making.add("moments", [*select(totals), f"FROM {name}", "GROUP BY g, moment"])


def _looked(
    making: _Making, moments: str, levels: Sequence[Mapping[str, str]], value: str, holds: str
) -> str:
    """Running values over `moments`, one level on top of the other, and the condition on top of all."""
    running = {name: f"sum({name}_change) OVER past" for name in _COUNTED}
    source = moments
    for level in [{**running, "seen": "sum(arrivals) OVER past"}, *levels]:
        lines = [*select(["*", *(f"{how} AS {name}" for name, how in level.items())]), f"FROM {source}"]
        if any("OVER past" in how for how in level.values()):
            rows = "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"
            lines.append(f"WINDOW past AS (PARTITION BY g ORDER BY moment {rows})")
        source = making.add("running", lines)
    columns = ["moment AS t", "g", *running, "seen", f"{value} AS value", f"toUInt8({holds}) AS holds"]
    lines = [
        comment(_words(making.correlation)),
        *select(columns),
        f"FROM {source}",
        "WHERE is_event",
    ]
    return making.add("windows", lines)


def _numbered(correlation: Correlation) -> dict[str, int]:
    return {rule_id: i for i, rule_id in enumerate(dict.fromkeys(correlation.rules), start=1)}


def _bounds(correlation: Correlation, value: str) -> str:
    condition = correlation.condition
    if condition is None or not condition.bounds:
        raise SqlError(f"correlation {correlation.meta.title!r} has no condition")
    return " AND ".join(f"{value} {sign(operator)} {number(bound)}" for operator, bound in condition.bounds)


def _asked(correlation: Correlation, present: Mapping[str, str], value: str) -> str:
    """What a temporal correlation's own condition asks for; empty when it has none."""
    if correlation.expression is not None:
        return _boolean(correlation.expression, present)
    return _bounds(correlation, value) if correlation.condition is not None else ""


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
