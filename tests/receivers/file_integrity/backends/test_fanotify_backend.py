"""fanotify with marks on directories, on the real kernel."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from otel_fim.receivers.file_integrity.backend import Change
from otel_fim.receivers.file_integrity.backends.fanotify import FanotifyBackend

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


def test_rename_within_in_and_out(watching: Any, shell: Any, tree: Path) -> None:
    sink = watching.start(FanotifyBackend(), tree)
    shell("mv a/b/file a/renamed; mv a/renamed ../outside/gone; mv ../outside/gone back", tree)
    sink.wait_for(tree / "back", Change.MOVED_TO)
    (within,) = sink.of(tree / "a/renamed")[:1]
    assert (within.change, within.old_path) == (Change.MOVED_TO, os.fsencode(tree / "a/b/file"))
    assert Change.MOVED_FROM in sink.changes(tree / "a/renamed")
    assert sink.of(tree / "back")[0].old_path is None


def test_new_directories_are_watched_and_announced(watching: Any, shell: Any, tree: Path) -> None:
    sink = watching.start(FanotifyBackend(), tree)
    shell("mkdir -p n1/n2/n3; echo x > n1/n2/n3/early; echo x > n1/early", tree)
    for path in ("n1/n2/n3/early", "n1/early"):
        sink.wait_covered(tree / path)
    sink.wait_for(tree / "n1", Change.CREATED | Change.DIRECTORY | Change.SUBTREE)
    watching.settle(tree / "n1/n2/n3")


def test_a_directory_moved_within_keeps_its_watch(watching: Any, shell: Any, tree: Path) -> None:
    sink = watching.start(FanotifyBackend(), tree)
    shell("mv a c", tree)
    sink.wait_for(tree / "c", Change.MOVED_TO | Change.DIRECTORY | Change.SUBTREE)
    assert sink.of(tree / "c")[0].old_path == os.fsencode(tree / "a")
    watching.settle(tree / "c/b")
    shell("mkdir d; mv c/b d/b2; echo x > d/b2/file", tree)
    sink.wait_for(tree / "d/b2/file", Change.CONTENT)


def test_a_directory_moved_out_and_in(watching: Any, shell: Any, tree: Path) -> None:
    sink = watching.start(FanotifyBackend(), tree)
    shell("mv a ../outside/a", tree)
    sink.wait_for(tree / "a", Change.MOVED_FROM | Change.DIRECTORY | Change.SUBTREE)
    sink.clear()
    shell("echo y > ../outside/a/b/file; mv ../outside/a back", tree)
    sink.wait_for(tree / "back", Change.MOVED_TO | Change.DIRECTORY | Change.SUBTREE)
    watching.settle(tree / "back/b")
    assert not [hint for hint in sink.seen if b"/b/file" in hint.path]


def test_removed_and_made_again(watching: Any, shell: Any, tree: Path) -> None:
    sink = watching.start(FanotifyBackend(), tree)
    shell("rm -r a; mkdir -p a/b", tree)
    sink.wait_for(tree / "a", Change.DELETED | Change.CREATED | Change.DIRECTORY)
    sink.wait_for(tree / "a/b/file", Change.DELETED)
    watching.settle(tree / "a/b")


def test_excluded_directories_and_the_agent_itself_are_silent(watching: Any, shell: Any, tree: Path) -> None:
    sink = watching.start(FanotifyBackend(), tree, excluded=[tree / "a/b"])
    (tree / "own").write_text("x")
    shell("echo x > a/b/file; mkdir a/b/c; echo x > a/b/c/file", tree)
    watching.settle(tree / "a")
    assert not [hint for hint in sink.seen if hint.path.startswith(os.fsencode(tree / "a/b"))]
    assert not sink.of(tree / "own")
    # Out of the excluded directory and back into it.
    shell("mv a/b/c visible; echo x > visible/file", tree)
    sink.wait_for(tree / "visible/file", Change.CONTENT)
    shell("mv visible a/b/c; echo x > a/b/c/again", tree)
    sink.wait_for(tree / "visible", Change.MOVED_FROM)
    watching.settle(tree / "a")
    assert not [hint for hint in sink.seen if hint.path.endswith(b"again")]


def test_ignored_processes(watching: Any, shell: Any, tree: Path) -> None:
    everyone = frozenset(range(1, 1 << 22))
    ignored = [frozenset[int]()]
    sink = watching.start(FanotifyBackend(ignored_pids=lambda: ignored[0]), tree)
    ignored[0] = everyone
    shell("mkdir quiet; echo x > quiet/file; mv quiet hushed", tree)
    # Their directories are watched all the same: others may write there.
    while b"hushed" not in (watching_directory(watching, tree)):
        pass
    ignored[0] = frozenset()
    watching.settle(tree / "hushed")
    assert not sink.of(tree / "quiet/file")
    assert Change.CREATED not in sink.changes(tree / "quiet")


def watching_directory(watching: Any, tree: Path) -> list[bytes]:
    backend = watching._started[0]
    directory = backend._coverage.tree.find(os.fsencode(tree))
    return list(directory.children or ())


def test_attributes_of_directories(watching: Any, shell: Any, tree: Path) -> None:
    sink = watching.start(FanotifyBackend(), tree, recursive=False)
    shell("chmod 700 .; chmod 700 a; echo x > a/below; chmod 700 a/b", tree)
    sink.wait_for(tree, Change.ATTRIBUTES | Change.DIRECTORY)
    sink.wait_for(tree / "a", Change.ATTRIBUTES | Change.DIRECTORY)
    watching.settle(tree)
    assert not sink.of(tree / "a/below")
    assert not sink.of(tree / "a/b")
