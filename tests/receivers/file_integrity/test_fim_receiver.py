"""The receiver as the agent uses it, with a real backend."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from otel_fim import names
from otel_fim.component import Health, StartError
from otel_fim.host.own_processes import OwnProcesses
from otel_fim.receivers.file_integrity import FileIntegrityReceiver
from otel_fim.receivers.file_integrity.config import FileIntegrityConfig

Starter = Callable[..., FileIntegrityReceiver]


@pytest.fixture
def start(host: Any) -> Iterator[Starter]:
    """Starts receivers on inotify, which also reports what the test's own process does."""
    started = []

    def begin(**settings: Any) -> FileIntegrityReceiver:
        host.health.clear()
        values = {"paths": [str(host.tree)], "backend": "inotify", "settle": 0.02, "exclude": [], **settings}
        receiver = FileIntegrityReceiver(FileIntegrityConfig(**values), host.context())
        started.append(receiver)
        receiver.start()
        until(lambda: Health.OK in [health for health, _ in host.health])
        return receiver

    yield begin
    for receiver in started:
        receiver.stop(5.0)


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_change_is_told(host: Any, start: Starter) -> None:
    (host.tree / "a").write_text("a")
    receiver = start()
    assert host.health[0][0] is Health.STARTING
    (host.tree / "a").write_text("b")
    until(lambda: ("modified", "a") in host.told())
    told = next(r for r in host.pipeline.files()).attributes
    assert told[names.OTEL_FIM_FILE_BACKEND] == "inotify"
    # Who did it is not known, and that is said.
    (gap,) = [
        g for g in host.pipeline.gaps() if g.attributes[names.OTEL_FIM_COVERAGE_REASON] == "backend_limited"
    ]
    assert "who makes a change cannot be seen" in str(gap.body)
    receiver.stop(5.0)
    assert host.health[-1][0] is Health.STOPPED


def test_what_happened_just_before_the_stop_is_told(host: Any, start: Starter) -> None:
    receiver = start(settle=5.0)
    (host.tree / "a").write_text("a")
    time.sleep(0.1)
    receiver.stop(10.0)
    assert ("created", "a") in host.told()


def test_after_a_writer_that_never_rested_the_hash_is_the_right_one(host: Any, start: Starter) -> None:
    """A file that holds one byte value everywhere, rewritten all the time and hashed in the middle of it."""
    size = 1024 * 1024
    (host.tree / "f").write_bytes(bytes(size))
    start(settle=0.001)
    with open(host.tree / "f", "r+b", buffering=0) as file:
        for value in range(200):
            file.seek(0)
            for _ in range(8):
                file.write(bytes([value]) * (size // 8))
            if value % 20 == 0:
                time.sleep(0.005)
    right = hashlib.sha256(bytes([199]) * size).hexdigest()
    until(lambda: host.pipeline.files()[-1:] and _hash(host.pipeline.files()[-1]) == right)
    host.pipeline.records.clear()
    start().stop(5.0)
    assert [_hash(record) for record in host.pipeline.files()] == []


def _hash(record: Any) -> object:
    return record.attributes.get(names.FILE_HASH_SHA256)


def test_the_agents_own_files_are_not_told(host: Any, start: Starter) -> None:
    """The state directory lies below what is watched; if its changes were told, they would never end."""
    receiver = start(paths=[str(host.tree.parent)])
    (host.tree / "a").write_text("a")
    until(lambda: ("created", "a") in host.told())
    receiver.stop(5.0)
    state = os.path.relpath(host.state, host.tree)
    assert [path for _, path in host.told() if path.startswith(state)] == []


def test_a_path_that_does_not_exist_is_said_and_watched_for(host: Any, start: Starter) -> None:
    start(paths=[str(host.tree), str(host.tree.parent / "later")])
    assert any(g.attributes[names.OTEL_FIM_COVERAGE_REASON] == "path_missing" for g in host.pipeline.gaps())
    (host.tree.parent / "later").mkdir()
    (host.tree.parent / "later/f").write_text("f")
    until(lambda: ("created", "../later/f") in host.told())


def test_nothing_to_watch_is_an_error(host: Any) -> None:
    config = FileIntegrityConfig(paths=[str(host.tree / "*.none")])
    with pytest.raises(StartError, match=r"file_integrity\.paths"):
        FileIntegrityReceiver(config, host.context()).start()


def test_a_baseline_from_the_future_is_an_error(host: Any) -> None:
    import sqlite3

    with sqlite3.connect(host.state / "baseline.db") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(StartError, match="version 99"):
        FileIntegrityReceiver(FileIntegrityConfig(paths=[str(host.tree)]), host.context()).start()


def test_a_damaged_baseline_is_a_gap(host: Any, start: Starter) -> None:
    (host.state / "baseline.db").write_bytes(os.urandom(8192))
    start()
    until(lambda: any("damaged" in str(g.body) for g in host.pipeline.gaps()))


def test_two_starts_in_a_row_tell_nothing(host: Any, start: Starter) -> None:
    for number in range(50):
        (host.tree / str(number)).write_text("x")
    start().stop(5.0)
    start().stop(5.0)
    assert host.told() == []


def test_own_processes(tmp_path: Path) -> None:
    import subprocess

    with subprocess.Popen(["sleep", "60"]) as child:
        try:
            assert {os.getpid(), child.pid} <= OwnProcesses()()
        finally:
            child.kill()


def test_a_write_through_a_name_that_is_not_watched(host: Any, start: Starter) -> None:
    outside = host.tree.parent / "outside"
    outside.write_text("one")
    os.link(outside, host.tree / "known")
    start()
    outside.write_text("two!")
    until(lambda: ("modified", "known") in host.told())
