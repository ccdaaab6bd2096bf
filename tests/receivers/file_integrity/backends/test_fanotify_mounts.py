"""fanotify on other file systems, and mounts that come and go below what is watched."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from otel_fim.receivers.file_integrity.backend import Change
from otel_fim.receivers.file_integrity.backends.fanotify import FanotifyBackend

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("needs_root")]

SCRIPT = "mkdir -p a/b; echo x > a/b/file; mv a c; echo y >> c/b/file; mv c/b/file c/moved; rm c/moved; chmod 700 c/b"


@pytest.fixture(params=["tmpfs", "overlay", "overlay on tmpfs"])
def place(request: Any, mounted: Any, tmp_path: Path) -> Path:
    base = mounted("tmpfs") if "on tmpfs" in request.param else tmp_path
    if request.param == "tmpfs":
        point: Path = mounted("tmpfs")
    else:
        for name in ("lower", "upper", "work"):
            (base / name).mkdir()
        (base / "lower/low").mkdir()
        (base / "lower/low/file").write_text("below")
        options = f"lowerdir={base}/lower,upperdir={base}/upper,workdir={base}/work"
        point = mounted("overlay", "-o", options)
    return point


def test_file_systems(watching: Any, shell: Any, place: Path) -> None:
    sink = watching.start(FanotifyBackend(), place)
    shell(SCRIPT, place)
    sink.wait_covered(place / "c/b")
    sink.wait_covered(place / "c/moved")
    watching.settle(place / "c/b")
    assert not sink.gaps


def test_copy_up_on_overlayfs(watching: Any, shell: Any, mounted: Any, tmp_path: Path) -> None:
    for name in ("lower/low/sub", "upper", "work"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "lower/low/file").write_text("below")
    place = mounted(
        "overlay", "-o", f"lowerdir={tmp_path}/lower,upperdir={tmp_path}/upper,workdir={tmp_path}/work"
    )
    sink = watching.start(FanotifyBackend(), place)
    shell("echo y >> low/file; echo z > low/sub/new; mkdir low/sub/dir; echo z > low/sub/dir/new", place)
    sink.wait_for(place / "low/file", Change.CONTENT)
    sink.wait_for(place / "low/sub/new", Change.CREATED)
    sink.wait_covered(place / "low/sub/dir/new")
    assert not sink.gaps


def test_mounted_over_and_unmounted(
    watching: Any, shell: Any, mounted: Any, run: Any, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    (root / "point/below").mkdir(parents=True)
    sink = watching.start(FanotifyBackend(), root)
    point = mounted("tmpfs", point=root / "point")
    sink.wait_for(point, Change.SUBTREE | Change.DIRECTORY)
    sink.clear()
    shell("mkdir new; echo x > new/file", point)
    sink.wait_covered(point / "new/file")
    watching.settle(point / "new")
    sink.clear()
    run("umount", point)
    sink.wait_for(point, Change.SUBTREE | Change.DIRECTORY)
    watching.settle(point / "below")
    assert not sink.gaps


def test_a_mount_on_the_way_to_a_root(
    watching: Any, shell: Any, mounted: Any, run: Any, tmp_path: Path
) -> None:
    root = tmp_path / "way/root"
    root.mkdir(parents=True)
    sink = watching.start(FanotifyBackend(), root)
    way = mounted("tmpfs", point=tmp_path / "way")
    shell("mkdir root; echo x > root/file", way)
    sink.wait_covered(root / "file")
    sink.clear()
    run("umount", way)
    sink.wait_for(root, Change.SUBTREE)
    watching.settle(root)


def test_a_bind_mount_shows_changes_at_both_paths(
    watching: Any, shell: Any, run: Any, tmp_path: Path
) -> None:
    source, other = tmp_path / "source", tmp_path / "other"
    (source / "a").mkdir(parents=True)
    other.mkdir()
    run("mount", "--bind", source, other)
    try:
        sink = watching.start(FanotifyBackend(), source, other)
        shell("echo x > a/file; mkdir a/new; mv a c; echo x > c/second; echo x > c/new/third", source)
        for directory in (source, other):
            sink.wait_for(directory / "a/file", Change.CREATED)
            sink.wait_covered(directory / "c/second")
            sink.wait_covered(directory / "c/new/third")
        watching.settle(other / "c/new")
        sink.wait(
            lambda: any(hint.path.startswith(os.fsencode(source / "c/new/settled")) for hint in sink.seen)
        )
        assert not sink.gaps
    finally:
        run("umount", other)


def test_unwatched_mounts_are_nobodys_business(watching: Any, mounted: Any, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    sink = watching.start(FanotifyBackend(), root)
    mounted("tmpfs", point=tmp_path / "elsewhere")
    watching.settle(root)
    assert not [hint for hint in sink.seen if Change.SUBTREE in hint.change]
    assert not sink.gaps


def test_one_file_system(watching: Any, shell: Any, mounted: Any, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    before = mounted("tmpfs", point=root / "before")
    sink = watching.start(FanotifyBackend(one_file_system=True), root)
    after = mounted("tmpfs", point=root / "after")
    sink.wait_for(after, Change.SUBTREE)
    shell("echo x > before/file; echo x > after/file", root)
    watching.settle(root)
    assert not sink.of(before / "file")
    assert not sink.of(after / "file")
