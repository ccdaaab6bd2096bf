from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_fim.component import StoppingError
from otel_fim.pipeline.queue import Item, RecordQueue
from otel_fim.record import Record


def item(count: int, name: str = "x") -> Item:
    return Item([Record(event_name=f"{name}{i}") for i in range(count)])


def test_a_put_beyond_the_bound_waits_until_there_is_room() -> None:
    queue = RecordQueue(10)
    queue.put(item(10))
    done = threading.Event()

    def put() -> None:
        queue.put(item(1))
        done.set()

    thread = threading.Thread(target=put)
    thread.start()
    assert not done.wait(0.1), "the eleventh record must wait"
    assert len(queue.take(5, 1.0)[0].records) == 10
    assert done.wait(5)
    thread.join(5)
    assert queue.size == 1


def test_an_item_larger_than_the_bound_goes_in_when_the_queue_is_empty() -> None:
    queue = RecordQueue(10)
    queue.put(item(50))
    assert queue.size == 50


def test_internal_items_do_not_wait() -> None:
    queue = RecordQueue(1)
    queue.put(item(1))
    queue.put_internal(item(1))
    assert queue.size == 2


def test_closing_refuses_new_items_wakes_waiters_and_keeps_what_is_inside() -> None:
    queue = RecordQueue(1)
    queue.put(item(1))
    refused = threading.Event()

    def put() -> None:
        with pytest.raises(StoppingError):
            queue.put(item(1))
        refused.set()

    thread = threading.Thread(target=put)
    thread.start()
    queue.close()
    assert refused.wait(5)
    thread.join(5)
    assert not queue.drained
    assert len(queue.take(10, 0)) == 1
    assert queue.drained
    with pytest.raises(StoppingError):
        queue.put_internal(item(1))


def test_take_gives_nothing_after_the_time_out() -> None:
    assert RecordQueue(1).take(1, 0.01) == []


@given(st.lists(st.integers(1, 30), max_size=40), st.integers(1, 40), st.integers(1, 20))
def test_order_is_kept_and_nothing_is_lost(sizes: list[int], capacity: int, take: int) -> None:
    queue = RecordQueue(capacity)
    sent = [item(size, f"{number}-") for number, size in enumerate(sizes)]

    def produce() -> None:
        for one in sent:
            queue.put(one)
        queue.close()

    producer = threading.Thread(target=produce)
    producer.start()
    received: list[Item] = []
    while not queue.drained:
        received += queue.take(take, 1.0)
        assert queue.size <= max(capacity, *sizes, 0) if sizes else True
    producer.join(5)
    assert received == sent
