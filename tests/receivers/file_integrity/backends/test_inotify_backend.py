"""inotify through watchdog: its limits are told, and an ordinary user can use it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from otel_fim.receivers.file_integrity.backend import Change
from otel_fim.receivers.file_integrity.backends.inotify import InotifyBackend


@pytest.fixture
def sysctl() -> Iterator[Any]:
    """Sets a kernel limit for the length of a test."""
    before: dict[Path, str] = {}

    def write(name: str, value: int) -> None:
        path = Path("/proc/sys") / name
        before.setdefault(path, path.read_text())
        path.write_text(str(value))

    yield write
    for path, value in before.items():
        path.write_text(value)


@pytest.mark.root
@pytest.mark.usefixtures("needs_root")
def test_overflow_is_told_and_healed(watching: Any, run: Any, sysctl: Any, tmp_path: Path) -> None:
    sysctl("fs/inotify/max_queued_events", 32)
    sink = watching.start(InotifyBackend(), tmp_path)
    script = f"""
import os
os.chdir({str(tmp_path)!r})
for number in range(3000):
    os.mkdir("d")
    open("d/file", "w").close()
    os.rename("d", "e%d" % number)
"""
    run(sys.executable, "-c", script)
    sink.wait(lambda: sink.gaps, "no overflow was told")
    assert sink.gaps[0][:2] == ("queue_overflow", None)
    # The last overflow may come after the last directory was made: it is known all the same.
    run("touch", tmp_path / "e2999/late")
    sink.wait_covered(tmp_path / "e2999/late")


@pytest.mark.root
@pytest.mark.usefixtures("needs_root")
def test_the_watch_limit_is_told_once_and_polled_for(
    watching: Any, run: Any, sysctl: Any, tmp_path: Path
) -> None:
    for number in range(200):
        (tmp_path / f"d{number}").mkdir()
    limit = int(Path("/proc/sys/fs/inotify/max_user_watches").read_text())
    sysctl("fs/inotify/max_user_watches", 20)
    sink = watching.start(InotifyBackend(retry_interval=0.2), tmp_path)
    assert [gap[:2] for gap in sink.gaps] == [("watch_limit", os.fsencode(tmp_path))]
    sink.wait_for(tmp_path, Change.SUBTREE)
    sysctl("fs/inotify/max_user_watches", limit)
    for number in range(0, 200, 50):
        watching.settle(tmp_path / f"d{number}")
    assert len(sink.gaps) == 1


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
import os, sys, time
from otel_fim.receivers.file_integrity.backend import Change
from otel_fim.receivers.file_integrity.backends.inotify import InotifyBackend
import threading

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

root = {os.fsencode(home)!r}
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
sink = Sink()
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
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
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
