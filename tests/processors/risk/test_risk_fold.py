"""Folding: the first goes on, the rest is counted, and what is told adds up; also over restarts."""

from __future__ import annotations

import errno
import os
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_fim import names
from otel_fim.component import Health, StartError
from otel_fim.names import events, metrics
from otel_fim.pipeline.coverage import timestamp
from otel_fim.record import Record


def _count(record: Record) -> Any:
    return record.attributes[names.OTEL_FIM_FINDING_COUNT]


def _findings(records: list[Record]) -> list[Record]:
    return [record for record in records if record.event_name == events.FINDING]


def test_the_first_goes_on_and_the_count_comes_at_the_end(world: Any) -> None:
    (first,) = world.find()
    assert _count(first) == 1
    assert names.OTEL_FIM_FINDING_DUPLICATE_OF not in first.attributes
    world.wait(5)
    assert world.find() == []
    world.wait(5)
    assert world.find() == []
    assert world.counted[metrics.FINDINGS_FOLDED] == 2
    assert world.wait(3589) == []
    (last,) = world.wait(1)
    start = 1_768_314_735
    assert last.attributes[names.OTEL_FIM_FINDING_COUNT] == 3
    assert last.attributes[names.OTEL_FIM_FINDING_DUPLICATE_OF] == first.attributes[names.LOG_RECORD_UID]
    assert last.attributes[names.OTEL_FIM_FINDING_KEY] == first.attributes[names.OTEL_FIM_FINDING_KEY]
    assert last.attributes[names.OTEL_FIM_FINDING_EVIDENCE] == ["R1", "R2", "R3"]
    assert last.attributes[names.OTEL_FIM_FINDING_EVIDENCE_COUNT] == 3
    assert last.attributes[names.OTEL_FIM_FINDING_FIRST_SEEN] == timestamp(start * 10**9)
    assert last.attributes[names.OTEL_FIM_FINDING_LAST_SEEN] == timestamp((start + 10) * 10**9)
    assert last.time_unix_nano == (start + 10) * 10**9
    assert last.attributes[names.EVENT_RISK_SCORE] == 56.0
    assert last.attributes[names.SECURITY_RULE_NAME] == "Cron Entry Added By A Shell"
    assert last.attributes[names.LOG_RECORD_UID] not in (None, first.attributes[names.LOG_RECORD_UID])
    assert last.body == f"Cron Entry Added By A Shell: x (3 times since {timestamp(start * 10**9)})"
    assert (last.severity_number, last.severity_text) == (13, "WARN")
    assert last.resource.attributes == first.resource.attributes
    # A new series begins at once.
    assert [_count(record) for record in world.find()] == [1]
    assert _findings(world.wait(3600)) == []


def test_counts_are_told_at_powers_of_ten(world: Any) -> None:
    told = [record for _ in range(1234) for record in world.find()]
    assert [_count(record) for record in told] == [1, 10, 100, 1000]
    assert len(told[3].attributes[names.OTEL_FIM_FINDING_EVIDENCE]) == 100
    assert told[3].attributes[names.OTEL_FIM_FINDING_EVIDENCE_COUNT] == 1000
    assert [_count(record) for record in world.wait(3600)] == [1234]


def test_what_was_told_is_not_told_again(world: Any) -> None:
    for _ in range(10):
        world.find()
    assert world.wait(3600) == []


def test_one_that_scores_much_higher_goes_on(world: Any) -> None:
    world.find()
    world.find()
    (higher,) = world.find(OTEL_FIM_NOVELTY_FIRST_SEEN=["executable"])
    assert _count(higher) == 3
    assert higher.attributes[names.EVENT_RISK_SCORE] == 66
    assert world.find(OTEL_FIM_NOVELTY_FIRST_SEEN=["executable"]) == []
    assert [_count(record) for record in world.wait(3600)] == [4]


@pytest.mark.parametrize(
    "more",
    [
        {"SECURITY_RULE_UUID": "another"},
        {"USER_NAME": "bob"},
        {"PROCESS_EXECUTABLE_PATH": "/usr/bin/dash"},
        {"FILE_PATH": "/srv/b"},
        {"SOURCE_ADDRESS": "192.0.2.1"},
        {"USER_TARGET_NAME": "carol"},
        {"NETWORK_LOCAL_PORT": 4444},
        {"OTEL_FIM_PERSISTENCE_ID": "x"},
        {"host": "db-1"},
        {"OTEL_FIM_FINDING_GROUP_BY": ["source.port"], "SOURCE_PORT": 1},
    ],
)
def test_what_differs_is_not_folded(world: Any, more: dict[str, Any]) -> None:
    world.find()
    assert [_count(record) for record in world.find(**more)] == [1]


def test_random_names_are_one_path(world: Any) -> None:
    world.find(FILE_PATH="/tmp/tmp.aaaaaaaaaa/x1")
    assert world.find(FILE_PATH="/tmp/tmp.bbbbbbbbbb/x22") == []


def test_a_duplicate_counts_once_for_its_entities(world: Any) -> None:
    (first,) = world.find()
    told = [record for _ in range(9) for record in world.find()]
    assert told[0].attributes[names.HOST_RISK_SCORE] == first.attributes[names.HOST_RISK_SCORE]


def test_nothing_is_folded_without_a_window(make_world: Callable[..., Any]) -> None:
    world = make_world(fold_window=0)
    assert [_count(record) for _ in range(3) for record in world.find()] == [1, 1, 1]


def test_too_many_series_end_early_and_are_told(make_world: Callable[..., Any]) -> None:
    world = make_world(max_series=2)
    world.find(FILE_PATH="/a")
    world.find(FILE_PATH="/a")
    world.find(FILE_PATH="/b")
    world.find(FILE_PATH="/c")
    told = world.find(FILE_PATH="/d")
    assert [(record.attributes[names.FILE_PATH], _count(record)) for record in told] == [("/a", 2), ("/d", 1)]
    assert world.counted[metrics.RISK_EVICTED] == 1


def test_series_are_bounded_by_bytes(make_world: Callable[..., Any]) -> None:
    world = make_world(max_series_bytes="64KiB")
    long = {"PROCESS_COMMAND_LINE": "x" * 100_000}
    told = []
    for letter in "abcdefghijklmnopqrstuvwxyz":
        for _ in range(2):
            told += world.find(FILE_PATH=f"/{letter * 5}", PROCESS_COMMAND=None, **long)
    assert 0 < len(world.processor._folder.series) < 26
    # The bound is looked at before each finding.
    assert world.processor._folder._bytes <= 65_536 + 4_096
    assert sum(_count(record) == 2 for record in told) == 26 - len(world.processor._folder.series)
    open_series = len(world.processor._folder.series)
    assert [_count(record) for record in world.wait(3600)] == [2] * open_series


def test_the_memory_of_series_is_accounted_for_to_the_end(world: Any) -> None:
    for number in range(50):
        world.find(FILE_PATH=f"/{'ab'[number % 2]}")
    world.wait(3600)
    assert world.processor._folder._bytes == 0


# --- Restart ---------------------------------------------------------------------------------------------


def test_a_series_goes_on_over_a_restart(world: Any) -> None:
    world.find()
    world.find()
    world.restart()
    assert world.find() == []
    assert [_count(record) for record in world.wait(3600)] == [3]


def test_a_series_that_ended_meanwhile_is_told(world: Any) -> None:
    world.find()
    world.find()
    world.processor.stop(1)
    world.wall += 7200
    world.begin()
    assert [_count(record) for record in world.processor.tick()] == [2]


def test_a_kill_is_told(world: Any) -> None:
    world.find()
    world.find()
    world.write()
    world.find()
    world.find(FILE_PATH="/srv/late")
    # The journal may not have it yet: the state on disk must not say that it has been told.
    world.wait(11)
    world.crash()
    (gap,) = world.processor.tick()
    assert gap.attributes[names.OTEL_FIM_COVERAGE_REASON] == "agent_stopped"
    assert gap.attributes[names.OTEL_FIM_COVERAGE_START] == timestamp((1_768_314_735 + 11) * 10**9)
    assert [_count(record) for record in world.find(FILE_PATH="/srv/late")] == [1]
    assert [_count(record) for record in world.wait(3600)] == [2]


def test_an_orderly_stop_is_not(world: Any) -> None:
    world.find()
    world.restart()
    assert world.processor.tick() == []


@pytest.mark.parametrize("damage", [b"", b"x", b"otel-fim risk 1 00000000000000000000000000000000\n{}"])
def test_a_damaged_state_is_set_aside(world: Any, tmp_path: Path, damage: bytes) -> None:
    world.find()
    world.processor.stop(1)
    (tmp_path / "risk.state").write_bytes(damage)
    world.begin()
    (gap,) = world.processor.tick()
    assert gap.attributes[names.OTEL_FIM_COVERAGE_REASON] == "state_lost"
    assert len(list(tmp_path.glob("risk.state.damaged-*"))) == 1
    assert [_count(record) for record in world.find()] == [1]


@pytest.mark.parametrize(
    "content",
    [
        b"[]",
        b"{}",
        b'{"time":1,"clean":true,"entities":[["user","h","n",[-1]]],"series":[]}',
        b'{"time":1,"clean":true,"entities":[["user"]],"series":[]}',
        b'{"time":1,"clean":true,"entities":[],"series":[["k",1]]}',
        b'{"time":1,"clean":true,"entities":[],"series":[["k","u","x","","",1,1,1,1,1,[],1,""]]}',
    ],
)
def test_a_state_that_is_none_is_set_aside(world: Any, tmp_path: Path, content: bytes) -> None:
    world.processor.stop(1)
    world.processor._file.write(content)
    world.begin()
    (gap,) = world.processor.tick()
    assert gap.attributes[names.OTEL_FIM_COVERAGE_REASON] == "state_lost"
    world.find()


def test_a_newer_state_is_not_touched(world: Any, tmp_path: Path) -> None:
    world.processor.stop(1)
    state = tmp_path / "risk.state"
    newer = state.read_bytes().replace(b"otel-fim risk 1 ", b"otel-fim risk 7 ", 1)
    state.write_bytes(newer)
    with pytest.raises(StartError, match="version 7"):
        world.begin()
    assert state.read_bytes() == newer


def test_a_full_disk_stops_nothing(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("otel_fim.state_file.replace_file", full)
        world.find()
        world.write()
        assert world.health[-1][0] is Health.RECOVERABLE_ERROR
        world.find()
    world.write()
    assert world.health[-1] == (Health.OK, "")
    world.crash()
    told = world.wait(3600)
    assert [_count(record) for record in _findings(told)] == [2]


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("find"), st.sampled_from("abc"), st.integers(1, 25), st.booleans()),
        st.tuples(st.just("wait"), st.integers(1, 3000)),
        st.just(("restart",)),
        st.just(("wall", 100)),
        st.just(("wall", -100)),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(steps=_STEPS, max_series=st.integers(1, 4))
def test_what_is_told_adds_up_to_what_came_in(
    world_class: Callable[..., Any], steps: list[Any], max_series: int
) -> None:
    """For each series the highest count that was told; together they are all findings that came in."""
    with tempfile.TemporaryDirectory() as directory:
        world = world_class(Path(directory), max_series=max_series)
        came: Counter[str] = Counter()
        told: list[Record] = []
        for step in steps:
            if step[0] == "find":
                _, letter, times, is_new = step
                for _ in range(times):
                    came[f"/{letter}"] += 1
                    more = {"OTEL_FIM_NOVELTY_FIRST_SEEN": ["user"]} if is_new else {}
                    told += world.find(FILE_PATH=f"/{letter}", **more)
            elif step[0] == "wait":
                told += world.wait(step[1])
            elif step[0] == "wall":
                world.wall += step[1]
            else:
                world.restart()
        told += world.wait(3600)
        counts: dict[tuple[str, str], int] = {}
        for record in told:
            attributes = record.attributes
            first = attributes.get(names.OTEL_FIM_FINDING_DUPLICATE_OF, attributes[names.LOG_RECORD_UID])
            key = str(attributes[names.FILE_PATH]), str(first)
            assert _count(record) > counts.get(key, 0)
            counts[key] = _count(record)
        sums: Counter[str] = Counter()
        for (path, _), count in counts.items():
            sums[path] += count
        assert sums == came
        assert world.counted.get(metrics.FINDINGS_FOLDED, 0) <= sum(came.values())


@settings(max_examples=25, deadline=None)
@given(steps=_STEPS)
def test_with_and_without_restarts_it_is_the_same(world_class: Callable[..., Any], steps: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        results = [_run(world_class(Path(one)), steps, True), _run(world_class(Path(two)), steps, False)]
        assert results[0] == results[1]


def _run(world: Any, steps: list[Any], restarts: bool) -> list[object]:
    told: list[Record] = []
    for step in steps:
        if step[0] == "find":
            told += [
                r
                for _ in range(step[2])
                for r in world.find(FILE_PATH=f"/{step[1]}", USER_ID="0" if step[3] else "1")
            ]
        elif step[0] == "wait":
            told += world.wait(step[1])
        elif step[0] == "restart" and restarts:
            world.restart()
    told += world.wait(3600)
    own = {names.LOG_RECORD_UID}
    return [
        (record.time_unix_nano, record.body, {k: v for k, v in record.attributes.items() if k not in own})
        for record in told
    ]
