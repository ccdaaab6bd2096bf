"""Text that is not Unicode, and whatever else OTLP cannot carry."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_fim.otlp import (
    clean_record,
    clean_text,
    decode_logs_data,
    decode_logs_data_json,
    encode_logs_data,
    encode_logs_data_json,
    to_text,
)
from otel_fim.record import Record, Resource, Scope

_any_text = st.text(st.characters(), max_size=8)  # surrogates among them, unlike st.text() on its own
_bad_text = st.one_of(
    _any_text, st.binary(max_size=6).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
)


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        (b"plain", "plain"),
        ("grün".encode(), "grün"),
        (b"caf\xe9", "caf\\xe9"),
        (b"\xff\xfe\n", "\\xff\\xfe\n"),
    ],
)
def test_bytes_that_are_not_utf8_stay_visible(raw: bytes, clean: str) -> None:
    assert clean_text(raw.decode("utf-8", "surrogateescape")) == clean


def test_other_surrogates_become_the_replacement_character() -> None:
    assert clean_text("a\ud800b\udfffc\udc7f") == "a\ufffdb\ufffdc\ufffd"


@given(st.text())
def test_unicode_comes_back_as_the_same_object(text: str) -> None:
    assert clean_text(text) is text


def test_a_record_is_repaired_in_place_and_keeps_its_good_parts() -> None:
    record = Record(
        event_name="e\udcff",
        severity_text="s\udcff",
        body={"k\udcff": ["v\udcff"]},
        attributes={
            "good": "x",
            "a\udcff": "b\udcff",
            "a\\xff": "taken",
            "big": 2**64,
            "when": datetime(2026, 1, 2, tzinfo=UTC),  # type: ignore[dict-item]
        },
        resource=Resource({"host.name": "h\udcff"}, "u\udcff", -1),
        scope=Scope("n\udcff", "v\udcff", {"k": "\ud800"}, "u\udcff", 2**40),
        time_unix_nano=-5,
        flags=2**32,
        severity_number=2**40,
        trace_id=b"short",
        span_id=b"short",
    )
    assert clean_record(record)
    assert record == Record(
        event_name="e\\xff",
        severity_text="s\\xff",
        body={"k\\xff": ["v\\xff"]},
        attributes={
            "good": "x",
            "a\\xff_": "b\\xff",
            "a\\xff": "taken",
            "big": "18446744073709551616",
            "when": "2026-01-02 00:00:00+00:00",
        },
        resource=Resource({"host.name": "h\\xff"}, "u\\xff"),
        scope=Scope("n\\xff", "v\\xff", {"k": "\ufffd"}, "u\\xff"),
    )
    assert not clean_record(record)


def test_records_that_shared_a_resource_share_the_repaired_one() -> None:
    resource = Resource({"host.name": "h\udcff"})
    records = [Record(resource=resource), Record(resource=resource)]
    for record in records:
        clean_record(record)
    assert records[0].resource is records[1].resource


def test_values_nested_too_deeply_become_text() -> None:
    value: Any = "x"
    for _ in range(200):
        value = [value]
    record = Record(attributes={"deep": value}, body={"a": value})
    assert clean_record(record)
    encode_logs_data([record])
    assert decode_logs_data_json(encode_logs_data_json([record])) == [record]


_keys = st.one_of(st.text(max_size=3), _bad_text)
_values = st.recursive(
    st.one_of(_bad_text, st.integers(-(2**66), 2**66), st.none(), st.binary(max_size=3)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_keys, inner, max_size=3)),
    max_leaves=6,
)
_records = st.builds(
    Record,
    time_unix_nano=st.integers(-(2**65), 2**65),
    event_name=_bad_text,
    severity_number=st.integers(-(2**33), 2**33),
    severity_text=_bad_text,
    body=_values,
    attributes=st.dictionaries(_keys, _values, max_size=5),
    resource=st.builds(Resource, st.dictionaries(_keys, _values, max_size=2), _bad_text),
    scope=st.builds(Scope, _bad_text, _bad_text, st.dictionaries(_keys, _values, max_size=2), _bad_text),
    trace_id=st.binary(max_size=17),
    flags=st.integers(-5, 2**33),
)


@given(_records)
def test_a_repaired_record_fits_everywhere_and_loses_no_attribute(record: Record) -> None:
    count = len(record.attributes)
    clean_record(record)
    assert len(record.attributes) == count
    assert not clean_record(record)
    assert len(decode_logs_data(encode_logs_data([record]))) == 1
    assert len(decode_logs_data_json(encode_logs_data_json([record]))) == 1
    for value in record.attributes.values():
        to_text(value).encode()


_fitting = st.recursive(
    st.one_of(_bad_text, st.integers(0, 9)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_keys, inner, max_size=3)),
    max_leaves=6,
)


@given(
    st.lists(
        st.builds(
            Record,
            event_name=_bad_text,
            severity_text=_bad_text,
            body=_fitting,
            attributes=st.dictionaries(_keys, _fitting, max_size=5),
            resource=st.builds(Resource, st.dictionaries(_keys, _fitting, max_size=2), _bad_text),
            scope=st.builds(Scope, _bad_text, _bad_text, st.dictionaries(_keys, _fitting, max_size=2)),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_encoders_send_bad_text_clean_and_leave_the_record_alone(records: list[Record]) -> None:
    before = repr(records)
    by_protobuf = decode_logs_data(encode_logs_data(records))
    by_json = decode_logs_data_json(encode_logs_data_json(records))
    assert repr(records) == before
    for record in records:
        clean_record(record)
    assert repr(by_protobuf) == repr(by_json) == repr(records)
