"""Verification: every way to tamper with a stream is found, and found as what it is."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_fim import names
from otel_fim.canonical import canonical_record
from otel_fim.chain import EMPTY_HASH, resource_hash, seal
from otel_fim.record import Record, Resource, Scope
from otel_fim.verify import ProblemKind, Verification, verify_records

_RESOURCE = Resource({"host.name": "web-1"})
_OTHER = Resource({"host.name": "web-2"})


def _stream(count: int = 6, stream_id: str = "s", resource: Resource = _RESOURCE) -> list[Record]:
    records: list[Record] = []
    last = EMPTY_HASH
    for number in range(1, count + 1):
        record = Record(
            time_unix_nano=number,
            event_name="e",
            body=f"body {number}",
            attributes={"k": f"v{number}"},
            resource=resource,
            scope=Scope("x"),
        )
        last = seal(record, stream_id, number, last, resource_hash(resource) if number == 1 else "")
        records.append(record)
    return records


def _found(records: list[Record], *, partial: bool = False) -> list[tuple[ProblemKind, int]]:
    return [(problem.kind, problem.number) for problem in verify_records(records, partial=partial).problems]


def test_a_whole_stream() -> None:
    verification = verify_records(_stream())
    assert verification.is_whole
    assert (verification.records, verification.highest("s"), verification.highest("other")) == (6, 6, 0)
    assert verify_records([]).is_whole


def test_streams_may_be_interleaved() -> None:
    pairs = zip(_stream(), _stream(stream_id="t", resource=_OTHER), strict=True)
    verification = verify_records([record for pair in pairs for record in pair])
    assert verification.is_whole
    assert {state.id: state.records for state in verification.streams.values()} == {"s": 6, "t": 6}


def _set(name: str, value: object) -> Callable[[Record], None]:
    return lambda record: setattr(record, name, value)


@pytest.mark.parametrize(
    "change",
    [
        _set("body", "another"),
        _set("event_name", "another"),
        _set("severity_number", 17),
        _set("severity_text", "ERROR"),
        _set("time_unix_nano", 99),
        _set("scope", Scope("y")),
        _set("scope", Scope("x", "2")),
        _set("scope", Scope("x", attributes={"a": "b"})),
        lambda record: record.attributes.update(k="another"),
        lambda record: record.attributes.update(more="x"),
        lambda record: record.attributes.pop("k"),
    ],
)
def test_a_changed_record(change: Callable[[Record], None]) -> None:
    records = _stream()
    change(records[2])
    assert _found(records) == [(ProblemKind.CHANGED, 3)]


def test_a_changed_record_with_its_hash_made_new() -> None:
    records = _stream()
    records[2].body = "another"
    digest = sha256(canonical_record(records[2])).hexdigest()
    records[2].attributes[names.OTEL_FIM_CHAIN_HASH] = digest
    assert _found(records) == [(ProblemKind.LINK, 4)]


@pytest.mark.parametrize(
    ("indices", "expected"),
    [
        ([0, 1, 3, 4, 5], [(ProblemKind.MISSING, 4)]),
        ([1, 2, 3, 4, 5], [(ProblemKind.MISSING, 2)]),
        ([0, 1, 1, 2, 3], [(ProblemKind.REPEATED, 2)]),
        ([0, 2, 1, 3], [(ProblemKind.MISSING, 3), (ProblemKind.ORDER, 2)]),
        ([0, 1, 2], []),
    ],
)
def test_records_missing_repeated_or_out_of_order(
    indices: list[int], expected: list[tuple[ProblemKind, int]]
) -> None:
    records = _stream()
    assert _found([records[index] for index in indices]) == expected


def test_a_part_of_a_stream() -> None:
    assert _found(_stream()[3:], partial=True) == []
    assert _found(_stream()[3:]) == [(ProblemKind.MISSING, 4)]


def test_a_fork() -> None:
    records = _stream(4)
    forked = Record(body="another 3", resource=_RESOURCE)
    last = seal(forked, "s", 3, str(records[1].attributes[names.OTEL_FIM_CHAIN_HASH]))
    after = Record(body="another 4", resource=_RESOURCE)
    seal(after, "s", 4, last)
    kinds = [ProblemKind.ORDER, ProblemKind.ORDER]
    assert [kind for kind, _ in _found([*records[:4], forked, after])] == kinds
    assert _found([*records[:2], forked, records[3]]) == [(ProblemKind.LINK, 4)]


def test_the_first_record_must_begin_the_stream() -> None:
    record = Record(resource=_RESOURCE)
    seal(record, "s", 1, "0" * 64)
    assert _found([record]) == [(ProblemKind.LINK, 1), (ProblemKind.RESOURCE, 1)]


def test_another_resource() -> None:
    records = _stream()
    records[3].resource = _OTHER
    assert _found(records) == [(ProblemKind.RESOURCE, 4)]
    records = _stream(2)
    last = str(records[1].attributes[names.OTEL_FIM_CHAIN_HASH])
    for number, resource in ((3, _OTHER), (4, _OTHER), (5, _RESOURCE)):
        record = Record(resource=resource)
        last = seal(record, "s", number, last, resource_hash(resource) if number != 4 else "")
        records.append(record)
    assert _found(records) == []
    assert _found([records[0], *records[3:]]) == [(ProblemKind.MISSING, 4)]


def test_seals_that_cannot_be_read() -> None:
    records = _stream(3)
    records[1].attributes[names.OTEL_FIM_CHAIN_VERSION] = 2
    assert _found(records) == [(ProblemKind.UNKNOWN_VERSION, 2)]
    records = _stream(2)
    records[1].attributes[names.AUDIT_SEQUENCE_NUMBER] = "two"
    assert _found(records) == [(ProblemKind.UNREADABLE, 0)]
    records = _stream(2)
    records[1].body = "\udcff"
    assert _found(records) == [(ProblemKind.UNREADABLE, 0)]
    assert _found([Record(event_name="bare")]) == [(ProblemKind.UNSEALED, 0)]


def test_problems_are_counted_beyond_those_that_are_kept() -> None:
    verification = verify_records(Record() for _ in range(1500))
    assert (verification.problem_count, len(verification.problems)) == (1500, 1000)
    assert not verification.is_whole


_changes = st.sampled_from(["body", "event_name", "severity_text"])


@given(st.integers(2, 12), st.data())
def test_no_single_manipulation_goes_unnoticed(count: int, data: st.DataObject) -> None:
    """Cutting the end is left out: a chain alone does not show it."""
    records = _stream(count)
    index = data.draw(st.integers(0, count - 1))
    match data.draw(st.sampled_from(["change", "remove", "swap", "insert"])):
        case "change":
            setattr(records[index], data.draw(_changes), "another")
        case "remove":
            records.pop(data.draw(st.integers(0, count - 2)))
        case "swap":
            other = data.draw(st.integers(0, count - 1).filter(lambda value: value != index))
            records[index], records[other] = records[other], records[index]
        case _:
            records.insert(index, records[index].copy())
    verification = Verification()
    for record in records:
        verification.add(record)
    assert not verification.is_whole
