"""A process table as a feeder fills it, and the processor that asks it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from otel_fim import names
from otel_fim.component import ProcessorContext
from otel_fim.host.process import Process
from otel_fim.host.table import ProcessTable
from otel_fim.processors.identity import IdentityConfig, IdentityProcessor
from otel_fim.record import EMPTY_SCOPE, Record, Resource

NO_PID = 4_200_000
"""More than any kernel hands out: /proc never has it."""
RESOURCE = Resource({names.HOST_ID: "host-1", names.SERVICE_INSTANCE_ID: "agent-1"})


class World:
    """A table with a feeder that is always up to date, unless told otherwise. Times are ns from `start`."""

    def __init__(self, limit: int = 64, **settings: Any) -> None:
        self.table = ProcessTable(limit)
        self.table.feed_with(lambda: None)
        self.start = time.time_ns() + 10_000_000_000
        self.now = self.start + 100_000_000_000
        self.table.fed(self.now)
        context = ProcessorContext(
            id="identity",
            kind="processor",
            state_directory=Path("state"),
            service_directory=Path("state"),
            agent_directories=(),
            resource=RESOURCE,
            scope=EMPTY_SCOPE,
            logger=logging.getLogger("test"),
            report=lambda health, message: None,
            count=lambda *args, **kwargs: None,
            processes=self.table,
            pipeline="logs",
            last_record=lambda: None,
        )
        config = IdentityConfig.model_validate({"patience": 0, **settings})
        self.processor = IdentityProcessor(config, context, clock=lambda: self.now)

    def at(self, seconds: float) -> int:
        return self.start + int(seconds * 1e9)

    def put(self, pid: int, created: float, ended: float | None = None, **more: Any) -> Process:
        """A process that ran from one time to another, in seconds."""
        process = Process(
            pid,
            self.at(created),
            self.table.entity_id(pid, self.at(created)),
            ended_unix_nano=None if ended is None else self.at(ended),
            **more,
        )
        self.table.put(process)
        return process

    def complete(self, event: str, at: float, attributes: dict[str, Any], *, seen: float = 0.2) -> Record:
        """A record of this host at a time in seconds, after the processor; `seen` seconds later it was observed."""
        record = Record(
            self.at(at), self.at(at + seen), event_name=event, attributes=dict(attributes), resource=RESOURCE
        )
        assert self.processor.process([record]) == [record]
        return record


@pytest.fixture
def make_world() -> Iterator[Callable[..., World]]:
    made: list[World] = []

    def make(limit: int = 64, **settings: Any) -> World:
        made.append(World(limit, **settings))
        return made[-1]

    yield make
    for world in made:
        world.processor.stop(1)


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world()


@pytest.fixture
def pid() -> int:
    return NO_PID
