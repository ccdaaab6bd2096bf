"""What could not be seen is said, and what was missed is found."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from otel_fim import names
from otel_fim.component import Health
from otel_fim.names import events
from otel_fim.receivers.file_integrity import scanner
from otel_fim.receivers.file_integrity.backend import Change, Hint
from otel_fim.receivers.file_integrity.baseline import Baseline

CREATED = Change.CREATED | Change.CONTENT


def gap_story(host: Any) -> list[tuple[str, str, str]]:
    return [
        (
            r.event_name.rsplit(".", 1)[1],
            str(r.attributes[names.OTEL_FIM_COVERAGE_REASON]),
            str(r.attributes[names.OTEL_FIM_COVERAGE_SCOPE]),
        )
        for r in host.pipeline.gaps()
    ]


def test_lost_events_are_a_gap_and_what_they_would_have_told_is_found(host: Any) -> None:
    (host.tree / "d").mkdir()
    (host.tree / "d/a").write_text("a")
    host.start()
    (host.tree / "d/a").write_text("changed without an event")
    (host.tree / "b").write_text("b")
    host.engine.sink("fanotify").lost("queue_overflow", None, "the queue was full")
    host.wait(lambda: len(gap_story(host)) == 2)
    assert sorted(host.told()) == [("created", "b"), ("modified", "d/a")]
    assert gap_story(host) == [
        ("gap", "queue_overflow", "file_integrity"),
        ("restored", "queue_overflow", "file_integrity"),
    ]
    order = [r.event_name for r in host.pipeline.records]
    assert order[0] == events.COVERAGE_GAP
    assert order[-1] == events.COVERAGE_RESTORED
    restored = host.pipeline.gaps()[1].attributes
    assert restored[names.OTEL_FIM_COVERAGE_START] < restored[names.OTEL_FIM_COVERAGE_END]
    for record in host.pipeline.files():
        assert record.attributes[names.OTEL_FIM_FILE_BACKEND] == "scan"
        assert names.OTEL_FIM_FILE_WHILE_DOWN not in record.attributes


def test_a_storm_of_losses_is_few_gaps(host: Any) -> None:
    for number in range(300):
        (host.tree / f"d{number}").mkdir()
    host.start()
    sink = host.engine.sink("fanotify")
    for _ in range(200):
        sink.lost("queue_overflow", None, "again")
    host.wait(lambda: gap_story(host)[-1:] == [("restored", "queue_overflow", "file_integrity")])
    story = gap_story(host)
    assert [event for event, _, _ in story] == ["gap", "restored"] * (len(story) // 2)
    assert len(story) <= 6


def test_a_loss_below_one_directory_compares_that_directory(host: Any) -> None:
    for name in ("one", "two"):
        (host.tree / name).mkdir()
    host.start()
    for name in ("one", "two"):
        (host.tree / name / "f").write_text("f")
    host.engine.sink("fanotify").lost("queue_overflow", host.path("one"), "lost")
    host.wait(lambda: len(gap_story(host)) == 2)
    assert host.told() == [("created", "one/f")]


def test_a_place_that_cannot_be_watched_stays_a_gap(host: Any) -> None:
    (host.tree / "d").mkdir()
    host.start()
    (host.tree / "d/f").write_text("f")
    host.engine.sink("inotify").lost("watch_limit", host.path("d"), "no more watches")
    host.wait(lambda: len(host.told()) == 1)
    assert host.told() == [("created", "d/f")]
    assert gap_story(host) == [("gap", "watch_limit", str(host.tree / "d"))]


def test_more_than_can_wait_is_a_gap_and_then_all_is_compared(host: Any) -> None:
    host.start(max_pending=1000)
    host.pipeline.gate.clear()
    for number in range(4000):
        (host.tree / f"f{number}").write_text(str(number))
    before = time.monotonic()
    for start in range(0, 4000, 100):
        hints = [Hint(host.path(f"f{n}"), CREATED, time.time_ns()) for n in range(start, start + 100)]
        host.engine.sink("fanotify").hints(hints)
    # The pipeline takes nothing, and still nobody waited.
    assert not host.pipeline.records
    host.pipeline.gate.set()
    host.wait(lambda: ("restored", "queue_overflow", "file_integrity") in gap_story(host))
    assert before < time.monotonic()
    assert sorted(host.told()) == sorted(("created", f"f{number}") for number in range(4000))
    host.restart()
    assert host.told() == []


def test_a_directory_that_cannot_be_listed_is_no_deletion(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (host.tree / "d").mkdir()
    (host.tree / "d/f").write_text("f")
    host.start()
    real = scanner.paths.open_directory

    def refuse(path: bytes) -> int:
        if path.endswith(b"/d"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path)

    monkeypatch.setattr(scanner.paths, "open_directory", refuse)
    host.engine.sink("inotify").lost("queue_overflow", None, "lost")
    host.wait(lambda: len(gap_story(host)) == 3)
    assert host.told() == []
    assert ("gap", "permission_denied", str(host.tree / "d")) in gap_story(host)
    monkeypatch.setattr(scanner.paths, "open_directory", real)
    host.engine.sink("inotify").lost("queue_overflow", None, "lost")
    host.wait(lambda: len(gap_story(host)) == 6)
    assert ("restored", "permission_denied", str(host.tree / "d")) in gap_story(host)
    assert host.told() == []


def test_a_baseline_that_cannot_be_written_is_written_later(
    host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.start()
    real = Baseline.apply
    full = [True]

    def apply(self: Baseline, changes: Any) -> None:
        if full[0]:
            raise sqlite3.OperationalError("database or disk is full")
        real(self, changes)

    monkeypatch.setattr(Baseline, "apply", apply)
    monkeypatch.setattr("otel_fim.receivers.file_integrity.view._RETRY_INTERVAL", 0.05)
    (host.tree / "a").write_text("a")
    host.hint("a", CREATED)
    host.wait(lambda: any(health is Health.RECOVERABLE_ERROR for health, _ in host.health))
    assert host.told() == [("created", "a")]
    assert "disk is full" in host.health[-1][1]
    full[0] = False
    host.wait(lambda: host.health[-1][0] is Health.OK)
    host.restart()
    assert host.told() == []


def test_an_error_inside_is_a_gap_and_the_change_is_told(host: Any) -> None:
    host.start()
    host.pipeline.raises = RuntimeError("a bug")
    (host.tree / "a").write_text("a")
    host.hint("a", CREATED)
    deadline = time.monotonic() + 10
    while not host.engine.gaps.is_open("io_error", None) and time.monotonic() < deadline:
        time.sleep(0.01)
    host.pipeline.raises = None
    host.wait(lambda: len(host.told()) >= 1)
    assert host.told() == [("created", "a")]


def test_a_root_that_appears_later(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otel_fim.receivers.file_integrity.engine._MISSING_ROOT_INTERVAL", 0.1)
    host.start(paths=[str(host.tree / "later"), str(host.tree / "there")])
    assert host.told() == []
    (host.tree / "later").mkdir()
    (host.tree / "later/f").write_text("f")
    host.wait(lambda: len(host.told()) >= 2)
    assert host.told() == [("created", "later"), ("created", "later/f")]
    host.restart()
    assert host.told() == []


AS_NOBODY = """
import json, logging, os, sys, time
from pathlib import Path
from otel_fim.component import ReceiverContext
from otel_fim.receivers.file_integrity import FileIntegrityReceiver
from otel_fim.receivers.file_integrity.config import FileIntegrityConfig
from otel_fim.record import Resource, Scope
import otel_fim.receivers.file_integrity.backends.inotify
tree, state = sys.argv[1:]
os.setgroups([]); os.setgid(65534); os.setuid(65534)
records, health = [], []
def emit(some, on_durable=None):
    records.extend(some)
    if on_durable: on_durable()
context = ReceiverContext(
    id="file_integrity", kind="receiver", state_directory=Path(state), service_directory=Path(state),
    agent_directories=(Path(state),), resource=Resource(), scope=Scope(), logger=logging.getLogger("x"),
    report=lambda h, m: health.append(h.name), count=lambda *a, **k: None, emit=emit)
receiver = FileIntegrityReceiver(FileIntegrityConfig(paths=[tree], rescan_interval=0), context)
receiver.start()
while "OK" not in health: time.sleep(0.01)
with open(tree + "/mine/f", "a") as file: file.write("x")
deadline = time.monotonic() + 20
while not any(r.event_name.endswith("modified") for r in records) and time.monotonic() < deadline: time.sleep(0.01)
receiver.stop(5)
print(json.dumps([[r.event_name, r.body, {k: v for k, v in r.attributes.items()}] for r in records]))
"""


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_as_an_ordinary_user() -> None:
    with tempfile.TemporaryDirectory() as name:
        base = Path(os.path.realpath(name))
        base.chmod(0o755)
        (base / "tree/closed").mkdir(parents=True)
        (base / "tree/closed/f").write_text("f")
        (base / "tree/closed").chmod(0o700)
        (base / "tree/secret").write_text("s")
        (base / "tree/secret").chmod(0o600)
        for directory in ("tree/mine", "state"):
            (base / directory).mkdir()
            os.chown(base / directory, 65534, 65534)
        (base / "tree/mine/f").write_text("f")
        os.chown(base / "tree/mine/f", 65534, 65534)
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, str(base / "tree"), str(base / "state")],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        gaps = {
            (a[names.OTEL_FIM_COVERAGE_REASON], a[names.OTEL_FIM_COVERAGE_SCOPE])
            for event, _, a in told
            if event == events.COVERAGE_GAP
        }
        assert gaps == {
            ("backend_limited", "file_integrity"),
            ("permission_denied", "file_integrity"),
            ("permission_denied", str(base / "tree/closed")),
        }
        details = [a[names.OTEL_FIM_COVERAGE_DETAIL] for e, _, a in told if e == events.COVERAGE_GAP]
        assert any("1 files cannot be read" in d and d.endswith("tree/secret") for d in details), details
        files = [(event, a) for event, _, a in told if names.FILE_PATH in a]
        assert [event for event, _ in files] == [events.FILE_MODIFIED]
        assert files[0][1][names.FILE_PATH] == str(base / "tree/mine/f")
        assert files[0][1][names.OTEL_FIM_FILE_BACKEND] == "inotify"
        assert names.PROCESS_PID not in files[0][1]
