"""A sink that remembers, a filter over plain rules, and ways to wait for what must come."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from otel_fim.receivers.file_integrity.backend import Backend, Change, Hint

WAIT_SECONDS = 30.0


@dataclass
class Collector:
    """A `Sink` that keeps everything."""

    seen: list[Hint] = field(default_factory=list)
    gaps: list[tuple[str, bytes | None, str]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def hints(self, hints: Sequence[Hint]) -> None:
        with self.changed:
            self.seen.extend(hints)
            self.changed.notify_all()

    def lost(self, reason: str, scope: bytes | None, detail: str) -> None:
        with self.changed:
            self.gaps.append((reason, scope, detail))
            self.changed.notify_all()

    def wait(self, condition: Callable[[], object], what: str = "") -> None:
        """Until the condition holds; fails with what was seen when it does not for a long time."""
        with self.changed:
            if not self.changed.wait_for(condition, WAIT_SECONDS):
                raise AssertionError(
                    f"{what or 'never came'}; seen: {self.seen[-40:]}, gaps: {self.gaps[-5:]}"
                )

    def changes(self, path: bytes | str | os.PathLike[str]) -> Change:
        """All that was said of a path."""
        wanted = os.fsencode(path)
        result = Change(0)
        for hint in list(self.seen):
            if hint.path == wanted:
                result |= hint.change
        return result

    def of(self, path: bytes | str | os.PathLike[str]) -> list[Hint]:
        wanted = os.fsencode(path)
        return [hint for hint in list(self.seen) if hint.path == wanted]

    def wait_for(self, path: bytes | str | os.PathLike[str], change: Change) -> None:
        self.wait(lambda: (self.changes(path) & change) == change, f"no {change} for {os.fsencode(path)!r}")

    def covered(self, path: bytes | str | os.PathLike[str], since: int = 0) -> bool:
        """Whether a path was named, or a directory above it is to be compared."""
        wanted = os.fsencode(path)
        return any(
            hint.path == wanted or (Change.SUBTREE in hint.change and wanted.startswith(hint.path + b"/"))
            for hint in self.seen[since:]
        )

    def told(self, path: bytes | str | os.PathLike[str], since: int = 0) -> bool:
        """Whether an overflow was told in which the path's events may have been lost."""
        wanted = os.fsencode(path)
        return any(
            reason == "queue_overflow" and (scope is None or _within(scope, wanted))
            for reason, scope, _ in self.gaps[since:]
        )

    def wait_covered(self, path: bytes | str | os.PathLike[str]) -> None:
        self.wait(lambda: self.covered(path), f"nothing for {os.fsencode(path)!r}")

    def clear(self) -> None:
        with self.changed:
            self.seen.clear()
            self.gaps.clear()


@dataclass(frozen=True)
class Rules:
    """A `Filter`: everything below the roots but what lies at or below `excluded`."""

    roots: tuple[bytes, ...]
    excluded: frozenset[bytes] = frozenset()
    recursive: bool = True

    def wants(self, path: bytes, *, directory: bool) -> bool:
        if path in self.roots:
            return True
        if any(_within(each, path) for each in self.excluded):
            return False
        if self.recursive:
            return any(_within(root, path) for root in self.roots)
        return os.path.dirname(path) in self.roots

    def descends(self, path: bytes) -> bool:
        return self.wants(path, directory=True) and (self.recursive or path in self.roots)


def _within(root: bytes, path: bytes) -> bool:
    return path == root or root == b"/" or path.startswith(root + b"/")


class Watching:
    """Starts backends and stops them at the end of the test."""

    def __init__(self) -> None:
        self.sink = Collector()
        self._started: list[Backend] = []
        self._marker = 0

    def start(
        self,
        backend: Backend,
        *roots: str | bytes | os.PathLike[str],
        excluded: Sequence[str | bytes | os.PathLike[str]] = (),
        recursive: bool = True,
    ) -> Collector:
        encoded = [os.fsencode(root) for root in roots]
        rules = Rules(tuple(encoded), frozenset(os.fsencode(path) for path in excluded), recursive)
        self._started.append(backend)
        backend.start(encoded, rules, self.sink)
        return self.sink

    def settle(self, directory: str | bytes | os.PathLike[str]) -> None:
        """Until everything that happened before has been handed over or told as lost, and the directory is watched.

        Events keep their order. A file that was made before its directory was watched is covered by the
        comparison that is asked for afterwards; one that was made while the queue was full is covered by the gap that
        is told then. After either the next one must be seen.
        """
        for _ in range(10):
            self._marker += 1
            marker = os.path.join(os.fsencode(directory), b"settled-%d" % self._marker)
            seen, gaps = len(self.sink.seen), len(self.sink.gaps)
            run("touch", marker)
            self.sink.wait(
                lambda: self.sink.covered(marker, seen) or self.sink.told(marker, gaps),  # noqa: B023
                f"nothing for {marker!r}",
            )
            if Change.CREATED in self.sink.changes(marker):
                return
        raise AssertionError(f"{directory!r} never came to be watched; gaps: {self.sink.gaps[-5:]}")

    def stop(self) -> None:
        for backend in self._started:
            backend.stop(10.0)


def run(*command: str | bytes | os.PathLike[str]) -> None:
    """A process of its own: what the agent's own process does is not reported."""
    subprocess.run(command, check=True, timeout=60)


def shell(script: str, cwd: str | bytes | os.PathLike[str] | None = None) -> int:
    """Runs a script and gives the shell's pid."""
    process = subprocess.Popen(["sh", "-ec", script], cwd=cwd)
    assert process.wait(60) == 0
    return process.pid


@pytest.fixture
def watching() -> Iterator[Watching]:
    watching = Watching()
    yield watching
    watching.stop()


@pytest.fixture(name="shell")
def _shell() -> Callable[..., int]:
    return shell


@pytest.fixture(name="run")
def _run() -> Callable[..., None]:
    return run


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Mounts file systems in the test's directory and unmounts them at the end."""
    points: list[Path] = []

    def mount(kind: str, *options: str, point: Path | None = None) -> Path:
        where = point or tmp_path / f"mount{len(points)}"
        where.mkdir(exist_ok=True)
        run("mount", "-t", kind, *options, kind, where)
        points.append(where)
        return where

    yield mount
    for point in reversed(points):
        subprocess.run(["umount", "-l", point], check=False, timeout=60, stderr=subprocess.DEVNULL)


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    """Waits for something that no hint tells."""

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while not condition():
            assert time.monotonic() < deadline, "never came true"
            time.sleep(0.01)

    return wait


@pytest.fixture
def needs_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
