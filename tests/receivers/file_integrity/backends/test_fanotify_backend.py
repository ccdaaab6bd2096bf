"""fanotify with marks on directories, on the real kernel."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from otel_fim.receivers.file_integrity.backend import Change
from otel_fim.receivers.file_integrity.backends.fanotify import FanotifyBackend
from otel_fim.receivers.file_integrity.backends.fanotify_api import Features

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("needs_root")]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "b" / "file").write_text("old")
    (tmp_path / "outside").mkdir()
    return root


def test_what_happens_to_a_file(watching: Any, shell: Any, tree: Path) -> None:
    sink = watching.start(FanotifyBackend(), tree)
    pid = shell("echo x > a/b/new; chmod 600 a/b/file; echo y >> a/b/file; rm a/b/new", tree)
    sink.wait_for(tree / "a/b/new", Change.CREATED | Change.CONTENT | Change.DELETED)
    sink.wait_for(tree / "a/b/file", Change.ATTRIBUTES | Change.CONTENT)
    created = sink.of(tree / "a/b/new")[0]
    assert created.actor is not None
    assert created.actor.pid == pid
    assert not sink.gaps


def test_excluded_directories_and_the_agent_itself_are_silent(watching: Any, shell: Any, tree: Path) -> None:
    sink = watching.start(FanotifyBackend(), tree, excluded=[tree / "a/b"])
    (tree / "own").write_text("x")
    shell("echo x > a/b/file; mkdir a/b/c; echo x > a/b/c/file", tree)
    watching.settle(tree / "a")
    assert not [hint for hint in sink.seen if hint.path.startswith(os.fsencode(tree / "a/b"))]
    assert not sink.of(tree / "own")
    # Out of the excluded directory and back into it.
    shell("mv a/b/c visible; echo x > visible/file", tree)
    sink.wait_covered(tree / "visible/file")
    watching.settle(tree / "visible")
    shell("mv visible a/b/c; echo x > a/b/c/again", tree)
    sink.wait_for(tree / "visible", Change.MOVED_FROM)
    watching.settle(tree / "a")
    assert not [hint for hint in sink.seen if hint.path.endswith(b"again")]


def test_ignored_processes(watching: Any, tree: Path) -> None:
    script = f"""
import os
os.chdir({str(tree)!r})
os.mkdir("quiet")
open("quiet/file", "w").close()
os.rename("quiet", "hushed")
input()
"""
    ignored: set[int] = set()
    sink = watching.start(FanotifyBackend(ignored_pids=lambda: frozenset(ignored)), tree)
    with subprocess.Popen([sys.executable, "-c", "input()" + script], stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        ignored.add(process.pid)
        process.stdin.write(b"\n")
        process.stdin.flush()
        # What others do in its directories is seen all the same.
        while not (tree / "hushed").exists():
            assert process.poll() is None
        watching.settle(tree / "hushed")
        process.stdin.write(b"\n")
    assert not sink.of(tree / "quiet/file")
    assert Change.CREATED not in sink.changes(tree / "quiet")
    assert Change.MOVED_TO not in sink.changes(tree / "hushed")


def test_attributes_of_directories(watching: Any, shell: Any, tree: Path) -> None:
    sink = watching.start(FanotifyBackend(), tree, recursive=False)
    shell("chmod 700 .; chmod 700 a; echo x > a/below; chmod 700 a/b", tree)
    sink.wait_for(tree, Change.ATTRIBUTES | Change.DIRECTORY)
    sink.wait_for(tree / "a", Change.ATTRIBUTES | Change.DIRECTORY)
    watching.settle(tree)
    assert not sink.of(tree / "a/below")
    assert not sink.of(tree / "a/b")


@pytest.mark.parametrize(
    "features",
    [
        Features(pidfd=True, target=True, rename=False),
        Features(pidfd=True, target=False, rename=False),
        Features(pidfd=False, target=False, rename=False),
    ],
    ids=["before-5.17", "5.15", "5.9"],
)
def test_older_kernels(watching: Any, shell: Any, tree: Path, features: Features) -> None:
    sink = watching.start(FanotifyBackend(features=features), tree)
    shell(
        "echo x > a/new; mv a/new moved; mv a c; echo x > c/b/file; mkdir c/d; rmdir c/d; mv c/b ../outside",
        tree,
    )
    sink.wait_for(tree / "moved", Change.MOVED_TO)
    assert sink.of(tree / "moved")[0].old_path == os.fsencode(tree / "a/new")
    sink.wait_for(tree / "c", Change.MOVED_TO | Change.DIRECTORY | Change.SUBTREE)
    assert sink.of(tree / "c")[0].old_path == os.fsencode(tree / "a")
    sink.wait_for(tree / "c/b/file", Change.CONTENT)
    sink.wait_for(tree / "c/b", Change.MOVED_FROM)
    watching.settle(tree / "c")
    shell("mkdir c/e; echo x > c/e/file; mv ../outside/b b", tree)
    sink.wait_covered(tree / "c/e/file")
    watching.settle(tree / "b")


def test_queue_overflow_is_told_and_healed(watching: Any, run: Any, tree: Path) -> None:
    gate = threading.Event()
    gate.set()

    def ignored() -> frozenset[int]:
        # The reader asks before each batch: as long as the gate is shut the queue fills.
        gate.wait(60)
        return frozenset()

    sink = watching.start(FanotifyBackend(unlimited_queue=False, ignored_pids=ignored), tree)
    script = f"""
import os
os.chdir({str(tree)!r})
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
    sink.wait_covered(tree / "late/deep/file")
    watching.settle(tree / "late/deep")
