"""What one receiver emits, another one can hear."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from otel_fim.agent.tap import Tap
from otel_fim.record import Record


def test_every_listener_hears_every_batch_until_it_ends() -> None:
    tap = Tap()
    first: list[Sequence[Record]] = []
    second: list[Sequence[Record]] = []
    end_first = tap.listen(first.append)
    end_second = tap.listen(second.append)
    batch = [Record(event_name="one"), Record(event_name="two")]
    tap(batch)
    end_first()
    tap([])
    end_second()
    tap(batch)
    assert first == [batch]
    assert first[0] is batch
    assert second == [batch, []]


def test_without_listeners_nothing_happens() -> None:
    Tap()([Record()])


def test_ending_twice_ends_only_once() -> None:
    tap = Tap()
    heard: list[Sequence[Record]] = []
    end = tap.listen(heard.append)
    end()
    tap.listen(heard.append)
    end()
    tap([])
    assert heard == [[]]


def test_a_listener_that_fails_costs_nobody_else_anything(caplog: pytest.LogCaptureFixture) -> None:
    tap = Tap()
    heard: list[Sequence[Record]] = []

    def fail(records: Sequence[Record]) -> None:
        raise ValueError("not mine")

    tap.listen(fail)
    tap.listen(heard.append)
    tap([Record()])
    assert len(heard) == 1
    assert "a receiver failed" in caplog.text


def test_a_listener_may_end_itself_while_it_is_called() -> None:
    tap = Tap()
    heard: list[str] = []

    def once(records: Sequence[Record]) -> None:
        heard.append("once")
        end()

    end = tap.listen(once)
    tap.listen(lambda records: heard.append("always"))
    tap([])
    tap([])
    assert heard == ["once", "always", "always"]


def test_listeners_come_and_go_while_others_emit() -> None:
    tap = Tap()
    heard: list[Sequence[Record]] = []
    tap.listen(heard.append)
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            tap.listen(lambda records: None)()

    threads = [threading.Thread(target=churn) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(500):
            tap([])
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    assert len(heard) == 500
