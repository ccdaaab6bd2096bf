"""The three ways to the findings: the stream, the table, and the page's own words."""

from __future__ import annotations

from collections.abc import Sequence

from otel_fim import names
from otel_fim.processors.rules.engine import Engine
from otel_fim.processors.rules.hits import Hit
from otel_fim.processors.rules.match.view import time_of
from otel_fim.record import Record
from otel_fim.sigma.ir import RuleSet
from otel_fim.sigma.sql import Layout, compile_sql
from tests.sigma.parity.reference import Finding, findings
from tests.sigma.parity.table import Table

LATER = 4_000_000_000_000_000_000
"""A clock that is behind no event."""


def by_stream(ruleset: RuleSet, records: Sequence[Record], timezone: str = "UTC") -> set[Finding]:
    engine = Engine(ruleset, timezone=timezone, lateness_nano=LATER, clock=lambda: LATER)
    assert not engine.rejected, engine.rejected
    found = [*engine.process(records), *engine.flush()]
    assert not engine.failures()
    result = set()
    for each in found:
        if isinstance(each, Hit):
            uid = str(each.record.attributes[names.LOG_RECORD_UID])
            result.add(Finding(each.rule.meta.id, time_of(each.record), (), 1.0, 1, frozenset({uid})))
        else:
            uids = frozenset(seen.uid for seen in each.evidence)
            result.add(
                Finding(
                    each.correlation.meta.id, each.time_unix_nano, each.group, each.value, each.count, uids
                )
            )
    return result


def by_table(
    table: Table,
    ruleset: RuleSet,
    timezone: str = "UTC",
    since: int | None = None,
    until: int | None = None,
    name: str = "otel_logs",
    layout: Layout | None = None,
) -> set[Finding]:
    """Of the rows that the table holds now."""
    keys = {rule.meta.id: [key.name for key in rule.group_by] for rule in ruleset.correlations}
    parts = []
    for rule in (*ruleset.rules, *ruleset.correlations):
        query = compile_sql(
            ruleset, rule.meta.id, table=name, since=since, until=until, timezone=timezone, layout=layout
        )
        columns = "rule_id, toUnixTimestamp64Nano(time) AS t, `group`, value, count, evidence"
        parts.append(f"SELECT {columns} FROM (\n{query.sql}\n)")
    rows = table.rows("SELECT * FROM (\n" + "\nUNION ALL\n".join(parts) + "\n)")
    return {
        Finding(
            row["rule_id"],
            row["t"],
            tuple(row["group"][key] for key in keys.get(row["rule_id"], ())),
            row["value"],
            row["count"],
            frozenset(row["evidence"]),
        )
        for row in rows
    }


def check(table: Table, ruleset: RuleSet, records: Sequence[Record], timezone: str = "UTC") -> set[Finding]:
    """All three find the same; that is what is given. Records get their ids from the stream, as they do in an agent."""
    stream = by_stream(ruleset, records, timezone)
    table.fill(records)
    expected = findings(ruleset, records, timezone)
    assert stream == expected
    assert by_table(table, ruleset, timezone) == expected
    return expected
