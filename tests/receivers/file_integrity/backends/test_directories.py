"""The tree of directories: a model-based test against plain paths."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from otel_fim.receivers.file_integrity.backends.directories import Directory, DirectoryTree, twins

NAMES = st.sampled_from([b"a", b"b", b"c", b"\xff", b"x y"])


class TreeMachine(RuleBasedStateMachine):
    """Adds, moves and removes directories and compares with a dictionary from path to key."""

    directories = Bundle("directories")

    def __init__(self) -> None:
        super().__init__()
        self.tree = DirectoryTree(0)
        self.model: dict[bytes, int] = {b"/": 0}

    @rule(target=directories)
    def top(self) -> Directory:
        return self.tree.top

    @rule(target=directories, parent=directories, name=NAMES, key=st.integers(1, 12))
    def add(self, parent: Directory, name: bytes, key: int) -> object:
        if not parent.attached or parent.child(name) is not None:
            return multiple()
        directory = self.tree.add(parent, name, key)
        self.model[parent.prefix + name] = key
        return directory

    @rule(directory=consumes(directories))
    def remove(self, directory: Directory) -> None:
        if directory.parent is None or not directory.attached:
            return
        path = directory.path
        gone = self.tree.remove(directory)
        before = set(self.model.values())
        self.model = {p: k for p, k in self.model.items() if p != path and not p.startswith(path + b"/")}
        assert set(gone) == before - set(self.model.values())

    @rule(directory=directories, parent=directories, name=NAMES)
    def move(self, directory: Directory, parent: Directory, name: bytes) -> None:
        if (
            directory.parent is None
            or not (directory.attached and parent.attached)
            or parent.child(name) is not None
        ):
            return
        above: Directory | None = parent
        while above is not None:
            if above is directory:
                return
            above = above.parent
        old = directory.path
        self.tree.move(directory, parent, name)
        new = directory.path
        self.model = {
            (new + p[len(old) :] if p == old or p.startswith(old + b"/") else p): k
            for p, k in self.model.items()
        }

    @invariant()
    def the_same(self) -> None:
        found = {
            directory.path: directory.key for first in self.tree.by_key.values() for directory in twins(first)
        }
        assert found == self.model
        for path, key in self.model.items():
            directory = self.tree.find(path)
            assert directory is not None
            assert (directory.key, directory.path) == (key, path)
            assert self.tree.nearest(path + (b"" if path == b"/" else b"/") + b"none/below").path == path


TestTree = TreeMachine.TestCase
