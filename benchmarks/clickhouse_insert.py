"""From decoded records to acknowledged rows in the embedded store: `python -m benchmarks.clickhouse_insert`.

Every way writes the same records (eighteen attributes, chained, two SHA-256 each) into a table of its own in
the same store over HTTP, ten thousand at a time; the best of several rounds is shown. The peers are what one
writes first with clickhouse-connect. The last line is the share of the exporter's time that is not the
server's. Needs the extra `embedded`.
"""

from __future__ import annotations

import hashlib
import logging
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import clickhouse_connect

from otel_fim import names
from otel_fim.component import ExporterContext
from otel_fim.exporters.clickhouse import ClickHouseConfig, ClickHouseExporter
from otel_fim.exporters.clickhouse.columns import BlockBuilder
from otel_fim.exporters.clickhouse.plan import plan
from otel_fim.exporters.clickhouse.rows import TYPES, timestamp
from otel_fim.exporters.clickhouse.schema import create_table
from otel_fim.names import events
from otel_fim.otlp import to_text
from otel_fim.record import SCHEMA_URL, AnyValue, Record, Resource, component_scope

_COUNT: Final = 10_000
_ROUNDS: Final = 6
_RESOURCE: Final = Resource(
    {
        names.HOST_NAME: "web-1",
        names.HOST_ID: "fdbf79e8af94cb7f9e8df36789187052",
        names.OS_TYPE: "linux",
        names.SERVICE_NAME: "otel-fim",
        names.SERVICE_INSTANCE_ID: "627cc493-f310-47de-96bd-71410b7dec09",
    },
    SCHEMA_URL,
)
_SCOPE: Final = component_scope("otel_fim.receivers.file_integrity")
_STREAM: Final = str(uuid.uuid4())


@dataclass(slots=True, frozen=True)
class Row:
    """One line of the table: records per second, and how many times as fast as the first line."""

    name: str
    per_second: float
    ratio: float


@dataclass(slots=True)
class _Batch:
    records: Sequence[Record]
    lines: Sequence[bytes] = ()

    @property
    def record_count(self) -> int:
        return len(self.records)


def _record(number: int) -> Record:
    digest = hashlib.sha256(number.to_bytes(8, "big")).hexdigest()
    attributes: dict[str, AnyValue] = {
        names.FILE_PATH: f"/srv/data/{number % 97}/file-{number}.conf",
        names.FILE_TYPE: "file",
        names.FILE_SIZE: number,
        names.FILE_MODE: "0644",
        names.FILE_INODE: str(100_000 + number),
        names.FILE_OWNER_ID: "0",
        names.FILE_OWNER_NAME: "root",
        names.FILE_MODIFIED: "2026-01-13T14:32:15.123456789Z",
        names.FILE_HASH_SHA256: digest,
        names.OTEL_FIM_FILE_BACKEND: "fanotify",
        names.OTEL_FIM_FILE_CHANGED_ATTRIBUTES: [names.FILE_HASH_SHA256, names.FILE_SIZE],
        names.PROCESS_PID: number % 32768,
        names.PROCESS_EXECUTABLE_PATH: "/usr/bin/vim.basic",
        names.USER_NAME: "root",
        names.AUDIT_SEQUENCE_STREAM_ID: _STREAM,
        names.AUDIT_SEQUENCE_NUMBER: number,
        names.AUDIT_SEQUENCE_PREV_HASH: digest[::-1],
        names.OTEL_FIM_CHAIN_HASH: digest[32:] + digest[:32],
    }
    time_ns = 1_768_314_735_000_000_000 + number * 100_000
    return Record(
        time_ns, time_ns, events.FILE_MODIFIED, 13, "WARN", "modified", attributes, _RESOURCE, _SCOPE
    )


def _best(batches: Sequence[Sequence[Record]], write: Callable[[Sequence[Record]], object]) -> float:
    best = float("inf")
    for batch in batches:
        start = time.perf_counter()
        write(batch)
        best = min(best, time.perf_counter() - start)
    return _COUNT / best


def run() -> list[Row]:
    """Measures. Takes about half a minute."""
    batches = [
        [_record(number) for number in range(start + 1, start + _COUNT + 1)]
        for start in range(0, _COUNT * _ROUNDS, _COUNT)
    ]
    with _store() as port:
        client = clickhouse_connect.get_client(host="127.0.0.1", port=port, autogenerate_session_id=False)
        for table in ("by_row", "by_column", "by_block"):
            client.command(create_table("default", table))
        types = list(TYPES.values())

        def by_row(records: Sequence[Record]) -> None:
            client.insert("by_row", _rows(records), column_names=list(TYPES), column_type_names=types)

        def by_column(records: Sequence[Record]) -> None:
            columns = list(zip(*_rows(records), strict=True))
            client.insert(
                "by_column", columns, column_names=list(TYPES), column_type_names=types, column_oriented=True
            )

        builder = BlockBuilder(list(TYPES))

        def block(records: Sequence[Record]) -> bytes:
            (insert,) = plan(records)
            return builder.build(insert.records, insert.timestamps, insert.numbers)

        blocks = iter([builder.build(b, [timestamp(r) for r in b], None) for b in batches])

        def server_only(_: Sequence[Record]) -> None:
            client.command("INSERT INTO by_block FORMAT Native", data=next(blocks))

        figures = [
            ("client.insert, row by row", _best(batches, by_row)),
            ("client.insert, column by column", _best(batches, by_column)),
        ]
        for compress in ("none", "zstd"):
            exporter = _exporter(port, compress)
            figures.append(
                (f"the exporter, compress: {compress}", _best(batches, lambda b: exporter.export(_Batch(b))))  # noqa: B023
            )
            exporter.stop(1.0)
        figures += [
            ("the server's share: blocks made before", _best(batches, server_only)),
            ("the exporter's share: making blocks", _best(batches, block)),
        ]
        client.close()
    return [Row(name, rate, rate / figures[0][1]) for name, rate in figures]


def _rows(records: Sequence[Record]) -> list[tuple[Any, ...]]:
    return [
        (
            timestamp(r),
            r.trace_id.hex(),
            r.span_id.hex(),
            r.flags & 0xFF,
            r.severity_text,
            r.severity_number,
            to_text(r.resource.attributes.get(names.SERVICE_NAME)),
            to_text(r.body),
            r.resource.schema_url,
            {key: to_text(value) for key, value in sorted(r.resource.attributes.items())},
            r.scope.schema_url,
            r.scope.name,
            r.scope.version,
            {key: to_text(value) for key, value in sorted(r.scope.attributes.items())},
            {key: to_text(value) for key, value in sorted(r.attributes.items())},
            r.event_name,
        )
        for r in records
    ]


def _exporter(port: int, compress: str) -> ClickHouseExporter:
    directory = Path(tempfile.gettempdir())
    context = ExporterContext(
        id="clickhouse",
        kind="exporter",
        state_directory=directory,
        service_directory=directory,
        agent_directories=(),
        resource=_RESOURCE,
        scope=_SCOPE,
        logger=logging.getLogger("benchmark"),
        report=lambda health, text: None,
        count=lambda *args, **labels: None,
        pipeline="logs",
    )
    config = ClickHouseConfig.model_validate(
        {
            "endpoint": f"http://127.0.0.1:{port}",
            "logs_table_name": f"exporter_{compress}",
            "compress": compress,
            "timeout": "60s",
        }
    )
    return ClickHouseExporter(config, context)


@contextmanager
def _store() -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with tempfile.TemporaryDirectory(prefix="otel-fim-benchmark-") as directory:
        command = [sys.executable, "-m", "otel_fim.store", "--data", f"{directory}/store", "--no-auth"]
        process = subprocess.Popen([*command, "--listen", f"127.0.0.1:{port}"], stderr=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 60
            while True:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(
                        "the embedded store does not start; is the extra 'embedded' installed?"
                    )
                time.sleep(0.1)
            yield port
        finally:
            process.terminate()
            process.wait(30)


def main() -> None:
    """Prints the table."""
    print(f"{'records to acknowledged rows':<44}{'records/s':>12}{'ratio':>8}")
    for row in run():
        print(f"{row.name:<44}{row.per_second:>12,.0f}{row.ratio:>7.1f}×")


if __name__ == "__main__":
    main()
