"""A sink that keeps what it is given, and patience."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from otel_fim.receivers.auth.event import Entry
from otel_fim.receivers.auth.sources.source import Position

PATIENCE = 30.0


class Recorder:
    """Implements `source.Sink`."""

    def __init__(self) -> None:
        self.got: list[Entry] = []
        self.position: Position = None
        self.rejections: dict[str, int] = {}
        self.gaps: list[tuple[str, str, int, int | None]] = []
        self.closed: list[str] = []
        self.failure: Exception | None = None
        self._changed = threading.Condition()

    def entries(self, entries: Sequence[Entry], position: Position) -> None:
        with self._changed:
            if self.failure is not None:
                raise self.failure
            self.got += entries
            self.position = position
            self._changed.notify_all()

    def rejected(self, reason: str, count: int = 1) -> None:
        with self._changed:
            self.rejections[reason] = self.rejections.get(reason, 0) + count
            self._changed.notify_all()

    def gap(self, reason: str, detail: str, start_ns: int, end_ns: int | None = None) -> None:
        assert end_ns is None or start_ns <= end_ns
        with self._changed:
            self.gaps.append((reason, detail, start_ns, end_ns))
            self._changed.notify_all()

    def restored(self, reason: str, detail: str) -> None:
        del detail
        with self._changed:
            self.closed.append(reason)
            self._changed.notify_all()

    def messages(self) -> list[str]:
        return [entry.message for entry in self.got]

    def reasons(self) -> list[str]:
        return [reason for reason, *_ in self.gaps]

    def wait(self, condition: Callable[[], Any]) -> None:
        deadline = time.monotonic() + PATIENCE
        with self._changed:
            while not condition():
                left = deadline - time.monotonic()
                assert left > 0, f"not within {PATIENCE} s: {self.got} {self.gaps} {self.rejections}"
                self._changed.wait(left)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def new_recorder() -> type[Recorder]:
    return Recorder
