"""What is in the table afterwards, in the real engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from otel_fim import names
from otel_fim.component import ExportResult, Health
from otel_fim.otlp import to_text
from otel_fim.record import Record, Resource, Scope

HOSTILE = [
    "plain",
    "",
    "new\nline\r\n\ttab",
    "quotes ' \" ` and \\ backslash \\'",
    "'; DROP TABLE otel_logs; --",
    "\x1b[31mred\x1b[0m \x07",
    "nul \0 inside",
    "ünïcödé 漢字 🦊 \u2028 \u202e",
    "x" * 255,
    "/" + "d" * 5000,
    "{p:String} %s %(x)s $1 ?",
]


def _row(client: Any, database: str, where: str = "1") -> dict[str, Any]:
    result = client.query(
        f"SELECT *, toUnixTimestamp64Nano(Timestamp) AS ns FROM `{database}`.otel_logs WHERE {where}"
    )
    (row,) = result.named_results()
    return dict(row)


def test_a_record_of_every_field_is_a_row_of_every_column(
    exporter: Callable[..., Any], client: Any, database: str, make_batch: Callable[..., Any]
) -> None:
    values = {
        "text": "t",
        "true": True,
        "int": -(2**63),
        "double": 1.5,
        "bytes": b"\0\xff",
        "list": ["a", 1, None, {"k": [True]}],
        "map": {"b": 1, "a": "x"},
        "empty": None,
    }
    record = Record(
        time_unix_nano=1_768_314_735_123_456_789,
        observed_time_unix_nano=1_768_314_736_000_000_000,
        event_name="otel_fim.test",
        severity_number=17,
        severity_text="ERROR",
        body={"message": "m"},
        attributes=values,
        resource=Resource({names.SERVICE_NAME: "svc", "z": 1, "a": 2}, "https://example.com/r"),
        scope=Scope("name", "1.2", {"s": True}, "https://example.com/s"),
        trace_id=bytes(range(16)),
        span_id=bytes(range(8)),
        flags=0x101,
    )

    assert exporter().export(make_batch([record])) == ExportResult()

    row = _row(client, database)
    assert row.pop("Timestamp") is not None
    assert row == {
        "ns": 1_768_314_735_123_456_789,
        "TraceId": "000102030405060708090a0b0c0d0e0f",
        "SpanId": "0001020304050607",
        "TraceFlags": 1,
        "SeverityText": "ERROR",
        "SeverityNumber": 17,
        "ServiceName": "svc",
        "Body": '{"message":"m"}',
        "ResourceSchemaUrl": "https://example.com/r",
        "ResourceAttributes": {"a": "2", names.SERVICE_NAME: "svc", "z": "1"},
        "ScopeSchemaUrl": "https://example.com/s",
        "ScopeName": "name",
        "ScopeVersion": "1.2",
        "ScopeAttributes": {"s": "true"},
        "LogAttributes": {key: to_text(value) for key, value in sorted(values.items())},
        "EventName": "otel_fim.test",
    }
    assert list(row["LogAttributes"]) == sorted(values)


def test_hostile_text_arrives_as_it_is_and_can_be_searched(
    exporter: Callable[..., Any], client: Any, database: str, chain: Any, make_batch: Callable[..., Any]
) -> None:
    records = [chain.record(i, **{names.FILE_PATH: text}) for i, text in enumerate(HOSTILE, 1)]
    for record, text in zip(records, HOSTILE, strict=True):
        record.body = text
        record.attributes[text or "key"] = text

    exporter().export(make_batch(records))

    for number, text in enumerate(HOSTILE, 1):
        found = client.query(
            f"SELECT sequence, body, attributes FROM `{database}`.otel_fim_files WHERE path = {{path:String}}",
            parameters={"path": text},
        ).result_rows
        assert [(row[0], row[1], row[2][text or "key"]) for row in found] == [(number, text, text)]


def test_a_record_that_otlp_cannot_carry_is_mended_and_not_lost(
    exporter: Callable[..., Any], client: Any, database: str, chain: Any, make_batch: Callable[..., Any]
) -> None:
    record = chain.record(1, surrogate="a\udcffb", huge=2**70, nested=["\ud800"])
    record.event_name = "otel_fim.\udc80"

    exporter().export(make_batch([record, chain.record(2)]))

    row = _row(client, database, "LogAttributes['surrogate'] != ''")
    assert row["LogAttributes"]["surrogate"] == "a\\xffb"
    assert row["LogAttributes"]["huge"] == str(2**70)
    assert row["EventName"] == "otel_fim.\\x80"
    assert record.attributes["surrogate"] == "a\udcffb"
    assert client.command(f"SELECT count() FROM `{database}`.otel_logs") == 2


@pytest.mark.parametrize("compress", ["none", "zstd", "lz4", "gzip"])
def test_every_compression_arrives(
    exporter: Callable[..., Any], client: Any, database: str, chain: Any, compress: str
) -> None:
    exporter(compress=compress).export(chain.batch(range(1, 500)))

    assert client.command(
        f"SELECT sum(LogAttributes['file.size']::UInt64) FROM `{database}`.otel_logs"
    ) == sum(range(1, 500))


def test_times_far_apart_go_to_more_days_than_one_insert_may_touch(
    exporter: Callable[..., Any], client: Any, database: str, chain: Any, make_batch: Callable[..., Any]
) -> None:
    day = 86_400_000_000_000
    times = [*(n * day for n in range(1, 120)), 0, 2**64 - 1, 49_709 * day, 2**63]
    records = [chain.record(n, time) for n, time in enumerate(times, 1)]
    running = exporter()

    assert running.export(make_batch(records)) == ExportResult()
    assert running.export(make_batch(records)) == ExportResult()

    rows = client.query(
        "SELECT sequence, toUnixTimestamp64Nano(time), attributes[{exact:String}] "
        f"FROM `{database}`.otel_fim_files ORDER BY sequence",
        parameters={"exact": names.OTEL_FIM_TIME_UNIX_NANO},
    ).result_rows
    last = 4_294_967_295_999_999_999
    expected = [min(time, last) or records[0].observed_time_unix_nano for time in times]
    assert [row[1] for row in rows] == expected
    assert [row[2] for row in rows] == [str(time) if time > last else "" for time in times]


def test_the_health_says_where_it_writes(exporter: Callable[..., Any], database: str, chain: Any) -> None:
    running = exporter()
    assert running.reports == [(Health.STARTING, f"not connected to {running.exporter.config.endpoint} yet")]

    running.export(chain.batch(1))

    health, message = running.reports[-1]
    assert health is Health.OK
    assert f"writing to {database}.otel_logs at {running.exporter.config.endpoint}, ClickHouse " in message


def test_an_empty_batch_needs_no_server(exporter: Callable[..., Any], make_batch: Callable[..., Any]) -> None:
    assert exporter(endpoint="http://127.0.0.1:1").export(make_batch([])) == ExportResult()
