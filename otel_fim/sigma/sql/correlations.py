"""Correlations as one SELECT over the events of what they refer to.

A window is [t − timespan, t] for each time *t* at which the group has an event. What is in it is worked out in one
pass in the order of time, without looking at each window again: an event arrives at its time and leaves a nanosecond
after it has become too old, so the number in the window is the running sum of what arrived and what left; different
values arrive when they were not there and leave when they do not come again in time; a rule has been seen when its last
event is young enough, and an order of rules when the latest time at which a chain of them could have begun is. Sums,
averages and percentiles are taken over the window's rows (`RANGE`), which costs the number of rows in a window for each
row.

The events are read once for the condition and once more for the evidence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, assert_never

from otel_fim.sigma.ir import (
    Correlation,
    CorrelationType,
    Rule,
    RuleAnd,
    RuleExpression,
    RuleNot,
    RuleOr,
    RuleRef,
    RuleSet,
)
from otel_fim.sigma.sql.conditions import number_text, sign
from otel_fim.sigma.sql.events import ENTITIES, EventFields, Reader, time_literal
from otel_fim.sigma.sql.layout import SqlError
from otel_fim.sigma.sql.quoting import comment, literal, number

EVIDENCE: Final = 100
"""At most this many records of a finding are named."""
_LONG_AGO: Final = "toInt64(-4611686018427387904)"
_NEVER: Final = "toInt64(4611686018427387904)"

_SO_FAR: Final = "PARTITION BY g ORDER BY t ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"
_WAYS: Final = "ARRAY JOIN [toInt64(1), toInt64(-1)] AS way"
"""Each event comes (1) and goes (-1)."""
_TOTALS: Final = ("sum(delta) AS change", "sum(came) AS arrivals", "max(way) > 0 AS is_event")

Lines = list[str]


class Correlations:
    """Makes the statements for the correlations of one set of rules. Raises `SqlError`."""

    def __init__(self, ruleset: RuleSet, reader: Reader) -> None:
        self._rules: Mapping[str, Rule | Correlation] = {
            rule.meta.id: rule for rule in (*ruleset.rules, *ruleset.correlations)
        }
        self._reader = reader

    def findings(self, correlation: Correlation, since: int | None) -> Lines:
        """The whole statement, as lines."""
        entities = dict.fromkeys(ENTITIES, "''")
        for index, key in enumerate(correlation.group_by, start=1):
            for name, at in ENTITIES.items():
                if any(field == at for _, field in key.fields) or key.name == at.name:
                    entities[name] = f"g[{index}]"
        keys = ", ".join(
            f"{literal(key.name)}, g[{i}]" for i, key in enumerate(correlation.group_by, start=1)
        )
        meta = correlation.meta
        columns = [
            "fromUnixTimestamp64Nano(t, 'UTC') AS time",
            f"{literal(meta.id)} AS rule_id",
            f"{literal(meta.title)} AS title",
            f"{literal(meta.level)} AS level",
            *(f"{value} AS {name}" for name, value in entities.items()),
            "'' AS event",
            "'' AS body",
            f"CAST(map({keys}), 'Map(String, String)') AS `group`",
            "value",
            "records AS count",
            "ids AS evidence",
        ]
        inner = self._with_evidence(correlation, since, ())
        return ["SELECT", *_listed(columns), "FROM (", *_indented(inner), ")", "ORDER BY t, g"]

    def _with_evidence(self, correlation: Correlation, since: int | None, above: Sequence[str]) -> Lines:
        """`t`, `g`, `value`, `records`, `ids` of each finding from `since` on."""
        found = self._found(correlation, since, above)
        events = self._events(correlation, _earlier(since, correlation), above, evidence=True)
        return [
            comment("evidence: the oldest events of the window, by their place among the group's events"),
            "SELECT",
            "    f.t AS t, f.g AS g, any(f.value) AS value, any(f.n) AS records,",
            f"    arraySlice(arrayFlatten(arraySort(e -> e.1, groupArray((f.place, e.ids))).2), 1, {EVIDENCE}) AS ids",
            "FROM (",
            "    SELECT t, g, value, n,",
            f"        arrayJoin(range(toUInt64(seen - n + 1), toUInt64(seen - n + 1 + least(n, {EVIDENCE})))) AS place",
            "    FROM (",
            *_indented(found, 2),
            "    )",
            ") AS f",
            "INNER JOIN (",
            "    SELECT g, ids, row_number() OVER (PARTITION BY g ORDER BY t, rule, ids) AS place",
            "    FROM (",
            *_indented(events, 2),
            "    )",
            ") AS e ON e.g = f.g AND e.place = f.place",
            "GROUP BY f.t, f.g",
        ]

    # --- Events --------------------------------------------------------------------------------------------------

    def _events(
        self, correlation: Correlation, since: int | None, above: Sequence[str], *, evidence: bool
    ) -> Lines:
        """`rule`, `t`, `g`, `v`, `has_v`, `ids`, `records` of each event."""
        if correlation.meta.id in above:
            raise SqlError(f"correlation {correlation.meta.title!r} refers to itself")
        above = (*above, correlation.meta.id)
        lines: Lines = []
        for index, rule_id in enumerate(dict.fromkeys(correlation.rules), start=1):
            referred = self._rules.get(rule_id)
            if referred is None:
                raise SqlError(
                    f"correlation {correlation.meta.title!r} refers to {rule_id!r}, which is not there"
                )
            if lines:
                lines.append("UNION ALL")
            if isinstance(referred, Rule):
                lines += self._rule_events(correlation, index, referred, since, evidence=evidence)
            else:
                lines += self._chained_events(correlation, index, referred, since, above, evidence=evidence)
        return lines

    def _rule_events(
        self, correlation: Correlation, index: int, rule: Rule, since: int | None, *, evidence: bool
    ) -> Lines:
        group = []
        for key in correlation.group_by:
            field = dict(key.fields).get(rule.meta.id)
            if field is None:
                raise SqlError(
                    f"correlation {correlation.meta.title!r} has no field of {rule.meta.title!r} for {key.name!r}"
                )
            group.append(field)
        fields = EventFields(index, tuple(group), dict(correlation.value).get(rule.meta.id))
        return self._reader.events(rule, since, fields, evidence=evidence)

    def _chained_events(
        self,
        correlation: Correlation,
        index: int,
        referred: Correlation,
        since: int | None,
        above: Sequence[str],
        *,
        evidence: bool,
    ) -> Lines:
        theirs = [key.name for key in referred.group_by]
        missing = [key.name for key in correlation.group_by if key.name not in theirs]
        places = [
            f"their_g[{theirs.index(key.name) + 1}]" for key in correlation.group_by if key.name in theirs
        ]
        group = f"[{', '.join(places)}]" if places else "emptyArrayString()"
        value, has = "''", "0"
        if correlation.value_name in theirs:
            value, has = f"their_g[{theirs.index(correlation.value_name) + 1}]", "1"
        inner = (
            self._with_evidence(referred, since, above) if evidence else self._found(referred, since, above)
        )
        columns = [
            f"toUInt16({index}) AS rule",
            "t",
            f"{group} AS g",
            f"{value} AS v",
            f"toUInt8({has}) AS has_v",
            f"{'their_ids' if evidence else 'emptyArrayString()'} AS ids",
            f"toUInt64({'their_records' if evidence else '1'}) AS records",
        ]
        renamed = [
            "t",
            "g AS their_g",
            *(["ids AS their_ids", "records AS their_records"] if evidence else []),
        ]
        where = [f"WHERE 0 {comment('it does not group by ' + ', '.join(missing))}"] if missing else []
        inner = [*_select(renamed), "FROM (", *_indented(inner), ")"]
        return [*_select(columns), "FROM (", *_indented(inner), ")", *where]

    # --- Conditions ----------------------------------------------------------------------------------------------

    def _found(self, correlation: Correlation, since: int | None, above: Sequence[str]) -> Lines:
        """`t`, `g`, `value`, `n` (events in the window), `seen` (events of the group so far) of each finding."""
        looked = self._looked(correlation, _earlier(since, correlation), above)
        lines = [
            comment("a finding: the condition holds, and did not at the group's event time before"),
            "SELECT t, g, value, n, seen FROM (",
            "    SELECT t, g, value, n, seen, holds,",
            f"        lagInFrame(holds, 1, toUInt8(0)) OVER ({_SO_FAR}) AS held",
            "    FROM (",
            *_indented(looked, 2),
            "    )",
            ")",
            "WHERE holds AND NOT held",
        ]
        if since is not None:
            lines.append(f"  AND t >= toUnixTimestamp64Nano({time_literal(since)})")
        return lines

    def _looked(self, correlation: Correlation, since: int | None, above: Sequence[str]) -> Lines:
        """`t`, `g`, `n`, `seen`, `value`, `holds` for each time at which a group has an event."""
        span = correlation.timespan_nano
        events = self._events(correlation, since, above, evidence=False)
        match correlation.type:
            case CorrelationType.EVENT_COUNT:
                steps, value = _steps(events, span, {}), "toFloat64(n)"
                levels: list[dict[str, str]] = []
            case CorrelationType.VALUE_COUNT:
                steps, value = _value_steps(events, span), "toFloat64(different)"
                levels = [{"different": "sum(different_change) OVER past"}]
            case CorrelationType.TEMPORAL | CorrelationType.TEMPORAL_ORDERED:
                return self._rules_seen(correlation, events)
            case (
                CorrelationType.VALUE_SUM
                | CorrelationType.VALUE_AVG
                | CorrelationType.VALUE_PERCENTILE
                | CorrelationType.VALUE_MEDIAN
            ):
                self._reader.conditions.numbers = True
                numeric = f"has_v AND {number_text('v')}"
                steps = _steps(events, span, {"numbers": f"groupArrayIf(toFloat64OrZero(v), {numeric})"})
                function = _aggregate(correlation)
                levels = [
                    {
                        "amount": f"{function}(numbers) OVER recent",
                        "known": "sum(length(numbers)) OVER recent",
                    }
                ]
                value = "amount"
            case _:
                assert_never(correlation.type)
        holds = _bounds(correlation, value)
        if "amount" in (levels[0] if levels else {}):
            holds = f"known > 0 AND {holds}"
        return _layers(steps, span, levels, value, holds, f"{correlation.type}: {_words(correlation)}")

    def _rules_seen(self, correlation: Correlation, events: Lines) -> Lines:
        span = correlation.timespan_nano
        numbered = {rule_id: i for i, rule_id in enumerate(dict.fromkeys(correlation.rules), start=1)}
        seen = {f"at_{i}": f"countIf(rule = {i}) > 0" for i in numbered.values()}
        steps = _steps(events, span, seen)
        if correlation.type is CorrelationType.TEMPORAL:
            levels = [
                {f"last_{i}": f"max(if(at_{i}, moment, {_LONG_AGO})) OVER past" for i in numbered.values()}
            ]
            present = {i: f"last_{i} >= moment - {span}" for i in numbered.values()}
            value = "toFloat64(" + " + ".join(f"({each})" for each in present.values()) + ")"
            if correlation.expression is not None:
                holds = _boolean(correlation.expression, {k: present[i] for k, i in numbered.items()})
            elif correlation.condition is not None:
                holds = _bounds(correlation, value)
            else:
                holds = " AND ".join(f"({each})" for each in present.values())
        else:
            levels = []
            for place, rule_id in enumerate(correlation.rules, start=1):
                begun = "moment" if place == 1 else f"chain_{place - 1}"
                at = f"at_{numbered[rule_id]}"
                levels.append({f"chain_{place}": f"max(if({at}, {begun}, {_LONG_AGO})) OVER past"})
            value = f"toFloat64({len(correlation.rules)})"
            holds = f"chain_{len(correlation.rules)} >= moment - {span}"
        return _layers(steps, span, levels, value, holds, f"{correlation.type}: {_words(correlation)}")


def _steps(events: Lines, span: int, columns: Mapping[str, str]) -> Lines:
    """Per group and `moment`: `change` of the number of events in the window, `arrivals`, `is_event`, and `columns`
    (over the events that arrive)."""
    per_time = ["g", "t", "count() AS arrived", *(f"{how} AS {name}_now" for name, how in columns.items())]
    both_ways = [
        "g",
        "way",
        f"if(way > 0, t, t + {span + 1}) AS moment",
        "arrived * way AS delta",
        "if(way > 0, arrived, 0) AS came",
        *(f"if(way > 0, {name}_now, {_nothing(how)}) AS {name}_way" for name, how in columns.items()),
    ]
    return [
        *_select(["g", "moment", *_TOTALS, *(f"argMax({name}_way, way) AS {name}" for name in columns)]),
        "FROM (",
        *_indented(_select(both_ways)),
        "    FROM (",
        *_indented([*_select(per_time), "FROM (", *_indented(events), ")", "GROUP BY g, t"], 2),
        "    )",
        f"    {_WAYS}",
        ")",
        "GROUP BY g, moment",
    ]


def _nothing(how: str) -> str:
    return "[]" if how.startswith("groupArray") else "0"


def _value_steps(events: Lines, span: int) -> Lines:
    """As `_steps`, with `different_change`: a value arrives when it was not in the window already, and leaves when it
    does not come again in time."""
    over = "PARTITION BY g, has_v, v ORDER BY t ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING"
    per_value = [
        "g",
        "t",
        "has_v",
        "arrived",
        f"lagInFrame(t, 1, {_LONG_AGO}) OVER ({over}) AS before",
        f"leadInFrame(t, 1, {_NEVER}) OVER ({over}) AS after",
    ]
    both_ways = [
        "g",
        "way",
        f"if(way > 0, t, t + {span + 1}) AS moment",
        "arrived * way AS delta",
        "if(way > 0, arrived, 0) AS came",
        f"multiIf(NOT has_v, 0, way > 0, before < t - {span}, -(after > t + {span})) AS delta_different",
    ]
    return [
        *_select(["g", "moment", *_TOTALS, "sum(delta_different) AS different_change"]),
        "FROM (",
        *_indented(_select(both_ways)),
        "    FROM (",
        *_indented(_select(per_value), 2),
        "        FROM (",
        "            SELECT g, t, has_v, v, count() AS arrived",
        "            FROM (",
        *_indented(events, 4),
        "            )",
        "            GROUP BY g, t, has_v, v",
        "        )",
        "    )",
        f"    {_WAYS}",
        ")",
        "GROUP BY g, moment",
    ]


def _layers(
    steps: Lines, span: int, levels: Sequence[Mapping[str, str]], value: str, holds: str, words: str
) -> Lines:
    """Running values over `steps`, one level of window functions on top of the other."""
    past = "past AS (PARTITION BY g ORDER BY moment ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"
    recent = f"recent AS (PARTITION BY g ORDER BY moment RANGE BETWEEN {span} PRECEDING AND CURRENT ROW)"
    lines = steps
    for level in [{"n": "sum(change) OVER past", "seen": "sum(arrivals) OVER past"}, *levels]:
        used = [f"{how} AS {name}" for name, how in level.items()]
        window = recent if any("recent" in how for how in level.values()) else past
        lines = [*_select(["*", *used]), "FROM (", *_indented(lines), ")", f"WINDOW {window}"]
    return [
        comment(words),
        *_select(["moment AS t", "g", "n", "seen", f"{value} AS value", f"toUInt8({holds}) AS holds"]),
        "FROM (",
        *_indented(lines),
        ")",
        "WHERE is_event",
    ]


def _aggregate(correlation: Correlation) -> str:
    match correlation.type:
        case CorrelationType.VALUE_SUM:
            return "sumArray"
        case CorrelationType.VALUE_AVG:
            return "avgArray"
        case CorrelationType.VALUE_MEDIAN:
            return "quantileExactInclusiveArray(0.5)"
        case _:
            return f"quantileExactInclusiveArray({number(correlation.percentile / 100)})"


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
            return f"({present[rule_id]})"
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
    return f"within {seconds:g} s" + (f" by {by}" if by else "")


def _earlier(since: int | None, correlation: Correlation) -> int | None:
    """From when on events are read: the window of the event before the first that may be a finding is to be whole."""
    return None if since is None else since - 2 * correlation.timespan_nano


def _select(columns: Sequence[str]) -> Lines:
    return ["SELECT", *_listed(columns)]


def _listed(columns: Sequence[str]) -> Lines:
    return [f"    {column}{',' if i + 1 < len(columns) else ''}" for i, column in enumerate(columns)]


def _indented(lines: Sequence[str], depth: int = 1) -> Lines:
    return [f"{'    ' * depth}{line}" for line in lines]
