"""What each type of correlation finds, in small cases."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from otel_fim.names import LOG_RECORD_UID
from otel_fim.sigma.ir import Condition, Field, GroupKey, Operator, RuleAnd, RuleNot, RuleRef, Source


def test_one_attack_is_one_finding(make: Any) -> None:
    bench = make.bench(make.correlation(at_least=3, span=10))
    records = [bench.add("A", second) for second in (0, 1, 2, 3, 4)]
    found = bench.engine.flush()
    assert bench.plain(found) == [("c", 2.0, ("x",), 3.0)]
    assert [seen.uid for seen in found[0].evidence] == [r.attributes[LOG_RECORD_UID] for r in records[:3]]
    assert [seen.event_name for seen in found[0].evidence] == ["test.event"] * 3
    assert found[0].last is records[2]
    assert found[0].count == 3
    bench.add("A", 20)
    assert bench.flush() == [], "the condition has been false now"
    bench.add("A", 21)
    bench.add("A", 30)
    assert bench.flush() == [("c", 30.0, ("x",), 3.0)]


def test_both_ends_belong_to_the_window(make: Any) -> None:
    bench = make.bench(make.correlation(at_least=2, span=10))
    bench.add("A", 0)
    bench.add("A", 10)
    bench.add("A", 20.000000001)
    bench.add("A", 30.5)
    assert bench.flush() == [("c", 10.0, ("x",), 2.0)]


def test_a_group_that_was_silent_for_longer_than_the_window_begins_anew(make: Any) -> None:
    bench = make.bench(make.correlation(at_least=1, span=10))
    bench.add("A", 0)
    bench.add("A", 5)
    bench.add("A", 15)
    bench.add("A", 25.1)
    assert bench.flush() == [("c", 0.0, ("x",), 1.0), ("c", 25.1, ("x",), 1.0)]


def test_an_event_without_a_value_of_group_by_does_not_count(make: Any) -> None:
    bench = make.bench(make.correlation(at_least=2))
    bench.add("A", 0, who=None)
    bench.add("A", 1, who=None)
    bench.add("A", 2, who="")
    bench.add("A", 3, who="")
    assert bench.flush() == [("c", 3.0, ("",), 2.0)], "an empty value is a value"


def test_without_group_by_there_is_one_group(make: Any) -> None:
    bench = make.bench(make.correlation(at_least=2, group_by=()))
    bench.add("A", 0, who="x")
    bench.add("A", 1, who="y")
    assert bench.flush() == [("c", 1.0, (), 2.0)]


def test_a_list_is_one_value_of_a_group_and_case_counts(make: Any) -> None:
    bench = make.bench(make.correlation(at_least=2))
    for who in (["a", "b"], ["b", "a"], "X", "x", ["a", "b"]):
        bench.add("A", 0, who=who)
    assert bench.flush() == [("c", 0.0, ('["a","b"]',), 2.0)]


def test_an_alias_takes_each_rules_own_field(make: Any) -> None:
    key = GroupKey("who", (("A", Field(Source.ATTRIBUTE, "who")), ("B", Field(Source.ATTRIBUTE, "value"))))
    bench = make.bench(make.correlation(kind="temporal", rules="AB", group_by=(key,)))
    bench.add("A", 0, who="root", value="x")
    bench.add("B", 1, who="root", value="y")
    assert bench.flush() == []
    bench.add("B", 2, who="z", value="root")
    assert bench.flush() == [("c", 2.0, ("root",), 2.0)]


@pytest.mark.parametrize(("order", "found"), [("ACB", 0), ("ABC", 1), ("ABAC", 1), ("CAB", 0), ("BACBC", 1)])
def test_order_is_order(make: Any, order: str, found: int) -> None:
    bench = make.bench(make.correlation(kind="temporal_ordered", rules="ABC"))
    for second, rule in enumerate(order):
        bench.add(rule, second)
    assert len(bench.flush()) == found


def test_ordered_events_of_one_instant_count_as_in_order(make: Any) -> None:
    bench = make.bench(make.correlation(kind="temporal_ordered", rules="ABC"))
    for rule in "CBA":
        bench.add(rule, 1)
    assert bench.flush() == [("c", 1.0, ("x",), 3.0)]


def test_ordered_events_must_lie_within_the_window_all_of_them(make: Any) -> None:
    bench = make.bench(make.correlation(kind="temporal_ordered", rules="ABC", span=10))
    bench.add("A", 0)
    bench.add("B", 6)
    bench.add("A", 9)
    bench.add("C", 11)
    assert bench.flush() == [], "the A before B is over, the other comes behind it"
    bench.add("B", 12)
    bench.add("C", 13)
    assert bench.flush() == [("c", 13.0, ("x",), 3.0)]


@pytest.mark.parametrize("kind", ["temporal", "temporal_ordered", "event_count"])
def test_events_of_another_group_never_count(make: Any, kind: str) -> None:
    bench = make.bench(make.correlation(kind=kind, rules="AB", at_least=2 if kind == "event_count" else None))
    bench.add("A", 0, who="x")
    bench.add("B", 1, who="y")
    assert bench.flush() == []
    bench.add("B", 2, who="x")
    assert bench.flush() == [("c", 2.0, ("x",), 2.0)]


def test_temporal_with_a_number_of_rules_and_with_an_expression(make: Any) -> None:
    two = make.correlation("two", "temporal", "ABC", at_least=2)
    expression = RuleAnd((RuleRef("A"), RuleNot(RuleRef("B"))))
    alone = make.correlation("alone", "temporal", "AB", expression=expression)
    bench = make.bench(two, alone)
    bench.add("A", 0)
    bench.add("B", 1)
    bench.add("A", 11.5)
    assert bench.flush() == [
        ("alone", 0.0, ("x",), 1.0),
        ("two", 1.0, ("x",), 2.0),
        ("alone", 11.5, ("x",), 1.0),
    ]


def test_several_bounds_must_all_hold(make: Any) -> None:
    between = Condition(((Operator.GT, 1.0), (Operator.LT, 3.0)))
    bench = make.bench(replace(make.correlation(), condition=between))
    for second in range(4):
        bench.add("A", second)
    assert bench.flush() == [("c", 1.0, ("x",), 2.0)]


def test_values_are_counted_once_each_and_leave_with_the_window(make: Any) -> None:
    bench = make.bench(make.correlation(kind="value_count", at_least=3))
    for second, value in enumerate(["a", "a", "b", "A", None]):
        bench.add("A", second, value=value)
    assert bench.flush() == [("c", 3.0, ("x",), 3.0)]
    bench.add("A", 12.5, value="c")
    assert bench.flush() == [], "two of the three are over: the condition is false"
    bench.add("A", 12.6, value="d")
    assert bench.flush() == [("c", 12.6, ("x",), 3.0)]


def test_long_values_are_told_apart(make: Any) -> None:
    bench = make.bench(make.correlation(kind="value_count", at_least=2))
    for second, value in enumerate(["y" * 5000, "y" * 5000, "y" * 4999 + "z"]):
        bench.add("A", second, value=value)
    assert bench.flush() == [("c", 2.0, ("x",), 2.0)]


@pytest.mark.parametrize(
    ("kind", "more", "expected"),
    [
        ("value_sum", {}, 16.0),
        ("value_avg", {}, 4.0),
        ("value_median", {}, 2.5),
        ("value_percentile", {"percentile": 90.0}, 7.9),
        ("value_percentile", {"percentile": 0.0}, 1.0),
        ("value_percentile", {"percentile": 100.0}, 10.0),
    ],
)
def test_numbers(make: Any, kind: str, more: dict[str, Any], expected: float) -> None:
    correlation = make.correlation(kind=kind, **more)
    exact = Condition(((Operator.GT, -100.0),))
    bench = make.bench(replace(correlation, condition=exact))
    for value in ("10", 1, "2", "3.0", "no number", "", "0x10", "inf"):
        bench.add("A", 1, value=value)
    ((_, _, _, value),) = bench.flush()
    assert value == pytest.approx(expected)


def test_a_sum_does_not_drift(make: Any) -> None:
    correlation = make.correlation(kind="value_sum", span=1)
    equal = Condition(((Operator.EQ, 0.3),))
    bench = make.bench(replace(correlation, condition=equal))
    for second in range(0, 3000, 3):
        bench.add("A", second, value="1e300" if second % 2 else "0.1")
    bench.add("A", 9000, value="0.3")
    assert bench.flush() == [("c", 9000.0, ("x",), 0.3)]


def test_findings_are_events_of_another_correlation_at_the_same_time(make: Any) -> None:
    burst = make.correlation("burst", at_least=2, span=5, emits=False)
    chain = make.correlation("chain", "temporal_ordered", ("burst", "B"), span=10)
    many = make.correlation(
        "many", "value_count", ("burst",), at_least=2, group_by=(), value=(), value_name="who"
    )
    bench = make.bench(burst, chain, many)
    records = [bench.add("A", second) for second in (0, 1)]
    records.append(bench.add("B", 4))
    bench.add("A", 5, who="y")
    bench.add("A", 6, who="y")
    found = bench.engine.flush()
    assert bench.plain(found) == [("chain", 4.0, ("x",), 2.0), ("many", 6.0, (), 2.0)]
    assert [seen.uid for seen in found[0].evidence] == [r.attributes[LOG_RECORD_UID] for r in records]
    assert found[0].count == 3
    assert found[1].count == 4
    assert found[0].last is records[2]


def test_a_group_by_that_the_referred_correlation_lacks_never_finds(make: Any) -> None:
    burst = make.correlation("burst", at_least=1, group_by=())
    bench = make.bench(burst, make.correlation("outer", rules=("burst",), at_least=1, group_by=(make.who,)))
    bench.add("A", 0)
    assert bench.flush() == [("burst", 0.0, (), 1.0)]


def test_rules_that_nothing_refers_to_are_ignored(make: Any) -> None:
    bench = make.bench(make.correlation(at_least=1))
    assert bench.engine.wants("A")
    assert not bench.engine.wants("B")
    bench.add("B", 0)
    assert bench.flush() == []
    assert bench.engine.groups == bench.engine.waiting == 0


def test_evidence_is_of_the_newest_hundred_records(make: Any) -> None:
    bench = make.bench(make.correlation(at_least=1000, span=5000))
    records = [bench.add("A", second) for second in range(1000)]
    (found,) = bench.engine.flush()
    assert [seen.uid for seen in found.evidence] == [r.attributes[LOG_RECORD_UID] for r in records[-100:]]
    assert [seen.time_unix_nano for seen in found.evidence] == [r.time_unix_nano for r in records[-100:]]
    assert found.count == 1000


@pytest.mark.parametrize("kind", ["event_count", "value_count", "value_avg", "value_percentile", "temporal"])
def test_a_large_window_costs_no_more_for_each_event(make: Any, kind: str) -> None:
    """Quadratic work on this many would not end before the test is killed."""
    bench = make.bench(make.correlation(kind=kind, at_least=10**9, span=10**6))
    for number in range(30_000):
        bench.engine.add(bench.rules["A"], bench.record(number / 10, value=number * 7919 % 30_000))
        if number % 1000 == 0:
            bench.clock.to(number / 10)
            bench.engine.due()
    assert bench.flush() == []
