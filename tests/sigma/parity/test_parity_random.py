"""Random records and random rules: the stream, the table and the page's own words find the same."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_fim.exporters.clickhouse.command import statements
from otel_fim.record import Record
from otel_fim.sigma.ir import RuleSet, Source
from otel_fim.sigma.sql import Layout
from tests.sigma.parity import strategies as make
from tests.sigma.parity.engines import by_stream, by_table, check
from tests.sigma.parity.table import Table

# What takes time is that ClickHouse reads a statement, 10 to 30 ms each; rows cost next to nothing. So there are few
# examples with many rows each, and many in the slow tests.
_QUICK = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
_SLOW = settings(_QUICK, max_examples=250)


def rules_agree(table: Table, records: list[Record], rules: RuleSet, timezone: str) -> None:
    check(table, rules, records, timezone)


def correlations_agree(table: Table, records: list[Record], rules: RuleSet) -> None:
    check(table, rules, records)


_of_rules = given(
    records=st.lists(make.records(), min_size=1, max_size=40),
    rules=make.rules(),
    timezone=st.sampled_from(make.ZONES),
)
_of_correlations = given(records=make.group_records(), rules=make.correlated())


@_QUICK
@_of_rules
def test_rules_find_the_same(table: Table, records: list[Record], rules: RuleSet, timezone: str) -> None:
    rules_agree(table, records, rules, timezone)


@_QUICK
@given(make.single_tests())
def test_tests_of_texts_find_the_same(table: Table, drawn: tuple[RuleSet, list[Record]]) -> None:
    check(table, *drawn)


@settings(_QUICK, max_examples=40)
@_of_correlations
def test_correlations_find_the_same(table: Table, records: list[Record], rules: RuleSet) -> None:
    correlations_agree(table, records, rules)


@settings(_QUICK, max_examples=18)
@given(make.group_records(), make.correlated(), st.integers(0, 60), st.integers(1, 60))
def test_a_part_of_the_time_has_what_the_whole_has_in_it(
    table: Table, records: list[Record], rules: RuleSet, since: int, length: int
) -> None:
    whole = by_stream(rules, records)
    table.fill(records)
    start, end = make.START + since, make.START + since + length
    found = by_table(table, rules, since=start, until=end)
    assert found == {each for each in whole if start <= each.time < end}


@pytest.fixture(scope="module")
def real(table: Table) -> str:
    """The exporter's own table, with an index and columns for what is asked often."""
    for statement in list(statements("real"))[:2]:
        table.run(statement)
    return "real.otel_logs"


@settings(_QUICK, max_examples=10)
@given(
    st.lists(make.records(), min_size=1, max_size=25), make.rules(), make.group_records(), make.correlated()
)
def test_columns_of_their_own_say_the_same(
    table: Table,
    real: str,
    records: list[Record],
    rules: RuleSet,
    grouped: list[Record],
    correlated: RuleSet,
) -> None:
    layout = Layout(columns={(Source.RESOURCE, "host.name"): "`__otel_materialized_host.name`"})
    for these, ruleset in ((records, rules), (grouped, correlated)):
        expected = by_stream(ruleset, these)
        table.fill(these, real)
        assert by_table(table, ruleset, name=real, layout=layout) == expected


@pytest.mark.slow
@pytest.mark.timeout(300)
@_SLOW
@_of_rules
def test_many_rules_find_the_same(table: Table, records: list[Record], rules: RuleSet, timezone: str) -> None:
    rules_agree(table, records, rules, timezone)


@pytest.mark.slow
@pytest.mark.timeout(300)
@settings(_QUICK, max_examples=150)
@_of_correlations
def test_many_correlations_find_the_same(table: Table, records: list[Record], rules: RuleSet) -> None:
    correlations_agree(table, records, rules)
