"""The embedded store: start, memory, inserts and latency over HTTP. Needs the extra `embedded`.

`python -m benchmarks.store [ROWS]` (default 200,000). The peer of the inserts is the same data as JSONEachRow, the way
most programs write; the peer of the latency is the same query on an idle store.
"""

from __future__ import annotations

import http.client
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import clickhouse_connect
import orjson
import psutil

_BATCH: Final = 20_000
_DDL: Final = """
CREATE TABLE logs (Timestamp DateTime64(9) CODEC(Delta(8), ZSTD(1)), Body String CODEC(ZSTD(1)),
  ServiceName LowCardinality(String) CODEC(ZSTD(1)), Severity UInt8,
  LogAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1))
) ENGINE = MergeTree PARTITION BY toDate(Timestamp) ORDER BY (ServiceName, Timestamp)
"""
_NAMES: Final = ["Timestamp", "Body", "ServiceName", "Severity", "LogAttributes"]
_BUSY: Final = "SELECT count() FROM numbers_mt(1000000000000) WHERE sipHash64(number) = 1"


@dataclass(slots=True, frozen=True)
class Row:
    """One line of the table."""

    what: str
    value: str
    against: str = ""


class _Store:
    def __init__(self, directory: str) -> None:
        started = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "otel_fim.store", "--data", directory, "--listen", "127.0.0.1:0"],
            stderr=subprocess.DEVNULL,
        )
        address = Path(directory, "address")
        while not address.exists():
            if self.process.poll() is not None:
                raise RuntimeError("the store did not start")
            time.sleep(0.005)
        self.start = time.perf_counter() - started
        host, _, port = address.read_text().strip().rpartition(":")
        self.host, self.port = host, int(port)
        self.password = Path(directory, "writer.password").read_text().strip()
        self.usage = psutil.Process(self.process.pid)

    def client(self) -> Any:
        return clickhouse_connect.get_client(
            host=self.host, port=self.port, username="writer", password=self.password
        )

    def latency(self, times: int = 200) -> list[float]:
        """Milliseconds of `SELECT 1` on one connection."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        token = b64encode(f"writer:{self.password}".encode()).decode()
        found = []
        for _ in range(times):
            began = time.perf_counter()
            connection.request("POST", "/", b"SELECT 1", {"Authorization": f"Basic {token}"})
            connection.getresponse().read()
            found.append((time.perf_counter() - began) * 1000)
        connection.close()
        return found

    def megabytes(self) -> float:
        return float(self.usage.memory_info().rss / 1e6)

    def stop(self) -> float:
        began = time.perf_counter()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        return time.perf_counter() - began


def _columns(first: int) -> list[list[Any]]:
    numbers = range(first, first + _BATCH)
    common = {
        "user.name": "root",
        "process.executable.path": "/usr/bin/bash",
        "host.name": "vm",
        "os.type": "linux",
    }
    attributes = [
        {
            **common,
            "file.path": f"/etc/{n}",
            "file.hash.sha256": f"{n:064x}",
            "n": str(n),
            "a": "b",
            "c": "d",
            "e": "f",
        }
        for n in numbers
    ]
    times = [1_760_000_000_000_000_000 + n for n in numbers]
    return [times, [f"MODIFIED /etc/{n}" for n in numbers], ["otel-fim"] * _BATCH, [9] * _BATCH, attributes]


def _rate(batches: int, insert: Callable[[list[list[Any]]], None]) -> float:
    spent = 0.0
    for number in range(batches):
        columns = _columns(number * _BATCH)
        began = time.perf_counter()
        insert(columns)
        spent += time.perf_counter() - began
    return batches * _BATCH / spent


def _percentiles(values: list[float]) -> str:
    cuts = statistics.quantiles(values, n=100)
    return f"{cuts[49]:.1f} ms (p50), {cuts[98]:.1f} ms (p99)"


def run(rows: int = 200_000) -> list[Row]:
    """Measure; a few seconds for the default."""
    directory = tempfile.mkdtemp()
    found = []
    store = _Store(directory)
    try:
        found.append(Row("start until it answers", f"{store.start:.2f} s"))
        found.append(Row("memory, idle and empty", f"{store.megabytes():.0f} MB"))
        before = sum(store.usage.cpu_times()[:2])
        time.sleep(5)
        busy = (sum(store.usage.cpu_times()[:2]) - before) / 5
        found.append(Row("processor time, idle", f"{busy * 100:.2f} %"))
        with store.client() as client:
            client.command(_DDL)
            batches = max(1, rows // _BATCH)
            native = _rate(
                batches,
                lambda c: client.insert("logs", c, column_names=_NAMES, column_oriented=True) and None,
            )
            found.append(Row("memory after the inserts", f"{store.megabytes():.0f} MB"))

            def as_json(columns: list[list[Any]]) -> None:
                seconds = [f"{time // 10**9}.{time % 10**9:09}" for time in columns[0]]
                rows = zip(seconds, *columns[1:], strict=True)
                lines = [orjson.dumps(dict(zip(_NAMES, row, strict=True))) for row in rows]
                client.raw_insert("logs", insert_block=b"\n".join(lines), fmt="JSONEachRow")

            text = _rate(max(1, batches // 5), as_json)
        ratio = f"{native / text:.1f} × JSONEachRow ({text:,.0f})"
        found.append(Row("inserts by columns, rows/s", f"{native:,.0f}", ratio))
        alone = store.latency()
        found.append(Row("SELECT 1", _percentiles(alone)))
        slow = threading.Thread(target=_run_quietly, args=(store, _BUSY))
        slow.start()
        time.sleep(0.5)
        beside = store.latency(100)
        against = f"{statistics.median(beside) / statistics.median(alone):.1f} × alone"
        found.append(Row("SELECT 1 beside a query on all processors", _percentiles(beside), against))
        with store.client() as client:
            client.command("KILL QUERY WHERE query LIKE '%sipHash64%' AND query_id != queryID() SYNC")
        slow.join()
        found.append(Row("stop", f"{store.stop():.2f} s"))
    finally:
        if store.process.poll() is None:
            store.process.kill()
            store.process.wait()
        shutil.rmtree(directory, ignore_errors=True)
    return found


def _run_quietly(store: _Store, sql: str) -> None:
    connection = http.client.HTTPConnection(store.host, store.port, timeout=60)
    token = b64encode(f"writer:{store.password}".encode()).decode()
    try:
        connection.request("POST", "/", sql, {"Authorization": f"Basic {token}"})
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        pass  # the store is stopped while the query runs
    finally:
        connection.close()


def main() -> None:
    """Print the table."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].isdigit() else 200_000
    for row in run(rows):
        print(f"{row.what:45} {row.value:32} {row.against}")


if __name__ == "__main__":
    main()
