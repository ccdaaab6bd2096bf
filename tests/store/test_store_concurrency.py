"""Slow queries, many queries, and clients that go away."""

from __future__ import annotations

import http.client
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest

SLOW = (
    "SELECT count() FROM numbers(600) WHERE NOT ignore(sleepEachRow(0.1)) "
    "SETTINGS max_block_size = 1, function_sleep_max_microseconds_per_block = 100000000, max_execution_time = 60"
)


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory, store: Any) -> Iterator[Any]:
    """A store with two places for each user."""
    made = type(store)(tmp_path_factory.mktemp("narrow") / "data", ("--concurrency", "2"))
    yield made.start()
    assert made.end() == 0


def running(store: Any) -> int:
    return int(
        store.query(
            "SELECT count() FROM system.processes WHERE query LIKE '%sleepEachRow%' "
            "AND query NOT LIKE '%system.processes%'",
            user="writer",
        )
    )


def wait_for(condition: Any, what: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def begin(store: Any, sql: str, user: str = "reader", query_id: str = "") -> http.client.HTTPConnection:
    """Send a query and do not wait for its answer."""
    connection = http.client.HTTPConnection(*store.address, timeout=90)
    token = b64encode(f"{user}:{store.password(user)}".encode()).decode()
    url = "/?" + (f"query_id={quote(query_id)}" if query_id else "")
    connection.request("POST", url, body=sql, headers={"Authorization": f"Basic {token}"})
    return connection


def test_a_slow_query_holds_up_nobody_and_ends_with_its_client(narrow: Any) -> None:
    slow = begin(narrow, SLOW)
    try:
        wait_for(lambda: running(narrow) == 1, "the query does not run")
        for _ in range(20):
            assert narrow.query("SELECT 1", user="reader") == "1\n"
            assert narrow.query("SELECT 1") == "1\n"
        assert running(narrow) == 1
    finally:
        slow.close()
    wait_for(lambda: running(narrow) == 0, "the query goes on without its client")


def test_a_streamed_result_ends_with_its_client(narrow: Any) -> None:
    endless = begin(
        narrow, "SELECT number, randomPrintableASCII(100) AS sleepEachRow FROM numbers(100000000000)"
    )
    answer = endless.getresponse()
    assert len(answer.read(1_000_000)) == 1_000_000
    assert running(narrow) == 1
    answer.close()
    endless.close()
    wait_for(lambda: running(narrow) == 0, "the query goes on without its client")


@pytest.mark.slow
def test_too_many_queries_are_told_to_come_back(narrow: Any) -> None:
    slow = [begin(narrow, SLOW) for _ in range(2)]
    try:
        wait_for(lambda: running(narrow) == 2, "the queries do not run")
        answer = narrow.request("SELECT 1", user="reader")
        assert (answer.status, answer.code) == (503, 202)
        assert answer.headers["retry-after"] == "1"
        # The reader's queries do not take the writer's places.
        assert narrow.query("SELECT 1", user="writer") == "1\n"
    finally:
        for one in slow:
            one.close()
    wait_for(lambda: running(narrow) == 0, "the queries go on without their clients")
    assert narrow.query("SELECT 1", user="reader") == "1\n"


def test_a_place_that_becomes_free_is_taken(narrow: Any) -> None:
    sql = "SELECT sleep(0.3)"
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: narrow.request(sql, user="reader").status, range(6)))
    assert answers == [200] * 6


def test_one_query_of_an_id_at_a_time(narrow: Any) -> None:
    slow = begin(narrow, SLOW, query_id="the-one")
    try:
        wait_for(lambda: running(narrow) == 1, "the query does not run")
        answer = narrow.request("SELECT 1", parameters={"query_id": "the-one"})
        assert answer.code == 216
    finally:
        slow.close()
    wait_for(lambda: running(narrow) == 0, "the query goes on without its client")
    wait_for(
        lambda: narrow.request("SELECT 1", parameters={"query_id": "the-one"}).status == 200, "the id is kept"
    )


def test_many_clients_at_once(store: Any) -> None:
    store.query("CREATE TABLE busy (n UInt64, who UInt8) ENGINE = MergeTree ORDER BY n")
    failures: list[str] = []

    def work(who: int) -> None:
        for part in range(8):
            rows = "".join(f"{who * 10_000 + part * 100 + n}\t{who}\n" for n in range(100))
            answer = store.request("INSERT INTO busy FORMAT TSV\n" + rows)
            other = store.request(f"SELECT count() FROM busy WHERE who = {who}", user="reader")
            if answer.status != 200 or other.text != f"{(part + 1) * 100}\n":
                failures.append(answer.text + other.text)

    threads = [threading.Thread(target=work, args=(who,)) for who in range(6)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not failures
        assert store.query("SELECT count(), uniqExact(n) FROM busy") == "4800\t4800\n"
    finally:
        store.query("DROP TABLE busy SYNC")


def test_an_insert_that_breaks_off_is_not_there(store: Any) -> None:
    """Half a body is no INSERT: the connection closes before the data is complete."""
    store.query("CREATE TABLE broken (n UInt64) ENGINE = MergeTree ORDER BY n")
    try:
        token = b64encode(f"writer:{store.password()}".encode()).decode()
        connection = http.client.HTTPConnection(*store.address, timeout=30)
        connection.putrequest("POST", "/?query=" + quote("INSERT INTO broken FORMAT TSV"))
        connection.putheader("Authorization", f"Basic {token}")
        connection.putheader("Content-Length", "1000000")
        connection.endheaders()
        connection.send(b"1\n2\n3\n")
        connection.close()
        store.query("INSERT INTO broken VALUES (7)")
        assert store.query("SELECT groupArray(n) FROM broken") == "[7]\n"
    finally:
        store.query("DROP TABLE broken SYNC")
