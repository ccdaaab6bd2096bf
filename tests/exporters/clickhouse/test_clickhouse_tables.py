"""Tables that others created, and names that need quoting."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from otel_fim.component import RetryableError
from otel_fim.exporters.clickhouse.command import statements

_DDL = Path(__file__).parent / "testdata"


@pytest.mark.parametrize(
    "name", ["collector_0.139.sql", "collector_0.150.sql", "collector_0.152.sql", "collector_0.152_text.sql"]
)
def test_a_collectors_table_is_written_to_as_it_is(
    name: str, exporter: Callable[..., Any], client: Any, database: str, chain: Any
) -> None:
    client.command(f"CREATE DATABASE `{database}`")
    client.command((_DDL / name).read_text().replace("otel_logs", f"`{database}`.otel_logs", 1))
    before = client.command(f"SHOW CREATE TABLE `{database}`.otel_logs")

    for numbers in (range(1, 50), range(25, 100), range(1, 100)):
        exporter().export(chain.batch(numbers))

    assert client.command(f"SHOW CREATE TABLE `{database}`.otel_logs") == before
    rows = client.query(
        f"SELECT sequence, path, host, size, event FROM `{database}`.otel_fim_files ORDER BY sequence"
    ).result_rows
    assert rows == [(n, f"/etc/{n}", "web-1", n, "modified") for n in range(1, 100)]


def test_a_table_from_before_event_names_gets_the_column_as_the_collector_advises(
    exporter: Callable[..., Any], client: Any, database: str, chain: Any
) -> None:
    ddl = (_DDL / "collector_0.139.sql").read_text()
    old = "\n".join(line for line in ddl.splitlines() if not line.strip().startswith("EventName"))
    client.command(f"CREATE DATABASE `{database}`")
    client.command(old.replace("otel_logs", f"`{database}`.otel_logs", 1))

    with pytest.raises(RetryableError, match=r"lacks EventName; add them"):
        exporter(create_schema=False).export(chain.batch(1))
    exporter().export(chain.batch(1))

    assert client.command(f"SELECT EventName FROM `{database}`.otel_logs") == "otel_fim.file.modified"


def test_a_table_with_other_columns_and_types_is_written_to(
    exporter: Callable[..., Any], client: Any, database: str, chain: Any, caplog: pytest.LogCaptureFixture
) -> None:
    client.command(f"CREATE DATABASE `{database}`")
    client.command(
        f"CREATE TABLE `{database}`.otel_logs (tenant String DEFAULT 'acme', Timestamp DateTime64(3, 'Europe/Berlin'), "
        "SeverityText String, SeverityNumber Int32, TraceFlags UInt32, ServiceName Nullable(String), Body String, "
        "ResourceAttributes Map(String, String), LogAttributes Map(String, String), EventName FixedString(40), "
        "Size UInt64 MATERIALIZED toUInt64OrZero(LogAttributes['file.size'])) "
        "ENGINE = ReplacingMergeTree ORDER BY (tenant, Timestamp, Body)"
    )

    with caplog.at_level(logging.WARNING):
        exporter().export(chain.batch(range(1, 100)))
        exporter().export(chain.batch(range(50, 120)))

    (row,) = client.query(f"SELECT count(), any(tenant), sum(Size) FROM `{database}`.otel_logs").result_rows
    assert row == (119, "acme", sum(range(1, 120)))
    assert "has no column TraceId, SpanId, ResourceSchemaUrl" in caplog.text


@pytest.mark.parametrize("indexes", ["bloom_filter", "text"])
def test_what_schema_prints_runs_and_runs_again(
    indexes: Any, exporter: Callable[..., Any], client: Any, database: str, chain: Any
) -> None:
    for _ in range(2):
        for statement in statements(database, "otel_logs", ttl=86400.0 * 36500, indexes=indexes):
            client.command(statement)

    exporter(create_schema=False).export(chain.batch(range(1, 10)))

    assert client.command(f"SELECT count() FROM `{database}`.otel_fim_files") == 9
    assert client.command(f"SELECT count() FROM `{database}`.otel_fim_coverage") == 0
    assert (
        client.command(f"SELECT min(TimestampTime) = min(toDateTime(Timestamp)) FROM `{database}`.otel_logs")
        == 1
    )


def test_names_that_need_quoting(
    exporter: Callable[..., Any], client: Any, database: str, chain: Any
) -> None:
    table = 'ta`ble \'with\\ "quotes"; --'
    running = exporter(logs_table_name=table)

    running.export(chain.batch(range(1, 10)))
    running.export(chain.batch(range(1, 12)))

    assert client.query(
        "SELECT name FROM system.tables WHERE database = {d:String} AND NOT startsWith(name, 'otel_fim')",
        {"d": database},
    ).result_rows == [(table,)]
    assert client.command(f"SELECT count() FROM `{database}`.otel_fim_files") == 11


def test_a_view_of_somebody_else_and_a_newer_one_stay_as_they_are(
    exporter: Callable[..., Any], client: Any, database: str, chain: Any
) -> None:
    client.command(f"CREATE DATABASE `{database}`")
    client.command(f"CREATE VIEW `{database}`.otel_fim_files AS SELECT 1 AS mine")
    client.command(
        f"CREATE VIEW `{database}`.otel_fim_coverage AS SELECT 2 AS newer COMMENT 'otel-fim schema 999'"
    )

    exporter().export(chain.batch(1))

    assert client.command(f"SELECT * FROM `{database}`.otel_fim_files") == 1
    assert client.command(f"SELECT * FROM `{database}`.otel_fim_coverage") == 2


def test_an_older_view_is_renewed(
    exporter: Callable[..., Any], client: Any, database: str, chain: Any
) -> None:
    client.command(f"CREATE DATABASE `{database}`")
    client.command(f"CREATE VIEW `{database}`.otel_fim_files AS SELECT 1 AS old COMMENT 'otel-fim schema 0'")

    exporter().export(chain.batch(1))

    assert client.command(f"SELECT path FROM `{database}`.otel_fim_files") == "/etc/1"


def test_a_ttl_removes_what_is_old_and_nothing_else(
    exporter: Callable[..., Any], client: Any, database: str, chain: Any, make_batch: Callable[..., Any]
) -> None:
    year = 365 * 86_400_000_000_000
    now = time.time_ns()
    times = [1, now - 2 * year, now, now + 20 * year, 2**63, 2**64 - 1]

    exporter(ttl=f"{90 * 365}d").export(make_batch([chain.record(n, t) for n, t in enumerate(times, 1)]))
    exporter(ttl="365d", logs_table_name="short").export(
        make_batch([chain.record(n, t) for n, t in enumerate(times, 1)])
    )
    for table in ("otel_logs", "short"):
        client.command(f"OPTIMIZE TABLE `{database}`.{table} FINAL")

    assert client.command(f"SELECT count() FROM `{database}`.otel_logs") == 6
    assert client.command(f"SELECT count() FROM `{database}`.short") == 4
