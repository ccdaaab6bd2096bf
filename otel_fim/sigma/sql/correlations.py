"""Correlations as one SELECT over the events of what they refer to.

From inside out: the events of all referred rules; per group and time what is in the window (`windows`); the times at
which the condition begins to hold; and the events of those windows as evidence. The events are read once for the
condition and once more for the evidence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from otel_fim.sigma.ir import Correlation, CorrelationType, Rule, RuleSet
from otel_fim.sigma.sql.events import ENTITIES, EventFields, Reader, time_literal
from otel_fim.sigma.sql.layout import SqlError
from otel_fim.sigma.sql.quoting import comment, literal
from otel_fim.sigma.sql.text import Lines, indented, select
from otel_fim.sigma.sql.windows import windows

EVIDENCE: Final = 100
"""At most this many records of a finding are named."""
_SO_FAR: Final = "PARTITION BY g ORDER BY t ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"


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
        return [*select(columns), "FROM (", *indented(inner), ")", "ORDER BY t, g"]

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
            *indented(found, 2),
            "    )",
            ") AS f",
            "INNER JOIN (",
            "    SELECT g, ids, row_number() OVER (PARTITION BY g ORDER BY t, rule, ids) AS place",
            "    FROM (",
            *indented(events, 2),
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
        inner = [*select(renamed), "FROM (", *indented(inner), ")"]
        return [*select(columns), "FROM (", *indented(inner), ")", *where]

    # --- Conditions ----------------------------------------------------------------------------------------------

    def _found(self, correlation: Correlation, since: int | None, above: Sequence[str]) -> Lines:
        """`t`, `g`, `value`, `n` (events in the window), `seen` (events of the group so far) of each finding."""
        events = self._events(correlation, _earlier(since, correlation), above, evidence=False)
        if correlation.type.startswith("value_") and correlation.type is not CorrelationType.VALUE_COUNT:
            self._reader.conditions.numbers = True
        lines = [
            comment("a finding: the condition holds, and did not at the group's event time before"),
            "SELECT t, g, value, n, seen FROM (",
            "    SELECT t, g, value, n, seen, holds,",
            f"        lagInFrame(holds, 1, toUInt8(0)) OVER ({_SO_FAR}) AS held",
            "    FROM (",
            *indented(windows(correlation, events), 2),
            "    )",
            ")",
            "WHERE holds AND NOT held",
        ]
        if since is not None:
            lines.append(f"  AND t >= toUnixTimestamp64Nano({time_literal(since)})")
        return lines


def _earlier(since: int | None, correlation: Correlation) -> int | None:
    """From when on events are read: the window of the event before the first that may be a finding is to be whole."""
    return None if since is None else since - 2 * correlation.timespan_nano
