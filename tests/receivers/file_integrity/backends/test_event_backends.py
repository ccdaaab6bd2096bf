"""What all backends that report events have in common, on the real kernel."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from otel_fim.receivers.file_integrity.backend import Backend, Change
from otel_fim.receivers.file_integrity.backends.fanotify import FanotifyBackend
from otel_fim.receivers.file_integrity.backends.inotify import InotifyBackend


@pytest.fixture(params=["fanotify", "fanotify on file systems", "inotify"])
def make(request: Any) -> Callable[[], Backend]:
    if request.param == "inotify":
        return InotifyBackend
    if os.geteuid() != 0:
        pytest.skip("needs root")
    marks = "filesystem" if "file systems" in request.param else "directory"
    return lambda: FanotifyBackend(marks=marks)  # type: ignore[arg-type]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "b" / "file").write_text("old")
    (tmp_path / "outside").mkdir()
    return root


def test_rename_within_in_and_out(make: Any, watching: Any, shell: Any, tree: Path) -> None:
    sink = watching.start(make(), tree)
    shell("mv a/b/file a/renamed; mv a/renamed ../outside/gone; mv ../outside/gone back", tree)
    sink.wait_for(tree / "back", Change.MOVED_TO)
    (within,) = sink.of(tree / "a/renamed")[:1]
    assert (within.change, within.old_path) == (Change.MOVED_TO, os.fsencode(tree / "a/b/file"))
    sink.wait_for(tree / "a/renamed", Change.MOVED_FROM)
    assert sink.of(tree / "back")[0].old_path is None


def test_new_directories_are_watched_and_announced(make: Any, watching: Any, shell: Any, tree: Path) -> None:
    sink = watching.start(make(), tree)
    shell("mkdir -p n1/n2/n3; echo x > n1/n2/n3/early; echo x > n1/early", tree)
    for path in ("n1/n2/n3/early", "n1/early"):
        sink.wait_covered(tree / path)
    sink.wait_for(tree / "n1", Change.CREATED | Change.DIRECTORY)
    watching.settle(tree / "n1/n2/n3")


def test_a_directory_moved_within_keeps_its_watch(make: Any, watching: Any, shell: Any, tree: Path) -> None:
    sink = watching.start(make(), tree)
    shell("mv a c", tree)
    sink.wait_for(tree / "c", Change.MOVED_TO | Change.DIRECTORY | Change.SUBTREE)
    assert sink.of(tree / "c")[0].old_path == os.fsencode(tree / "a")
    watching.settle(tree / "c/b")
    shell("mkdir d; mv c/b d/b2; echo x > d/b2/file", tree)
    sink.wait_covered(tree / "d/b2/file")
    watching.settle(tree / "d/b2")


def test_a_directory_moved_out_and_in(make: Any, watching: Any, shell: Any, tree: Path) -> None:
    sink = watching.start(make(), tree)
    shell("mv a ../outside/a", tree)
    sink.wait_for(tree / "a", Change.MOVED_FROM | Change.DIRECTORY | Change.SUBTREE)
    sink.clear()
    shell("echo y > ../outside/a/b/file", tree)
    # Events are in order: the write is dealt with while the file is still outside.
    watching.settle(tree)
    shell("mv ../outside/a back", tree)
    sink.wait_for(tree / "back", Change.MOVED_TO | Change.DIRECTORY | Change.SUBTREE)
    watching.settle(tree / "back/b")
    assert not [hint for hint in sink.seen if b"/b/file" in hint.path]


def test_removed_and_made_again(make: Any, watching: Any, shell: Any, tree: Path) -> None:
    sink = watching.start(make(), tree)
    shell("rm -r a; mkdir -p a/b", tree)
    sink.wait_for(tree / "a", Change.DELETED | Change.CREATED | Change.DIRECTORY)
    sink.wait_covered(tree / "a/b/file")
    watching.settle(tree / "a/b")


def test_roots_that_do_not_exist_yet(make: Any, watching: Any, shell: Any, tmp_path: Path) -> None:
    file, directory = tmp_path / "x/y/file", tmp_path / "x/z/directory"
    sink = watching.start(make(), file, directory)
    shell("mkdir -p x/y x/z/other; echo x > x/y/file; echo x > x/y/other", tmp_path)
    sink.wait_for(file, Change.CREATED)
    shell("mkdir x/z/directory; echo x > x/z/directory/file", tmp_path)
    sink.wait_covered(directory / "file")
    shell("echo y >> x/y/file; echo y > x/z/other/file", tmp_path)
    sink.wait_for(file, Change.CONTENT)
    sink.clear()
    shell("rm -r x", tmp_path)
    sink.wait_for(file, Change.DELETED)
    sink.wait_for(directory, Change.DELETED)
    shell("mkdir -p prepared/y prepared/z/directory; echo x > prepared/y/file; mv prepared x", tmp_path)
    sink.wait_for(file, Change.CREATED)
    sink.wait_for(directory, Change.SUBTREE)
    sink.clear()
    shell("mv x elsewhere", tmp_path)
    sink.wait_for(file, Change.DELETED)
    sink.wait_for(directory, Change.DELETED | Change.SUBTREE)
    assert {hint.path for hint in sink.seen} == {os.fsencode(file), os.fsencode(directory)}
    assert not sink.gaps


def test_a_root_that_becomes_a_file_and_a_directory_again(
    make: Any, watching: Any, shell: Any, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    sink = watching.start(make(), root)
    shell("rmdir root; echo x > root", tmp_path)
    sink.wait_for(root, Change.DELETED | Change.CREATED)
    sink.clear()
    shell("echo y >> root", tmp_path)
    sink.wait_for(root, Change.CONTENT)
    shell("rm root; mkdir root; echo x > root/file", tmp_path)
    sink.wait_covered(root / "file")
    watching.settle(root)


def test_names_of_all_kinds(make: Any, watching: Any, run: Any, tree: Path) -> None:
    sink = watching.start(make(), tree)
    names = [
        b"new\nline",
        b"quote'\"",
        b"\x1b[31mred",
        b"\xff\xfe not utf-8",
        b"x" * 255,
        b" ",
        b"-n",
        b"\xe2\x80\xae",
    ]
    for name in names:
        directory = os.fsencode(tree) + b"/" + name
        run("mkdir", "--", directory)
        sink.wait_for(directory, Change.CREATED | Change.DIRECTORY)
        run("touch", b"%s/%s" % (directory, name))
        sink.wait_covered(directory + b"/" + name)
        watching.settle(directory)


def test_paths_longer_than_the_kernel_takes(make: Any, watching: Any, run: Any, tree: Path) -> None:
    name = "n" * 200
    script = f"""
import os, sys
os.chdir({str(tree)!r})
for _ in range(int(sys.argv[1])):
    os.makedirs({name!r}, exist_ok=True)
    os.chdir({name!r})
open(sys.argv[2], "w").close()
"""
    run(sys.executable, "-c", script, "30", "before")
    sink = watching.start(make(), tree)
    deep = os.fsencode(tree) + b"".join(b"/" + name.encode() for _ in range(30))
    assert len(deep) > 4096
    run(sys.executable, "-c", script, "30", "first")
    sink.wait_for(deep + b"/first", Change.CREATED)
    deeper = deep + b"".join(b"/" + name.encode() for _ in range(30))
    run(sys.executable, "-c", script, "60", "second")
    sink.wait_covered(deeper + b"/second")
    run(sys.executable, "-c", script, "60", "third")
    sink.wait_covered(deeper + b"/third")
    shutil.rmtree(tree)
    assert not sink.gaps


def test_a_directory_moved_out_and_back_to_its_name(make: Any, watching: Any, shell: Any, tree: Path) -> None:
    watching.start(make(), tree)
    for _ in range(5):
        shell("mv a ../outside/a; mv ../outside/a a", tree)
        watching.settle(tree / "a/b")


def test_directories_that_change_places(make: Any, watching: Any, run: Any, tree: Path) -> None:
    sink = watching.start(make(), tree)
    run("mkdir", tree / "c")
    exchange = f"""
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
assert libc.renameat2(-100, {os.fsencode(tree / "a")!r}, -100, {os.fsencode(tree / "c")!r}, 2) == 0
"""
    run(sys.executable, "-c", exchange)
    sink.wait_for(tree / "a", Change.MOVED_TO)
    sink.wait_for(tree / "c", Change.MOVED_TO)
    watching.settle(tree / "c/b")
    watching.settle(tree / "a")


def test_a_write_through_a_hard_link_outside(
    make: Any, watching: Any, shell: Any, until: Any, tree: Path
) -> None:
    backend = make()
    sink = watching.start(backend, tree)
    shell("ln a/b/file ../outside/other; ln a/b/file second", tree)
    watching.settle(tree)
    backend.watch_links(os.fsencode(tree / "a/b/file"))
    backend.watch_links(os.fsencode(tree / "second"))
    backend.watch_links(b"/missing/file")
    # Looked at once more, for what was written before they were watched; and not again.
    sink.wait_for(tree / "a/b/file", Change.CONTENT)
    sink.wait_for(tree / "second", Change.CONTENT)
    sink.clear()
    backend.watch_links(os.fsencode(tree / "second"))
    until(lambda: not backend._links._requests)
    watching.settle(tree)
    assert not sink.of(tree / "second")
    sink.clear()
    shell("echo y >> outside/other", tree.parent)
    sink.wait_for(tree / "a/b/file", Change.CONTENT)
    sink.wait_for(tree / "second", Change.CONTENT)
    shell("mv a/b/file a/moved; rm second", tree)
    sink.wait_for(tree / "second", Change.DELETED)
    watching.settle(tree)
    sink.clear()
    shell("chmod 600 outside/other", tree.parent)
    if isinstance(backend, FanotifyBackend):
        sink.wait_for(tree / "a/moved", Change.ATTRIBUTES)
        watching.settle(tree)
        assert Change.ATTRIBUTES not in sink.changes(tree / "second")
    assert not sink.gaps


@pytest.mark.root
@pytest.mark.usefixtures("needs_root")
@pytest.mark.parametrize("mounted_first", [True, False])
def test_a_file_that_is_mounted_on(
    make: Any, watching: Any, shell: Any, run: Any, until: Any, tree: Path, mounted_first: bool
) -> None:
    point, source = tree / "a/b/file", tree.parent / "outside/source"
    source.write_text("mounted")
    backend = make()
    if mounted_first:
        run("mount", "--bind", source, point)
    try:
        sink = watching.start(backend, tree)
        if not mounted_first:
            run("mount", "--bind", source, point)
            sink.wait_for(point, Change.CONTENT)
            sink.clear()
        until(lambda: bool(backend._links.by_key))
        shell("echo y >> outside/source", tree.parent)
        sink.wait_for(point, Change.CONTENT)
    finally:
        run("umount", point)
    sink.clear()
    shell("echo y >> a/b/file", tree)
    sink.wait_for(point, Change.CONTENT)
    assert not sink.gaps


def test_nothing_is_left_open(make: Any, tree: Path) -> None:
    class Broken:
        """A filter that fails: `start` does not return."""

        def wants(self, path: bytes, *, directory: bool) -> bool:
            raise RuntimeError("no")

        descends = wants

    class Nowhere:
        def hints(self, hints: Any) -> None: ...

        def lost(self, reason: str, scope: bytes | None, detail: str) -> None: ...

    class Everything:
        def wants(self, path: bytes, *, directory: bool) -> bool:
            return path.startswith(os.fsencode(tree))

        def descends(self, path: bytes) -> bool:
            return path.startswith(os.fsencode(tree))

    before = sorted(os.listdir("/proc/self/fd")), threading.active_count()
    with pytest.raises((RuntimeError, TypeError)):
        make().start([os.fsencode(tree)], Broken(), Nowhere())
    backend = make()
    backend.start([os.fsencode(tree)], Everything(), Nowhere())
    backend.stop(10)
    backend.stop(10)
    assert (sorted(os.listdir("/proc/self/fd")), threading.active_count()) == before
