"""Random records and random rules: the stream, the table and the page's own words find the same."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_fim.record import Record
from otel_fim.sigma.ir import RuleSet
from tests.sigma.parity import strategies as make
from tests.sigma.parity.engines import check
from tests.sigma.parity.table import Table

_QUICK = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
_SLOW = settings(_QUICK, max_examples=1000)


def rules_agree(table: Table, records: list[Record], rules: RuleSet, timezone: str) -> None:
    check(table, rules, records, timezone)


def correlations_agree(table: Table, records: list[Record], rules: RuleSet) -> None:
    check(table, rules, records)


_of_rules = given(
    records=st.lists(make.records(), min_size=1, max_size=25),
    rules=make.rules(),
    timezone=st.sampled_from(make.ZONES),
)
_of_correlations = given(records=make.group_records(), rules=make.correlated())


@_QUICK
@_of_rules
def test_rules_find_the_same(table: Table, records: list[Record], rules: RuleSet, timezone: str) -> None:
    rules_agree(table, records, rules, timezone)


@_QUICK
@_of_correlations
def test_correlations_find_the_same(table: Table, records: list[Record], rules: RuleSet) -> None:
    correlations_agree(table, records, rules)


@pytest.mark.slow
@pytest.mark.timeout(300)
@_SLOW
@_of_rules
def test_many_rules_find_the_same(table: Table, records: list[Record], rules: RuleSet, timezone: str) -> None:
    rules_agree(table, records, rules, timezone)


@pytest.mark.slow
@pytest.mark.timeout(300)
@_SLOW
@_of_correlations
def test_many_correlations_find_the_same(table: Table, records: list[Record], rules: RuleSet) -> None:
    correlations_agree(table, records, rules)
