"""The codec, the canonical form and the chain against their peers, in one run: `python -m benchmarks.codec`.

Each figure is the best of several rounds over the same records (twelve attributes, a third of them different in
every record), one thread. A round's clock stands still while records are made.
"""

from __future__ import annotations

import gc
import logging
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import rfc8785
from google.protobuf import json_format
from opentelemetry._logs import LogRecord as SdkRecord
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, LogsData, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource as ProtoResource
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource as SdkResource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope as SdkScope

from otel_fim import names
from otel_fim.canonical import canonical_record
from otel_fim.component import ProcessorContext
from otel_fim.names import events
from otel_fim.otlp import (
    decode_logs_data,
    decode_logs_data_json,
    encode_logs_data,
    encode_logs_data_json,
    to_text,
)
from otel_fim.processors.chain import ChainConfig, ChainProcessor
from otel_fim.record import Record, Resource, component_scope, make_event
from otel_fim.verify import verify_records

_COUNT: Final = 10_000
_ROUNDS: Final = 5
_RESOURCE: Final = Resource(
    {"service.name": "otel-fim", "host.name": "web-1", "host.id": "fdbf79e8af94cb7f9e8df36789187052"}
)
_SCOPE: Final = component_scope("otel_fim.receivers.file_integrity")


@dataclass(slots=True, frozen=True)
class Row:
    """One line of the table: records per second, and how many times as fast as the peer that it names."""

    name: str
    per_second: float
    ratio: float | None = None
    peer: str = ""


def make_records(count: int = _COUNT) -> list[Record]:
    """File events with twelve attributes."""
    return [
        make_event(
            events.FILE_MODIFIED,
            {
                names.FILE_PATH: f"/usr/lib/python3/dist-packages/module_{number}.py",
                names.FILE_NAME: f"module_{number}.py",
                names.FILE_DIRECTORY: "/usr/lib/python3/dist-packages",
                names.FILE_EXTENSION: "py",
                names.FILE_SIZE: number * 977,
                names.FILE_MODE: "0644",
                names.FILE_INODE: str(1_000_000 + number),
                names.FILE_OWNER_NAME: "root",
                names.FILE_HASH_SHA256: f"{number * 7919:064x}",
                names.PROCESS_PID: number % 32768,
                names.PROCESS_EXECUTABLE_PATH: "/usr/bin/dpkg",
                names.USER_NAME: "root",
            },
            resource=_RESOURCE,
            scope=_SCOPE,
            body=f"MODIFIED /usr/lib/python3/dist-packages/module_{number}.py",
        )
        for number in range(count)
    ]


def rate(work: Callable[[Any], object], prepare: Callable[[], Any], count: int = _COUNT) -> float:
    """Records per second of the fastest round; `prepare` makes what each round works on."""
    best = float("inf")
    for _ in range(_ROUNDS):
        given = prepare()
        gc.collect()
        begin = time.perf_counter()
        work(given)
        best = min(best, time.perf_counter() - begin)
    return count / best


def run() -> list[Row]:
    """All measurements."""
    records = make_records()
    given = lambda: records  # noqa: E731
    rows: list[Row] = []

    def add(name: str, per_second: float, peer: Row | None = None) -> Row:
        ratio = per_second / peer.per_second if peer else None
        rows.append(Row(name, per_second, ratio, peer.name if peer else ""))
        return rows[-1]

    sdk_records = [_sdk_record(record) for record in records]
    sdk = add(
        "protobuf encode, SDK's encode_logs",
        rate(lambda batch: encode_logs(batch).SerializeToString(), lambda: sdk_records),
    )
    direct = add("protobuf encode, opentelemetry-proto classes", rate(_encode_directly, given))
    ours = rate(encode_logs_data, given)
    add("protobuf encode", ours, direct)
    add("protobuf encode", ours, sdk)

    data = encode_logs_data(records)
    add("protobuf decode", rate(decode_logs_data, lambda: data))

    message = LogsData.FromString(data)
    peer = add("JSON encode, protobuf's json_format", rate(json_format.MessageToJson, lambda: message))
    add("JSON encode, one line for all", rate(encode_logs_data_json, given), peer)
    add("JSON encode, a line for each record", rate(_encode_lines, given), peer)
    text = json_format.MessageToJson(message)
    peer = add(
        "JSON decode, protobuf's json_format",
        rate(lambda line: json_format.Parse(line, LogsData()), lambda: text),
    )
    line, lines = encode_logs_data_json(records), _encode_lines(records)
    add("JSON decode, one line for all", rate(decode_logs_data_json, lambda: line), peer)
    add("JSON decode, a line for each record", rate(_decode_lines, lambda: lines), peer)

    peer = add("canonical form, rfc8785", rate(_canonical_by_rfc8785, given))
    add("canonical form", rate(_canonical, given), peer)
    add("seal (chain processor)", rate(_chain().process, make_records))
    sealed = _chain().process(make_records())
    add("verify", rate(verify_records, lambda: sealed))
    return rows


def _encode_lines(records: list[Record]) -> list[bytes]:
    return [encode_logs_data_json((record,)) for record in records]


def _decode_lines(lines: list[bytes]) -> list[list[Record]]:
    return [decode_logs_data_json(line) for line in lines]


def _canonical(records: list[Record]) -> None:
    for record in records:
        canonical_record(record)


def _canonical_by_rfc8785(records: list[Record]) -> None:
    for record in records:
        rfc8785.dumps(
            {
                "attributes": {key: to_text(value) for key, value in record.attributes.items()},
                "body": to_text(record.body),
                "event_name": record.event_name,
                "scope": {"attributes": {}, "name": record.scope.name, "version": record.scope.version},
                "severity_number": str(record.severity_number),
                "severity_text": record.severity_text,
                "time": str(record.time_unix_nano),
            }
        )


def _value(value: object) -> AnyValue:
    return AnyValue(int_value=value) if isinstance(value, int) else AnyValue(string_value=str(value))


def _pairs(attributes: Any) -> list[KeyValue]:
    return [KeyValue(key=key, value=_value(value)) for key, value in attributes.items()]


def _encode_directly(records: list[Record]) -> bytes:
    """The plainest use of protobuf's own classes."""
    logs = [
        LogRecord(
            time_unix_nano=record.time_unix_nano,
            observed_time_unix_nano=record.observed_time_unix_nano,
            severity_number=record.severity_number,  # type: ignore[arg-type]
            severity_text=record.severity_text,
            event_name=record.event_name,
            body=AnyValue(string_value=record.body),  # type: ignore[arg-type]
            attributes=_pairs(record.attributes),
        )
        for record in records
    ]
    scope = InstrumentationScope(name=_SCOPE.name, version=_SCOPE.version)
    group = ScopeLogs(scope=scope, log_records=logs, schema_url=_SCOPE.schema_url)
    resource = ProtoResource(attributes=_pairs(_RESOURCE.attributes))
    return LogsData(resource_logs=[ResourceLogs(resource=resource, scope_logs=[group])]).SerializeToString()


def _sdk_record(record: Record) -> ReadableLogRecord:
    return ReadableLogRecord(
        SdkRecord(
            timestamp=record.time_unix_nano,
            observed_timestamp=record.observed_time_unix_nano,
            severity_text=record.severity_text,
            severity_number=SeverityNumber(record.severity_number),
            body=record.body,  # type: ignore[arg-type]
            attributes=record.attributes,  # type: ignore[arg-type]
            event_name=record.event_name,
        ),
        _SDK_RESOURCE,
        SdkScope(_SCOPE.name, _SCOPE.version, _SCOPE.schema_url),
    )


_SDK_RESOURCE: Final = SdkResource(dict(_RESOURCE.attributes))  # type: ignore[arg-type]


def _chain() -> ChainProcessor:
    directory = Path(tempfile.mkdtemp(prefix="otel-fim-benchmark-"))
    processor = ChainProcessor(
        ChainConfig(),
        ProcessorContext(
            id="chain",
            kind="processor",
            state_directory=directory,
            service_directory=directory,
            agent_directories=(directory,),
            resource=_RESOURCE,
            scope=_SCOPE,
            logger=logging.getLogger("benchmark"),
            report=lambda health, text: None,
            count=lambda *args, **labels: None,
            pipeline="logs",
            last_record=lambda: None,
        ),
    )
    processor.start()
    return processor


def main() -> None:
    """Prints the table."""
    print(f"{'':<46}{'records/s':>12}{'ratio':>8}  against")
    for row in run():
        ratio = f"{row.ratio:.1f}×" if row.ratio else ""
        print(f"{row.name:<46}{row.per_second:>12,.0f}{ratio:>8}  {row.peer}")


if __name__ == "__main__":
    main()
