"""A novelty processor whose clock the test moves."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from otel_fim import names
from otel_fim.component import Health, ProcessorContext
from otel_fim.names import events
from otel_fim.processors.novelty import NoveltyConfig, NoveltyProcessor
from otel_fim.record import EMPTY_SCOPE, Record, Resource

DAY = 86_400


class World:
    """One state directory and the processors that run in it one after the other. `seconds` is the monotonic clock."""

    def __init__(self, directory: Path, **settings: Any) -> None:
        self.directory = directory
        self.settings = settings
        self.seconds = 1000.0
        self.health: list[tuple[Health, str]] = []
        self.counted: dict[str, float] = {}
        self.host = "web-1"
        self.processor = self.begin()

    def begin(self, **settings: Any) -> NoveltyProcessor:
        self.settings |= settings
        self.processor = NoveltyProcessor(
            NoveltyConfig.model_validate(self.settings),
            ProcessorContext(
                id="novelty",
                kind="processor",
                state_directory=self.directory,
                service_directory=self.directory,
                agent_directories=(),
                resource=Resource({names.HOST_NAME: "web-1"}),
                scope=EMPTY_SCOPE,
                logger=logging.getLogger("test.novelty"),
                report=lambda health, text: self.health.append((health, text)),
                count=self._count,
                pipeline="logs",
                last_record=lambda: None,
            ),
            clock=lambda: self.seconds,
        )
        self.processor.start()
        return self.processor

    def _count(self, name: str, amount: float = 1, /, **labels: str) -> None:
        self.counted[name] = self.counted.get(name, 0) + amount

    def restart(self, **settings: Any) -> NoveltyProcessor:
        """An orderly one; the monotonic clock begins anew, as after a boot."""
        self.processor.stop(1)
        self.seconds = 5.0
        return self.begin(**settings)

    def crash(self) -> NoveltyProcessor:
        self.seconds = 5.0
        return self.begin()

    def wait(self, seconds: float) -> None:
        self.seconds += seconds

    def write(self) -> list[Record]:
        """Waits until what is new is written: a minute, and for the journal."""
        told: list[Record] = []
        for seconds in (61, 2):
            self.wait(seconds)
            told += self.processor.tick()
        return told

    def put(self, event: str, attributes: dict[str, Any], host: str | None = None) -> Record:
        resource = Resource({names.HOST_NAME: self.host if host is None else host})
        record = Record(event_name=event, attributes=dict(attributes), resource=resource)
        assert self.processor.process([record]) == [record]
        return record

    def run(
        self,
        path: str,
        *,
        parent: str = "",
        user: int | None = None,
        action: str = "exec",
        host: str = "web-1",
    ) -> Record:
        attributes: dict[str, Any] = {names.EVENT_ACTION: action, names.PROCESS_EXECUTABLE_PATH: path}
        if parent:
            attributes[names.PROCESS_PARENT_EXECUTABLE_PATH] = parent
        if user is not None:
            attributes[names.PROCESS_USER_ID] = user
        return self.put(events.PROCESS_STARTED, attributes, host)

    def learn(self) -> None:
        """Ends the learning: one program, and a week and a day."""
        self.run("/usr/bin/known")
        self.wait(8 * DAY)


@pytest.fixture
def make_world(tmp_path: Path) -> Callable[..., World]:
    def make(**settings: Any) -> World:
        return World(tmp_path, **settings)

    return make


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world()


@pytest.fixture(scope="session")
def world_class() -> type[World]:
    return World
