"""The chain processor: one unbroken stream, across restarts and whatever comes in."""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_fim import names
from otel_fim.chain import CHAIN_KEYS, EMPTY_HASH, original, resource_hash, seal, sealed_record
from otel_fim.component import ProcessorContext, StartError
from otel_fim.names import events
from otel_fim.otlp import decode_logs_data_json, encode_logs_data_json
from otel_fim.processors.chain import ChainConfig, ChainProcessor
from otel_fim.record import AnyValue, Record, Resource, Scope
from otel_fim.verify import verify_records

_RESOURCE = Resource({"host.name": "web-1"})


class _Journaled(ChainProcessor):
    """A chain whose batches are in the journal as soon as they are sealed."""

    newest: Record | None = None

    def process(self, records: list[Record]) -> list[Record]:
        sealed = super().process(records)
        self.newest = sealed[-1] if sealed else self.newest
        return sealed


def _chain(directory: Path, last: Record | None = None, resource: Resource = _RESOURCE) -> _Journaled:
    processor = _Journaled(
        ChainConfig(),
        ProcessorContext(
            id="chain",
            kind="processor",
            state_directory=directory,
            service_directory=directory,
            agent_directories=(directory,),
            resource=resource,
            scope=Scope("otel_fim.processors.chain"),
            logger=logging.getLogger("test.chain"),
            report=lambda health, text: None,
            count=lambda *args, **labels: None,
            pipeline="logs",
            last_record=lambda: processor.newest or last,
        ),
    )
    processor.start()
    return processor


def _journal(records: Sequence[Record]) -> list[Record]:
    """The records as they come back from the journal's lines."""
    return [decode_logs_data_json(encode_logs_data_json([record]))[0] for record in records]


def _event(name: str = "e", resource: Resource = _RESOURCE, **attributes: AnyValue) -> Record:
    return Record(time_unix_nano=5, event_name=name, attributes=dict(attributes), resource=resource)


def _number(record: Record) -> object:
    return record.attributes[names.AUDIT_SEQUENCE_NUMBER]


def _stream_id(record: Record) -> str:
    return str(record.attributes[names.AUDIT_SEQUENCE_STREAM_ID])


def test_a_first_stream(tmp_path: Path) -> None:
    chain = _chain(tmp_path)
    out = chain.process([_event("a"), _event("b")])
    assert [record.event_name for record in out] == [events.STREAM_STARTED, "a", "b"]
    assert [_number(record) for record in out] == [1, 2, 3]
    first = out[0]
    assert first.attributes[names.OTEL_FIM_STREAM_PREVIOUS] == "none"
    assert first.attributes[names.AUDIT_SEQUENCE_PREV_HASH] == EMPTY_HASH
    assert first.attributes[names.OTEL_FIM_RESOURCE_HASH] == resource_hash(_RESOURCE)
    assert names.OTEL_FIM_RESOURCE_HASH not in out[1].attributes
    assert {record.attributes[names.OTEL_FIM_CHAIN_VERSION] for record in out} == {1}
    assert re.fullmatch(r"[0-9a-f]{64}", str(first.attributes[names.OTEL_FIM_CHAIN_HASH]))
    assert uuid.UUID(_stream_id(first)).version == 7
    assert uuid.UUID(_stream_id(first)).variant == uuid.RFC_4122
    assert verify_records(_journal(out)).is_whole
    chain.stop(1.0)
    assert json.loads((tmp_path / "stream.json").read_text())["stream_id"] == _stream_id(first)


def test_an_empty_batch_begins_nothing(tmp_path: Path) -> None:
    chain = _chain(tmp_path)
    assert chain.process([]) == []
    assert not (tmp_path / "stream.json").exists()
    assert [_number(record) for record in chain.process([_event()])] == [1, 2]


def test_a_kill_before_the_first_record_is_in_the_journal_loses_nothing(tmp_path: Path) -> None:
    _chain(tmp_path).process([_event()])
    first = _chain(tmp_path).process([_event()])[0]
    assert first.attributes[names.OTEL_FIM_STREAM_PREVIOUS] == "none"


def test_a_journal_that_is_lost_after_the_second_batch_is_noticed(tmp_path: Path) -> None:
    chain = _chain(tmp_path)
    chain.process([_event()])
    chain.process([_event()])
    first = _chain(tmp_path).process([_event()])[0]
    assert first.attributes[names.OTEL_FIM_STREAM_PREVIOUS] == "unknown"


def test_process_before_start_is_an_error(tmp_path: Path) -> None:
    chain = ChainProcessor(ChainConfig(), _chain(tmp_path).context)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="started"):
        chain.process([_event()])


def test_a_stream_goes_on_after_a_restart(tmp_path: Path) -> None:
    journal = _journal(_chain(tmp_path).process([_event()]))
    journal += _journal(_chain(tmp_path, journal[-1]).process([_event(), _event()]))
    assert [_number(record) for record in journal] == [1, 2, 3, 4]
    assert verify_records(journal).is_whole


def test_what_never_reached_the_journal_is_numbered_again(tmp_path: Path) -> None:
    chain = _chain(tmp_path)
    journal = _journal(chain.process([_event()]))
    chain.process([_event("lost"), _event("lost")])
    journal += _journal(_chain(tmp_path, journal[-1]).process([_event("kept")]))
    assert [_number(record) for record in journal] == [1, 2, 3]
    assert verify_records(journal).is_whole


def test_a_lost_state_file_is_written_again(tmp_path: Path) -> None:
    chain = _chain(tmp_path)
    journal = _journal(chain.process([_event()]))
    chain.stop(1.0)
    (tmp_path / "stream.json").unlink()
    (after,) = _chain(tmp_path, journal[-1]).process([_event()])
    assert _number(after) == 3
    assert json.loads((tmp_path / "stream.json").read_text())["stream_id"] == _stream_id(after)


def _unsealed(record: Record) -> Record:
    return Record(event_name="bare")


def _changed(record: Record) -> Record:
    record.body = "changed"
    return record


def _other_stream(record: Record) -> Record:
    other = _event()
    seal(other, "another", 9, "0" * 64)
    return other


def _unreadable(record: Record) -> Record:
    record.body = "\udcff"
    return record


def _no_number(record: Record) -> Record:
    for key in CHAIN_KEYS:
        record.attributes.pop(key, None)
    seal(record, "", 0, EMPTY_HASH)
    return record


@pytest.mark.parametrize(
    ("tamper", "words"),
    [
        (lambda record: None, "journal is empty"),
        (_unsealed, "not sealed"),
        (_changed, "not what was sealed"),
        (_other_stream, "ends in stream another"),
        (_unreadable, "cannot be verified"),
        (_no_number, "not what was sealed"),
    ],
)
def test_a_stream_that_cannot_go_on_says_so(
    tmp_path: Path, tamper: Callable[[Record], Record | None], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    chain = _chain(tmp_path)
    before = chain.process([_event()])[-1]
    chain.stop(1.0)
    stream_id = _stream_id(before)
    chain = _chain(tmp_path, tamper(before))
    (entry,) = caplog.records
    assert entry.levelname == "ERROR"
    assert words in entry.getMessage()
    out = _journal(chain.process([_event()]))
    assert [_number(record) for record in out] == [1, 2]
    assert _stream_id(out[0]) not in (stream_id, "another")
    assert out[0].attributes[names.OTEL_FIM_STREAM_PREVIOUS] == "unknown"
    assert out[0].severity_text == "WARN"
    assert words in str(out[0].body)
    assert verify_records(out).is_whole
    caplog.clear()
    # The new stream is the one that is remembered.
    assert _number(_chain(tmp_path, out[-1]).process([_event()])[0]) == 3
    assert not caplog.records


def test_a_broken_state_file_is_no_first_stream(tmp_path: Path) -> None:
    (tmp_path / "stream.json").write_text("{")
    first = _chain(tmp_path).process([_event()])[0]
    assert first.attributes[names.OTEL_FIM_STREAM_PREVIOUS] == "unknown"


def test_a_state_file_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "stream.json").mkdir()
    with pytest.raises(StartError, match=r"stream\.json"):
        _chain(tmp_path)


def test_a_state_file_that_cannot_be_written_is_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory = tmp_path / "state"
    directory.mkdir()
    chain = _chain(directory)
    out = list(chain.process([_event()]))
    directory.rmdir()
    out += chain.process([_event()])
    assert "could not be written" in caplog.text
    directory.mkdir()
    out += chain.process([_event()])
    assert (directory / "stream.json").exists()
    assert verify_records(out).is_whole


def test_each_change_of_resource_is_bound(tmp_path: Path) -> None:
    other, same = Resource({"host.name": "web-2"}), Resource({"host.name": "web-1"}, "https://x/1")
    chain = _chain(tmp_path)
    out = chain.process([_event(), _event(resource=same), _event(resource=other), _event(resource=other)])
    out += chain.process([_event(resource=other), _event()])
    bound = [record.attributes.get(names.OTEL_FIM_RESOURCE_HASH) for record in out]
    mine, others = resource_hash(_RESOURCE), resource_hash(other)
    assert bound == [mine, None, None, others, None, None, mine]
    assert verify_records(_journal(out)).is_whole


def test_a_new_resource_after_a_restart_is_bound(tmp_path: Path) -> None:
    journal = _journal(_chain(tmp_path).process([_event()]))
    upgraded = Resource({"host.name": "web-1", "service.version": "2"})
    chain = _chain(tmp_path, journal[-1], upgraded)
    journal += _journal(chain.process([_event(resource=upgraded), _event(resource=upgraded)]))
    assert journal[2].attributes[names.OTEL_FIM_RESOURCE_HASH] == resource_hash(upgraded)
    assert names.OTEL_FIM_RESOURCE_HASH not in journal[3].attributes
    assert verify_records(journal).is_whole


def test_records_sealed_elsewhere_keep_their_seal(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    born = _journal(_chain(tmp_path / "a", resource=Resource({"host.name": "far"})).process([_event(k="v")]))
    relayed = _journal(_chain(tmp_path / "b").process([record.copy() for record in born]))
    twice = _journal(_chain(tmp_path / "c").process([record.copy() for record in relayed]))
    assert verify_records(relayed).is_whole
    assert verify_records(twice).is_whole
    assert relayed[1].attributes["otel_fim.relayed.audit.sequence.number"] == 1

    def originals(records: list[Record]) -> list[Record]:
        return [found for record in records if (found := original(record)) is not None]

    assert originals(relayed) == born
    assert originals(twice)[1:] == relayed[1:]
    assert verify_records(originals(originals(twice))).is_whole
    assert originals(born) == []


def test_what_otlp_cannot_carry_is_made_to_fit_and_sealed(tmp_path: Path) -> None:
    records = [
        _event("bad\udcff", **{"file.path": "/tmp/\udcff", "a\udcff": 1}),
        _event(big=2**70),
        _event(odd=object()),  # type: ignore[arg-type]
        _event(resource=Resource({"host.name": "\udcff"})),
        Record(time_unix_nano=-1, trace_id=b"x", resource=_RESOURCE),
        Record(attributes={3: "x"}, resource=_RESOURCE),  # type: ignore[dict-item]
        _event(),
    ]
    out = _chain(tmp_path).process(records)
    assert out[1].attributes["file.path"] == "/tmp/\\xff"
    assert out[2].attributes["big"] == str(2**70)
    assert verify_records(out).is_whole
    assert _journal(out) == out


class _Unprintable:
    def __str__(self) -> str:
        raise ArithmeticError("no text")


def test_a_batch_that_fails_is_given_back_as_it_was(tmp_path: Path) -> None:
    chain = _chain(tmp_path)
    out = chain.process([_event()])
    bad = _event(odd=_Unprintable())  # type: ignore[arg-type]
    foreign = _event("far")
    seal(foreign, "far", 7, "0" * 64)
    batch = [_event("x"), bad, _event("y"), foreign]
    with pytest.raises(ArithmeticError):
        chain.process(batch)
    assert all(CHAIN_KEYS.isdisjoint(record.attributes) for record in batch[:3])
    assert _number(foreign) == 7
    out += chain.process([batch[0], batch[2], foreign])
    assert [_number(record) for record in out] == [1, 2, 3, 4, 5]
    assert original(foreign) is not None
    assert verify_records(out).is_whole


@given(st.lists(st.one_of(st.just("restart"), st.just("crash"), st.integers(0, 4)), max_size=12))
def test_any_course_of_batches_restarts_and_crashes_is_one_whole_stream(
    tmp_path_factory: pytest.TempPathFactory, course: list[Any]
) -> None:
    directory = tmp_path_factory.mktemp("chain")
    journal: list[Record] = []
    chain = _chain(directory)
    begun = False
    for step in course:
        if isinstance(step, int):
            journal += _journal(chain.process([_event(k=step) for _ in range(step)]))
            begun = begun or step > 0
            continue
        if step == "crash" and begun:
            chain.process([_event("lost")])
        chain = _chain(directory, journal[-1] if journal else None)
    verification = verify_records(journal)
    assert verification.is_whole
    assert len(verification.streams) == (1 if journal else 0)
    assert [_number(record) for record in journal] == list(range(1, len(journal) + 1))
    assert all(sealed_record(record) is not None for record in journal)


def test_a_stream_of_which_nothing_was_written_is_not_remembered(tmp_path: Path) -> None:
    chain = _chain(tmp_path)
    chain.process([_event()])
    # The disk was full: the batch never came to the journal.
    chain.newest = None
    chain.stop(1.0)
    opening = _chain(tmp_path).process([_event()])[0]
    assert opening.attributes[names.OTEL_FIM_STREAM_PREVIOUS] == "none"
