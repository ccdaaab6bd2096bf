"""Samples: what they become, and what is said of those that are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from otel_fim import names
from otel_fim.names import events
from otel_fim.processors.rules.command.samples import Case, SampleError, parse_samples, read_samples
from otel_fim.record import Severity

NOON = 1768305600_000000000  # 2026-01-13T12:00:00Z
SECOND = 10**9


def case(records: list[dict[str, Any]], **more: Any) -> Case:
    text = yaml.safe_dump({"match": [{"about": "it", "records": records, **more}]}, sort_keys=False)
    return parse_samples("x.samples.yml", text)[0]


def test_a_record_has_what_is_written_and_defaults() -> None:
    (record,) = case([{"event": events.FILE_CREATED, "attributes": {names.FILE_PATH: "/x"}}]).records
    assert record.event_name == events.FILE_CREATED
    assert record.attributes == {names.FILE_PATH: "/x"}
    assert record.resource.attributes == {names.HOST_NAME: "host-1"}
    assert record.time_unix_nano == record.observed_time_unix_nano == NOON
    assert record.body is None
    assert (record.severity_number, record.severity_text) == (int(Severity.INFO), "INFO")


def test_a_record_without_a_name_and_with_a_body() -> None:
    (record,) = case([{"body": "sshd[7]: hello", "resource": {names.HOST_NAME: "web-1"}}]).records
    assert (record.event_name, record.body) == ("", "sshd[7]: hello")
    assert record.resource.attributes == {names.HOST_NAME: "web-1"}


def test_times_follow_each_other() -> None:
    records = case(
        [
            {"body": "a", "time": "2026-01-13T14:00:00Z"},
            {"body": "b"},
            {"body": "c", "after": "10s"},
            {"body": "d", "after": "0s"},
            {"body": "e", "time": "2026-01-14T00:00:00+02:00"},
            {"body": "f", "after": "1h30m"},
        ]
    ).records
    two = NOON + 7200 * SECOND
    assert [record.time_unix_nano for record in records] == [
        two,
        two + SECOND,
        two + 11 * SECOND,
        two + 11 * SECOND,
        NOON + 10 * 3600 * SECOND,
        NOON + 10 * 3600 * SECOND + 5400 * SECOND,
    ]


def test_an_unquoted_time_is_yamls_own() -> None:
    text = "match: [{about: it, records: [{time: 2026-01-13T12:00:00.5Z}]}]"
    assert parse_samples("x", text)[0].records[0].time_unix_nano == NOON + SECOND // 2


def test_repetitions_are_numbered_and_follow_each_other() -> None:
    records = case(
        [
            {
                "event": "x",
                "repeat": 3,
                "after": "2s",
                "body": "{i}",
                "attributes": {"a": "n{i}", "b": ["{i}", 7]},
                "resource": {"host.name": "h{i}"},
            },
            {"event": "{i}"},
        ]
    ).records
    assert [record.time_unix_nano - NOON for record in records] == [0, 2 * SECOND, 4 * SECOND, 5 * SECOND]
    assert [record.attributes.get("a") for record in records] == ["n0", "n1", "n2", None]
    assert records[1].attributes["b"] == ["1", 7]
    assert records[1].body == "1"
    assert records[2].resource.attributes == {"host.name": "h2"}
    assert records[3].event_name == "{i}"


def test_what_a_case_expects() -> None:
    records = [{"body": "x"}]
    once, some = case(records, findings=2), case(records)
    none = parse_samples("x", "no_match: [{about: it, records: [{body: x}]}]")[0]
    assert [each.expected for each in (once, some, none)] == ["2 findings", "a finding", "no finding"]
    assert [once.is_met_by(n) for n in (0, 1, 2, 3)] == [False, False, True, False]
    assert [some.is_met_by(n) for n in (0, 1, 2)] == [False, True, True]
    assert [none.is_met_by(n) for n in (0, 1)] == [True, False]


BAD = [
    ("", "here are 0"),
    ("[]", "the document is a list"),
    ("{match: [{about: it, records: [{body: x}]}]", "line 2: invalid YAML"),
    ("{}\n---\n{}", "here are 2"),
    ("version: 2", "version 2 is not known"),
    ("matches: []", "unknown key 'matches'; there are match, no_match, version"),
    ("match: {}", "match: a list is needed"),
    ("match: [x]", "match 1: a mapping is needed"),
    ("match: [{records: [{body: x}]}]", "`about` must say"),
    ("match: [{about: it}]", r"match 1 \(it\): records: a list is needed, not nothing"),
    ("match: [{about: it, records: []}]", "at least one record"),
    ("match: [{about: it, records: [{body: x}], findngs: 1}]", r"match 1 \(it\): unknown key 'findngs'"),
    ("match: [{about: it, records: [{body: x}], findings: 0}]", "`findings` is a number from 1"),
    ("match: [{about: it, records: [{body: x}], findings: true}]", "`findings` is a number from 1"),
    ("no_match: [{about: it, records: [{body: x}], findings: 1}]", "`findings` is a number from 1"),
    ("match: [{about: it, records: [{body: x}], rule: 1}]", "`rule` is the name"),
    ("match: [{about: it, records: [{evnt: x}]}]", "record 1: unknown key 'evnt'"),
    ("match: [{about: it, records: [{event: 1}]}]", "`event` is the name of an event"),
    ("match: [{about: it, records: [{repeat: 0}]}]", "`repeat` is a number from 1"),
    ("match: [{about: it, records: [{repeat: 100001}]}]", "more than 100000 records"),
    ("match: [{about: it, records: [{after: soon}]}]", "`after`: 'soon' is not a duration"),
    ("match: [{about: it, records: [{after: -1}]}]", "`after`"),
    ("match: [{about: it, records: [{time: yesterday}]}]", "`time` is 'yesterday'"),
    ("match: [{about: it, records: [{attributes: [x]}]}]", "attributes: a mapping is needed"),
    ("match: [{about: it, records: [{attributes: {1: x}}]}]", "attributes: a mapping is needed"),
    (
        "match: [{about: it, records: [{attributes: {a: 2026-01-01}}]}]",
        "a is a date of YAML's: put it in quotes",
    ),
    ("match: [{about: it, records: [{attributes: {a: null}}]}]", "attributes: a is None"),
    ("match: [{about: it, records: [{attributes: {a: 1, a: 2}}]}]", "stands twice"),
]


@pytest.mark.parametrize(("text", "reason"), BAD)
def test_what_is_wrong_is_told_with_file_and_case(text: str, reason: str) -> None:
    with pytest.raises(SampleError, match=f"^cron.samples.yml.*{reason}"):
        parse_samples("cron.samples.yml", text)


def test_a_file_that_is_not_there_or_too_large(tmp_path: Path) -> None:
    with pytest.raises(SampleError, match="No such file"):
        read_samples(str(tmp_path / "x"))
    (tmp_path / "x").write_bytes(b"# \xff")
    with pytest.raises(SampleError, match="is not UTF-8"):
        read_samples(str(tmp_path / "x"))
    (tmp_path / "x").write_bytes(b"#" * (2**20 + 1))
    with pytest.raises(SampleError, match="use `repeat`"):
        read_samples(str(tmp_path / "x"))
