"""The statements: against a golden file, and names that need quoting."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_fim import names
from otel_fim.exporters.clickhouse import command
from otel_fim.exporters.clickhouse.plan import plan
from otel_fim.exporters.clickhouse.rows import TYPES
from otel_fim.exporters.clickhouse.schema import create_table, ttl_clause
from otel_fim.exporters.clickhouse.sql import identifier, literal
from otel_fim.exporters.clickhouse.table import Column, SchemaError, Table
from otel_fim.record import Record

_GOLDEN = Path(__file__).parent / "testdata"


def _printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    assert command.run(parser.parse_args(arguments)) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("schema.sql", ()),
        (
            "schema_text_ttl.sql",
            ("--database", "fim", "--table", "events", "--ttl", "90d", "--indexes", "text"),
        ),
    ],
)
def test_the_printed_schema_is_the_golden_file(
    name: str, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    printed = _printed(capsys, *arguments)
    golden = _GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(printed, "utf-8")

    assert printed == golden.read_text("utf-8")


def test_a_ttl_that_is_none_is_an_error_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        _printed(capsys, "--ttl", "soon")
    assert "is not a duration" in capsys.readouterr().err


def test_a_ttl_is_in_whole_seconds_rounded_up() -> None:
    assert "+ 7776000," in ttl_clause(90 * 86400.0)
    assert "+ 1," in ttl_clause(0.2)


def test_without_a_ttl_there_is_none() -> None:
    assert "TTL" not in create_table("d", "t")


@given(st.text())
def test_quoting_leaves_no_way_out(text: str) -> None:
    for quote, quoted in (("`", identifier(text)), ("'", literal(text))):
        inner = quoted[1:-1]
        assert quoted[0] == quoted[-1] == quote
        assert quote not in inner.replace("\\\\", "").replace(f"\\{quote}", "")
        assert not inner.replace("\\\\", "").endswith("\\")


def _columns(**changes: Column | None) -> dict[str, Column]:
    columns: dict[str, Column | None] = {name: Column(kind, "") for name, kind in TYPES.items()}
    return {name: column for name, column in (columns | changes).items() if column is not None}


def test_columns_that_the_table_has_not_or_computes_are_not_written() -> None:
    table = Table("d", "t", _columns(ScopeAttributes=None, TraceId=Column("String", "ALIAS")))

    assert table.unwritten == ["TraceId", "ScopeAttributes"]
    statement = table.all_rows_statement()
    assert "`TraceId`" not in statement
    assert "`SpanId`" in statement


def test_a_table_without_what_makes_a_record_is_refused_with_the_columns_names() -> None:
    with pytest.raises(SchemaError, match=r"table d\.t lacks Body, EventName; add them or"):
        Table("d", "t", _columns(Body=None, EventName=None))


def test_a_table_of_json_attributes_is_refused() -> None:
    with pytest.raises(SchemaError, match=r"LogAttributes of table d\.t is of type JSON"):
        Table("d", "t", _columns(LogAttributes=Column("JSON", "")))


def test_the_lock_is_one_for_each_stream_and_table() -> None:
    def lock(database: str, table: str, stream: str) -> str | None:
        place = {names.AUDIT_SEQUENCE_STREAM_ID: stream, names.AUDIT_SEQUENCE_NUMBER: 1}
        record = Record(attributes=dict(place))
        return Table(database, table, _columns()).lock(plan([record])[0])

    locks = {lock("a", "b", "c"), lock("a", "b", "d"), lock("ab", "", "c"), lock("a", "bc", "")}
    assert len(locks) == 4
    assert lock("a", "b", "c") == lock("a", "b", "c")
    assert lock("a", "b", "") is None
