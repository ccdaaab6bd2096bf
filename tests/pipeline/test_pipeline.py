from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from otel_fim import names
from otel_fim.component import Health, StoppingError
from otel_fim.names import events, metrics
from otel_fim.record import Record


def wait_for(condition: Callable[[], bool], timeout: float = 10) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def written(house: Any) -> list[Record]:
    reader = house.journal.reader("test")
    records: list[Record] = []
    while (batch := reader.read(10_000, 2**24, 0.2)) is not None:
        records += batch.records
        reader.acknowledge(batch)
    return records


def test_records_pass_the_processors_in_order_and_are_on_disk_before_anyone_is_told(make_house: Any) -> None:
    house = make_house()
    pipeline = house.make_pipeline([house.marking("a"), house.marking("b")])
    pipeline.start()
    told = threading.Event()
    pipeline.put([Record(event_name="one"), Record(event_name="two")], told.set)
    assert told.wait(10)
    assert [(r.event_name, r.body) for r in written(house)] == [("one", "ab"), ("two", "ab")]
    assert house.store.value(metrics.JOURNAL_APPENDED) == 2


def test_a_record_that_a_processor_cannot_take_goes_on_without_it(make_house: Any) -> None:
    house = make_house()
    pipeline = house.make_pipeline([house.marking("a"), house.marking("b")])
    pipeline.put([Record(event_name="one"), Record(event_name="poison"), Record(event_name="two")])
    pipeline.start()
    assert pipeline.stop(10)
    assert [(r.event_name, r.body) for r in written(house)] == [
        ("one", "ab"),
        ("poison", None),
        ("two", "ab"),
    ]
    assert house.store.value(metrics.PROCESSOR_FAILED, processor="a") == 1
    statuses = {s.component: s.health for s in house.board.statuses()}
    assert statuses["processor:a"] is Health.RECOVERABLE_ERROR


def test_a_record_that_otlp_cannot_carry_is_made_to_fit(make_house: Any) -> None:
    house = make_house()
    house.pipeline.put(
        [Record(event_name="big", attributes={"n": 2**70, "s": "\udcff"}), Record(event_name="next")]
    )
    house.pipeline.start()
    assert house.pipeline.stop(10)
    big, following = written(house)
    assert (big.event_name, following.event_name) == ("big", "next")
    assert str(2**70) in str(big.attributes["n"])


def test_stopping_writes_what_is_inside_and_refuses_more(make_house: Any) -> None:
    house = make_house()
    house.pipeline.put([Record(event_name=str(number)) for number in range(100)])
    house.pipeline.start()
    assert house.pipeline.stop(10)
    with pytest.raises(StoppingError):
        house.pipeline.put([Record()])
    assert [r.event_name for r in written(house)] == [str(number) for number in range(100)]


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small file system")
def test_a_full_disk_stops_intake_visibly_and_intake_resumes_by_itself(
    tmp_path: Path, make_house: Any
) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(mount)], check=True)
    house = make_house(mount, min_free=0, compression=False)
    try:
        ballast = mount / "ballast"
        ballast.write_bytes(b"x" * (1_500_000))
        house.pipeline.start()
        durable = []
        blocked = threading.Event()

        def produce() -> None:
            for number in range(600):
                house.pipeline.put(
                    [Record(event_name=f"{number}", body="y" * 10_000)], lambda n=number: durable.append(n)
                )
            blocked.set()

        producer = threading.Thread(target=produce)
        producer.start()
        wait_for(lambda: house.board.overall() is Health.RECOVERABLE_ERROR)
        assert not blocked.is_set(), "the receiver waits"
        before = len(durable)
        time.sleep(0.3)
        assert len(durable) == before < 600
        ballast.unlink()
        subprocess.run(["mount", "-o", "remount,size=64m", str(mount)], check=True)
        producer.join(20)
        assert blocked.is_set()
        assert house.pipeline.stop(10)
        wait_for(lambda: len(durable) == 600)
        records = written(house)
        assert [r.event_name for r in records if r.body and str(r.body).startswith("y")] == [
            str(n) for n in range(600)
        ]
        (gap,) = [r for r in records if r.event_name == events.COVERAGE_GAP]
        assert gap.attributes[names.OTEL_FIM_COVERAGE_REASON] == "disk_full"
        assert gap.attributes[names.OTEL_FIM_COVERAGE_START] < gap.attributes[names.OTEL_FIM_COVERAGE_END]
        assert [r.event_name for r in records].count(events.COVERAGE_RESTORED) == 1
        assert house.board.overall() is Health.OK
    finally:
        house.pipeline.stop(1)
        house.journal.close()
        subprocess.run(["umount", "-l", str(mount)], check=True)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small file system")
def test_stopping_on_a_full_disk_ends_in_time_and_says_that_it_gave_up(
    tmp_path: Path, make_house: Any
) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(mount)], check=True)
    house = make_house(mount, min_free=0, compression=False)
    try:
        house.pipeline.start()
        told = threading.Event()
        house.pipeline.put([Record(body="z" * 1_000_000)], told.set)
        wait_for(lambda: house.board.overall() is Health.RECOVERABLE_ERROR)
        assert house.pipeline.stop(0.5) is False
        assert not told.is_set(), "what is not on disk is never acknowledged"
    finally:
        house.journal.close()
        subprocess.run(["umount", "-l", str(mount)], check=True)


def test_a_processor_that_works_again_is_well_again(make_house: Any) -> None:
    house = make_house()
    pipeline = house.make_pipeline([house.marking("a")])
    pipeline.start()
    pipeline.put([Record(event_name="poison")])
    wait_for(lambda: house.board.overall() is Health.RECOVERABLE_ERROR)
    pipeline.put([Record(event_name="fine")])
    wait_for(lambda: house.board.overall() is Health.OK)


def test_what_a_processor_has_due_goes_on_to_those_behind_it_alone(make_house: Any) -> None:
    house = make_house()
    first, due, last = house.marking("a"), house.marking("b"), house.marking("c")
    waiting = [Record(event_name="due")]

    class Due(type(due)):  # type: ignore[misc]
        def tick(self) -> list[Record]:
            return [waiting.pop()] if waiting else []

    due.__class__ = Due
    pipeline = house.make_pipeline([first, due, last])
    pipeline.start()
    wait_for(lambda: house.store.value(metrics.JOURNAL_APPENDED) == 1)
    assert [(r.event_name, r.body) for r in written(house)] == [("due", "c")]


def test_a_processor_that_cannot_say_what_is_due_holds_up_nothing(make_house: Any) -> None:
    house = make_house()
    due = house.marking("a")

    class Broken(type(due)):  # type: ignore[misc]
        def tick(self) -> list[Record]:
            raise OSError("no room")

    due.__class__ = Broken
    pipeline = house.make_pipeline([due])
    pipeline.put([Record(event_name="one")])
    pipeline.start()
    wait_for(lambda: house.store.value(metrics.JOURNAL_APPENDED) == 1)
    assert pipeline.stop(10)
    assert [(r.event_name, r.body) for r in written(house)] == [("one", "a")]
    statuses = {s.component: s for s in house.board.statuses()}
    assert statuses["processor:a"].health is Health.RECOVERABLE_ERROR
    assert "no room" in statuses["processor:a"].message
