"""Correlations as one SELECT over the events of what they refer to.

One part after the other: the events of all referred rules; per group and time what is in the window (`windows`); the
times at which the condition begins to hold; and the events of those windows as evidence. The events are read once for
the condition and once more for the evidence; of a correlation that another refers to, twice for each of the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from otel_fim.sigma.ir import Correlation, CorrelationType, Rule, RuleSet
from otel_fim.sigma.sql.conditions import number_text
from otel_fim.sigma.sql.events import ENTITIES, NO_IDS, EventFields, Reader, time_literal
from otel_fim.sigma.sql.layout import SqlError
from otel_fim.sigma.sql.query import by_id
from otel_fim.sigma.sql.quoting import comment, literal
from otel_fim.sigma.sql.text import Lines, Parts, indented, select
from otel_fim.sigma.sql.windows import LONG_AGO, windows

EVIDENCE: Final = 100
"""At most this many records of a finding are named."""
_SO_FAR: Final = "PARTITION BY g ORDER BY t ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"


class Correlations:
    """Makes the statements for the correlations of one set of rules. Raises `SqlError`."""

    def __init__(self, ruleset: RuleSet, reader: Reader) -> None:
        self._rules = by_id(ruleset)
        self._reader = reader
        self._parts = Parts(reader.table)

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
            "toUInt64(records) AS count",
            "arrayFilter(id -> id != '', arrayMap(e -> e.2, ids)) AS evidence",
        ]
        found = self._with_evidence(correlation, since, ())
        return [*self._parts.lines(), *select(columns), f"FROM {found}", "ORDER BY t, g"]

    def _with_evidence(self, correlation: Correlation, since: int | None, above: Sequence[str]) -> str:
        """The part with `t`, `g`, `value`, `records`, `ids` of each finding from `since` on."""
        found, events = self._found(correlation, since, above)
        if any(isinstance(self._rules[rule_id], Correlation) for rule_id in correlation.rules):
            events = self._events(correlation, _earlier(since, correlation), above, evidence=True)
        newest = f"range(toUInt64(seen - least(n, {EVIDENCE}) + 1), toUInt64(seen + 1))"
        oldest_first = "arraySort(arrayDistinct(arrayFlatten(groupArray(e.ids))))"
        columns = [
            "f.t AS t",
            "f.g AS g",
            "any(f.value) AS value",
            "any(f.records) AS records",
            f"arraySlice({oldest_first}, -{EVIDENCE}) AS ids",
        ]
        lines = [
            comment("evidence: the newest events of the window, by their place among the group's events"),
            *select(columns),
            "FROM (",
            "    SELECT g, ids, row_number() OVER (PARTITION BY g ORDER BY t, ids, rule) AS place",
            f"    FROM {events}",
            ") AS e",
            "INNER JOIN (",
            f"    SELECT t, g, value, records, arrayJoin({newest}) AS place",
            f"    FROM {found}",
            ") AS f ON e.g = f.g AND e.place = f.place",
            "GROUP BY f.t, f.g",
        ]
        return self._parts.add("findings", lines)

    def _found(self, correlation: Correlation, since: int | None, above: Sequence[str]) -> tuple[str, str]:
        """The part with `t`, `g`, `value`, `n`, `records` and `seen` (see `windows`) of each finding, and the one with
        the events that they were found in."""
        events = self._events(correlation, _earlier(since, correlation), above, evidence=False)
        looked = windows(correlation, events, self._parts)
        if _is_numeric(correlation):
            self._reader.conditions.reads_numbers()
        if correlation.type in (CorrelationType.VALUE_PERCENTILE, CorrelationType.VALUE_MEDIAN):
            # Each row has the numbers of its window: few rows at a time, so that they fit into memory.
            self._reader.conditions.settings["max_block_size"] = "1024"
        held = f"lagInFrame(if(holds, t, {LONG_AGO}), 1, {LONG_AGO}) OVER ({_SO_FAR})"
        edges = self._parts.add("edges", [f"SELECT *, {held} AS held_at", f"FROM {looked}"])
        lines = [
            comment(
                "a finding: the condition holds, and did not at the group's event before, if that is not over"
            ),
            "SELECT t, g, value, n, records, seen",
            f"FROM {edges}",
            f"WHERE holds AND held_at < t - {correlation.timespan_nano}",
        ]
        if since is not None:
            lines.append(f"  AND t >= toUnixTimestamp64Nano({time_literal(since)})")
        return self._parts.add("found", lines), events

    # --- Events --------------------------------------------------------------------------------------------------

    def _events(
        self, correlation: Correlation, since: int | None, above: Sequence[str], *, evidence: bool
    ) -> str:
        """The part with `rule`, `t`, `g`, `v`, `ids`, `records` of each event. For the value_ types, what has no value
        (or, where numbers are asked for, none that is a number) is no event. `evidence` matters for the findings of
        correlations only: without it they have no `ids`."""
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
                lines += self._rule_events(correlation, index, referred, since)
            else:
                lines += self._chained_events(correlation, index, referred, since, above, evidence=evidence)
        return self._parts.add("events", lines)

    def _rule_events(self, correlation: Correlation, index: int, rule: Rule, since: int | None) -> Lines:
        group = [dict(key.fields).get(rule.meta.id) for key in correlation.group_by]
        known = tuple(field for field in group if field is not None)
        value = dict(correlation.value).get(rule.meta.id) if _has_value(correlation) else None
        lines = self._reader.events(rule, since, EventFields(index, known, value))
        if len(known) < len(group) or (_has_value(correlation) and value is None):
            lines.append(f"  AND 0 {comment('it has not all that the correlation asks for')}")
        elif _is_numeric(correlation):
            lines = ["SELECT * FROM (", *indented(lines), ")", f"WHERE {number_text('v')}"]
        return lines

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
        places = [f"f.g[{theirs.index(key.name) + 1}]" for key in correlation.group_by if key.name in theirs]
        group = f"[{', '.join(places)}]" if places else "emptyArrayString()"
        value, where = "''", []
        if _has_value(correlation):
            if correlation.value_name in theirs:
                value = f"f.g[{theirs.index(correlation.value_name) + 1}]"
            else:
                missing.append(correlation.value_name)
        if missing:
            where = [f"WHERE 0 {comment('it does not group by ' + ', '.join(missing))}"]
        elif _is_numeric(correlation):
            where = [f"WHERE {number_text(value)}"]
        if evidence:
            inner, ids = self._with_evidence(referred, since, above), "f.ids"
        else:
            (inner, _), ids = self._found(referred, since, above), NO_IDS
        columns = [
            f"toUInt16({index}) AS rule",
            "f.t AS t",
            f"{group} AS g",
            f"{value} AS v",
            f"{ids} AS ids",
            "toUInt64(f.records) AS records",
        ]
        return [*select(columns), f"FROM {inner} AS f", *where]


def _has_value(correlation: Correlation) -> bool:
    return correlation.type.startswith("value_")


def _is_numeric(correlation: Correlation) -> bool:
    return _has_value(correlation) and correlation.type is not CorrelationType.VALUE_COUNT


def _earlier(since: int | None, correlation: Correlation) -> int | None:
    """From when on events are read. The event before the first that may be a finding matters when it is at most a
    timespan older, and so does what is in its window."""
    return None if since is None else since - 2 * correlation.timespan_nano
