"""What must stay bounded, and survive clocks that are wrong and values that were made to hurt."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from otel_fim import names
from otel_fim.names import events, metrics
from otel_fim.pipeline.coverage import timestamp
from otel_fim.processors.risk.entities import EntityScores, entity_of, entity_score
from otel_fim.processors.risk.series import MAX_EVIDENCE, Folder, One
from otel_fim.processors.risk.steady import SteadyClock
from otel_fim.record import Record

_DAY = 86_400


def test_counts_that_were_made_to_overflow_are_saved_and_told(world: Any) -> None:
    for _ in range(9000):
        world.find(OTEL_FIM_FINDING_EVIDENCE_COUNT=2**40)
    world.write()
    world.crash()
    (gap, last) = world.wait(3600)
    assert gap.event_name == events.COVERAGE_GAP
    assert last.attributes[names.OTEL_FIM_FINDING_COUNT] == 9000
    assert last.attributes[names.OTEL_FIM_FINDING_EVIDENCE_COUNT] == 2**53


def test_what_a_series_tells_in_the_end_keeps_lists_of_numbers(world: Any) -> None:
    for _ in range(2):
        world.find(PROCESS_ARGS_COUNT=[1, 2.5, True, "x", None, {"a": 1}])
    (last,) = world.wait(3600)
    assert last.attributes[names.PROCESS_ARGS_COUNT] == [1, 2.5, True, "x"]


def test_the_bytes_of_series_are_what_they_take() -> None:
    folder = Folder(3600, 10_000, 2**40)
    texts = []
    for number in range(200):
        evidence = [f"{number:026}{place:03}" for place in range(MAX_EVIDENCE)]
        one = One(0, timestamp(0), timestamp(0), 1, evidence, 1)
        series = folder.open(f"{number:016x}", f"{number:026}", one, 0)
        line = f"{number}" + "\U0001f600" * 500
        folder.set_template(series, line)
        texts += [*evidence, line, series.uid]
    taken = sum(map(sys.getsizeof, texts))
    assert taken < folder._bytes < 2 * taken
    assert [key for key, _ in folder.ended(3600)] == [f"{number:016x}" for number in range(200)]
    assert folder._bytes == 0


def test_long_names_of_entities_are_cut_and_stay_different() -> None:
    one, other = (entity_of("user", "h" * 5000, "x" * 5000 + end) for end in "ab")
    assert one != other
    assert sum(map(len, one)) < 300
    assert entity_of("user", "h", "alice") == ("user", "h", "alice")
    assert entity_of("user", "h", "\ud800" * 500) == entity_of("user", "h", "\ud800" * 500)


def test_room_is_made_for_many_at_once() -> None:
    entities = EntityScores(100, 1000)
    for second in range(1, 5000):
        entities.add(("user", "h", str(second)), 50, second)
        assert len(entities) <= 1000
    # Their scores are over when they go, so nothing that counted was forgotten.
    assert entities.evicted == 0
    entities = EntityScores(_DAY, 1000)
    for number in range(1000):
        entities.add(("user", "h", str(number)), number % 100, 1)
    entities.add(("user", "h", "another"), 1, 1)
    assert 900 < len(entities) < 1000
    assert entities.score(("user", "h", "99"), 1) == entity_score([99])


def test_a_lower_bound_after_a_restart_forgets_the_lowest() -> None:
    before = EntityScores(_DAY, 100)
    for number in range(100):
        before.add(("user", "h", str(number)), 100 - number, 1)
    after = EntityScores(_DAY, 10)
    after.restore(before.state(1))
    assert len(after) == 10
    assert after.evicted == 90
    assert after.score(("user", "h", "0"), 1) == entity_score([100])


# --- Clocks ----------------------------------------------------------------------------------------------


@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("run"), st.floats(0, 10_000)),
            st.tuples(st.just("set"), st.floats(-(10**10), 10**10)),
            st.tuples(st.just("restart"), st.floats(0, 10_000)),
        ),
        max_size=30,
    )
)
def test_steady_time_never_goes_back_and_runs_like_time(steps: list[tuple[str, float]]) -> None:
    times = {"wall": 1e9, "monotonic": 50.0}
    clock = SteadyClock(lambda: times["wall"], lambda: times["monotonic"])
    for what, amount in steps:
        before = clock.now()
        if what == "set":
            times["wall"] += amount
            assert clock.now() == before
            continue
        saved, wall = clock.now(), clock.wall()
        times["wall"] += amount
        if what == "restart":
            times["monotonic"] = 1.0
            clock = SteadyClock(lambda: times["wall"], lambda: times["monotonic"])
            clock.go_on(saved, wall)
        else:
            times["monotonic"] += amount
        assert 0 <= clock.now() - before <= amount + 1
        assert what == "restart" or clock.now() - before >= int(amount)


def test_a_clock_that_was_wrong_once_does_not_stop_time_for_ever(world: Any) -> None:
    right = world.wall
    world.wall = datetime(2099, 1, 1, tzinfo=UTC).timestamp()
    world.restart()
    world.find()
    world.find()
    world.wall = right
    world.wait(11)
    world.processor.stop(1)
    world.wall += 2 * _DAY
    world.begin()
    (last,) = world.processor.tick()
    assert last.attributes[names.OTEL_FIM_FINDING_COUNT] == 2
    (record,) = world.find(USER_NAME="bob")
    assert record.attributes[names.HOST_RISK_SCORE] == entity_score([56])


def test_the_gap_of_a_kill_begins_shortly_before_it(world: Any) -> None:
    world.find()
    for _ in range(20):
        world.wait(_DAY / 20)
    world.crash()
    (gap,) = world.processor.tick()
    start = str(gap.attributes[names.OTEL_FIM_COVERAGE_START])
    assert start >= timestamp(int((world.wall - 900) * 1e9) - _DAY * 10**9 // 20)


# --- A flood ---------------------------------------------------------------------------------------------


def test_a_flood_of_different_findings_is_bounded_and_all_are_told(make_world: Callable[..., Any]) -> None:
    world = make_world(max_series=50, max_entities=30)
    told: list[Record] = []
    for number in range(600):
        name = "".join(chr(97 + number // 26**place % 26) for place in range(3))
        for _ in range(2):
            told += world.find(FILE_PATH=f"/tmp/{name}", PROCESS_EXECUTABLE_PATH=f"/tmp/{name}")
        assert len(world.processor._folder.series) <= 51
        assert len(world.processor._entities) <= 30
    told += world.wait(3600)
    assert sum(record.attributes[names.OTEL_FIM_FINDING_COUNT] == 1 for record in told) == 600
    assert sum(record.attributes[names.OTEL_FIM_FINDING_COUNT] == 2 for record in told) == 600
    assert world.counted[metrics.RISK_EVICTED] > 500
