"""Our OTLP/JSON against protobuf's own JSON mapping, and against the OTLP specification's exceptions from it."""

from __future__ import annotations

import base64
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.logs.v1.logs_pb2 import LogsData

from otel_fim.otlp import (
    OtlpDecodeError,
    clean_record,
    decode_logs_data,
    decode_logs_data_json,
    encode_logs_data,
    encode_logs_data_json,
)
from otel_fim.otlp.errors import MAX_NESTING
from otel_fim.record import Record, Resource, Scope, Severity, component_scope

_GOLDEN = Path(__file__).parent / "testdata" / "journal_line.json"


def _map_ids(data: Any, change: Any) -> Any:
    for resource_logs in data.get("resourceLogs", []):
        for scope_logs in resource_logs.get("scopeLogs", []):
            for log in scope_logs.get("logRecords", []):
                for name in ("traceId", "spanId"):
                    if name in log:
                        log[name] = change(log[name])
    return data


@given(st.lists(st.from_type(Record), max_size=5))
def test_protobufs_own_reader_sees_the_same_message(records: list[Record]) -> None:
    line = encode_logs_data_json(records)
    assert b"\n" not in line
    data = _map_ids(json.loads(line), lambda text: base64.b64encode(bytes.fromhex(text)).decode())
    message = json_format.ParseDict(data, LogsData())
    assert message.SerializeToString(deterministic=True) == encode_logs_data(records)


@given(st.lists(st.from_type(Record), max_size=5), st.booleans())
def test_reads_what_protobufs_own_writer_writes(records: list[Record], integers: bool) -> None:
    message = LogsData.FromString(encode_logs_data(records))
    data = json_format.MessageToDict(message, use_integers_for_enums=integers)
    _map_ids(data, lambda text: base64.b64decode(text).hex().upper())
    assert repr(decode_logs_data_json(json.dumps(data).encode())) == repr(records)


@given(st.lists(st.from_type(Record), max_size=5))
def test_records_come_back(records: list[Record]) -> None:
    assert repr(decode_logs_data_json(encode_logs_data_json(records))) == repr(records)


@given(st.lists(st.from_type(Record), max_size=5))
def test_json_and_protobuf_tell_the_same(records: list[Record]) -> None:
    by_json = decode_logs_data_json(encode_logs_data_json(records))
    assert encode_logs_data(by_json) == encode_logs_data(records)
    assert repr(decode_logs_data(encode_logs_data(records))) == repr(by_json)


def test_journal_line_is_the_golden_one() -> None:
    record = Record(
        time_unix_nano=1768314735123456789,
        observed_time_unix_nano=1768314735123999999,
        event_name="otel_fim.file.modified",
        severity_number=Severity.INFO,
        severity_text="INFO",
        body="MODIFIED /etc/passwd",
        attributes={
            "file.path": '/etc/pass"wd\n',
            "file.size": 2**53 + 1,
            "otel_fim.flag": True,
            "ratio": 0.25,
            "odd": float("-inf"),
            "raw": b"\x00\xff",
            "threat.technique.id": ["T1098", "T1136"],
            "nested": {"a": [1, None]},
            "nothing": None,
        },
        resource=Resource(
            {"host.name": "web-1", "process.pid": 42}, "https://opentelemetry.io/schemas/1.44.0"
        ),
        scope=Scope("otel_fim.receivers.file_integrity", "0.1.0", {"x": "y"}),
        trace_id=bytes(range(16)),
        span_id=bytes(range(8)),
        flags=1,
        dropped_attributes_count=2,
    )
    line = encode_logs_data_json([record])
    assert line + b"\n" == _GOLDEN.read_bytes()
    assert decode_logs_data_json(_GOLDEN.read_bytes()) == [record]


def _one(log: str) -> Record:
    line = '{"resourceLogs":[{"scopeLogs":[{"logRecords":[' + log + "]}]}]}"
    return decode_logs_data_json(line.encode())[0]


def test_missing_fields_and_nulls_are_defaults_and_unknown_fields_are_ignored() -> None:
    every = (
        "timeUnixNano observedTimeUnixNano severityNumber severityText eventName body attributes "
        "droppedAttributesCount flags traceId spanId future"
    )
    nulls = ",".join(f'"{name}":null' for name in every.split())
    assert _one("{}") == _one("{" + nulls + "}") == _one('{"future":{"a":[1]}}') == _one("null") == Record()
    for line in (b"{}", b"null", b'{"resourceLogs":null}', b'{"resourceLogs":[null,{"scopeLogs":null}]}'):
        assert decode_logs_data_json(line) == []
    attributes = (
        '{"attributes":[{"key":"a"},{"key":"b","value":null},{"value":{"stringValue":"c"}},'
        '{"key":"d","value":{"futureValue":1}},{"key":"e","value":{"arrayValue":{}}},'
        '{"key":"f","value":{"kvlistValue":{"values":null}}},{"key":"g","value":{"intValue":null,"stringValue":"x"}}]}'
    )
    expected = {"a": None, "b": None, "": "c", "d": None, "e": [], "f": {}, "g": "x"}
    assert _one(attributes).attributes == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('{"intValue":5}', 5),
        ('{"intValue":"-5"}', -5),
        ('{"intValue":5.0}', 5),
        ('{"intValue":"1e3"}', 1000),
        ('{"doubleValue":"1.5"}', 1.5),
        ('{"doubleValue":1}', 1.0),
        ('{"doubleValue":"-Infinity"}', float("-inf")),
        ('{"bytesValue":"_-8"}', b"\xff\xef"),
        ('{"bytesValue":"/+8="}', b"\xff\xef"),
        ('{"boolValue":false}', False),
    ],
)
def test_the_forms_that_protobufs_json_allows(value: str, expected: object) -> None:
    found = _one('{"attributes":[{"key":"k","value":' + value + "}]}").attributes["k"]
    assert (found, type(found)) == (expected, type(expected))


def test_numbers_and_ids_in_other_forms() -> None:
    record = _one('{"timeUnixNano":17,"observedTimeUnixNano":"18","severityNumber":"SEVERITY_NUMBER_WARN2",'
                  '"flags":"1","traceId":"0001020304050607","spanId":"000102030405060A"}')  # fmt: skip
    assert (record.time_unix_nano, record.observed_time_unix_nano, record.severity_number) == (17, 18, 14)
    assert (record.flags, record.trace_id, record.span_id) == (1, b"", bytes((0, 1, 2, 3, 4, 5, 6, 10)))
    assert _one('{"traceId":"00000000000000000000000000000000"}').trace_id == b""


_BEYOND = f"'9223372036854775808' is not between {-(2**63)} and {2**63 - 1}"
_LOG = "resourceLogs[0].scopeLogs[0].logRecords[0]"


@pytest.mark.parametrize(
    ("log", "message"),
    [
        ("5", f"{_LOG}: an object is needed, not 5"),
        ('{"timeUnixNano":"yesterday"}', f"{_LOG}.timeUnixNano: an integer is needed, not 'yesterday'"),
        ('{"timeUnixNano":-1}', f"{_LOG}.timeUnixNano: -1 is not between 0 and 18446744073709551615"),
        ('{"timeUnixNano":true}', f"{_LOG}.timeUnixNano: an integer is needed, not True"),
        ('{"severityNumber":"LOUD"}', f"{_LOG}.severityNumber: an integer is needed, not 'LOUD'"),
        ('{"severityText":1}', f"{_LOG}.severityText: a string is needed, not 1"),
        ('{"traceId":"xyz"}', f"{_LOG}.traceId: hexadecimal digits are needed, not 'xyz'"),
        ('{"traceId":"00 0"}', f"{_LOG}.traceId: hexadecimal digits are needed, not '00 0'"),
        ('{"attributes":{}}', f"{_LOG}.attributes: an array is needed, not {{}}"),
        ('{"attributes":[{},7]}', f"{_LOG}.attributes[1]: an object is needed, not 7"),
        ('{"attributes":[{"key":1}]}', f"{_LOG}.attributes[0].key: a string is needed, not 1"),
        ('{"body":{"boolValue":1}}', f"{_LOG}.body.boolValue: true or false is needed, not 1"),
        ('{"body":{"bytesValue":"*"}}', f"{_LOG}.body.bytesValue: base64 is needed, not '*'"),
        ('{"body":{"doubleValue":"x"}}', f"{_LOG}.body.doubleValue: a number, 'NaN' or 'Infinity' is needed, not 'x'"),
        ('{"body":"text"}', f"{_LOG}.body: an object is needed, not 'text'"),
        (
            '{"attributes":[{},{},{"key":"k","value":{"arrayValue":{"values":[{},{"intValue":"9223372036854775808"}]}}}]}',
            f"{_LOG}.attributes[2].value.arrayValue.values[1].intValue: {_BEYOND}",
        ),
        (
            '{"attributes":[{"key":"k","value":{"kvlistValue":{"values":[{"key":"x","value":{"stringValue":2}}]}}}]}',
            f"{_LOG}.attributes[0].value.kvlistValue.values[0].value.stringValue: a string is needed, not 2",
        ),
    ],
)  # fmt: skip
def test_an_error_names_the_place(log: str, message: str) -> None:
    with pytest.raises(OtlpDecodeError) as raised:
        _one(log)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[]", "LogsData: an object"),
        (b'{"resourceLogs":[{"resource":3}]}', r"resourceLogs\[0\].resource: an object"),
        (b'{"resourceLogs":[{"scopeLogs":[{},{"scope":{"name":3}}]}]}', r"scopeLogs\[1\].scope.name: a string"),
        (b'{"resourceLogs":[{"schemaUrl":3}]}', r"resourceLogs\[0\].schemaUrl: a string"),
    ],
)  # fmt: skip
def test_other_malformed_lines(line: bytes, words: str) -> None:
    with pytest.raises(OtlpDecodeError, match=words):
        decode_logs_data_json(line)


_NAMES = (
    "resourceLogs resource scopeLogs scope logRecords attributes key value stringValue intValue "
    "doubleValue bytesValue arrayValue kvlistValue values body traceId flags timeUnixNano"
)
_json = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(_NAMES.split()),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=20,
)


@given(_json)
def test_any_json_is_records_or_the_one_error(data: Any) -> None:
    nested = {"resourceLogs": [{"scopeLogs": [{"logRecords": [data]}]}]}
    for line in (data, nested):
        with contextlib.suppress(OtlpDecodeError):
            decode_logs_data_json(json.dumps(line).encode())


def test_nesting_has_a_limit() -> None:
    value: Any = "x"
    for _ in range(MAX_NESTING):
        value = {"k": value}
    record = Record(attributes={"a": value})
    assert decode_logs_data_json(encode_logs_data_json([record])) == [record]
    with pytest.raises(ValueError, match=r"attribute 'a'.*deep"):
        encode_logs_data_json([Record(attributes={"a": [value]})])
    deep = '{"arrayValue":{"values":[' * 200 + "]}}" * 200
    with pytest.raises(OtlpDecodeError, match="deep"):
        _one('{"body":' + deep + "}")
    with pytest.raises(OtlpDecodeError):
        _one('{"body":' + '{"arrayValue":{"values":[' * 5000 + "]}}" * 5000 + "}")


def test_decoded_records_share_resource_and_scope_across_calls() -> None:
    line = encode_logs_data_json([Record(resource=Resource({"host.name": "a"}), scope=component_scope("x"))])
    (first,), (second,) = decode_logs_data_json(line), decode_logs_data_json(line)
    assert first.resource is second.resource
    assert first.scope is second.scope


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (Record(event_name="e", attributes={"big": 2**63}), "record 'e'.*attribute 'big'.*64-bit.*clean_record"),
        (Record(attributes={"odd": object()}), "attribute 'odd'.*object"),  # type: ignore[dict-item]
        (Record(time_unix_nano=-1), "time_unix_nano: -1"),
        (Record(trace_id=b"short"), "trace_id: 5 bytes"),
        (Record(resource=Resource({"big": 2**63})), "resource: attribute 'big'"),
        (Record(scope=Scope("s", dropped_attributes_count=-1)), "scope 's': dropped_attributes_count"),
    ],
)  # fmt: skip
def test_what_otlp_cannot_carry_is_an_error_that_names_it(record: Record, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        encode_logs_data_json([record])
    assert clean_record(record)
    assert len(decode_logs_data_json(encode_logs_data_json([record]))) == 1
