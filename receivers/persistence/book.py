"""What is known of the items, and how it moves: in memory once a record is handed on, on disk once that one is."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from otel_fim.component import Context, Health
from otel_fim.receivers.persistence.differ import Delta, Key, key_of
from otel_fim.receivers.persistence.item import Item
from otel_fim.receivers.persistence.state import State

_FULL: Final = "what was told cannot be noted: {}; until it can, a restart tells it again"


@dataclass(slots=True)
class Entry:
    """Steps that belong together, on their way to the disk."""

    source: str
    deltas: Sequence[Delta]
    number: int = 0
    durable: bool = False


class Book:
    """The items by kind, and the steps that are under way. `move` is for one thread; `durable` may come from any."""

    def __init__(self, state: State, context: Context) -> None:
        self._state = state
        self._context = context
        self._known: dict[str, dict[Key, Item]] = {}
        self._lock = threading.Condition()
        self._under_way: deque[Entry] = deque()
        self._failing = False

    def known(self, source: str) -> dict[Key, Item]:
        """The items of a kind, as they were told last."""
        found = self._known.get(source)
        if found is None:
            found = self._known[source] = self._state.load(source)
        return found

    def replace(self, source: str, items: Mapping[Key, Item]) -> None:
        """Takes items as known: those of a baseline."""
        self._known[source] = dict(items)

    def prepare(self, source: str, deltas: Sequence[Delta]) -> Entry:
        """Notes what is about to be told. Never fails: without the note, a crash may cost the end of an item that came
        and went unseen, and nothing else."""
        entry = Entry(source, deltas)
        told = [delta for delta in deltas if delta.told]
        if told:
            try:
                entry.number = self._state.announce(source, told)
            except sqlite3.Error as error:
                self._fail(error)
        return entry

    def move(self, entry: Entry) -> None:
        """Moves what is known; call it right before the records are handed on. The disk follows with `durable`."""
        known = self.known(entry.source)
        for delta in entry.deltas:
            if delta.before is not None:
                known.pop(key_of(delta.before), None)
        for delta in entry.deltas:
            if delta.after is not None:
                known[key_of(delta.after)] = delta.after
        with self._lock:
            self._under_way.append(entry)

    def durable(self, entry: Entry) -> None:
        """The entry's records are on disk. Rows move in the order of the entries."""
        entry.durable = True
        self.settle()

    def attempt(self, call: Callable[[], None]) -> None:
        """Writes to the state what may fail (a full disk): then a restart tells more than it would have to."""
        try:
            call()
        except sqlite3.Error as error:
            self._fail(error)

    def drop(self, entry: Entry) -> None:
        """The entry's records were not taken: the next start finds the same steps."""
        with self._lock:
            self._under_way.remove(entry)
            self._lock.notify_all()

    def settle(self) -> None:
        """Writes what is durable; what could not be written before is tried again."""
        with self._lock:
            while self._under_way and self._under_way[0].durable:
                entry = self._under_way[0]
                try:
                    self._state.apply(entry.source, entry.deltas, entry.number)
                except sqlite3.Error as error:
                    self._fail(error)
                    return
                self._under_way.popleft()
            if self._failing:
                self._failing = False
                self._context.report(Health.OK, "")
            self._lock.notify_all()

    def drain(self, timeout: float) -> bool:
        """Waits until nothing is under way; False when time is up before."""
        deadline = time.monotonic() + timeout
        with self._lock:
            while self._under_way:
                left = deadline - time.monotonic()
                if left <= 0 or self._under_way[0].durable:
                    return False
                self._lock.wait(left)
        return True

    def close(self) -> None:
        """Closes the state. What is said to be durable later is told again at the next start."""
        with self._lock:
            self._under_way.clear()
            self._state.close()

    def _fail(self, error: sqlite3.Error) -> None:
        if not self._failing:
            self._failing = True
            sentence = _FULL.format(error)
            self._context.logger.error("%s", sentence)
            self._context.report(Health.RECOVERABLE_ERROR, sentence)
