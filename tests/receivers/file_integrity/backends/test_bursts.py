"""Bursts: every final state is named or a loss is told, and memory stays bounded."""

from __future__ import annotations

import os
import resource
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from otel_fim.receivers.file_integrity.backend import Backend, Change
from otel_fim.receivers.file_integrity.backends.fanotify import FanotifyBackend
from otel_fim.receivers.file_integrity.backends.inotify import InotifyBackend

CYCLES = 20_000


@pytest.fixture(params=["fanotify", "fanotify on file systems", "inotify"])
def make(request: Any) -> Callable[[], Backend]:
    if request.param == "inotify":
        return InotifyBackend
    if os.geteuid() != 0:
        pytest.skip("needs root")
    marks = "filesystem" if "file systems" in request.param else "directory"
    return lambda: FanotifyBackend(marks=marks)  # type: ignore[arg-type]


@pytest.fixture
def place(mounted: Any, tmp_path: Path) -> Path:
    """In memory: the disk has no part in this."""
    return mounted("tmpfs") if os.geteuid() == 0 else tmp_path


def overflowed(sink: Any) -> bool:
    """Whether events were lost, which must have been told for everything. A slow machine may; nothing else may be."""
    assert {gap[:2] for gap in sink.gaps} <= {("queue_overflow", None)}, sink.gaps
    return bool(sink.gaps)


def test_files_that_come_and_go(make: Any, watching: Any, run: Any, place: Path) -> None:
    sink = watching.start(make(), place)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    script = f"""
import os
os.chdir({str(place)!r})
for number in range({CYCLES}):
    descriptor = os.open(b"f%d" % number, os.O_CREAT | os.O_WRONLY)
    os.write(descriptor, b"x")
    os.close(descriptor)
    if number % 100:
        os.unlink(b"f%d" % number)
"""
    run(sys.executable, "-c", script)
    watching.settle(place)
    if overflowed(sink):
        run("sh", "-c", 'echo x > "$0"', place / "afterwards")
        sink.wait_for(place / "afterwards", Change.CREATED | Change.CONTENT)
        return
    last: dict[bytes, Change] = {}
    for hint in sink.seen:
        last[hint.path] = hint.change
    prefix = os.fsencode(place) + b"/f"
    for number in range(CYCLES):
        expected = Change.DELETED if number % 100 else Change.CONTENT
        assert expected in last[prefix + b"%d" % number]
    # What is kept here, a hint for each path and its changes, is most of it.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_directories_that_come_and_go(make: Any, watching: Any, run: Any, place: Path) -> None:
    sink = watching.start(make(), place)
    script = f"""
import os
os.chdir({str(place)!r})
for number in range(1500):
    os.makedirs("d%d/a/b" % number)
    open("d%d/a/b/file" % number, "w").close()
    if number % 10:
        os.unlink("d%d/a/b/file" % number)
        os.removedirs("d%d/a/b" % number)
    else:
        os.rename("d%d" % number, "kept%d" % number)
"""
    run(sys.executable, "-c", script)
    watching.settle(place)
    if not overflowed(sink):
        for number in range(0, 1500, 10):
            sink.wait_covered(place / f"kept{number}/a/b/file")
    # Also after an overflow all that is there comes to be watched.
    for number in (0, 740, 1490):
        watching.settle(place / f"kept{number}/a/b")
    overflowed(sink)


@pytest.mark.root
@pytest.mark.usefixtures("needs_root")
def test_what_ended_before_the_first_events_were_read_is_known(watching: Any, run: Any, place: Path) -> None:
    gate = threading.Event()

    def ignored() -> frozenset[int]:
        # The reader asks before each batch.
        gate.wait(60)
        return frozenset()

    backend = FanotifyBackend(ignored_pids=ignored)
    sink = watching.start(backend, place)
    if backend._exits is None:
        pytest.skip("this kernel has no taskstats")
    run("sh", "-c", f"echo x > {place}/first")
    gate.set()
    sink.wait_for(place / "first", Change.CONTENT)
    assert {hint.actor.executable_path for hint in sink.of(place / "first")} == {os.path.realpath("/bin/sh")}


@pytest.mark.root
@pytest.mark.usefixtures("needs_root")
def test_processes_that_end_at_once_are_known(watching: Any, run: Any, place: Path) -> None:
    backend = FanotifyBackend()
    sink = watching.start(backend, place)
    if backend._exits is None:
        pytest.skip("this kernel has no taskstats")
    script = f"""
import subprocess
for number in range(100):
    subprocess.run(["sh", "-c", "echo x > {place}/f%d" % number])
"""
    run(sys.executable, "-c", script)
    watching.settle(place)
    shell = os.path.realpath("/bin/sh")
    known = 0
    for number in range(100):
        actors = [hint.actor for hint in sink.of(place / f"f{number}")]
        assert all(actor is not None for actor in actors)
        # Never another process: the one that has just been started is python, before it becomes sh.
        assert all(actor.executable_path in (None, shell) for actor in actors)
        assert all(actor.command in (None, os.path.basename("/bin/sh")) for actor in actors)
        known += any(actor.executable_path == shell for actor in actors)
    assert known >= 90
