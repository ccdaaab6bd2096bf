"""Waiting for stragglers, and clocks that are wrong."""

from __future__ import annotations

from typing import Any

from otel_fim.processors.rules.correlate import Cause, Eviction
from otel_fim.record import Record


def test_events_are_looked_at_when_newer_ones_show_that_nothing_older_is_waited_for(make: Any) -> None:
    bench = make.bench(make.correlation(at_least=2), lateness=5)
    bench.clock.to(1000)
    bench.add("A", 3)
    bench.add("A", 1)
    assert bench.due() == []
    bench.add("A", 8)
    assert bench.due() == [], "something of second 3 may still come"
    bench.add("A", 8.5, who="y")
    assert bench.due() == [("c", 3.0, ("x",), 2.0)]


def test_events_are_looked_at_after_the_lateness_when_nothing_comes(make: Any) -> None:
    bench = make.bench(make.correlation(at_least=2), lateness=5)
    bench.add("A", 0)
    bench.add("A", 0.5)
    assert bench.due(at=1) == []
    assert bench.due(at=5.9) == []
    assert bench.due(at=6) == [("c", 0.5, ("x",), 2.0)]
    assert bench.due(at=7) == []


def test_old_events_are_waited_for_from_when_they_came(make: Any) -> None:
    bench = make.bench(make.correlation(at_least=2), lateness=5)
    bench.clock.to(1000)
    bench.add("A", 0)
    bench.add("A", 2)
    assert bench.due() == []
    bench.clock.to(1004)
    bench.add("A", 1)
    assert bench.due(at=1004.9) == []
    assert bench.due(at=1005) == [("c", 1.0, ("x",), 2.0)]
    assert bench.engine.late == 0


def test_what_comes_too_late_is_counted_and_left_out(make: Any) -> None:
    bench = make.bench(make.correlation(at_least=2), lateness=5)
    bench.add("A", 0)
    bench.add("A", 10)
    bench.due()
    bench.add("A", 4)
    assert bench.engine.late == 1
    bench.add("A", 5)
    assert bench.engine.late == 1
    assert bench.flush() == [("c", 5.0, ("x",), 2.0)]


def test_without_lateness_nothing_waits(make: Any) -> None:
    bench = make.bench(make.correlation(at_least=2))
    bench.add("A", 0)
    bench.add("A", 1)
    assert bench.due() == [("c", 1.0, ("x",), 2.0)]
    assert bench.engine.waiting == 0


def test_events_of_one_instant_are_seen_together(make: Any) -> None:
    bench = make.bench(make.correlation(at_least=3), lateness=1)
    for _ in range(5):
        bench.add("A", 1)
    assert bench.flush() == [("c", 1.0, ("x",), 5.0)]


def test_the_time_that_a_record_was_seen_stands_in_for_one_that_it_lacks(make: Any) -> None:
    bench = make.bench(make.correlation(at_least=1))
    record = Record(0, make.start + 3 * make.second, attributes={"who": "x"})
    bench.clock.to(3)
    bench.engine.add(bench.rules["A"], record)
    record = Record(0, 0, attributes={"who": "y"})
    bench.clock.to(4)
    bench.engine.add(bench.rules["A"], record)
    assert bench.flush() == [("c", 3.0, ("x",), 1.0), ("c", 4.0, ("y",), 1.0)]


def test_a_time_far_ahead_is_taken_as_now(make: Any) -> None:
    bench = make.bench(make.correlation(at_least=3), lateness=5)
    ahead = bench.record(86400)
    bench.engine.add(bench.rules["A"], ahead)
    bench.add("A", 1)
    bench.add("A", 2)
    assert bench.due() == []
    assert bench.due(at=7) == [("c", 2.0, ("x",), 3.0)]
    assert bench.engine.late == 0


def test_a_time_a_little_ahead_makes_nobody_late(make: Any) -> None:
    bench = make.bench(make.correlation(at_least=3), lateness=5)
    bench.engine.add(bench.rules["A"], bench.record(30))
    for second in (1, 2, 3):
        bench.clock.to(second + 6)
        bench.due()
        bench.add("A", second + 5)
    assert bench.engine.late == 0
    assert bench.due(at=20) == [("c", 8.0, ("x",), 3.0)]
    assert bench.engine.waiting == 1, "what happens in a moment waits for it"
    bench.due(at=36)
    assert bench.engine.waiting == 0


def test_a_clock_that_is_set_back_makes_nobody_late_for_long(make: Any) -> None:
    bench = make.bench(make.correlation(at_least=2, span=100), lateness=5)
    bench.clock.to(100_000)
    bench.add("A", 100_000)
    bench.add("A", 100_001, who="waits")
    bench.due(at=100_001)
    bench.clock.to(10)
    bench.engine.add(bench.rules["A"], bench.record(10))
    bench.engine.add(bench.rules["A"], bench.record(11))
    assert bench.due() == []
    assert bench.due(at=17) == [("c", 11.0, ("x",), 2.0)]
    assert bench.engine.late == 0
    assert bench.engine.evictions() == [Eviction("c", 2, Cause.CLOCK)]
    assert bench.engine.evictions() == []


def test_a_clock_that_is_set_back_while_nothing_comes(make: Any) -> None:
    bench = make.bench(make.correlation(at_least=1), lateness=5)
    bench.add("A", 50_000)
    assert bench.due(at=0) == [("c", 50_000.0, ("x",), 1.0)], (
        "it is not kept waiting until that time comes again"
    )
    assert bench.engine.waiting == 0


def test_windows_that_a_clock_set_back_does_not_touch_stay(make: Any) -> None:
    bench = make.bench(make.correlation(at_least=2, span=1000), lateness=5)
    bench.add("A", 0)
    bench.add("A", 500, who="y")
    bench.due(at=500)
    bench.due(at=510)
    bench.due(at=300)
    assert bench.engine.evictions() == [Eviction("c", 1, Cause.CLOCK)]
    bench.engine.add(bench.rules["A"], bench.record(301))
    assert bench.flush() == [("c", 301.0, ("x",), 2.0)]


def test_a_small_step_back_changes_nothing(make: Any) -> None:
    bench = make.bench(make.correlation(at_least=2), lateness=5)
    bench.add("A", 100)
    bench.due(at=100)
    bench.clock.to(98)
    bench.engine.add(bench.rules["A"], bench.record(98))
    assert bench.due(at=110) == [("c", 100.0, ("x",), 2.0)]
    assert bench.engine.evictions() == []


def test_groups_that_are_over_are_let_go_of(make: Any) -> None:
    bench = make.bench(make.correlation(at_least=5, span=10), make.correlation("d", at_least=5, span=20))
    for number in range(100):
        bench.add("A", number / 100, who=str(number))
    bench.due()
    assert bench.engine.groups == 200
    bench.add("A", 11.5)
    bench.due()
    assert bench.engine.groups == 102
    bench.add("A", 40)
    bench.due()
    assert bench.engine.groups == 2
    assert bench.engine.evictions() == []


def test_without_lateness_the_rest_of_an_instant_may_come_in_the_next_batch(make: Any) -> None:
    bench = make.bench(make.correlation(at_least=3), make.correlation("o", "temporal_ordered", ("A", "B")))
    bench.add("A", 5)
    bench.add("A", 5)
    assert bench.due() == []
    assert bench.due(5.5) == []
    bench.add("A", 5)
    assert bench.due() == [("c", 5, ("x",), 3)]
    bench.add("A", 5)
    bench.add("B", 5)
    assert bench.due() == [("o", 5, ("x",), 2)]
    assert bench.engine.late == 0
    bench.add("A", 4.999)
    assert bench.engine.late == 1


def test_what_held_before_an_instant_counts_for_all_of_it(make: Any) -> None:
    bench = make.bench(make.correlation(kind="temporal", rules=("A", "B"), span=3))
    for rule, second in (("B", 1), ("A", 2)):
        bench.add(rule, second)
    assert bench.due() == [("c", 2, ("x",), 2)]
    # Without the other event of this instant the condition does not hold any more.
    bench.add("A", 5)
    assert bench.due() == []
    state = bench.engine.state()
    bench.engine = bench.another()
    bench.engine.restore(state)
    bench.add("B", 5)
    assert bench.due() == []
