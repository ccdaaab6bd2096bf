"""fanotify with marks on whole file systems, on the real kernel."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from otel_fim.receivers.file_integrity.backend import Change
from otel_fim.receivers.file_integrity.backends.fanotify import FanotifyBackend

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("needs_root")]


@pytest.fixture
def place(mounted: Any) -> Path:
    """A file system of its own, so that only this test's events arrive."""
    point: Path = mounted("tmpfs")
    (point / "root/a/b").mkdir(parents=True)
    (point / "root/a/b/file").write_text("old")
    (point / "foreign/x").mkdir(parents=True)
    return point


def test_foreign_directories_are_remembered_and_reconsidered(watching: Any, shell: Any, place: Path) -> None:
    backend = FanotifyBackend(marks="filesystem")
    sink = watching.start(backend, place / "root")
    shell("for i in 1 2 3 4 5; do echo x > foreign/file$i; echo x > foreign/x/file$i; done", place)
    watching.settle(place / "root")
    assert not [hint for hint in sink.seen if hint.path.startswith(os.fsencode(place / "foreign"))]
    shell("mv foreign root/mine; echo x > root/mine/x/new", place)
    sink.wait_for(place / "root/mine", Change.MOVED_TO | Change.DIRECTORY | Change.SUBTREE)
    watching.settle(place / "root/mine/x")
    shell("mv root/mine foreign; echo x > foreign/x/newer", place)
    sink.wait_for(place / "root/mine", Change.MOVED_FROM)
    watching.settle(place / "root")
    assert not [hint for hint in sink.seen if b"newer" in hint.path]
    assert not sink.gaps


def test_paths_follow_renames(watching: Any, shell: Any, place: Path) -> None:
    sink = watching.start(FanotifyBackend(marks="filesystem"), place / "root")
    watching.settle(place / "root/a/b")
    shell("mv root/a root/c", place)
    watching.settle(place / "root/c/b")
    shell("mkdir root/d; mv root/c root/d/c", place)
    watching.settle(place / "root/d/c/b")
    assert sink.of(place / "root/d/c")[0].old_path == os.fsencode(place / "root/c")


def test_the_mark_does_not_keep_a_file_system_mounted(
    watching: Any, run: Any, mounted: Any, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    (root / "point").mkdir(parents=True)
    sink = watching.start(FanotifyBackend(marks="filesystem"), root)
    point = mounted("tmpfs", point=root / "point")
    sink.wait_for(point, Change.SUBTREE)
    watching.settle(point)
    sink.clear()
    run("umount", point)
    sink.wait_for(point, Change.SUBTREE)
    watching.settle(point)
    assert not sink.gaps


def test_overlayfs_gets_marks_on_directories(watching: Any, mounted: Any, tmp_path: Path) -> None:
    for name in ("lower", "upper", "work"):
        (tmp_path / name).mkdir()
    options = f"lowerdir={tmp_path}/lower,upperdir={tmp_path}/upper,workdir={tmp_path}/work"
    place = mounted("overlay", "-o", options)
    backend = FanotifyBackend(marks="filesystem")
    sink = watching.start(backend, place)
    assert "each directory" in backend.describe()
    watching.settle(place)
    assert not sink.gaps


def test_many_directories_make_it_change_over(watching: Any, shell: Any, place: Path) -> None:
    backend = FanotifyBackend(directory_limit=20)
    sink = watching.start(backend, place / "root")
    assert "each directory" in backend.describe()
    shell("for i in $(seq 40); do mkdir root/d$i; echo x > root/d$i/file; done", place)
    for number in range(1, 41):
        sink.wait_covered(place / f"root/d{number}/file")
    watching.settle(place / "root/a/b")
    watching.settle(place / "root/d40")
    assert "file systems" in backend.describe()
    assert not sink.gaps


def test_busy_foreign_directories_are_left_to_the_kernel(
    watching: Any, run: Any, shell: Any, place: Path
) -> None:
    backend = FanotifyBackend(marks="filesystem")
    sink = watching.start(backend, place / "root")
    script = f"""
import time
with open({str(place / "foreign/log")!r}, "ab", 0) as file:
    for _ in range(100):
        for _ in range(200):
            file.write(b"x")
        time.sleep(0.001)
"""
    while not backend._coverage._ignored:
        run(sys.executable, "-c", script)
    # New directories in it are seen all the same, and everything once it is moved to where it is watched.
    shell("mv foreign root/mine; echo y >> root/mine/log", place)
    sink.wait_for(place / "root/mine", Change.MOVED_TO)
    watching.settle(place / "root/mine")
    sink.clear()
    shell("echo z >> root/mine/log; chmod 600 root/mine/log", place)
    sink.wait_for(place / "root/mine/log", Change.CONTENT | Change.ATTRIBUTES)
    assert not sink.gaps
