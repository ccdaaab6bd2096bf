"""The clients that people use: clickhouse-connect as the exporter uses it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from ipaddress import IPv4Address
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_fim.store.native import BLOCK_INFO, reframe

DDL = """
CREATE TABLE logs (
  Timestamp DateTime64(9) CODEC(Delta(8), ZSTD(1)), Body String CODEC(ZSTD(1)), Severity UInt8,
  ServiceName LowCardinality(String), LogAttributes Map(LowCardinality(String), String)
) ENGINE = MergeTree PARTITION BY toDate(Timestamp) ORDER BY (ServiceName, Timestamp)
"""


@pytest.fixture
def client(store: Any) -> Iterator[Any]:
    made = store.client()
    made.command(DDL)
    yield made
    made.command("DROP TABLE logs SYNC")
    made.close()


def rows(count: int) -> list[list[Any]]:
    """Columns of `count` rows."""
    times = [1_700_000_000_123_456_789 + n for n in range(count)]
    bodies = [f"MODIFIED /etc/{n}\n'\\\0" for n in range(count)]
    maps = [{"file.path": f"/etc/{n}", "": "", "é": "日本", "n": str(n)} for n in range(count)]
    return [times, bodies, [n % 25 for n in range(count)], ["otel-fim"] * count, maps]


TOKYO = ZoneInfo("Asia/Tokyo")
NAMES = ["Timestamp", "Body", "Severity", "ServiceName", "LogAttributes"]


@pytest.mark.parametrize("compress", [True, False, "lz4", "zstd", "gzip"])
def test_columns_go_in_and_come_out_as_they_were(store: Any, client: Any, compress: Any) -> None:
    columns = rows(5000)
    with store.client(compress=compress) as writer:
        done = writer.insert("logs", columns, column_names=NAMES, column_oriented=True)
        assert done.written_rows == 5000
        found = writer.query(
            "SELECT toUnixTimestamp64Nano(Timestamp), Body, Severity, ServiceName, LogAttributes "
            "FROM logs ORDER BY Timestamp",
            column_oriented=True,
        ).result_columns
    assert [list(column) for column in found] == columns


def test_the_handshake_of_each_user(store: Any) -> None:
    for user in ("writer", "reader"):
        with store.client(user) as one:
            assert one.ping()
            assert one.command("SELECT 1") == 1
            assert one.server_version
            assert one.protocol_version == 54405


def test_the_reader_reads_only(store: Any, client: Any) -> None:
    client.insert("logs", rows(10), column_names=NAMES, column_oriented=True)
    with store.client("reader", settings={"max_execution_time": 5}) as reader:
        assert reader.query("SELECT count() FROM logs").result_rows == [(10,)]
        with pytest.raises(DatabaseError, match="READONLY"):
            reader.insert("logs", rows(1), column_names=NAMES, column_oriented=True)
        with pytest.raises(DatabaseError, match="READONLY"):
            reader.command("DROP TABLE logs")


def test_parameters_and_settings(client: Any) -> None:
    answer = client.query(
        "SELECT {a:UInt8}, {b:String}, {c:Array(String)}, {d:DateTime}, {t:Identifier} FROM (SELECT 1 AS x)",
        parameters={
            "a": 5,
            "b": "it's\ta\n\\",
            "c": ["x", "y'"],
            "d": datetime(2026, 1, 2, tzinfo=UTC),
            "t": "x",
        },
        settings={"max_threads": 1},
    )
    row = answer.result_rows[0]
    assert (row[0], row[1], row[2], row[4]) == (5, "it's\ta\n\\", ["x", "y'"], 1)
    long = "x" * 200_000  # too long for a URL: sent as a form
    assert client.query("SELECT length({b:String})", parameters={"b": long}).result_rows == [(200_000,)]


def test_results_can_be_streamed(client: Any) -> None:
    total = 0
    with client.query_row_block_stream("SELECT number, toString(number) FROM numbers(500000)") as stream:
        for block in stream:
            total += len(block)
    assert total == 500_000
    with client.query_column_block_stream("SELECT number FROM numbers(0)") as stream:
        assert list(stream) == []
    assert client.query("SELECT number FROM numbers(5) LIMIT 0").column_names == ("number",)


def test_a_late_error_reaches_the_client(client: Any) -> None:
    sql = "SELECT number, throwIf(number = 3000000) FROM numbers(4000000) SETTINGS max_block_size = 65536"
    with pytest.raises(Exception, match=r"throwIf|395"), client.query_row_block_stream(sql) as stream:
        for _ in stream:
            pass


TYPES = {
    "UInt8": (1, 255),
    "Int128": (-(2**100), 2**100),
    "UInt256": (0, 2**255),
    "Float64": (0.5, -1e300),
    "Bool": (True, False),
    "String": ("", "x" * 300),
    "FixedString(3)": (b"abc", b"\0\0\0"),
    "Date": (date(2026, 1, 2), date(1970, 1, 1)),
    "DateTime64(9, 'Asia/Tokyo')": (datetime(2026, 1, 2, tzinfo=TOKYO), datetime(1999, 1, 1, tzinfo=TOKYO)),
    "UUID": (UUID(int=5), UUID(int=2**127)),
    "IPv4": (IPv4Address("1.2.3.4"), IPv4Address(0)),
    "Decimal(18, 3)": (Decimal("1.500"), Decimal("-2.001")),
    "Decimal(38, 3)": (Decimal("1.500"), Decimal("-2.001")),
    "Enum8('a' = 1, 'b,(' = 2)": ("a", "b,("),
    "Nullable(String)": (None, "x"),
    "Nullable(UInt64)": (1, None),
    "LowCardinality(String)": ("x", ""),
    "LowCardinality(Nullable(String))": (None, "y"),
    "Array(String)": ([], ["a", "b"]),
    "Array(Array(Nullable(UInt8)))": ([[1, None], []], []),
    "Array(LowCardinality(String))": (["a", "b", "a"], []),
    "Map(LowCardinality(String), String)": ({"a": "b"}, {}),
    "Map(String, Array(UInt8))": ({"a": [1, 2]}, {}),
    "Tuple(UInt8, String)": ((1, "x"), (2, "")),
    "Tuple(a UInt8, `b c` Nullable(String))": ({"a": 1, "b c": None}, {"a": 2, "b c": "x"}),
    "Point": ((1.0, 2.0), (0.0, 0.0)),
    "Polygon": ([[(1.0, 2.0), (3.0, 4.0)]], []),
}


@pytest.mark.parametrize("kind", sorted(TYPES))
def test_every_type_comes_through_with_a_protocol_version(store: Any, kind: str) -> None:
    """The client asks for protocol 54405; reading one more column behind shows that the first was not cut."""
    store.query(f"CREATE TABLE typed (n UInt8, v {kind}, w String) ENGINE = Memory")
    try:
        with store.client() as one:
            values = TYPES[kind]
            one.insert("typed", [[1, 2], list(values), ["end", "END"]], column_oriented=True)
            found = one.query("SELECT v, w FROM typed ORDER BY n").result_rows
            assert [(row[0], row[1]) for row in found] == [(values[0], "end"), (values[1], "END")]
            empty = one.query("SELECT v, w FROM typed WHERE n = 0").result_rows
            assert not empty
        plain = store.request("SELECT v, w FROM typed FORMAT Native").body
        again = store.request(
            "SELECT v, w FROM typed FORMAT Native", parameters={"client_protocol_version": 54460}
        )
        assert again.body == b"".join(reframe(plain, 54460))
        assert len(again.body) == len(plain) + len(BLOCK_INFO) + 2
    finally:
        store.query("DROP TABLE typed SYNC")


def test_types_that_cannot_be_stepped_over_are_said(store: Any) -> None:
    sql = "SELECT CAST(1, 'Dynamic') AS d FORMAT Native"
    answer = store.request(sql, parameters={"client_protocol_version": 54460})
    assert answer.code == 48
    assert "Dynamic" in answer.text
    assert store.request(sql).status == 200


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2**63 // 2),
            st.text(),
            st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=4),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_any_text_survives(client: Any, found: list[tuple[int, str, dict[str, str]]]) -> None:
    try:
        for _, body, attributes in found:
            (body + "".join([*attributes, *attributes.values()])).encode()
    except UnicodeEncodeError:
        return  # lone surrogates are not text; the exporter replaces them
    client.command("TRUNCATE TABLE logs")
    columns = [
        list(range(len(found))),
        [body for _, body, _ in found],
        [1] * len(found),
        ["x"] * len(found),
        [attributes for _, _, attributes in found],
    ]
    client.insert("logs", columns, column_names=NAMES, column_oriented=True)
    rows_back = client.query("SELECT Body, LogAttributes FROM logs ORDER BY Timestamp").result_rows
    assert [(body, dict(attributes)) for body, attributes in rows_back] == [
        (body, attributes) for _, body, attributes in found
    ]
