"""inotify through watchdog: its limits are told, and an ordinary user can use it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from watchdog.observers.inotify_c import InotifyEvent, InotifyFD

from otel_fim.receivers.file_integrity.backend import Change
from otel_fim.receivers.file_integrity.backends import inotify_watches
from otel_fim.receivers.file_integrity.backends.inotify import InotifyBackend
from otel_fim.receivers.file_integrity.backends.inotify_watches import EventReader


def test_overflow_is_told_and_healed(watching: Any, run: Any, monkeypatch: Any, tmp_path: Path) -> None:
    gate = threading.Event()
    gate.set()

    def read_events(self: EventReader, **options: Any) -> list[InotifyEvent]:
        # As long as the gate is shut, the kernel's queue fills.
        events = InotifyFD.read_events(self, **options)
        gate.wait(60)
        return events

    monkeypatch.setattr(EventReader, "read_events", read_events)
    sink = watching.start(InotifyBackend(), tmp_path)
    script = f"""
import os
os.chdir({str(tmp_path)!r})
for number in range(17000):
    open("%d" % number, "w").close()
os.makedirs("late/deep")
open("late/deep/file", "w").close()
"""
    gate.clear()
    run(sys.executable, "-c", script)
    gate.set()
    sink.wait(lambda: sink.gaps, "no overflow was told")
    assert sink.gaps[0][:2] == ("queue_overflow", None)
    sink.wait_covered(tmp_path / "late/deep/file")
    watching.settle(tmp_path / "late/deep")


def test_a_backlog_that_grows_too_long_is_told(
    watching: Any, run: Any, monkeypatch: Any, tmp_path: Path
) -> None:
    monkeypatch.setattr(inotify_watches, "LARGEST_BACKLOG", 3)
    sink = watching.start(InotifyBackend(), tmp_path)
    run(sys.executable, "-c", f"for n in range(2000): open({str(tmp_path)!r} + '/%d' % n, 'w').close()")
    sink.wait(lambda: sink.gaps, "nothing was told")
    assert sink.gaps[0][:2] == ("queue_overflow", None)


SINK = """
import os, sys, threading, time
from otel_fim.receivers.file_integrity.backend import Change
from otel_fim.receivers.file_integrity.backends.inotify import InotifyBackend

class Sink:
    def __init__(self):
        self.seen = []
        self.changed = threading.Condition()
    def hints(self, hints):
        with self.changed:
            self.seen.extend((hint.path, hint.change) for hint in hints)
            self.changed.notify_all()
    def lost(self, reason, scope, detail):
        with self.changed:
            self.seen.append((reason, scope))
            self.changed.notify_all()
    def wait(self, path, change):
        with self.changed:
            assert self.changed.wait_for(
                lambda: any(p == path and isinstance(c, Change) and change in c for p, c in self.seen), 20
            ), self.seen

class Everything:
    def wants(self, path, *, directory):
        return path.startswith(root)
    descends = lambda self, path: path.startswith(root)

sink = Sink()
"""


@pytest.mark.root
@pytest.mark.usefixtures("needs_root")
def test_the_watch_limit_is_told_once_and_polled_for(tmp_path: Path) -> None:
    for number in range(200):
        (tmp_path / f"d{number}").mkdir()
    script = f"""
root = {os.fsencode(tmp_path)!r}
limit = "/proc/sys/user/max_inotify_watches"
open(limit, "w").write("20")
backend = InotifyBackend(retry_interval=0.2)
backend.start([root], Everything(), sink)
assert sink.seen == [("watch_limit", root)], sink.seen
sink.wait(root, Change.SUBTREE)
open(limit, "w").write("100000")
deadline = time.monotonic() + 20
for number in range(200):
    path = root + b"/d%d/file" % number
    while not any(p == path for p, _ in sink.seen):
        assert time.monotonic() < deadline, sink.seen
        open(path, "w").close()
        time.sleep(0.01)
        os.unlink(path)
assert [seen for seen in sink.seen if isinstance(seen[0], str)] == [("watch_limit", root)]
backend.stop(10)
"""
    # In a user namespace of its own, whose limit is nobody else's.
    subprocess.run(["unshare", "-Ur", sys.executable, "-c", SINK + script], check=True, timeout=60)


@pytest.mark.root
@pytest.mark.usefixtures("needs_root")
def test_an_ordinary_user(tmp_path: Path) -> None:
    home, closed = tmp_path / "home", tmp_path / "home/closed"
    (home / "sub").mkdir(parents=True)
    closed.mkdir(mode=0o700)
    for path in (home, home / "sub"):
        os.chown(path, 65534, 65534)
    # Directories that may be crossed but not read stand above, as in many a home.
    for path in (tmp_path, *tmp_path.parents):
        if path.stat().st_uid == os.getuid() and path != Path("/") and path != Path("/tmp"):
            path.chmod(0o711)
    script = f"""
root = {os.fsencode(home)!r}
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
backend = InotifyBackend(retry_interval=0.2)
backend.start([root], Everything(), sink)
assert ("permission_denied", root + b"/closed") in sink.seen, sink.seen
with open(root + b"/sub/file", "w") as file:
    file.write("x")
sink.wait(root + b"/sub/file", Change.CONTENT)
backend.stop(10)
backend = InotifyBackend(retry_interval=0.2)
backend.start([root], Everything(), sink)
print("watching", flush=True)
input()
sink.wait(root, Change.DELETED)
sink.seen.clear()
print("gone", flush=True)
sink.wait(root, Change.SUBTREE)
backend.stop(10)
"""
    with subprocess.Popen(
        [sys.executable, "-c", SINK + script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "watching\n"
        home.rename(tmp_path / "moved")
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "gone\n"
        home.mkdir()
    assert process.returncode == 0


def test_nothing_is_said_of_who(watching: Any, run: Any, tmp_path: Path) -> None:
    sink = watching.start(InotifyBackend(), tmp_path)
    run("touch", tmp_path / "file")
    sink.wait_for(tmp_path / "file", Change.CREATED)
    assert {hint.actor for hint in sink.seen} == {None}
