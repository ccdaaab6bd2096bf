"""Who is named for what lies in a directory that appeared."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from otel_fim.host import procfs
from otel_fim.host.process import Process
from otel_fim.host.table import ProcessTable
from otel_fim.receivers.file_integrity.authors import may_be_author
from otel_fim.receivers.file_integrity.backend import Actor, Change
from otel_fim.receivers.file_integrity.pending import CREATED, Pending


def made_by(actor: Actor, change: int = CREATED) -> Pending:
    pending = Pending("fanotify", time.time_ns(), 0)
    pending.change |= change
    pending.take_actor(actor, change)
    return pending


@pytest.fixture
def file(tmp_path: Path) -> bytes:
    path = tmp_path / "file"
    path.write_text("x")
    return os.fsencode(path)


def test_a_process_that_still_runs_may_be_the_author(file: bytes) -> None:
    with subprocess.Popen(["sleep", "60"]) as sleeping:
        try:
            created = procfs.BootClock().epoch_nanoseconds(procfs.read_stat(sleeping.pid).start_ticks)
            actor = Actor(sleeping.pid, creation_time_unix_nano=created)
            assert may_be_author(made_by(actor), file, ProcessTable())
        finally:
            sleeping.kill()
    # Nobody told of its end: nothing is known of when it was.
    assert not may_be_author(made_by(actor), file, ProcessTable())


@pytest.mark.parametrize(("before", "expected"), [(1_000_000, False), (-1_000_000, True)])
def test_a_process_that_has_ended_is_no_author_of_what_came_later(
    file: bytes, before: int, expected: bool
) -> None:
    changed = os.stat(file).st_ctime_ns
    table = ProcessTable()
    created = changed - 5_000_000_000
    table.put(
        Process(
            4711, created, table.entity_id(4711, created), ended_unix_nano=changed - before, exit_status=0
        )
    )
    actor = Actor(4711, creation_time_unix_nano=created)
    assert may_be_author(made_by(actor), file, table) is expected


def test_a_rename_is_one_deed(file: bytes, tmp_path: Path) -> None:
    actor = Actor(4711, exited=True)
    assert may_be_author(made_by(actor, Change.MOVED_TO.value), file, ProcessTable())
    assert may_be_author(made_by(actor), os.fsencode(tmp_path / "gone"), ProcessTable())
    assert not may_be_author(made_by(actor), file, ProcessTable())
