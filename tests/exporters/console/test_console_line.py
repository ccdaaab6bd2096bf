"""The line for people and the line for programs."""

from __future__ import annotations

import ast
import json
import re
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_fim import names
from otel_fim.exporters.console.escape import escape, quoted
from otel_fim.exporters.console.flat import format_json
from otel_fim.exporters.console.line import coloured, format_record
from otel_fim.names import events
from otel_fim.names.registry import ATTRIBUTES, EVENTS
from otel_fim.record import Record, Severity

WHEN = 1768314735_123456789  # 2026-01-13T14:32:15.123456789Z
VIM = {
    names.USER_NAME: "root",
    names.OTEL_FIM_LOGIN_USER_NAME: "alice",
    names.PROCESS_EXECUTABLE_PATH: "/usr/bin/vim.basic",
    names.PROCESS_PID: 4711,
}


def line(event: str, /, **attributes: Any) -> str:
    return format_record(Record(time_unix_nano=WHEN, event_name=event, attributes=attributes))


def test_the_line_of_the_design() -> None:
    shown = line(
        events.FILE_MODIFIED,
        **{
            names.FILE_PATH: "/etc/passwd",
            names.THREAT_TECHNIQUE_ID: ["T1136"],
            names.THREAT_TECHNIQUE_SUBTECHNIQUE_ID: ["T1136.001"],
            names.OTEL_FIM_FILE_CHANGED_ATTRIBUTES: [
                names.FILE_HASH_SHA256,
                names.FILE_SIZE,
                names.FILE_MODIFIED,
                names.FILE_CHANGED,
            ],
            names.FILE_SIZE: 2961,
            names.before(names.FILE_SIZE): 2908,
        },
        **VIM,
    )
    assert shown == (
        "[ALERT] MODIFIED /etc/passwd @ 2026-01-13T14:32:15Z (MITRE T1136.001) "
        "by root (login alice) /usr/bin/vim.basic pid 4711: content 2908→2961 bytes"
    )


@pytest.mark.parametrize(
    ("event", "attributes", "expected"),
    [
        (events.FILE_CREATED, {}, "[ALERT] CREATED /etc/x @ 2026-01-13T14:32:15Z"),
        (
            events.FILE_DELETED,
            {names.OTEL_FIM_FILE_WHILE_DOWN: True},
            "[ALERT] DELETED /etc/x @ 2026-01-13T14:32:15Z while the agent was down",
        ),
        (
            events.FILE_RENAMED,
            {names.before(names.FILE_PATH): "/etc/old name"},
            '[ALERT] RENAMED "/etc/old name" -> /etc/x @ 2026-01-13T14:32:15Z',
        ),
        (
            events.FILE_CREATED,
            {names.PROCESS_PID: 7, names.OTEL_FIM_ACTOR_STATE: "exited"},
            "[ALERT] CREATED /etc/x @ 2026-01-13T14:32:15Z by pid 7 (process already exited)",
        ),
        (
            events.FILE_CREATED,
            {names.USER_ID: "1000", names.OTEL_FIM_LOGIN_USER_ID: 1000, names.PROCESS_COMMAND: "a b"},
            '[ALERT] CREATED /etc/x @ 2026-01-13T14:32:15Z by uid 1000 "a b"',
        ),
        (
            events.FILE_ATTRIBUTES_CHANGED,
            {
                names.OTEL_FIM_FILE_CHANGED_ATTRIBUTES: [
                    names.FILE_MODE,
                    names.FILE_OWNER_ID,
                    names.FILE_OWNER_NAME,
                    names.FILE_GROUP_ID,
                    names.FILE_CHANGED,
                ],
                names.FILE_MODE: "0666",
                names.before(names.FILE_MODE): "0644",
                names.FILE_OWNER_ID: "1000",
                names.FILE_OWNER_NAME: "alice",
                names.before(names.FILE_OWNER_NAME): "root",
                names.FILE_GROUP_ID: "5",
                names.before(names.FILE_GROUP_ID): "0",
            },
            "[ALERT] ATTRIBUTES /etc/x @ 2026-01-13T14:32:15Z: mode 0644→0666, owner root→alice, group 0→5",
        ),
        (
            events.FILE_MODIFIED,
            {
                names.THREAT_TECHNIQUE_ID: ["T1554", "T1548"],
                names.THREAT_TECHNIQUE_SUBTECHNIQUE_ID: ["T1548.001"],
                names.OTEL_FIM_FILE_CHANGED_ATTRIBUTES: [
                    names.FILE_HASH_SHA256,
                    names.FILE_SYMBOLIC_LINK_TARGET_PATH,
                ],
                names.FILE_SYMBOLIC_LINK_TARGET_PATH: "/a, b",
                names.OTEL_FIM_FILE_REPLACED: True,
            },
            (
                "[ALERT] MODIFIED /etc/x @ 2026-01-13T14:32:15Z (MITRE T1554, T1548.001): "
                'content, target none→"/a, b", replaced by another file'
            ),
        ),
        (
            events.FILE_ATTRIBUTES_CHANGED,
            {names.OTEL_FIM_FILE_CHANGED_ATTRIBUTES: [names.FILE_MODIFIED, names.FILE_CHANGED]},
            "[ALERT] ATTRIBUTES /etc/x @ 2026-01-13T14:32:15Z: modification time",
        ),
    ],
)
def test_file_events(event: str, attributes: dict[str, Any], expected: str) -> None:
    assert line(event, **{names.FILE_PATH: "/etc/x"}, **attributes) == expected


def test_coverage_gap() -> None:
    shown = line(
        events.COVERAGE_GAP,
        **{
            names.OTEL_FIM_COVERAGE_REASON: "queue_overflow",
            names.OTEL_FIM_COVERAGE_SCOPE: "/etc",
            names.OTEL_FIM_COVERAGE_DETAIL: "the kernel's event queue overflowed",
        },
    )
    assert (
        shown
        == "[COVERAGE] GAP /etc @ 2026-01-13T14:32:15Z: queue_overflow, the kernel's event queue overflowed"
    )


def test_any_other_event_shows_its_body() -> None:
    record = Record(time_unix_nano=WHEN, event_name="org.example.thing", body="it\nhappened")
    assert format_record(record) == "[EVENT] org.example.thing @ 2026-01-13T14:32:15Z: it\\nhappened"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("/tmp/x\n[ALERT] DELETED /etc/shadow", '"/tmp/x\\n[ALERT] DELETED /etc/shadow"'),
        ("/tmp/\x1b[2J\x07", "/tmp/\\x1b[2J\\x07"),
        ("/tmp/cod\u202efdp.sh", "/tmp/cod\\u202efdp.sh"),
        ("/tmp/a\u2066b\u2069\u200b\ufeff", "/tmp/a\\u2066b\\u2069\\u200b\\ufeff"),
        ("/tmp/\x9b31m\x85", "/tmp/\\u009b31m\\u0085"),
        ("/tmp/caf\udcc3", "/tmp/caf\\xc3"),
        ("/tmp/\ud800", "/tmp/\\ud800"),
        ("/tmp/a\\n", "/tmp/a\\\\n"),
        ('/tmp/a"b', '"/tmp/a\\"b"'),
        ("/tmp/a\u00a0b\u2028c", "/tmp/a\\u00a0b\\u2028c"),
        ("/tmp/\U000e0041", "/tmp/\\U000e0041"),
        ("/tmp/日本語-ö", "/tmp/日本語-ö"),
        ("/tmp/x @ 2026 (MITRE T1)", '"/tmp/x @ 2026 (MITRE T1)"'),
        ("", '""'),
    ],
)
def test_hostile_names(name: str, shown: str) -> None:
    assert quoted(name) == shown


def test_exact_bytes_are_shown_rather_than_their_description() -> None:
    shown = line(
        events.FILE_CREATED,
        **{names.FILE_PATH: "/tmp/\\xff", names.OTEL_FIM_FILE_PATH_BYTES: b"/tmp/\xff\xc3\xb6"},
    )
    assert shown == "[ALERT] CREATED /tmp/\\xffö @ 2026-01-13T14:32:15Z"


@given(st.text(alphabet=st.characters()))
def test_escape_is_reversible(text: str) -> None:
    shown = escape(text)
    assert _is_plain(shown)
    literal = '"' + shown.replace('"', '\\"') + '"'
    expected = "".join(chr(ord(c) - 0xDC00) if 0xDC80 <= ord(c) < 0xDD00 else c for c in text)
    assert ast.literal_eval(literal) == expected


_text = st.text(alphabet=st.characters(), max_size=20)
_scalar = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), _text, st.binary(max_size=8))
_value = st.recursive(
    _scalar,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=5,
)
_keys = st.sampled_from(sorted(ATTRIBUTES)) | _text
_records = st.builds(
    Record,
    time_unix_nano=st.integers(0, 2**64 - 1),
    event_name=st.sampled_from(sorted(EVENTS)) | _text,
    severity_number=st.integers(0, 24),
    severity_text=_text,
    body=_value,
    attributes=st.dictionaries(_keys, _value, max_size=8),
)


@given(_records)
def test_any_record_is_one_line_without_control_characters(record: Record) -> None:
    assert _is_plain(format_record(record))


@given(_records)
def test_any_record_is_one_line_of_json(record: Record) -> None:
    shown = format_json(record)
    assert shown.isascii()
    assert _is_plain(shown)
    assert json.loads(shown)["event"] == record.event_name


def test_json_is_flat_and_complete() -> None:
    record = Record(
        time_unix_nano=WHEN,
        event_name=events.FILE_CREATED,
        severity_text="INFO",
        body="b",
        attributes={names.FILE_PATH: "/x\n\x7f\udcff", "time": 1, "n": float("nan"), "l": [b"\x00", 2**63]},
    )
    assert json.loads(format_json(record)) == {
        "time": "2026-01-13T14:32:15.123456789Z",
        "event": events.FILE_CREATED,
        "severity": "INFO",
        "body": "b",
        names.FILE_PATH: "/x\n\x7f\udcff",
        "_time": 1,
        "n": "NaN",
        "l": ["AA==", 2**63],
    }


@pytest.mark.parametrize(
    ("severity", "code"), [(Severity.ERROR, "1;31"), (Severity.WARN, "1;33"), (Severity.INFO, "36")]
)
def test_colour_surrounds_the_first_words_only(severity: Severity, code: str) -> None:
    record = Record(
        time_unix_nano=WHEN,
        event_name=events.FILE_CREATED,
        severity_number=severity,
        attributes={names.FILE_PATH: "/x"},
    )
    shown = format_record(record, coloured)
    assert shown.startswith(f"\x1b[{code}m[ALERT] CREATED\x1b[0m /x @ ")
    assert re.sub(r"\x1b\[[0-9;]*m", "", shown) == format_record(record)


def _is_plain(text: str) -> bool:
    return all(unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for character in text)
