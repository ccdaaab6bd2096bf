"""State through restarts: kept, given up where the rule has changed, refused when damaged, caught up with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_fim.processors.rules.correlate import Correlator, StateError, StateLimits, taken
from otel_fim.sigma.ir import Const, Meta, Rule, RuleSet


def filled(make: Any, **more: Any) -> Any:
    """A correlation that wants one event more, and another."""
    other = make.correlation("other", "value_count", at_least=2)
    bench = make.bench(make.correlation(at_least=3, span=100), other, lateness=5, **more)
    bench.add("A", 0, value="a")
    bench.add("A", 1, value="a")
    bench.due()
    bench.due(at=10)
    return bench


def test_windows_and_what_waits_go_on(make: Any) -> None:
    bench = filled(make)
    bench.add("A", 11, value="a")
    again = bench.another()
    assert again.restore(bench.engine.state()) == []
    assert (again.groups, again.waiting) == (2, 2)
    assert 0 <= bench.engine.memory_bytes - again.memory_bytes <= 2 * 4096, "but for the records at hand"
    found = again.flush()
    assert bench.plain(found) == [("c", 11.0, ("x",), 3.0)]
    assert len(found[0].evidence) == 3
    assert found[0].last is None


def test_what_was_late_stays_late(make: Any) -> None:
    bench = filled(make)
    bench.add("A", 20)
    bench.due()
    again = bench.another()
    again.restore(bench.engine.state())
    again.add(bench.rules["A"], bench.record(14))
    assert again.late == 1


def test_a_finding_is_not_made_again_after_a_restart(make: Any) -> None:
    bench = filled(make)
    bench.add("A", 11, value="a")
    assert len(bench.flush()) == 1
    again = bench.another()
    again.restore(bench.engine.state())
    again.add(bench.rules["A"], bench.record(12, value="a"))
    assert again.flush() == []


@pytest.mark.parametrize(
    "change",
    [
        {"timespan_nano": 99},
        {"condition": None},
        {"group_by": ()},
        {"rules": ("A", "B")},
    ],
)
def test_a_correlation_that_has_changed_begins_anew_and_others_go_on(
    make: Any, change: dict[str, Any]
) -> None:
    bench = filled(make)
    bench.add("A", 11, value="z")
    state = bench.engine.state()
    first, other = bench.ruleset.correlations
    again = bench.another(replace(bench.ruleset, correlations=(replace(first, **change), other)))
    assert again.restore(state) == ["c"]
    assert again.groups == 1
    assert again.waiting == 1
    assert [each.correlation.meta.id for each in again.flush()] == ["other"]


def test_a_changed_rule_changes_all_that_refer_to_it_however_far(make: Any) -> None:
    inner = make.correlation("inner", at_least=1)
    outer = make.correlation("outer", rules=("inner",), at_least=2)
    apart = make.correlation("apart", rules="B", at_least=2)
    bench = make.bench(inner, outer, apart)
    bench.add("A", 0)
    bench.add("B", 0)
    bench.flush()
    rules = tuple(
        replace(rule, condition=Const(False)) if rule.meta.id == "A" else rule for rule in bench.ruleset.rules
    )
    again = bench.another(RuleSet(rules, bench.ruleset.correlations))
    assert again.restore(bench.engine.state()) == ["inner", "outer"]
    assert again.groups == 1


def test_a_new_title_changes_nothing(make: Any) -> None:
    bench = filled(make)
    changed = tuple(
        replace(each, meta=replace(each.meta, title="new", description="text"))
        for each in bench.ruleset.correlations
    )
    rules = tuple(Rule(Meta(rule.meta.id, "new"), rule.condition) for rule in bench.ruleset.rules)
    again = bench.another(RuleSet(rules, changed))
    assert again.restore(bench.engine.state()) == []
    assert again.groups == 2


def test_a_correlation_that_is_gone_is_named_and_a_new_one_starts_empty(make: Any) -> None:
    bench = filled(make)
    new = make.correlation("new", at_least=1)
    again = bench.another(replace(bench.ruleset, correlations=(bench.ruleset.correlations[0], new)))
    assert again.restore(bench.engine.state()) == ["other"]
    assert again.groups == 1


def test_smaller_limits_hold_from_the_start(make: Any) -> None:
    bench = make.bench(make.correlation(at_least=9, span=1000))
    for number in range(50):
        bench.add("A", number / 10, who=str(number))
    bench.flush()
    limits = StateLimits(max_groups=10)
    again = Correlator(bench.ruleset, lateness_nano=0, limits=limits, clock=bench.clock)
    again.restore(bench.engine.state())
    assert again.groups == 10
    assert again.evictions()[0].groups == 40
    again = Correlator(bench.ruleset, lateness_nano=0, limits=StateLimits(max_bytes=9000), clock=bench.clock)
    again.restore(bench.engine.state())
    assert 0 < again.memory_bytes <= 9000


def test_findings_that_were_not_given_out_are_in_the_state(make: Any) -> None:
    bench = make.bench(make.correlation(at_least=1), lateness=100, max_bytes=100_000)
    for number in range(400):
        bench.add("A", number / 1000)
    again = bench.another()
    again.restore(bench.engine.state())
    assert bench.plain(again.due()) == [("c", 0.0, ("x",), 1.0)]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no state"),
        (b"\x00\xff" * 100, "no state"),
        (b"otel-fim correlations x\n", "no state"),
        (b"otel-fim correlations 999\n", "version 999"),
        (b"otel-fim correlations 1\n", "state of correlations"),
        (b"otel-fim correlations 1\nno zstd", "damaged"),
    ],
)
def test_what_is_no_state_is_refused(make: Any, data: bytes, message: str) -> None:
    bench = filled(make)
    again = bench.another()
    with pytest.raises(StateError, match=message):
        again.restore(data)
    assert again.groups == 0
    again.add(bench.rules["A"], bench.record(50))
    assert again.flush() == []


@given(data=st.data())
def test_damage_is_found_or_changes_nothing(data: Any) -> None:
    state = _some_state()
    place = data.draw(st.integers(0, len(state) - 1))
    if data.draw(st.booleans()):
        damaged = state[:place]
    else:
        damaged = state[:place] + bytes([state[place] ^ data.draw(st.integers(1, 255))]) + state[place + 1 :]
    engine = Correlator(RuleSet(), lateness_nano=0, limits=StateLimits(), clock=lambda: 0)
    try:
        engine.restore(damaged)
    except StateError:
        return
    # Some bits of a frame's header say how it may be read, not what is in it.
    assert engine.state() == state


def _some_state() -> bytes:
    return Correlator(RuleSet(), lateness_nano=0, limits=StateLimits(), clock=lambda: 0).state()


def test_a_hundred_thousand_groups_come_back(make: Any) -> None:
    bench = make.bench(make.correlation(at_least=2, span=10**6))
    for number in range(100_000):
        bench.add("A", number / 1000, who=str(number))
        if number % 1000 == 0:
            bench.due()
    bench.due()
    state = bench.engine.state()
    assert len(state) < 6 * 2**20
    again = bench.another()
    again.restore(state)
    assert again.groups == 100_000
    again.add(bench.rules["A"], bench.record(101, who="4711"))
    assert bench.plain(again.flush()) == [("c", 101.0, ("4711",), 2.0)]


# --- Catching up with the journal --------------------------------------------------------------------------


def test_the_journal_is_read_from_where_the_state_may_lack_something(make: Any) -> None:
    bench = make.bench(make.correlation(at_least=2, span=60), lateness=5)
    begun = bench.clock()
    bench.clock.to(1000)
    assert bench.engine.replay_from == bench.clock() - 65 * make.second, (
        "without a state: as far as windows reach"
    )
    bench.add("A", 990)
    again = bench.another()
    again.restore(bench.engine.state())
    assert again.replay_from == begun, "nothing is forgotten yet: from when the first engine began"


def test_a_chain_reaches_as_far_as_its_links_together(make: Any) -> None:
    inner = make.correlation("inner", at_least=1, span=60)
    bench = make.bench(inner, make.correlation("outer", rules=("inner",), at_least=1, span=100), lateness=5)
    assert bench.engine.reach_nano == 165 * make.second


def test_records_that_are_in_the_state_do_not_count_again(make: Any) -> None:
    bench = make.bench(make.correlation(at_least=3, rules="AB"), lateness=5)
    first = bench.add("A", 0)
    state = bench.engine.state()
    second = bench.add("A", 1)
    again = bench.another()
    again.restore(state)
    for record in (first, second):
        assert record.observed_time_unix_nano >= again.replay_from
        again.replay(bench.rules["A"], record)
    assert again.replayed() == []
    assert again.flush() == [], "two, not three"
    again.add(bench.rules["A"], bench.record(2))
    assert again.late == 0


def test_a_record_that_two_rules_matched_counts_for_both_when_replayed(make: Any) -> None:
    bench = make.bench(make.correlation(at_least=2, rules="AB"), lateness=5)
    again = bench.another()
    again.restore(bench.engine.state())
    record = bench.record(1)
    bench.clock.to(1)
    again.replay(bench.rules["A"], record)
    again.replay(bench.rules["B"], record)
    assert again.replayed() == []
    assert bench.plain(again.flush()) == [("c", 1.0, ("x",), 2.0)]


@pytest.mark.parametrize("told", [True, False])
def test_a_finding_that_the_journal_has_is_not_made_again(make: Any, told: bool) -> None:
    bench = make.bench(make.correlation(at_least=1, span=1), lateness=5)
    state = bench.engine.state()
    records = [bench.add("A", 0), bench.add("A", 20, who="waits")]
    again = bench.another()
    again.restore(state)
    for record in records:
        again.replay(bench.rules["A"], record)
    if told:
        for who, moment in (("x", 0), ("waits", 20)):
            again.told("c", make.start + moment * make.second, (who,))
    expected = [] if told else [("c", 0.0, ("x",), 1.0)]
    assert bench.plain(again.replayed()) == expected
    bench.clock.to(21)
    again.due()
    bench.clock.to(30)
    expected = [] if told else [("c", 20.0, ("waits",), 1.0)]
    assert bench.plain(again.due()) == expected, "what waits at the end of the replay goes on waiting"


def test_uids_are_bounded_and_the_time_from_which_they_are_all_there_follows() -> None:
    known = taken.Taken(since=0)
    for number in range(taken.MOST + 10):
        known.note(f"{number}", 1000 + number)
    assert len(known.uids) <= taken.MOST
    assert min(known.uids.values()) == known.since
    newest = 1000 + taken.MOST + 9 + taken.REACH_NANO
    known.note("much later", newest)
    known.passed(newest)
    known.tidy()
    assert next(iter(known.uids)) == str(taken.MOST + 9)
    assert known.since == newest - taken.REACH_NANO


def test_a_record_without_an_id_is_taken_as_new(make: Any) -> None:
    bench = make.bench(make.correlation(at_least=2), lateness=5)
    record = bench.record(1)
    record.attributes.pop("log.record.uid")
    bench.clock.to(1)
    again = bench.another()
    again.restore(bench.engine.state())
    again.replay(bench.rules["A"], record)
    assert again.waiting == 1


def test_a_replay_begins_where_the_stream_was_though_nothing_was_wanted(make: Any) -> None:
    bench = make.bench(make.correlation(at_least=3))
    day = 86_400
    bench.clock.to(day)
    # A time that is ahead of the clock says nothing of what comes.
    bench.engine.passed(make.start + 10 * day * make.second)
    bench.due()
    again = bench.another()
    assert again.restore(bench.engine.state()) == []
    assert again.replay_from == make.start + day * make.second - taken.REACH_NANO


def test_a_clock_that_is_set_back_takes_the_replay_with_it(make: Any) -> None:
    bench = make.bench(make.correlation(at_least=3))
    bench.clock.to(7200)
    bench.engine.passed(bench.clock.nano)
    bench.due()
    bench.due(0)
    assert bench.engine.replay_from <= make.start
    bench.add("A", 1)
    again = bench.another()
    again.restore(bench.engine.state())
    assert again.replay_from <= make.start


def test_an_infinite_value_that_waits_in_the_state(make: Any) -> None:
    bench = make.bench(make.correlation(kind="value_sum", at_least=float("inf")), max_bytes=60_000)
    for number in range(40):
        bench.add("A", number // 20, value="1.7e308")
    again = bench.another()
    again.restore(bench.engine.state())
    assert [found.value for found in again.replayed()] == [float("inf")]
