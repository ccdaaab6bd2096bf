"""Our protobuf against opentelemetry-proto's own classes."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, LogsData, ResourceLogs, ScopeLogs

from otel_fim.otlp import OtlpDecodeError, clean_record, decode_logs_data, encode_logs_data
from otel_fim.otlp.errors import MAX_NESTING
from otel_fim.record import Record, Resource, Scope


def _value(value: Any) -> AnyValue:
    if value is None:
        return AnyValue()
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, str):
        return AnyValue(string_value=value)
    if isinstance(value, bytes):
        return AnyValue(bytes_value=value)
    if isinstance(value, dict):
        return AnyValue(kvlist_value=KeyValueList(values=_pairs(value)))
    return AnyValue(array_value=ArrayValue(values=[_value(item) for item in value]))


def _pairs(attributes: Any) -> list[KeyValue]:
    return [KeyValue(key=key, value=_value(value)) for key, value in attributes.items()]


def _log(record: Record) -> LogRecord:
    log = LogRecord(
        time_unix_nano=record.time_unix_nano,
        observed_time_unix_nano=record.observed_time_unix_nano,
        event_name=record.event_name,
        severity_number=record.severity_number,  # type: ignore[arg-type]
        severity_text=record.severity_text,
        attributes=_pairs(record.attributes),
        trace_id=record.trace_id,
        span_id=record.span_id,
        flags=record.flags,
        dropped_attributes_count=record.dropped_attributes_count,
    )
    if record.body is not None:
        log.body.CopyFrom(_value(record.body))
    return log


def _around(record: Record) -> tuple[ResourceLogs, ScopeLogs]:
    """Empty groups with the record's resource and scope."""
    resource, scope = ResourceLogs(schema_url=record.resource.schema_url), ScopeLogs()
    resource.resource.SetInParent()
    resource.resource.attributes.extend(_pairs(record.resource.attributes))
    resource.resource.dropped_attributes_count = record.resource.dropped_attributes_count
    scope.schema_url = record.scope.schema_url
    scope.scope.SetInParent()
    scope.scope.name, scope.scope.version = record.scope.name, record.scope.version
    scope.scope.attributes.extend(_pairs(record.scope.attributes))
    scope.scope.dropped_attributes_count = record.scope.dropped_attributes_count
    return resource, scope


def _message(records: list[Record]) -> LogsData:
    """What the bytes should mean, built with protobuf's classes and grouped in the plainest way."""
    data = LogsData()
    last: tuple[bytes, bytes] | None = None
    for record in records:
        resource, scope = _around(record)
        here = (resource.SerializeToString(), scope.SerializeToString())
        if last is None or last[0] != here[0]:
            data.resource_logs.append(resource)
        if last is None or last != here:
            data.resource_logs[-1].scope_logs.append(scope)
        last = here
        data.resource_logs[-1].scope_logs[-1].log_records.append(_log(record))
    return data


@given(st.lists(st.from_type(Record), max_size=6))
def test_bytes_are_those_of_protobuf_itself(records: list[Record]) -> None:
    assert encode_logs_data(records) == _message(records).SerializeToString(deterministic=True)


@given(st.lists(st.from_type(Record), max_size=6))
def test_records_come_back(records: list[Record]) -> None:
    # repr, because NaN is not equal to itself and 1 is equal to True.
    assert repr(decode_logs_data(encode_logs_data(records))) == repr(records)


@given(st.lists(st.from_type(Record), max_size=6))
def test_reads_what_protobuf_writes(records: list[Record]) -> None:
    assert repr(decode_logs_data(_message(records).SerializeToString())) == repr(records)


def test_an_export_request_has_the_same_bytes() -> None:
    records = [Record(event_name="a", attributes={"k": "v"})]
    request = ExportLogsServiceRequest.FromString(encode_logs_data(records))
    assert request.resource_logs[0].scope_logs[0].log_records[0].event_name == "a"
    assert encode_logs_data([]) == b""
    assert decode_logs_data(b"") == []


def test_neighbours_share_groups_by_value_and_keep_their_order() -> None:
    first, second = Resource({"host.name": "a"}), Resource({"host.name": "b"})
    scopes = [Scope("x"), Scope("y"), Scope("x")]
    records = [Record(event_name=str(i), resource=first, scope=scope) for i, scope in enumerate(scopes)]
    records.append(Record(event_name="3", resource=Resource({"host.name": "a"}), scope=Scope("x")))
    records.append(Record(event_name="4", resource=second, scope=Scope("x")))
    records.append(Record(event_name="5", resource=first, scope=Scope("x")))
    data = LogsData.FromString(encode_logs_data(records))
    assert [[len(s.log_records) for s in r.scope_logs] for r in data.resource_logs] == [[1, 1, 2], [1], [1]]
    assert [r.event_name for r in decode_logs_data(data.SerializeToString())] == list("012345")


def test_decoded_records_share_resource_and_scope_across_calls() -> None:
    data = encode_logs_data([Record(resource=Resource({"host.name": "a"}), scope=Scope("x"))] * 2)
    first, second = decode_logs_data(data)
    (third, _) = decode_logs_data(data)
    assert first.resource is second.resource is third.resource
    assert first.scope is second.scope is third.scope


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (Record(attributes={"big": 2**63}), "attribute 'big'.*64-bit"),
        (Record(attributes={"a": {"b": [-(2**63) - 1]}}), "attribute 'a'.*64-bit"),
        (Record(attributes={"odd": object()}), "attribute 'odd'.*object"),  # type: ignore[dict-item]
        (Record(body=2**64), "64-bit"),
        (Record(time_unix_nano=-1), "time_unix_nano: -1"),
        (Record(observed_time_unix_nano=2**64), "observed_time_unix_nano: "),
        (Record(severity_number=2**31), "severity_number: "),
        (Record(flags=2**32), "flags: "),
        (Record(dropped_attributes_count=-1), "dropped_attributes_count: "),
        (Record(trace_id=b"short"), "trace_id: 5 bytes"),
        (Record(span_id=b"longer than it should be"), "span_id: 24 bytes"),
        (Record(resource=Resource({"big": 2**63})), "resource: attribute 'big'"),
        (Record(scope=Scope("s", attributes={"big": 2**63})), "scope 's': attribute 'big'"),
    ],
)
def test_what_otlp_cannot_carry_is_an_error_that_names_it(record: Record, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        encode_logs_data([record])
    assert clean_record(record)
    assert len(decode_logs_data(encode_logs_data([record]))) == 1


def test_the_deepest_nesting_that_is_encoded_is_one_that_protobuf_reads() -> None:
    value: Any = "x"
    for _ in range(MAX_NESTING):
        value = {"k": value}
    record = Record(attributes={"a": value})
    assert decode_logs_data(encode_logs_data([record])) == [record]
    with pytest.raises(ValueError, match="deep"):
        encode_logs_data([Record(attributes={"a": [value]})])
    foreign = _message([Record(attributes={"a": [value]})]).SerializeToString()
    with pytest.raises(OtlpDecodeError, match="deep"):
        decode_logs_data(foreign)


@pytest.mark.parametrize("data", [b"\x0a", b"\xff\xff", b"\x0a\x05hello", b"not protobuf"])
def test_malformed_bytes_are_a_clear_error(data: bytes) -> None:
    with pytest.raises(OtlpDecodeError, match="not an OTLP logs message"):
        decode_logs_data(data)


@given(st.binary(max_size=60))
def test_any_bytes_are_records_or_the_one_error(data: bytes) -> None:
    with contextlib.suppress(OtlpDecodeError):
        decode_logs_data(data)


def test_ids_that_are_none_and_fields_of_the_future() -> None:
    log = LogRecord(trace_id=bytes(16), span_id=b"xyz")
    scope_logs = ScopeLogs(log_records=[log])
    data = LogsData(resource_logs=[ResourceLogs(scope_logs=[scope_logs])]).SerializeToString()
    unknown = b"\xa2\x06\x02hi"  # field 100
    record = decode_logs_data(data + unknown)[0]
    assert (record.trace_id, record.span_id) == (b"", b"")
