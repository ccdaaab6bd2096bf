"""Each (stream, number) is in the table once, whatever happens on the way there."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

from otel_fim.component import RetryableError

_DAY = 86_400_000_000_000
_MIDNIGHT = 1_768_348_800_000_000_000  # 2026-01-14T00:00:00Z


def _counts(client: Any, database: str) -> tuple[int, int]:
    """Rows, and distinct places in streams."""
    (row,) = client.query(
        "SELECT count(), uniqExact(LogAttributes['audit.sequence.stream_id'], "
        f"LogAttributes['audit.sequence.number']) FROM `{database}`.otel_logs"
    ).result_rows
    return row[0], row[1]


def test_a_restart_in_the_middle_of_a_batch_adds_only_what_is_missing(
    exporter: Callable[..., Any], client: Any, database: str, chain: Any, make_batch: Callable[..., Any]
) -> None:
    # An insert over two days is two parts: a crash between them leaves one, so any rows may be missing.
    records = [chain.record(n, _MIDNIGHT + (n - 500) * 1_000_000) for n in range(1, 1001)]
    present = [
        record for record in records if record.time_unix_nano < _MIDNIGHT or record.time_unix_nano % 3 == 0
    ]
    exporter().export(make_batch(present))
    assert _counts(client, database) == (len(present), len(present))

    exporter().export(make_batch(records))

    assert _counts(client, database) == (1000, 1000)
    days = client.query(f"SELECT count() FROM `{database}`.otel_logs GROUP BY toDate(Timestamp)").result_rows
    assert sum(row[0] for row in days) == 1000
    assert len(days) == 2


@pytest.mark.parametrize("seed", range(3))
def test_batches_cut_and_repeated_at_will_by_several_exporters(
    exporter: Callable[..., Any], client: Any, database: str, chain: Any, seed: int
) -> None:
    chance = random.Random(seed)
    exporters = [exporter(max_batch_records=1000) for _ in range(3)]
    sent: set[int] = set()
    for _ in range(12):
        start = chance.randrange(1, 400)
        numbers = range(start, start + chance.randrange(1, 200))
        chance.choice(exporters).export(chain.batch(numbers))
        sent.update(numbers)

    assert _counts(client, database) == (len(sent), len(sent))


def test_streams_do_not_hide_each_other(
    exporter: Callable[..., Any], client: Any, database: str, chain: Any, make_batch: Callable[..., Any]
) -> None:
    other = type(chain)()
    running = exporter()
    running.export(chain.batch(range(1, 11)))

    mixed = [record for n in range(1, 21) for record in (chain.record(n), other.record(n))]
    running.export(make_batch(mixed))

    assert _counts(client, database) == (40, 40)


def test_a_number_that_comes_twice_in_a_batch_is_one_row(
    exporter: Callable[..., Any], client: Any, database: str, chain: Any
) -> None:
    exporter().export(chain.batch(1, 2, 2, 3, 1))

    assert _counts(client, database) == (3, 3)


def test_records_without_a_stream_are_delivered_at_least_once(
    exporter: Callable[..., Any], client: Any, database: str, chain: Any, make_batch: Callable[..., Any]
) -> None:
    records = [chain.record(n) for n in range(1, 4)]
    for record in records:
        del record.attributes["audit.sequence.stream_id"]
    running = exporter()

    running.export(make_batch(records))
    running.export(make_batch(records))

    assert _counts(client, database)[0] == 6


def _until_delivered(running: Any, batch: Any) -> None:
    """Tries again as the agent does, without its waits."""
    for _ in range(200):
        try:
            running.export(batch)
        except RetryableError:
            continue
        return
    pytest.fail("not delivered")


@pytest.mark.parametrize(
    "seed", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)]
)
def test_the_store_is_killed_while_it_inserts(
    store: Any,
    exporter: Callable[..., Any],
    database: str,
    chain: Any,
    make_batch: Callable[..., Any],
    seed: int,
) -> None:
    chance = random.Random(seed)
    running = exporter(timeout="10s")
    total = 0
    for _ in range(3):
        kill = threading.Timer(chance.uniform(0.0, 0.4), store.end, (signal.SIGKILL,))
        kill.start()
        while store.is_running:
            # Records of two days: two parts, so that one may be there without the other.
            numbers = range(total + 1, total + 2001)
            batch = make_batch([chain.record(n, _MIDNIGHT + (n % 2) * _DAY) for n in numbers])
            total += 2000
            try:
                running.export(batch)
            except RetryableError:
                kill.join()
                store.start()
                _until_delivered(running, batch)
                break
        kill.join()
        if not store.is_running:
            store.start()

    with store.client() as client:
        assert _counts(client, database) == (total, total)
