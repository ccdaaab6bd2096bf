"""What a real OpenTelemetry Collector makes of what is sent and written here."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import urllib3

from otel_fim import names
from otel_fim.component import AnyExporter, ExporterContext, ExportResult, PermanentError, RetryableError
from otel_fim.exporters.otlp import OtlpConfig, OtlpExporter
from otel_fim.exporters.otlp_file import OtlpFileConfig, OtlpFileExporter
from otel_fim.names import events
from otel_fim.otlp import decode_logs_data_json, encode_logs_data_json
from otel_fim.record import EMPTY_SCOPE, Record, Resource, component_scope

# The first test may have to build the collector.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

RESOURCE = Resource({"host.name": "web-1", "service.name": "otel-fim"}, schema_url="https://example.org/s")


@dataclass
class Batch:
    """Records and their journal lines."""

    records: list[Record]
    lines: list[bytes] = field(default_factory=list)

    @property
    def record_count(self) -> int:
        return len(self.records)


def batch(count: int) -> Batch:
    records = [
        Record(
            time_unix_nano=1768314735_123456789 + number,
            observed_time_unix_nano=1768314735_223456789 + number,
            event_name=events.FILE_MODIFIED,
            severity_number=13,
            severity_text="WARN",
            body=f"changed {number} \u202e\n\U0001f600",
            attributes={
                names.FILE_PATH: "/etc/passwd",
                names.OTEL_FIM_FILE_PATH_BYTES: b"/etc/\xff\x00",
                names.THREAT_TECHNIQUE_ID: ["T1136", "T1098"],
                "int": -(2**63),
                "big": 2**63 - 1,
                "double": 0.1,
                "bool": False,
                "empty": "",
                "map": {"a": {"b": [1, 2.5, None, True]}, "c": b""},
                "none": None,
            },
            resource=RESOURCE,
            scope=component_scope("otel_fim.receivers.file_integrity"),
            trace_id=bytes(range(16)),
            span_id=bytes(range(8)),
            flags=1,
        )
        for number in range(count)
    ]
    lines = [encode_logs_data_json(records[start : start + 10]) for start in range(0, count, 10)]
    return Batch(records, lines)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[type[AnyExporter], Any], AnyExporter]]:
    started: list[AnyExporter] = []

    def _start(kind: type[AnyExporter], config: Any) -> AnyExporter:
        context = ExporterContext(
            id="interop",
            kind="exporter",
            state_directory=tmp_path,
            service_directory=tmp_path,
            agent_directories=(),
            resource=RESOURCE,
            scope=EMPTY_SCOPE,
            logger=logging.getLogger("test.interop"),
            report=lambda health, message: None,
            count=lambda *args, **kwargs: None,
            pipeline="logs",
        )
        exporter = kind(config, context)
        exporter.start()
        started.append(exporter)
        return exporter

    yield _start
    for exporter in started:
        exporter.stop(1.0)


def received(collector: Any, count: int) -> list[Record]:
    def records(lines: list[bytes]) -> list[Record]:
        return [record for line in lines for record in decode_logs_data_json(line)]

    return records(collector.lines(lambda lines: len(records(lines)) >= count))


@pytest.mark.parametrize(
    ("protocol", "compression"),
    [
        ("grpc", "gzip"),
        ("grpc", "none"),
        ("http/protobuf", "gzip"),
        ("http/protobuf", "zstd"),
        ("http/protobuf", "none"),
        ("http/json", "gzip"),
        ("http/json", "zstd"),
        ("http/json", "none"),
    ],
)
def test_what_is_sent_arrives_as_it_was(
    run_collector: Any, start: Any, protocol: str, compression: str
) -> None:
    collector = run_collector()
    endpoint = collector.grpc if protocol == "grpc" else collector.http
    config = OtlpConfig(protocol=protocol, endpoint=endpoint, compression=compression)  # type: ignore[arg-type]
    sent = batch(50)
    assert start(OtlpExporter, config).export(sent) == ExportResult()
    assert received(collector, 50) == sent.records


def test_a_collector_that_restarts(run_collector: Any, start: Any) -> None:
    collector = run_collector()
    exporter = start(OtlpExporter, OtlpConfig(endpoint=collector.http))
    sent = batch(10)
    exporter.export(sent)
    collector.process.kill()
    collector.process.wait(10)
    with pytest.raises(RetryableError, match=collector.http):
        exporter.export(sent)


def test_a_message_larger_than_the_collector_takes(run_collector: Any, start: Any) -> None:
    collector = run_collector()
    config = OtlpConfig(
        protocol="grpc", endpoint=collector.grpc, max_request_size=2**30, max_batch_records=10**6
    )
    sent = Batch([Record(time_unix_nano=number, body="x" * 10_000) for number in range(1, 1001)])
    assert start(OtlpExporter, config).export(sent) == ExportResult()
    assert received(collector, 1000) == sent.records


def test_an_error_of_the_collector_is_permanent_and_says_why(run_collector: Any, start: Any) -> None:
    collector = run_collector()
    with pytest.raises(PermanentError, match="404"):
        start(OtlpExporter, OtlpConfig(logs_endpoint=f"{collector.http}/nothing")).export(batch(1))


def test_lines_of_the_file_exporter_are_read_by_the_collectors_json_reader(
    run_collector: Any, start: Any, tmp_path: Path
) -> None:
    collector = run_collector()
    path = tmp_path / "journal.json"
    sent = batch(50)
    start(OtlpFileExporter, OtlpFileConfig(path=str(path))).export(sent)
    with urllib3.PoolManager() as pool:
        for line in path.read_bytes().splitlines():
            answer = pool.request(
                "POST",
                f"{collector.http}/v1/logs",
                body=line,
                headers={"Content-Type": "application/json"},
                timeout=10,
                retries=False,
            )
            assert answer.status == 200, answer.data
    assert received(collector, 50) == sent.records


def test_the_otlpjsonfile_receiver_reads_the_file(
    collector_binary: Path, run_collector: Any, start: Any, tmp_path: Path
) -> None:
    listed = subprocess.run([collector_binary, "components"], capture_output=True, timeout=30, check=True)
    if b"otlpjsonfile" not in listed.stdout and b"otlp_json_file" not in listed.stdout:
        pytest.skip(
            "this collector has no otlpjsonfile receiver: set OTEL_FIM_COLLECTOR to an otelcol-contrib"
        )
    path = tmp_path / "journal.json"
    sent = batch(50)
    start(OtlpFileExporter, OtlpFileConfig(path=str(path))).export(sent)
    collector = run_collector(
        otlpjsonfile={"include": [str(path)], "start_at": "beginning", "max_log_size": "16MiB"}
    )
    assert received(collector, 50) == sent.records
