"""The state that each path was last reported with: the baseline, and above it what is not on disk yet.

A row of the baseline moves only after the record that tells of the change is durable. Until then the overlay
holds the reported state, so that the next comparison sees it; after a crash the overlay is gone, the baseline
still has the old state, and the change is found and reported again.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from otel_fim.receivers.file_integrity.baseline import Baseline
from otel_fim.receivers.file_integrity.metadata import FileState
from otel_fim.receivers.file_integrity.paths import split

_COMMIT_INTERVAL: Final = 0.5
_RETRY_INTERVAL: Final = 2.0


class Move(NamedTuple):
    """One row on its way: the state (None: gone), whether the path is new, and its place in the order."""

    path: bytes
    state: FileState | None
    new: bool
    version: int


class _Held:
    __slots__ = ("applied", "state", "version")

    def __init__(self) -> None:
        self.state: FileState | None = None
        self.version = 0
        self.applied = 0


class View:
    """Reads through the overlay; a thread of its own moves durable states into the baseline.

    `failed(message)` is told when the baseline cannot be written and `worked()` when it can again.
    """

    def __init__(self, baseline: Baseline, failed: Callable[[str], None], worked: Callable[[], None]) -> None:
        self.baseline = baseline
        self._failed = failed
        self._worked = worked
        self._lock = threading.Lock()
        self._overlay: dict[bytes, dict[bytes, _Held]] = {}
        self._held = 0
        # Above every version that the run before has left behind.
        self._version = max(baseline.announced().values(), default=0)
        self._durable: deque[Sequence[Move]] = deque()
        self._wake = threading.Event()
        self._idle = threading.Condition()
        self._outstanding = 0
        self._stopping = False
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="file_integrity-baseline", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def __len__(self) -> int:
        """How many paths the overlay holds."""
        return self._held

    # --- reading ---

    def lookup(self, path: bytes) -> tuple[int | None, FileState | None]:
        """As `Baseline.lookup`, seen through the overlay."""
        directory, name = split(path)
        with self._lock:
            held = self._overlay.get(directory, {}).get(name)
            found = None if held is None else (1, held.state)
        return self.baseline.lookup(path) if found is None else found

    def children(self, directory: bytes) -> dict[bytes, FileState]:
        """The states of what a directory holds, seen through the overlay."""
        with self._lock:
            above = {name: held.state for name, held in self._overlay.get(directory, {}).items()}
        states = self.baseline.children(directory)[1]
        for name, state in above.items():
            if state is None:
                states.pop(name, None)
            else:
                states[name] = state
        return states

    # --- writing ---

    def hold(self, path: bytes, state: FileState | None, *, new: bool) -> Move:
        """Takes a state as reported from now on; the move is to be given to `durable` once the record is."""
        directory, name = split(path)
        with self._lock:
            names = self._overlay.get(directory)
            if names is None:
                names = self._overlay[directory] = {}
            held = names.get(name)
            if held is None:
                held = names[name] = _Held()
                self._held += 1
            self._version += 1
            held.state = state
            held.version = self._version
            return Move(path, state, new, held.version)

    def announce(self, moves: Sequence[Move]) -> None:
        """Notes on disk that the records of these moves are about to be handed on, so that a crash between the
        record and the row is known about. Without room for the note the records go all the same."""
        if not moves:
            return
        try:
            self.baseline.announce([(move.path, move.version) for move in moves])
        except sqlite3.Error as error:
            self._fail(f"{self.baseline.path}: what is about to be reported cannot be noted: {error}")
        else:
            self._recover()

    def _fail(self, message: str) -> None:
        if not self._failing:
            self._failing = True
            self._failed(message)

    def _recover(self) -> None:
        if self._failing:
            self._failing = False
            self._worked()

    def is_held(self, path: bytes) -> bool:
        """Whether the overlay has a state of `path` whose record may not be durable yet."""
        directory, name = split(path)
        with self._lock:
            return name in self._overlay.get(directory, {})

    def discard(self, moves: Sequence[Move]) -> None:
        """Takes back states whose records were never handed over."""
        with self._lock:
            for move in moves:
                directory, name = split(move.path)
                names = self._overlay.get(directory, {})
                held = names.get(name)
                if held is not None and held.version == move.version:
                    del names[name]
                    self._held -= 1
                    if not names:
                        del self._overlay[directory]

    def expect(self) -> None:
        """Says that a batch is on its way to being durable; `drain` waits for it."""
        with self._idle:
            self._outstanding += 1

    def unexpect(self) -> None:
        """Takes an `expect` back: the batch was not handed over."""
        with self._idle:
            self._outstanding -= 1
            self._idle.notify_all()

    def durable(self, moves: Sequence[Move]) -> None:
        """Lets the moves of one batch into the baseline. Returns at once; called from any thread."""
        self._durable.append(moves)
        self._wake.set()

    def drain(self, timeout: float) -> bool:
        """Waits until all that was expected is in the baseline, up to `timeout` seconds."""
        self._wake.set()
        with self._idle:
            return self._idle.wait_for(lambda: self._outstanding == 0, timeout)

    def stop(self) -> None:
        """Writes what is durable and ends the thread."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(5.0)

    def _run(self) -> None:
        while True:
            self._wake.wait(1.0)
            self._wake.clear()
            if not self._durable:
                if self._stopping:
                    return
                continue
            batches = []
            while self._durable:
                batches.append(self._durable.popleft())
            while True:
                try:
                    self._apply(batches)
                except sqlite3.Error as error:
                    self._fail(
                        f"{self.baseline.path}: the baseline cannot be written: {error}; "
                        "changes are reported all the same, and reported again after a restart"
                    )
                    if self._stopping:
                        return
                    self._wake.wait(_RETRY_INTERVAL)
                    self._wake.clear()
                else:
                    self._recover()
                    break
            with self._idle:
                self._outstanding -= len(batches)
                self._idle.notify_all()
            if not self._stopping:
                # Lets more come together for the next transaction; a drain does not wait for it.
                self._wake.wait(_COMMIT_INTERVAL if len(self._durable) < 2 else 0.01)

    def _apply(self, batches: list[Sequence[Move]]) -> None:
        rows = []
        newest: dict[bytes, int] = {}
        with self._lock:
            for batch in batches:
                for move in batch:
                    directory, name = split(move.path)
                    # Two pipelines may finish in another order than the one in which they were given a batch:
                    # an older state must not follow a newer one.
                    held = self._overlay.get(directory, {}).get(name)
                    if held is not None and move.version > max(held.applied, newest.get(move.path, 0)):
                        rows.append((move.path, move.state, move.new, move.version))
                        newest[move.path] = move.version
        self.baseline.apply(rows)
        with self._lock:
            for path, version in newest.items():
                directory, name = split(path)
                names = self._overlay[directory]
                held = names[name]
                held.applied = version
                if held.version == version:
                    del names[name]
                    self._held -= 1
                    if not names:
                        del self._overlay[directory]
