"""What has been told and is on disk, and the file that remembers it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from otel_fim.receivers.listener.book import Key, Listener
from otel_fim.receivers.listener.state import StateFile

_RETRY_SECONDS: Final = 30.0


class Memory:
    """The listeners that were told of, as of the last record that is on disk.

    `learn` and `forget` are called through `durable`, in the order in which the records were emitted. `known` says
    that there was a run before.
    """

    def __init__(self, file: StateFile, listeners: Iterable[Listener], *, known: bool) -> None:
        self._file = file
        self.known = known
        self.failing = False
        self._told: dict[Key, Listener] = {each.key: each for each in listeners}
        self._moves: list[Callable[[], None]] = []
        self._lock = threading.Condition()
        self._expected = 0
        self._changed = False
        self._retry_at = 0.0

    @property
    def listeners(self) -> list[Listener]:
        return list(self._told.values())

    def learn(self, listener: Listener) -> None:
        self._told[listener.key] = listener

    def forget(self, listener: Listener) -> None:
        if self._told.get(listener.key) is listener:
            del self._told[listener.key]

    def changed(self) -> None:
        """What is remembered is to be written again."""
        self._changed = True

    def expect(self) -> None:
        """Records have been emitted."""
        with self._lock:
            self._expected += 1

    def unexpect(self) -> None:
        """They were not taken after all."""
        with self._lock:
            self._expected -= 1
            self._lock.notify_all()

    def durable(self, moves: Sequence[Callable[[], None]]) -> None:
        """They are on disk. From any thread."""
        with self._lock:
            self._moves += moves
            self._expected -= 1
            self._lock.notify_all()

    def drain(self, timeout: float) -> bool:
        """Waits until everything is on disk; False when that took too long."""
        with self._lock:
            return self._lock.wait_for(lambda: self._expected == 0, timeout)

    def write(self) -> str | None:
        """Writes what has changed, if anything has; gives a sentence when that fails, and tries again later."""
        with self._lock:
            moves, self._moves = self._moves, []
        for move in moves:
            move()
        self._changed |= bool(moves)
        if not self._changed or (self.failing and time.monotonic() < self._retry_at):
            return None
        try:
            self._file.write(self._told.values())
        except OSError as error:
            self.failing = True
            self._retry_at = time.monotonic() + _RETRY_SECONDS
            return (
                f"{self._file.path} cannot be written: {error}; after a restart listeners would be told again; "
                "check free space and rights"
            )
        self.failing = False
        self._changed = False
        return None
