"""The exporter on real pipes, terminals and full disks."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import pty
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from otel_fim import names
from otel_fim.component import ExporterContext, ExportResult, Health, RetryableError
from otel_fim.exporters.console import ConsoleConfig, ConsoleExporter
from otel_fim.names import events
from otel_fim.record import EMPTY_SCOPE, Record, Resource, Severity


@dataclass
class Records:
    """A batch that has only what the console reads."""

    records: list[Record]
    lines: list[bytes] = field(default_factory=list)

    @property
    def record_count(self) -> int:
        return len(self.records)


Reports = list[tuple[Health, str]]
Make = Callable[..., ConsoleExporter]


@pytest.fixture
def reports() -> Reports:
    return []


@pytest.fixture
def make(reports: Reports, tmp_path: Path) -> Make:
    def _make(descriptor: int, **settings: Any) -> ConsoleExporter:
        context = ExporterContext(
            id="console",
            kind="exporter",
            state_directory=tmp_path,
            service_directory=tmp_path,
            agent_directories=(),
            resource=Resource(),
            scope=EMPTY_SCOPE,
            logger=logging.getLogger("test"),
            report=lambda health, message: reports.append((health, message)),
            count=lambda *args, **kwargs: None,
            pipeline="logs",
        )
        exporter = ConsoleExporter(ConsoleConfig(**settings), context, descriptor=descriptor)
        exporter.start()
        return exporter

    return _make


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    for descriptor in (reading, writing):
        try:
            os.close(descriptor)
        except OSError:
            continue  # the test has closed it


def created(path: str, severity: int = Severity.INFO) -> Record:
    return Record(
        time_unix_nano=10**18,
        event_name=events.FILE_CREATED,
        severity_number=severity,
        attributes={names.FILE_PATH: path},
    )


def test_shows_file_events_and_gaps_and_no_heartbeats(make: Make, pipe: tuple[int, int]) -> None:
    records = [
        created("/etc/a"),
        Record(event_name=events.AGENT_HEARTBEAT, time_unix_nano=1),
        Record(event_name=events.STREAM_STARTED, time_unix_nano=1),
        Record(event_name=events.COVERAGE_GAP, time_unix_nano=10**18),
    ]
    assert make(pipe[1]).export(Records(records)) == ExportResult()
    assert os.read(pipe[0], 65536).decode().splitlines() == [
        "[ALERT] CREATED /etc/a @ 2001-09-09T01:46:40Z",
        "[COVERAGE] GAP @ 2001-09-09T01:46:40Z",
    ]


def test_events_and_severity_are_configured(make: Make, pipe: tuple[int, int]) -> None:
    exporter = make(pipe[1], events=["*"], min_severity="warn", output="json")
    exporter.export(
        Records([created("/a"), created("/b", Severity.WARN), Record(event_name=events.AGENT_HEARTBEAT)])
    )
    lines = [json.loads(line) for line in os.read(pipe[0], 65536).splitlines()]
    assert [line["event"] for line in lines] == [events.FILE_CREATED, events.AGENT_HEARTBEAT]
    assert lines[0][names.FILE_PATH] == "/b"


def test_no_events_shows_nothing(make: Make, pipe: tuple[int, int]) -> None:
    make(pipe[1], events=[]).export(Records([created("/a")]))
    os.set_blocking(pipe[0], False)
    with pytest.raises(BlockingIOError):
        os.read(pipe[0], 1)


def test_a_reader_that_has_gone_costs_only_the_view(
    make: Make, pipe: tuple[int, int], reports: Reports
) -> None:
    exporter = make(pipe[1])
    os.close(pipe[0])
    assert exporter.export(Records([created("/a")])) == ExportResult()
    assert exporter.export(Records([created("/b")])) == ExportResult()
    assert [health for health, _ in reports] == [Health.OK, Health.PERMANENT_ERROR]
    assert "nobody reads" in reports[-1][1]


def test_a_closed_descriptor(make: Make, reports: Reports) -> None:
    reading, writing = os.pipe()
    exporter = make(writing)
    os.close(reading)
    os.close(writing)
    assert exporter.export(Records([created("/a")])) == ExportResult()
    assert reports[-1][0] is Health.PERMANENT_ERROR


def test_a_blocked_reader_is_waited_for_until_stop(make: Make, pipe: tuple[int, int]) -> None:
    fcntl.fcntl(pipe[1], fcntl.F_SETPIPE_SZ, 4096)
    exporter = make(pipe[1])
    failure: list[BaseException] = []

    def export() -> None:
        try:
            exporter.export(Records([created(f"/{number:04d}") for number in range(1000)]))
        except RetryableError as error:
            failure.append(error)

    thread = threading.Thread(target=export)
    thread.start()
    thread.join(0.5)
    assert thread.is_alive()
    exporter.stop(1.0)
    thread.join(10)
    assert not thread.is_alive()
    assert "took nothing" in str(failure[0])


def test_a_slow_reader_gets_everything(make: Make, pipe: tuple[int, int]) -> None:
    fcntl.fcntl(pipe[1], fcntl.F_SETPIPE_SZ, 4096)
    exporter = make(pipe[1])
    thread = threading.Thread(
        target=lambda: exporter.export(Records([created(f"/{number:04d}") for number in range(2000)]))
    )
    thread.start()
    received = b""
    while received.count(b"\n") < 2000:
        received += os.read(pipe[0], 1000)
    thread.join(10)
    assert [line.split()[2].decode() for line in received.splitlines()] == [f"/{n:04d}" for n in range(2000)]


def test_a_full_disk_is_waited_for(make: Make) -> None:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    try:
        with pytest.raises(RetryableError, match="No space left"):
            make(descriptor).export(Records([created("/a")]))
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(
    ("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_colours_on_a_terminal_only(
    make: Make, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], coloured: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    leader, follower = pty.openpty()
    try:
        make(follower).export(Records([created("/a")]))
        assert (b"\x1b[" in os.read(leader, 4096)) is coloured
    finally:
        os.close(leader)
        os.close(follower)


def test_a_terminal_that_is_hung_up(make: Make, reports: Reports) -> None:
    leader, follower = pty.openpty()
    exporter = make(follower)
    os.close(leader)
    try:
        assert exporter.export(Records([created("/a")])) == ExportResult()
        assert reports[-1][0] is Health.PERMANENT_ERROR
    finally:
        os.close(follower)


@pytest.mark.parametrize(
    ("settings", "shown"),
    [({}, 1), ({"suppressed": True}, 2), ({"output": "json"}, 2), ({"min_severity": "fatal"}, 0)],
)
def test_suppressed_findings_are_shown_to_programs_and_on_request(
    make: Make, pipe: tuple[int, int], settings: dict[str, Any], shown: int
) -> None:
    reading, writing = pipe
    exporter = make(writing, **settings)
    rule: dict[str, Any] = {names.SECURITY_RULE_NAME: "A Rule", names.OTEL_FIM_RULE_LEVEL: "high"}
    records = [
        Record(event_name=events.FINDING, severity_number=int(Severity.ERROR), attributes=attributes)
        for attributes in (rule, {**rule, names.OTEL_FIM_SUPPRESSION_NAME: "known"})
    ]
    exporter.export(Records(records))
    os.close(writing)
    assert os.read(reading, 65536).count(b"\n") == shown
