"""Requests that are late, repeated, cut short or answered too late, and two agents where one was meant."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import random
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from otel_fim.component import RetryableError
from otel_fim.exporters.clickhouse.plan import plan


def _counts(client: Any, database: str) -> tuple[int, int]:
    """Rows, and distinct places in streams."""
    (row,) = client.query(
        f"SELECT count(), uniqExact(stream_id, sequence) FROM `{database}`.otel_fim_files"
    ).result_rows
    return row[0], row[1]


def _deliver(running: Any, batch: Any, attempts: int = 300) -> int:
    """Tries as the agent does, without its waits; gives the number of attempts that failed."""
    for failed in range(attempts):
        try:
            running.export(batch)
        except RetryableError:
            continue
        return failed
    pytest.fail("not delivered")


@pytest.mark.slow
def test_an_insert_that_outlives_the_clients_patience_is_not_made_twice(
    exporter: Callable[..., Any], client: Any, database: str, chain: Any
) -> None:
    exporter().export(chain.batch(1))
    client.command(
        f"ALTER TABLE `{database}`.otel_logs ADD COLUMN slow UInt8 MATERIALIZED sleepEachRow(0.002)"
    )
    impatient = exporter(timeout="1s")

    with pytest.raises(RetryableError, match="timed out"):
        impatient.export(chain.batch(range(2, 1002)))
    _deliver(exporter(), chain.batch(range(2, 1002)))

    assert _counts(client, database) == (1001, 1001)


def test_an_insert_waits_for_an_earlier_one_of_the_same_stream(
    store: Any, exporter: Callable[..., Any], client: Any, database: str, chain: Any
) -> None:
    running = exporter()
    running.export(chain.batch(1))
    (insert,) = plan(chain.batch(2).records)
    lock = running.exporter._session.table.lock(insert)

    def hold() -> None:
        with store.client() as holder, contextlib.suppress(DatabaseError):
            holder.query(
                "SELECT sleepEachRow(1) FROM numbers(100) SETTINGS max_block_size = 1",
                settings={"query_id": lock},
            )

    def held() -> bool:
        running = (
            "FROM system.processes WHERE query LIKE '%sleepEachRow(1)%' AND query NOT LIKE '%processes%'"
        )
        return bool(client.command(f"SELECT count() {running}"))

    holding = threading.Thread(target=hold)
    holding.start()
    while not held():
        assert holding.is_alive()
    with pytest.raises(RetryableError, match="still works on an insert of the same stream"):
        running.export(chain.batch(2))
    client.command(
        "KILL QUERY WHERE query LIKE '%sleepEachRow(1)%numbers(100)%' AND query NOT LIKE 'KILL%' ASYNC"
    )
    holding.join(60)
    _deliver(running, chain.batch(2))

    assert _counts(client, database) == (2, 2)


def test_two_agents_with_the_same_state_write_each_record_once(
    exporter: Callable[..., Any], client: Any, database: str, chain: Any
) -> None:
    exporter().export(chain.batch(1))

    def write(seed: int) -> None:
        running = exporter()
        chance = random.Random(seed)
        start = 1
        while start < 300:
            size = chance.randrange(1, 60)
            _deliver(running, chain.batch(range(start, min(start + size, 300))))
            start += size

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(write, range(3)))

    assert _counts(client, database) == (299, 299)


class Proxy:
    """Between exporter and store: it cuts, truncates, repeats, delays, and loses answers."""

    def __init__(self, target: str, seed: int) -> None:
        self._chance = random.Random(seed)
        self._target = target.removeprefix("http://")
        self._late: list[threading.Thread] = []
        self.faults = 0
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                proxy.handle(self)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def handle(self, request: http.server.BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        fault = self._chance.choice([*["none"] * 5, "cut", "truncate", "repeat", "late", "lost", "both"])
        if b"INSERT" not in request.path.encode():
            fault = "none"
        self.faults += fault != "none"
        if fault == "truncate":
            self._forward_part(request, body[: self._chance.randrange(len(body))], len(body))
        if fault == "late":
            timer = threading.Timer(self._chance.uniform(0.01, 0.3), self._forward, (request, body))
            self._late.append(timer)
            timer.start()
        if fault == "both":
            twin = threading.Thread(target=self._forward, args=(request, body))
            self._late.append(twin)
            twin.start()
        if fault not in {"cut", "truncate", "late"}:
            status, headers, answer = self._forward(request, body)
        if fault == "repeat":
            status, headers, answer = self._forward(request, body)
        if fault in {"cut", "truncate", "late", "lost"}:
            request.close_connection = True
            return
        request.send_response(status)
        for name, value in headers:
            if name.lower() not in {"transfer-encoding", "content-length", "connection"}:
                request.send_header(name, value)
        request.send_header("Content-Length", str(len(answer)))
        request.end_headers()
        request.wfile.write(answer)

    def _forward(
        self, request: http.server.BaseHTTPRequestHandler, body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self._target, timeout=60)
        try:
            headers = {
                k: v for k, v in request.headers.items() if k.lower() not in {"host", "content-length"}
            }
            connection.request("POST", request.path, body, headers)
            response = connection.getresponse()
            return response.status, response.getheaders(), response.read()
        finally:
            connection.close()

    def _forward_part(self, request: http.server.BaseHTTPRequestHandler, part: bytes, length: int) -> None:
        connection = http.client.HTTPConnection(self._target, timeout=60)
        connection.putrequest("POST", request.path)
        for name, value in request.headers.items():
            if name.lower() not in {"host", "content-length", "accept-encoding"}:
                connection.putheader(name, value)
        connection.putheader("Content-Length", str(length))
        connection.endheaders(part)
        connection.close()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def settle(self) -> None:
        """Waits until whatever was late has arrived."""
        for thread in self._late:
            thread.join(60)


@pytest.fixture
def proxy_for(store: Any) -> Iterator[Callable[[int], Proxy]]:
    proxies: list[Proxy] = []

    def make(seed: int) -> Proxy:
        proxies.append(Proxy(store.endpoint, seed))
        return proxies[-1]

    yield make
    for proxy in proxies:
        proxy.stop()


@pytest.mark.parametrize("seed", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in range(2, 7))])
def test_a_network_that_cuts_truncates_repeats_and_delays(
    exporter: Callable[..., Any],
    client: Any,
    database: str,
    chain: Any,
    proxy_for: Callable[[int], Proxy],
    seed: int,
) -> None:
    exporter().export(chain.batch(1))
    proxy = proxy_for(seed)
    chance = random.Random(seed)
    running = exporter(endpoint=proxy.endpoint)
    start = 1
    while start <= 900:
        size = chance.randrange(1, 100)
        _deliver(running, chain.batch(range(start, min(start + size, 901))))
        start += size
        if chance.random() < 0.2:  # the agent restarts, and its last batch was not marked as delivered
            running.stop()
            running = exporter(endpoint=proxy.endpoint)
            start = max(1, start - chance.randrange(1, 100))
    proxy.settle()

    assert proxy.faults
    assert _counts(client, database) == (900, 900)


@pytest.mark.root
@pytest.mark.slow
def test_a_full_disk_is_waited_for_and_loses_nothing(
    store: Any, exporter_for: Callable[..., Any], chain: Any, tmp_path: Path
) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(mount)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("needs root")
    (mount / "store").mkdir()
    small = type(store)(mount / "store")
    store.end(signal.SIGTERM)  # one engine at a time
    try:
        small.start()
        running = exporter_for(
            endpoint=small.endpoint, username="writer", password_file=str(small.password_file), timeout="60s"
        )
        chance = random.Random(1)
        delivered = 0
        said = ""
        while not said:
            batch = chain.batch(range(delivered + 1, delivered + 2001))
            for record in batch.records:
                record.body = chance.randbytes(500).hex()
            try:
                running.export(batch)
                delivered += 2000
            except RetryableError as error:
                said = str(error)
        assert "NOT_ENOUGH_SPACE" in said or "No space left" in said
        assert delivered
        subprocess.run(["mount", "-o", "remount,size=512m", str(mount)], check=True)
        _deliver(running, batch)
        with small.client() as client:
            assert _counts(client, "default") == (delivered + 2000, delivered + 2000)
    finally:
        small.end(signal.SIGTERM)
        subprocess.run(["umount", "-l", str(mount)], check=True)
        store.start()
