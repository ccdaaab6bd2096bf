"""State is bounded, honestly weighed, and what that costs is told."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import pytest

from otel_fim.names import LOG_RECORD_UID
from otel_fim.processors.rules.correlate import Cause, Eviction

KINDS = [
    *("event_count", "value_count", "value_sum", "value_avg", "value_percentile", "value_median"),
    *("temporal", "temporal_ordered"),
]


def test_the_group_that_was_active_least_recently_goes(make: Any) -> None:
    bench = make.bench(make.correlation(at_least=2), max_groups=3)
    for second, who in enumerate("abcad"):
        bench.add("A", second, who=who)
    bench.flush()
    assert bench.engine.evictions() == [Eviction("c", 1, Cause.GROUPS)]
    assert bench.engine.groups == 3
    bench.add("A", 5, who="c")
    assert bench.flush() == [("c", 5.0, ("c",), 2.0)]
    bench.add("A", 6, who="b")
    assert bench.flush() == [], "b had been given up"


def test_groups_that_are_over_go_first_and_are_no_loss(make: Any) -> None:
    bench = make.bench(make.correlation(at_least=2, span=10), max_groups=3, lateness=1)
    for second, who in ((0, "a"), (1, "b"), (2, "c"), (15, "d"), (16, "e"), (17, "f")):
        bench.add("A", second, who=who)
    bench.flush()
    assert bench.engine.groups == 3
    assert bench.engine.evictions() == []


def test_what_waits_behind_still_finds_its_group_when_others_are_given_up(make: Any) -> None:
    """All of it is looked at in one go: the bound is met long before the time that the last event shows."""
    bench = make.bench(make.correlation(at_least=2, span=10), max_groups=3)
    for second, who in ((0, "w"), (1, "x"), (2, "y"), (3, "z"), (4, "x"), (1000, "late")):
        bench.add("A", second, who=who)
    assert bench.due() == [("c", 4.0, ("x",), 2.0)]
    assert bench.engine.evictions() == [Eviction("c", 1, Cause.GROUPS)]


def test_the_correlation_that_has_most_groups_gives_up(make: Any) -> None:
    few = make.correlation("few", rules="B", at_least=2)
    bench = make.bench(make.correlation("many", at_least=2), few, max_groups=20)
    bench.add("B", 0, who="kept")
    for number in range(100):
        bench.add("A", 1 + number / 100, who=str(number))
    bench.add("B", 3, who="kept")
    assert bench.flush() == [("few", 3.0, ("kept",), 2.0)]
    assert bench.engine.evictions() == [Eviction("many", 81, Cause.GROUPS)]


def test_a_window_of_too_many_events_loses_its_oldest(make: Any) -> None:
    bench = make.bench(make.correlation(kind="value_sum", at_least=1000, span=1000), max_events_per_group=10)
    for second in range(25):
        bench.add("A", second, value=99)
    bench.add("A", 25, value=109)
    assert bench.flush() == [("c", 25.0, ("x",), 1000.0)]
    assert bench.engine.evictions() == [Eviction("c", 1, Cause.EVENTS)], "told once for the group"


def test_evidence_gets_shorter_before_groups_go(make: Any) -> None:
    bench = make.bench(make.correlation(at_least=200, span=1000), max_bytes=1_500_000)
    found = []
    for number in range(20_000):
        bench.add("A", number / 1000, who=str(number % 100))
        if number % 100 == 0:
            found += bench.engine.due()
    found += bench.engine.flush()
    assert len(found) == 100
    assert all(each.count == 200 and 6 <= len(each.evidence) < 100 for each in found)
    assert bench.engine.evictions() == []
    assert bench.engine.memory_bytes <= 1_500_000


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_stay_at_their_bound(make: Any, kind: str) -> None:
    bound = 1_000_000
    bench = make.bench(make.correlation(kind=kind, at_least=10**9, span=10**6), max_bytes=bound)
    most = 0
    for number in range(8000):
        bench.add("A", number / 1000, who=f"group {number % 4000}", value=str(number))
        if number % 200 == 0:
            bench.due()
        most = max(most, bench.engine.memory_bytes)
    assert bound / 2 < most <= bound
    lost = bench.engine.evictions()
    assert [(each.correlation_id, each.cause) for each in lost] == [("c", Cause.BYTES)]
    assert lost[0].groups > 1000


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("groups", "events"), [(1000, 1), (100, 20), (2, 1500)])
def test_the_estimate_is_what_python_takes(make: Any, kind: str, groups: int, events: int) -> None:
    bench = make.bench(make.correlation(kind=kind, at_least=10**9, span=10**6))
    bench.add("A", 0, who="first", value="1")
    bench.due()
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(groups * events):
            bench.add("A", number / 1000, who=f"group {number % groups}", value=str(groups * 10**6 + number))
            if number % 500 == 0:
                bench.due()
        bench.due()
        # The uids of the newest records are kept as well; they have a bound of their own.
        bench.engine._taken.uids = {}
        gc.collect()
        used = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert 0.75 < bench.engine.memory_bytes / used < 1.5


def test_what_waits_is_weighed_too_and_hurried_when_it_is_too_much(make: Any) -> None:
    bench = make.bench(make.correlation(at_least=1500), lateness=3600, max_bytes=2_000_000)
    for number in range(6000):
        bench.add("A", number / 1000)
        assert bench.engine.memory_bytes <= 2_000_000
    assert 0 < bench.engine.waiting < 2000
    found = bench.engine.due()
    assert bench.plain(found) == [("c", 1.499, ("x",), 1500.0)], "nothing is lost by it"
    bench.add("A", 0.5)
    assert bench.engine.late == 1, "but it was not waited for"


def test_records_are_kept_for_few_of_those_that_wait(make: Any) -> None:
    bench = make.bench(make.correlation(at_least=1), lateness=3600)
    for number in range(1500):
        bench.add("A", number / 1000, who=str(number))
    found = bench.engine.flush()
    assert [each.last is not None for each in found] == [True] * 1000 + [False] * 500


def test_a_hostile_uid_takes_no_room(make: Any) -> None:
    bench = make.bench(make.correlation(at_least=1))
    bench.clock.to(1)
    for uid in ("x" * 100_000, 7, "\udcff"):
        record = bench.record(1, who=str(uid)[:1])
        record.attributes[LOG_RECORD_UID] = uid
        bench.engine.add(bench.rules["A"], record)
    assert [each.evidence[0].uid for each in bench.engine.flush()] == ["", "", ""]
    assert len(bench.engine.state()) < 1000


def test_large_records_are_not_kept_while_they_wait(make: Any) -> None:
    bench = make.bench(make.correlation(at_least=2), lateness=5)
    for second in range(2):
        record = bench.record(second, body="x" * 100_000) if second else bench.record(second)
        bench.clock.to(second)
        bench.engine.add(bench.rules["A"], record)
    (found,) = bench.engine.flush()
    assert found.last is None
    assert len(found.evidence) == 2
    bench.add("A", 100)
    small = bench.add("A", 101)
    assert bench.engine.flush()[0].last is small
