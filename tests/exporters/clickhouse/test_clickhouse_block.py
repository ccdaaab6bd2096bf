"""Blocks in Native format, read back by clickhouse-connect's own decoder."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
from clickhouse_connect.driver.ctypes import RespBuffCls
from clickhouse_connect.driver.transform import NativeTransform
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_fim import names
from otel_fim.exporters.clickhouse.columns import BlockBuilder
from otel_fim.exporters.clickhouse.native import leb128
from otel_fim.exporters.clickhouse.rows import MAX_TIME, NUMBER_COLUMN, TYPES, timestamp
from otel_fim.otlp import to_text
from otel_fim.record import Attributes, Record, Resource, Scope

_COLUMNS = [*TYPES]


class _Source:
    exception_tag = None

    def __init__(self, data: bytes) -> None:
        self.last_message = data
        self.gen: Iterator[bytes] = iter([data])

    def close(self) -> None:
        pass


def _read(block: bytes) -> list[dict[str, Any]]:
    result = NativeTransform().parse_response(RespBuffCls(_Source(block)))
    return [dict(zip(result.column_names, row, strict=True)) for row in result.result_rows]


def _rows(records: list[Record], numbers: list[int] | None = None) -> list[dict[str, Any]]:
    return _read(BlockBuilder(_COLUMNS).build(records, [timestamp(r) for r in records], numbers))


_text = st.text(st.characters(codec="utf-8"), max_size=12)
_scalars = st.one_of(
    _text, st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.binary(max_size=8), st.none()
)
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=6,
)
_attributes = st.dictionaries(st.one_of(st.sampled_from(["a", "b", "c"]), _text), _values, max_size=6)
_resources = st.builds(Resource, attributes=_attributes, schema_url=_text)
_scopes = st.builds(Scope, name=_text, version=_text, attributes=_attributes, schema_url=_text)
_records = st.builds(
    Record,
    time_unix_nano=st.integers(0, MAX_TIME),
    event_name=_text,
    severity_number=st.integers(0, 24),
    severity_text=_text,
    body=_values,
    attributes=_attributes,
    resource=_resources,
    scope=_scopes,
    trace_id=st.sampled_from([b"", bytes(range(16))]),
    span_id=st.sampled_from([b"", bytes(range(8))]),
    flags=st.integers(0, 2**32 - 1),
)


def _texts(attributes: Attributes) -> dict[str, str]:
    return {key: to_text(attributes[key]) for key in sorted(attributes)}


@settings(max_examples=60, deadline=None)
@given(st.lists(_records, min_size=1, max_size=8))
def test_a_block_holds_what_the_records_held(records: list[Record]) -> None:
    rows = _rows(records, list(range(1, len(records) + 1)))

    assert len(rows) == len(records)
    for number, (row, record) in enumerate(zip(rows, records, strict=True), 1):
        assert row[NUMBER_COLUMN] == number
        assert row["LogAttributes"] == _texts(record.attributes)
        assert list(row["LogAttributes"]) == sorted(record.attributes)
        assert row["ResourceAttributes"] == _texts(dict(record.resource.attributes))
        assert row["ScopeAttributes"] == _texts(dict(record.scope.attributes))
        assert row["Body"] == to_text(record.body)
        assert row["EventName"] == record.event_name
        assert row["SeverityText"] == record.severity_text
        assert row["SeverityNumber"] == record.severity_number
        assert row["TraceId"] == record.trace_id.hex()
        assert row["SpanId"] == record.span_id.hex()
        assert row["TraceFlags"] == record.flags & 0xFF
        assert row["ServiceName"] == to_text(record.resource.attributes.get(names.SERVICE_NAME))
        assert (row["ScopeName"], row["ScopeVersion"]) == (record.scope.name, record.scope.version)
        assert row["ScopeSchemaUrl"] == record.scope.schema_url
        assert row["ResourceSchemaUrl"] == record.resource.schema_url


@pytest.mark.parametrize("keys", [1, 255, 256, 257, 65_536, 65_537])
def test_the_index_of_keys_is_as_wide_as_it_must_be(keys: int) -> None:
    per_record = 1000
    records = [
        Record(attributes={f"k{i:06d}": "" for i in range(start, min(start + per_record, keys))})
        for start in range(0, keys, per_record)
    ]

    rows = _rows(records)

    assert [list(row["LogAttributes"]) for row in rows] == [list(record.attributes) for record in records]


def test_values_of_equal_keys_and_other_types_are_not_confused() -> None:
    kinds: list[Any] = [1, True, 1.0, "1", b"1", [1], [True], [1.0], ["1"], {"1": 1}, None, math.nan, (1,)]

    rows = _rows([Record(attributes={"k": kind}) for kind in kinds for _ in range(2)])

    assert [row["LogAttributes"]["k"] for row in rows] == [to_text(kind) for kind in kinds for _ in range(2)]


def test_a_time_that_clickhouse_cannot_hold_is_kept_beside_it() -> None:
    late, normal = Record(time_unix_nano=2**64 - 1, attributes={"a": "b"}), Record(time_unix_nano=7)

    rows = _rows([late, normal])

    assert rows[0]["LogAttributes"] == {"a": "b", names.OTEL_FIM_TIME_UNIX_NANO: str(2**64 - 1)}
    assert rows[1]["LogAttributes"] == {}
    assert late.attributes == {"a": "b"}


def test_only_the_columns_of_the_table_are_in_the_block() -> None:
    record = Record(time_unix_nano=1, body="b")

    rows = _read(BlockBuilder(["Timestamp", "Body"]).build([record], [1], None))

    assert list(rows[0]) == ["Timestamp", "Body"]


@given(st.integers(0, 2**40))
def test_leb128_is_what_clickhouse_connect_writes(number: int) -> None:
    from clickhouse_connect.driver.common import write_leb128

    expected = bytearray()
    write_leb128(number, expected)
    assert leb128(number) == expected
