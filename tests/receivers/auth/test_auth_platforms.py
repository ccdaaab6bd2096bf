"""Windows and macOS: hostile documents, and the live sources with a stand-in for the system's program."""

from __future__ import annotations

import os
import stat
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_fim.receivers.auth.event import AuthEvent, Entry
from otel_fim.receivers.auth.parse import Parser
from otel_fim.receivers.auth.platforms import security_xml, unified_log
from otel_fim.receivers.auth.platforms.macos_source import UnifiedLogSource
from otel_fim.receivers.auth.platforms.windows_source import WindowsSecuritySource
from otel_fim.receivers.auth.sources.source import Position

DATA = Path(__file__).parent / "testdata"
XML = (DATA / "windows_security.xml").read_text()
EVENT = security_xml.split(XML)[0]


class Taken:
    """A sink that keeps everything."""

    def __init__(self) -> None:
        self.taken: list[Entry] = []
        self.position: Position = None
        self.problems: list[str] = []
        self.changed = threading.Event()

    def entries(self, entries: Sequence[Entry], position: Position) -> None:
        self.taken += entries
        self.position = position
        self.changed.set()

    def rejected(self, reason: str, count: int = 1) -> None:
        self.problems += [reason] * count

    def gap(self, reason: str, detail: str, start_ns: int, end_ns: int | None = None) -> None:
        self.problems.append(f"{reason}: {detail}")

    def restored(self, reason: str, detail: str) -> None:
        self.problems.append(f"restored {reason}")


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def stand_in(directory: Path, code: str) -> str:
    path = directory / "program"
    path.write_text(f"#!{sys.executable}\nimport sys\n{code}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_a_document_with_entities_is_refused() -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>' + EVENT.replace("alice", "&b;")
    assert security_xml.parse_event(bomb) == "event_with_doctype"
    assert security_xml.parse_event(EVENT.replace("alice", "&b;")) == "bad_event_xml"
    assert security_xml.parse_event("<Event>" + "<a>" * 200_000) == "bad_event_xml"
    assert security_xml.parse_event(EVENT.replace("2026-01-13", "2026-13-13")) == "bad_event_time"
    assert security_xml.parse_event("<Event><System/></Event>") == "bad_event_xml"


@given(st.text(max_size=200), st.integers(0, len(EVENT)))
def test_no_event_raises(text: str, at: int) -> None:
    for document in (text, EVENT[:at], EVENT[:at] + text + EVENT[at:]):
        assert isinstance(security_xml.parse_event(document), Entry | str)


@given(st.binary(max_size=200), st.recursive(st.none() | st.integers() | st.text(max_size=9), st.lists))
def test_no_line_of_the_unified_log_raises(line: bytes, value: Any) -> None:
    unified_log.parse_line(line)
    import orjson

    for name in ("eventMessage", "processImagePath", "timestamp", "processID", "userID"):
        found: dict[str, Any] = {
            "eventMessage": "x",
            "processImagePath": "/x",
            "timestamp": "2026-01-13 14:32:15.123456+0100",
            name: value,
        }
        try:
            data = orjson.dumps(found)
        except TypeError:
            continue
        assert isinstance(unified_log.parse_line(data), Entry | str)


def test_times_of_the_unified_log_have_a_zone() -> None:
    line = (DATA / "macos_unified_log.ndjson").read_bytes().splitlines()[1]
    entry = unified_log.parse_line(line)
    assert isinstance(entry, Entry)
    assert entry.time_unix_nano == 1_768_311_121_123_456_000


@pytest.mark.skipif(os.name != "posix", reason="the stand-in is a script")
def test_the_unified_log_is_followed(tmp_path: Path) -> None:
    data = DATA / "macos_unified_log.ndjson"
    code = f"sys.stdout.write(open({str(data)!r}).read()); sys.stdout.flush()\n"
    program = stand_in(
        tmp_path, code + "if sys.argv[1] == 'stream':\n    sys.stdin.read(); import time; time.sleep(60)\n"
    )
    source, sink = UnifiedLogSource(program), Taken()
    assert source.available() is None
    source.start(sink)
    wait_for(lambda: len(sink.taken) == 9)
    assert source.stop(10)
    assert sink.position == max(entry.time_unix_nano for entry in sink.taken)
    again = Taken()
    source = UnifiedLogSource(program)
    source.start(again, sink.position)
    # Once from `show`, once from `stream`: the same entries, with the same identity.
    wait_for(lambda: len(again.taken) == 18)
    assert source.stop(10)
    assert {entry.identity for entry in again.taken} == {entry.identity for entry in sink.taken}
    assert UnifiedLogSource(str(tmp_path / "none")).available() == f"{tmp_path / 'none'} does not exist"


WEVTUTIL = """
import re
events = open(%r).read().splitlines()
query = next((each for each in sys.argv if each.startswith("/q:")), "")
last = re.search(r"EventRecordID > (\\d+)", query)
number = lambda text: int(re.search(r"<EventRecordID>(\\d+)", text)[1])
found = [text for text in events if last is None or number(text) > int(last[1])]
if "/rd:true" in sys.argv:
    found.reverse()
count = int(next(each for each in sys.argv if each.startswith("/c:"))[3:])
sys.stdout.write("".join(found[:count]))
"""


@pytest.mark.skipif(os.name != "posix", reason="the stand-in is a script")
def test_the_security_log_is_asked_again(tmp_path: Path) -> None:
    log = tmp_path / "log"
    lines = XML.splitlines()
    log.write_text("\n".join(lines[:10]) + "\n")
    source, sink = WindowsSecuritySource(stand_in(tmp_path, WEVTUTIL % str(log)), 0.05), Taken()
    source.start(sink)
    # It begins behind what is there.
    wait_for(lambda: sink.position == 110)
    assert sink.taken == []
    log.write_text(XML)
    wait_for(lambda: sink.position == 126)
    assert [entry.fields["EventRecordID"] for entry in sink.taken] == [str(n) for n in range(111, 127)]
    log.write_text(lines[0] + "\n")
    wait_for(lambda: any("was cleared" in each for each in sink.problems))
    assert source.stop(10)


@pytest.mark.skipif(os.name != "posix", reason="the stand-in is a script")
def test_a_security_log_that_may_not_be_read_is_a_gap(tmp_path: Path) -> None:
    program = stand_in(tmp_path, "sys.stderr.write('Access is denied.'); sys.exit(5)")
    source, sink = WindowsSecuritySource(program, 0.05), Taken()
    source.start(sink)
    wait_for(lambda: sink.problems)
    assert source.stop(10)
    assert sink.problems == [
        "permission_denied: the Security log cannot be read (Access is denied.); run as administrator"
    ]


def windows(number: str, **fields: str) -> AuthEvent:
    entry = Entry("windows_security", 1, "", "", trusted=True, fields={"EventID": number, **fields})
    (event,) = Parser(lambda user_id: None).parse(entry)
    return event


@pytest.mark.parametrize(
    ("status", "sub_status", "reason"),
    [
        ("0xc000006d", "0xc0000064", "unknown_user"),
        ("0xc000006d", "0xc000006a", "wrong_credentials"),
        ("0xc000006d", "0x0", "wrong_credentials"),
        ("0xc000006e", "0xc0000072", "account_locked"),
        ("0xc000015b", "0x0", "not_allowed"),
        ("0xc0000234", "0x0", "account_locked"),
        # No logon server answered: nobody refused anything.
        ("0xc000005e", "0x0", None),
        ("rubbish", "", None),
    ],
)
def test_why_a_logon_failed(status: str, sub_status: str, reason: str | None) -> None:
    event = windows("4625", LogonType="3", TargetUserName="bob", Status=status, SubStatus=sub_status)
    assert (event.outcome, event.method, event.reason) == ("failure", "network", reason)


@pytest.mark.parametrize(
    ("number", "action"), [("4731", "group_created"), ("4730", "group_deleted"), ("4755", "group_changed")]
)
def test_groups_of_windows(number: str, action: str) -> None:
    event = windows(number, TargetUserName="Backup Operators", SubjectUserName="alice")
    assert (event.action, event.group, event.user) == (action, "Backup Operators", "alice")
