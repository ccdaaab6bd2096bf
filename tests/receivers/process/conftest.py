"""A process receiver's surroundings for tests: records are collected."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from otel_fim import names
from otel_fim.component import Health, ReceiverContext
from otel_fim.host.table import ProcessTable
from otel_fim.names import events
from otel_fim.receivers.process import ProcessReceiver
from otel_fim.receivers.process.config import ProcessConfig
from otel_fim.record import Record, Resource, Scope

WAIT = 30.0


class Host:
    """One receiver, its table and what it has told. Everything that the tests start is told (`own_pid`)."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.records: list[Record] = []
        self.counts: dict[str, int] = {}
        self.health: list[tuple[Health, str]] = []
        self.table = ProcessTable()
        self.receiver: ProcessReceiver | None = None
        self.emit_hook: Callable[[], None] = lambda: None

    def _emit(self, records: Sequence[Record], on_durable: Callable[[], None] | None = None) -> None:
        self.emit_hook()
        self.records += records

    def _count(self, name: str, amount: int = 1, **attributes: Any) -> None:
        self.counts[name] = self.counts.get(name, 0) + amount

    def context(self) -> ReceiverContext:
        return ReceiverContext(
            id="process",
            kind="receiver",
            state_directory=self.directory,
            service_directory=self.directory,
            agent_directories=(self.directory,),
            resource=Resource({"host.name": "test"}),
            scope=Scope("test"),
            logger=logging.getLogger("test"),
            report=lambda health, message: self.health.append((health, message)),
            count=self._count,
            emit=self._emit,
            processes=self.table,
        )

    def start(
        self, *, own_pid: int | None = -1, limit: int | None = None, **settings: Any
    ) -> ProcessReceiver:
        if limit is not None:
            self.table = ProcessTable(limit)
        self.receiver = ProcessReceiver(ProcessConfig(**settings), self.context(), own_pid=own_pid)
        self.receiver.start()
        return self.receiver

    def stop(self) -> None:
        if self.receiver is not None:
            self.receiver.stop(20)
            self.receiver = None

    def of(self, pid: int) -> list[Record]:
        return [each for each in list(self.records) if each.attributes.get(names.PROCESS_PID) == pid]

    def actions(self, pid: int) -> list[object]:
        return [each.attributes[names.EVENT_ACTION] for each in self.of(pid)]

    def coverage(self) -> list[Record]:
        return [
            r for r in list(self.records) if r.event_name in (events.COVERAGE_GAP, events.COVERAGE_RESTORED)
        ]

    def wait(self, until: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WAIT
        while not until():
            if time.monotonic() > deadline:
                raise TimeoutError([r.body for r in self.records[-40:]])
            time.sleep(0.01)

    def exited(self, pid: int) -> Record:
        """The record of the process's end."""
        self.wait(lambda: "exited" in self.actions(pid))
        return self.of(pid)[-1]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    yield made
    made.emit_hook = lambda: None
    made.stop()


@pytest.fixture(scope="session")
def host_class() -> type[Host]:
    return Host
