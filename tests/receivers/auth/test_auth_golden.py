"""Logs of other systems and distributions against the records that they should give, which stand beside them.

`OTEL_FIM_WRITE_GOLDEN=1` writes what is told now; look at the difference before it is committed.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from otel_fim.component import Context
from otel_fim.host.identities import Identities
from otel_fim.names.registry import EVENTS
from otel_fim.receivers.auth.event import Entry, Kind
from otel_fim.receivers.auth.platforms import security_xml, unified_log
from otel_fim.receivers.auth.records import RecordBuilder
from otel_fim.receivers.auth.sources.syslog_line import parse_line
from otel_fim.receivers.auth.sources.syslog_time import Clock
from otel_fim.record import Resource, Scope

DATA = Path(__file__).parent / "testdata"


def log_lines(text: bytes) -> list[Entry | str | None]:
    return [
        parse_line(line, "/var/log/secure", Clock(UTC), 1_795_300_000 * 10**9) for line in text.splitlines()
    ]


def windows(text: bytes) -> list[Entry | str | None]:
    return [security_xml.parse_event(each) for each in security_xml.split(text.decode())]


def macos(text: bytes) -> list[Entry | str | None]:
    return [unified_log.parse_line(line) for line in text.splitlines()]


FILES: dict[str, Callable[[bytes], list[Entry | str | None]]] = {
    "other_distributions.log": log_lines,
    "windows_security.xml": windows,
    "macos_unified_log.ndjson": macos,
}
REJECTED = {"macos_unified_log.ndjson": ["forged"]}


@pytest.mark.parametrize("name", FILES)
def test_a_log_gives_its_records(name: str, desk: Callable[[], Any], tmp_path: Path) -> None:
    entries = FILES[name]((DATA / name).read_bytes())
    assert not [each for each in entries if isinstance(each, str)]
    here = desk()
    events = here.records([each for each in entries if isinstance(each, Entry)])
    assert here.rejected == REJECTED.get(name, [])
    context = Context(
        id="auth",
        kind="receiver",
        state_directory=tmp_path,
        service_directory=tmp_path,
        agent_directories=(),
        resource=Resource(),
        scope=Scope(),
        logger=logging.getLogger("test"),
        report=lambda health, text: None,
        count=lambda *arguments, **attributes: None,
    )
    builder = RecordBuilder(context, Identities(lambda number: {}[number]), "redacted", False)
    records = [builder.build(event, 0) for event in events]
    found = [
        {"time": each.time_unix_nano, "event": each.event_name, "severity": each.severity_text}
        | {"body": each.body, "attributes": each.attributes}
        for each in records
    ]
    golden = DATA / f"{name}.json"
    if os.environ.get("OTEL_FIM_WRITE_GOLDEN"):
        golden.write_text(json.dumps(found, indent=1) + "\n")
    assert found == json.loads(golden.read_text())
    for record in records:
        assert set(record.attributes) <= set(EVENTS[record.event_name].attributes), record


def test_a_windows_logoff_ends_its_logon(desk: Callable[[], Any]) -> None:
    entries = windows((DATA / "windows_security.xml").read_bytes())
    events = desk().records([each for each in entries if isinstance(each, Entry)])
    (logout,) = [event for event in events if event.kind is Kind.LOGOUT]
    assert (logout.user, logout.source_address, logout.host_session) == ("alice", "203.0.113.7", "0x8dcdc3")
    assert logout.duration_nanoseconds == 39 * 10**9
