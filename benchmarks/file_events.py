"""The backends of the file integrity receiver: `python -m benchmarks.file_events`. As root for fanotify.

- Starting: every directory below /usr is watched; watchdog's recursive observer is the peer.
- Reading: events that wait in the queue, per second, until the last one has been handed over.
- The neighbour: how fast a process writes next to what is watched, against the same process unwatched.
- Who did it: `sh -c 'echo x > file'`, which has often ended before its event is read; the share of files for which
  the executable, and for which the login and the effective user are known.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers.inotify import InotifyObserver

from otel_fim.receivers.file_integrity.backend import Backend, Hint
from otel_fim.receivers.file_integrity.backends.fanotify import FanotifyBackend
from otel_fim.receivers.file_integrity.backends.inotify import InotifyBackend

_MEMORY: Final = "/dev/shm" if os.path.isdir("/dev/shm") else None
"""The disk has no part in this."""
_QUEUED: Final = 15_000
_PROCESSES: Final = 300
_WAIT: Final = 15.0


@dataclass(slots=True, frozen=True)
class Row:
    """One line: the value in its unit, and how many times the peer's (or the unwatched one's) it is."""

    name: str
    value: float
    unit: str
    ratio: float | None = None
    peer: str = ""


class _Sink:
    """Remembers what it is told; `seen` is set when a path ends with the given name."""

    def __init__(self, last: bytes = b"/last") -> None:
        self.told: list[Hint] = []
        self.gaps: list[str] = []
        self.seen = threading.Event()
        self._last = last

    def hints(self, hints: Sequence[Hint]) -> None:
        self.told.extend(hints)
        if any(hint.path.endswith(self._last) for hint in hints):
            self.seen.set()

    def lost(self, reason: str, scope: bytes | None, detail: str) -> None:
        self.gaps.append(f"{reason} {scope!r} {detail}")


class _Below:
    def __init__(self, root: bytes) -> None:
        self._root = root
        self._prefix = root + b"/"

    def wants(self, path: bytes, *, directory: bool) -> bool:
        return path.startswith(self._prefix) or path == self._root

    def descends(self, path: bytes) -> bool:
        return self.wants(path, directory=True)


@contextmanager
def _watching(backend: Backend, root: bytes, sink: _Sink) -> Iterator[None]:
    backend.start([root], _Below(root), sink)
    try:
        yield
    finally:
        backend.stop(10)


def run() -> list[Row]:
    """All measurements that this user may make."""
    rows: list[Row] = []
    # It complains about being stopped at once.
    logging.getLogger("watchdog").setLevel(logging.CRITICAL)
    backends: dict[str, Callable[..., Backend]] = {"inotify": InotifyBackend}
    if os.geteuid() == 0:
        backends = {
            "fanotify, directories": lambda **options: FanotifyBackend(marks="directory", **options),
            "fanotify, file systems": lambda **options: FanotifyBackend(marks="filesystem", **options),
            **backends,
        }
    rows += _starting(backends)
    with tempfile.TemporaryDirectory(prefix="otel-fim-bench-", dir=_MEMORY) as place:
        rows += _reading(backends, os.fsencode(place))
        rows += _neighbour(backends, os.fsencode(place))
        if os.geteuid() == 0:
            rows += _who(os.fsencode(place))
    return rows


def _starting(backends: dict[str, Callable[..., Backend]]) -> list[Row]:
    # Once to have everything in memory.
    count = sum(1 for _ in os.walk("/usr"))
    peer = _timed(_observe_usr)
    rows = [Row(f"watchdog's observer on /usr, {count} directories", peer, "s")]
    for name, make in backends.items():
        backend, sink = make(), _Sink()
        seconds = _timed(lambda: backend.start([b"/usr"], _Below(b"/usr"), sink))  # noqa: B023
        backend.stop(10)
        note = f", {len(sink.gaps)} gaps" if sink.gaps else ""
        rows.append(Row(f"{name}: start on /usr{note}", seconds, "s", peer / seconds, "watchdog"))
    return rows


def _timed(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _observe_usr() -> None:
    observer = InotifyObserver()
    observer.schedule(FileSystemEventHandler(), "/usr", recursive=True)
    observer.start()
    observer.stop()
    observer.join()


@contextmanager
def _filled(directory: bytes) -> Iterator[None]:
    """Files are created by a process that lives on: reading its events is more work than reading a dead one's."""
    script = """
import os, sys
os.chdir(sys.argv[1])
for number in range(int(sys.argv[2])):
    os.close(os.open(b"f%d" % number, os.O_CREAT | os.O_WRONLY))
print(flush=True)
sys.stdin.read()
"""
    os.makedirs(directory, exist_ok=True)
    command = [sys.executable, "-c", script, os.fsdecode(directory), str(_QUEUED)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield
        process.communicate()


def _reading(backends: dict[str, Callable[..., Backend]], place: bytes) -> list[Row]:
    """The reader is held while the queue fills, then timed. Files are created in a watched directory and, for marks
    on file systems, in one that is not."""
    rows = []
    for name, make in backends.items():
        if not name.startswith("fanotify"):
            continue
        for where in ("watched", "foreign") if "file systems" in name else ("watched",):
            gate = threading.Event()
            gate.set()

            def ignored(gate: threading.Event = gate) -> frozenset[int]:
                gate.wait(_WAIT)
                return frozenset()

            root, sink = place + b"/" + os.fsencode(f"{len(rows)}-root"), _Sink()
            os.makedirs(root)
            with _watching(make(ignored_pids=ignored), root, sink):
                gate.clear()
                subprocess.run(["touch", root + b"/first"], check=True)
                with _filled(root if where == "watched" else place + b"/foreign"):
                    subprocess.run(["touch", root + b"/last"], check=True)
                    start = time.perf_counter()
                    gate.set()
                    sink.seen.wait(_WAIT)
                    seconds = time.perf_counter() - start
                rows.append(Row(f"{name}: queue of files created, {where}", _QUEUED / seconds, "files/s"))
    seen = threading.Event()

    class Handler(FileSystemEventHandler):
        def on_created(self, event: FileSystemEvent) -> None:
            if os.fsencode(event.src_path).endswith(b"/last"):
                seen.set()

    # inotify's queue is shorter, so its readers read while the files are created.
    def burst(root: bytes, done: threading.Event) -> float:
        start = time.perf_counter()
        with _filled(root):
            subprocess.run(["touch", root + b"/last"], check=True)
            return _QUEUED / (time.perf_counter() - start) if done.wait(_WAIT) else 0.0

    root = place + b"/watchdog"
    os.makedirs(root)
    observer = InotifyObserver()
    observer.schedule(Handler(), os.fsdecode(root), recursive=True)
    observer.start()
    peer = burst(root, seen)
    observer.stop()
    observer.join()
    lost = "" if peer else ", the last one was lost"
    rows.append(Row(f"watchdog's observer: files created meanwhile{lost}", peer, "files/s"))
    root, sink = place + b"/inotify", _Sink()
    os.makedirs(root)
    with _watching(InotifyBackend(), root, sink):
        own = burst(root, sink.seen)
    rows.append(
        Row("inotify: files created meanwhile", own, "files/s", own / peer if peer else None, "watchdog")
    )
    return rows


_WRITER: Final = """
import os, sys, time
descriptor = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY | os.O_APPEND)
block, count, end = b"x" * 4096, 0, time.perf_counter() + 1.0
while time.perf_counter() < end:
    os.write(descriptor, block)
    count += 1
    if count % 2000 == 0:
        os.ftruncate(descriptor, 0)
print(count)
"""


def _write(directory: bytes) -> float:
    command = [sys.executable, "-c", _WRITER, os.fsdecode(directory + b"/data")]
    return float(subprocess.run(command, check=True, capture_output=True).stdout)


def _neighbour(backends: dict[str, Callable[..., Backend]], place: bytes) -> list[Row]:
    foreign, root = place + b"/foreign", place + b"/quiet"
    for directory in (foreign, root):
        os.makedirs(directory, exist_ok=True)
    _write(foreign)
    alone = max(_write(foreign) for _ in range(2))
    rows = [Row("a writer that nobody watches", alone, "writes/s")]
    for name, make in backends.items():
        with _watching(make(), root, _Sink()):
            with_it = max(_write(foreign) for _ in range(2))
        rows.append(Row(f"{name}: a writer next door", with_it, "writes/s", with_it / alone, "unwatched"))
    return rows


def _who(place: bytes) -> list[Row]:
    root, sink = place + b"/who", _Sink()
    os.makedirs(root)
    script = """
import subprocess, sys
for number in range(int(sys.argv[2])):
    subprocess.run(["sh", "-c", "echo x > %s/f%d" % (sys.argv[1], number)])
"""
    with _watching(FanotifyBackend(), root, sink):
        subprocess.run([sys.executable, "-c", script, os.fsdecode(root), str(_PROCESSES)], check=True)
        subprocess.run(["touch", root + b"/last"], check=True)
        sink.seen.wait(_WAIT)
    known: dict[bytes, list[Hint]] = {}
    for hint in sink.told:
        if hint.path.startswith(root + b"/f"):
            known.setdefault(hint.path, []).append(hint)

    def share(name: str) -> float:
        found = sum(any(getattr(h.actor, name, None) is not None for h in hints) for hints in known.values())
        return 100 * found / _PROCESSES

    alive = sum(any(h.actor is not None and not h.actor.exited for h in hints) for hints in known.values())
    return [
        Row("one-line shells: seen alive", 100 * alive / _PROCESSES, "%"),
        Row("one-line shells: executable and parent known", share("parent_executable_path"), "%"),
        Row("one-line shells: effective user, login, session read", share("effective_user_id"), "%"),
    ]


def main() -> None:
    """Prints the table."""
    print(f"{'':60} {'':>12}            against")
    for row in run():
        ratio = f"{row.ratio:6.2f}× {row.peer}" if row.ratio is not None else ""
        print(f"{row.name:60} {row.value:12,.2f} {row.unit:9} {ratio}")


if __name__ == "__main__":
    main()
