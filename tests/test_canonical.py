"""The canonical form: one form, whichever way the record went."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from otel_fim import names
from otel_fim.canonical import canonical_record, canonical_resource, canonical_row
from otel_fim.chain import hash_of_resource, seal, sealed_record, sealed_row
from otel_fim.otlp import (
    clean_record,
    decode_logs_data,
    decode_logs_data_json,
    encode_logs_data,
    encode_logs_data_json,
    to_text,
)
from otel_fim.record import AnyValue, Record, Resource, Scope
from otel_fim.verify import verify_records

_EVIDENCE = Path(__file__).parent.parent / "docs" / "evidence-format.md"

# Letters around which UTF-8 and UTF-16 order differ, control characters, and any other.
_letters = st.one_of(
    st.sampled_from('aB"\\\n\x00\x1f\x7f\u2028é\ue000\uffff\U00010000\U0001f4a5'), st.characters()
)
_text = st.text(_letters.filter(lambda c: not "\ud800" <= c <= "\udfff"), max_size=6)
_keys = st.one_of(_text, st.text(st.characters(max_codepoint=127), max_size=6))
_values: st.SearchStrategy[AnyValue] = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(), _text, st.binary(max_size=9)
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_keys, inner, max_size=3)),
    max_leaves=6,
)
_attributes = st.dictionaries(_keys, _values, max_size=6)
_records = st.builds(
    Record,
    time_unix_nano=st.sampled_from([0, 1, 1768314735123456789, 2**63]),
    observed_time_unix_nano=st.integers(0, 2**63),
    event_name=_text,
    severity_number=st.integers(0, 24),
    severity_text=_text,
    body=_values,
    attributes=_attributes,
    resource=st.builds(Resource, _attributes),
    scope=st.builds(Scope, _text, _text, _attributes),
)  # fmt: skip


def _plain(record: Record) -> bytes:
    """The form as the document defines it, in the plainest way."""

    def texts(attributes: object) -> dict[str, str]:
        return {key: to_text(value) for key, value in dict(attributes).items()}  # type: ignore[call-overload]

    attributes = texts(record.attributes)
    attributes.pop("otel_fim.chain.hash", None)
    form = {
        "time": str(record.time_unix_nano if record.time_unix_nano else record.observed_time_unix_nano),
        "event_name": record.event_name,
        "severity_number": str(record.severity_number),
        "severity_text": record.severity_text,
        "body": to_text(record.body),
        "attributes": attributes,
        "scope": {
            "name": record.scope.name,
            "version": record.scope.version,
            "attributes": texts(record.scope.attributes),
        },
    }
    encoded: bytes = rfc8785.dumps(form)
    return encoded


def _row(record: Record) -> dict[str, object]:
    """The columns of `otel_logs` that the form is rebuilt from."""
    return {
        "timestamp_unix_nano": record.time_unix_nano or record.observed_time_unix_nano,
        "severity_number": record.severity_number,
        "severity_text": record.severity_text,
        "body": to_text(record.body),
        "event_name": record.event_name,
        "scope_name": record.scope.name,
        "scope_version": record.scope.version,
        "scope_attributes": {key: to_text(value) for key, value in record.scope.attributes.items()},
        # A Map column comes back in an order of its own.
        "log_attributes": {key: to_text(record.attributes[key]) for key in reversed(record.attributes)},
    }


@given(_records)
def test_fast_form_is_that_of_rfc8785(record: Record) -> None:
    assert canonical_record(record) == _plain(record)


@given(_records)
def test_a_row_gives_the_same_form(record: Record) -> None:
    assert canonical_row(**_row(record)) == canonical_record(record)  # type: ignore[arg-type]


@given(_records)
def test_a_journal_line_and_protobuf_give_the_same_form(record: Record) -> None:
    expected = canonical_record(record)
    for back in (
        decode_logs_data_json(encode_logs_data_json([record])),
        decode_logs_data(encode_logs_data([record])),
    ):
        assert canonical_record(back[0]) == expected
        assert canonical_resource(back[0].resource.attributes) == canonical_resource(
            record.resource.attributes
        )


@given(_attributes)
def test_resource_form(attributes: dict[str, AnyValue]) -> None:
    texts = {key: to_text(value) for key, value in attributes.items()}
    assert canonical_resource(attributes) == rfc8785.dumps({"attributes": texts}) == canonical_resource(texts)


@given(_records)
def test_a_sealed_record_and_its_row_have_the_same_seal(record: Record) -> None:
    seal(record, "stream", 7, "0" * 64, hash_of_resource(record.resource.attributes))
    sealed = sealed_record(record)
    assert sealed is not None
    assert sealed.is_whole
    resource = {key: to_text(value) for key, value in record.resource.attributes.items()}
    assert sealed_row(**_row(record), resource_attributes=resource) == sealed  # type: ignore[arg-type]
    assert (sealed.number, sealed.bound_resource_hash) == (7, sealed.resource_hash)


def test_the_hash_is_not_part_of_what_it_covers() -> None:
    record = Record(time_unix_nano=1, attributes={"a": "b"})
    before = canonical_record(record)
    record.attributes[names.OTEL_FIM_CHAIN_HASH] = "anything"
    assert canonical_record(record) == before


@pytest.mark.parametrize(
    "record",
    [
        Record(event_name="\udcff"),
        Record(attributes={"\udcff": 1}),
        Record(attributes={"é\udcff": "x"}),
        Record(attributes={"a": "\udcff"}),
        Record(attributes={"a": ["\udcff"]}),
        Record(body="\udcff"),
        Record(scope=Scope(attributes={"a": "\udcff"})),
        Record(attributes={"a": 2**63}),
        Record(attributes={3: "x"}),  # type: ignore[dict-item]
    ],
)
def test_what_otlp_cannot_carry_has_no_form_until_it_is_made_to_fit(record: Record) -> None:
    with pytest.raises(ValueError, match=r"."):
        canonical_record(record)
    clean_record(record)
    assert canonical_record(record) == _plain(record)


def test_bad_text_in_a_row_or_a_resource_is_an_error() -> None:
    row = _row(Record())
    with pytest.raises(ValueError, match="no canonical form"):
        canonical_row(**{**row, "body": "\udcff"})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no canonical form"):
        canonical_resource({"a": "\udcff"})


def test_the_documents_example() -> None:
    text = _EVIDENCE.read_text()
    example = text[text.index("\n## Example\n") :]
    blocks = re.findall(r"```(\w+)\n(.*?)\n```", example, re.DOTALL)
    assert [kind for kind, _ in blocks] == ["json", "text", "text"] * 2 + ["text", "text"]
    contents = [content for _, content in blocks]
    records = []
    for line, form, digest in (contents[:3], contents[3:6]):
        (record,) = decode_logs_data_json(line.encode())
        records.append(record)
        assert json.loads(encode_logs_data_json([record])) == json.loads(line)
        assert canonical_record(record).decode() == form
        assert hashlib.sha256(form.encode()).hexdigest() == digest
        assert record.attributes[names.OTEL_FIM_CHAIN_HASH] == digest
        assert f"{len(form.encode())} bytes" in example
    assert canonical_resource(records[0].resource.attributes).decode() == contents[6]
    assert hashlib.sha256(contents[6].encode()).hexdigest() == contents[7]
    assert records[0].attributes[names.OTEL_FIM_RESOURCE_HASH] == contents[7]
    verification = verify_records(records)
    assert verification.problems == []
    assert [state.last for state in verification.streams.values()] == [2]
