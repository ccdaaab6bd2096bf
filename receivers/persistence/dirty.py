"""What is to be read again, and why. Filled by file events and scans, emptied by the receiver's own thread."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Final

from otel_fim.receivers.persistence.kind import Place
from otel_fim.receivers.persistence.records import Cause

_LONGEST_FACTOR: Final = 10
_MOST_FILES: Final = 20_000


@dataclass(slots=True)
class Task:
    """A kind to be read again: `files` alone (with their places), or all of it when `whole`. `causes` are the file
    events by path, `new` the paths that are new by what their event says; `due` is on the monotonic clock.
    `overflowed`: there were more files than are remembered."""

    kind: str
    first: float
    due: float
    whole: bool = False
    overflowed: bool = False
    files: dict[bytes, Place] = field(default_factory=dict)
    causes: dict[bytes, Cause] = field(default_factory=dict)
    new: set[bytes] = field(default_factory=set)


class Dirty:
    """Tasks, one for each kind. Safe to use from any thread; nothing here waits but `wait`."""

    def __init__(self, debounce: float) -> None:
        self._debounce = debounce
        self._changed = threading.Condition()
        self._tasks: dict[str, Task] = {}
        self._hurried = False

    def event(
        self,
        kind: str,
        path: bytes | None,
        place: Place | None,
        at: bytes,
        cause: Cause,
        *,
        new: bool = False,
    ) -> None:
        """A file event at `at`: `path` is to be read again, or the whole kind when it is None. `new`: what is there was
        not there before."""
        now = time.monotonic()
        with self._changed:
            task = self._tasks.get(kind)
            if task is None:
                task = self._tasks[kind] = Task(kind, now, float("inf"))
            due = min(now + self._debounce, task.first + self._debounce * _LONGEST_FACTOR)
            if due < task.due:
                # When events only put it off, whoever waits finds that out by itself.
                self._changed.notify_all()
            task.due = due
            if path is None or place is None:
                task.whole = True
            elif len(task.files) < _MOST_FILES:
                task.files[path] = place
            else:
                task.whole = task.overflowed = True
            if new and len(task.new) < _MOST_FILES:
                task.new.add(at)
            if len(task.causes) < _MOST_FILES or at in task.causes:
                known = task.causes.get(at)
                # The last one who is known: a change that nobody is known for takes nobody's name away.
                if known is None or cause.actor or not known.actor:
                    task.causes[at] = cause

    def later(self, kind: str, seconds: float) -> None:
        """The whole kind, after a while, unless file events bring it up sooner."""
        now = time.monotonic()
        with self._changed:
            task = self._tasks.get(kind)
            if task is None:
                task = self._tasks[kind] = Task(kind, now, now + seconds)
            task.whole = True
            self._changed.notify_all()

    def wait(self, until: float) -> Task | None:
        """The task that is due first, None at `until` (monotonic) or when hurried with nothing left."""
        with self._changed:
            while True:
                now = time.monotonic()
                task = min(self._tasks.values(), key=lambda each: each.due, default=None)
                if task is not None and (task.due <= now or self._hurried):
                    return self._tasks.pop(task.kind)
                end = until if task is None else min(until, task.due)
                if self._hurried or (task is None and now >= until):
                    return None
                if now >= until:
                    return None
                self._changed.wait(end - now)

    def take(self) -> Task | None:
        """A task, due or not; None when there is none."""
        with self._changed:
            return self._tasks.pop(next(iter(self._tasks))) if self._tasks else None

    def hurry(self) -> None:
        """From now on everything is due."""
        with self._changed:
            self._hurried = True
            self._changed.notify_all()
