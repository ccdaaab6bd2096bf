from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from otel_fim.component import ExportResult, Health, PermanentError, RetryableError
from otel_fim.names import metrics
from otel_fim.record import Record


def wait_for(condition: Callable[[], bool], timeout: float = 10) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def fill(house: Any, *event_names: str) -> None:
    house.journal.append([Record(event_name=name) for name in event_names])
    assert house.journal.flush(10)


def test_failures_of_every_kind_are_retried_until_they_succeed(make_house: Any) -> None:
    house = make_house()
    fill(house, "a", "b")
    exporter, runner = house.exporter("e")
    exporter.script = [
        RetryableError("down"),
        ValueError("surprise"),
        RetryableError("later", retry_after=0.01),
    ]
    runner.start()
    wait_for(lambda: exporter.delivered == ["a", "b"])
    wait_for(lambda: house.store.value(metrics.EXPORTER_SENT, exporter="e") == 2)
    assert exporter.calls == 4
    assert house.store.value(metrics.EXPORTER_RETRIES) == 3
    wait_for(lambda: house.board.overall() is Health.OK)


def test_a_dead_destination_holds_up_nobody_else(make_house: Any) -> None:
    house = make_house()
    fill(house, "a", "b", "c")
    dead, dead_runner = house.exporter("dead")
    dead.script = [RetryableError("down")] * 100_000
    alive, alive_runner = house.exporter("alive")
    dead_runner.start()
    alive_runner.start()
    wait_for(lambda: alive.delivered == ["a", "b", "c"])
    wait_for(lambda: {s.component: s.health for s in house.board.statuses()}.get("exporter:dead") is not None)
    assert house.store.value(metrics.EXPORTER_QUEUE_SIZE, exporter="dead") == 3
    wait_for(lambda: house.store.value(metrics.EXPORTER_QUEUE_SIZE, exporter="alive") == 0)


def test_what_is_refused_for_good_is_set_aside_with_the_reason_and_the_rest_flows(
    make_house: Any, tmp_path: Path
) -> None:
    house = make_house()
    fill(house, "bad")
    exporter, runner = house.exporter("e")
    exporter.script = [PermanentError("400 Bad Request")]
    runner.start()
    wait_for(lambda: house.store.value(metrics.EXPORTER_SEND_FAILED) == 1)
    fill(house, "good")
    wait_for(lambda: exporter.delivered == ["good"])
    assert b'"bad"' in (tmp_path / "dead/e.jsonl").read_bytes()
    assert json.loads((tmp_path / "dead/e.reasons.jsonl").read_text())["reason"] == "400 Bad Request"


def test_giving_up_after_max_elapsed_time_sets_aside(make_house: Any, tmp_path: Path) -> None:
    house = make_house()
    fill(house, "a")
    exporter, runner = house.exporter("e", max_elapsed_time=0.05)
    exporter.script = [RetryableError("down")] * 10_000
    runner.start()
    wait_for(lambda: (tmp_path / "dead/e.reasons.jsonl").exists())
    wait_for(lambda: "given up: down" in (tmp_path / "dead/e.reasons.jsonl").read_text())


def test_partial_success_is_counted_and_not_retried(make_house: Any) -> None:
    house = make_house()
    fill(house, "a", "b", "c")
    exporter, runner = house.exporter("e")
    exporter.script = [ExportResult(rejected=1, message="too old")]
    runner.start()
    wait_for(lambda: house.store.value(metrics.EXPORTER_SENT) == 2)
    assert house.store.value(metrics.EXPORTER_SEND_FAILED) == 1
    assert exporter.calls == 1


def test_finishing_delivers_what_is_there_and_does_not_wait_for_the_dead(make_house: Any) -> None:
    house = make_house()
    fill(house, *(str(n) for n in range(50)))
    exporter, runner = house.exporter("alive")
    dead, dead_runner = house.exporter("dead")
    dead.script = [RetryableError("down")] * 10_000
    runner.start()
    dead_runner.start()
    runner.finish()
    dead_runner.finish()
    assert runner.stop(10)
    assert dead_runner.stop(10)
    assert exporter.delivered == [str(n) for n in range(50)]
    assert dead.delivered == []


def test_a_restart_goes_on_behind_what_was_acknowledged(make_house: Any) -> None:
    house = make_house()
    fill(house, "a")
    exporter, runner = house.exporter("e")
    runner.start()
    wait_for(lambda: exporter.delivered == ["a"])
    runner.finish()
    assert runner.stop(10)
    house.journal.close()
    again = make_house()
    fill(again, "b")
    later, later_runner = again.exporter("e")
    later_runner.start()
    wait_for(lambda: later.delivered == ["b"])


def test_a_destination_that_refuses_everything_stays_unwell(make_house: Any) -> None:
    house = make_house()
    exporter, runner = house.exporter("e")
    exporter.script = [PermanentError("400")] * 2
    runner.start()
    for number in (1, 2):
        fill(house, "bad")
        wait_for(lambda n=number: house.store.value(metrics.EXPORTER_SEND_FAILED) == n)
        assert house.board.overall() is Health.RECOVERABLE_ERROR
    fill(house, "good")
    wait_for(lambda: house.board.overall() is Health.OK)
