"""The project's own rules find the same in the table as in the stream, in all the records of their samples."""

from __future__ import annotations

from pathlib import Path

import pytest

from otel_fim.processors.rules.command.samples import read_samples
from otel_fim.record import Record, Resource
from otel_fim.sigma.ir import Correlation, Rule, RuleSet
from otel_fim.sigma.load import load_rules, pack_path
from otel_fim.sigma.sql import compile_sql
from tests.sigma.parity.engines import by_stream
from tests.sigma.parity.table import Table


def records_of_samples() -> list[Record]:
    """All of them, each case on hosts of its own."""
    found = []
    for number, path in enumerate(sorted(Path(str(pack_path())).glob("linux/*/*.samples.yml"))):
        for case_number, case in enumerate(read_samples(str(path))):
            for record in case.records:
                name = str(record.resource.attributes["host.name"])
                host = f"{number}-{case_number}-{name}"
                record.resource = Resource({**record.resource.attributes, "host.name": host})
                found.append(record)
    return found


def told_by_table(table: Table, ruleset: RuleSet) -> set[tuple[str, int, frozenset[str]]]:
    found = set()
    everything: tuple[Rule | Correlation, ...] = (*ruleset.rules, *ruleset.correlations)
    for rule in everything:
        if not rule.emits:
            continue
        query = compile_sql(ruleset, rule.meta.id)
        columns = "rule_id, toUnixTimestamp64Nano(time) AS t, evidence"
        for row in table.rows(f"SELECT {columns} FROM (\n{query.sql}\n)"):
            found.add((row["rule_id"], row["t"], frozenset(row["evidence"])))
    return found


@pytest.mark.timeout(180)
def test_stream_and_table_agree(tmp_path: Path) -> None:
    ruleset = load_rules([pack_path()])
    records = records_of_samples()
    stream = {(each.rule_id, each.time, each.evidence) for each in by_stream(ruleset, records)}
    assert len(stream) > 400
    table = Table(tmp_path / "store")
    try:
        table.fill(records)
        assert told_by_table(table, ruleset) == stream
    finally:
        table.stop()
