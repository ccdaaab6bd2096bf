"""A risk processor whose clocks the test moves, and findings as the rules processor makes them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from otel_fim import names
from otel_fim.component import Health, ProcessorContext
from otel_fim.names import events
from otel_fim.processors.risk import RiskConfig, RiskProcessor
from otel_fim.record import EMPTY_SCOPE, Record, Resource

START = 1_768_314_735  # 2026-01-13T14:32:15Z, a Tuesday


class World:
    """One state directory and the processors that run in it one after the other."""

    def __init__(self, directory: Path, **settings: Any) -> None:
        self.directory = directory
        self.settings = settings
        self.wall = float(START)
        self.monotonic = 100.0
        self.health: list[tuple[Health, str]] = []
        self.counted: dict[str, float] = {}
        self._number = 0
        self.processor = self.begin()

    def begin(self, **settings: Any) -> RiskProcessor:
        self.settings |= settings
        self.processor = RiskProcessor(
            RiskConfig.model_validate(self.settings),
            ProcessorContext(
                id="risk",
                kind="processor",
                state_directory=self.directory,
                service_directory=self.directory,
                agent_directories=(),
                resource=Resource({names.HOST_NAME: "web-1"}),
                scope=EMPTY_SCOPE,
                logger=logging.getLogger("test.risk"),
                report=lambda health, text: self.health.append((health, text)),
                count=self._count,
                pipeline="logs",
                last_record=lambda: None,
            ),
            wall=lambda: self.wall,
            monotonic=lambda: self.monotonic,
        )
        self.processor.start()
        return self.processor

    def _count(self, name: str, amount: float = 1, /, **labels: str) -> None:
        self.counted[name] = self.counted.get(name, 0) + amount

    def restart(self, **settings: Any) -> RiskProcessor:
        self.processor.stop(1)
        self.monotonic = 3.0
        return self.begin(**settings)

    def crash(self) -> RiskProcessor:
        self.monotonic = 3.0
        return self.begin()

    def wait(self, seconds: float) -> list[Record]:
        self.wall += seconds
        self.monotonic += seconds
        return self.processor.tick()

    def write(self) -> list[Record]:
        """Waits until what is new is written: ten seconds, and for the journal."""
        return self.wait(11) + self.wait(2)

    def finding(self, *, host: str = "web-1", severity: int = 13, **more: Any) -> Record:
        """A finding; `more` are attributes by the name of their constant, None takes one away."""
        self._number += 1
        attributes: dict[str, Any] = {
            names.LOG_RECORD_UID: f"F{self._number}",
            names.SECURITY_RULE_NAME: "Cron Entry Added By A Shell",
            names.SECURITY_RULE_UUID: "5d2b5f5a-31a1-4a3f-9a33-0e5a6bb2b7aa",
            names.OTEL_FIM_RULE_LEVEL: "high",
            names.OTEL_FIM_RULE_KIND: "event",
            names.OTEL_FIM_THREAT_CONFIDENCE: "medium",
            names.OTEL_FIM_FINDING_EVIDENCE: [f"R{self._number}"],
            names.OTEL_FIM_FINDING_EVIDENCE_COUNT: 1,
            names.USER_NAME: "alice",
            names.PROCESS_EXECUTABLE_PATH: "/usr/bin/bash",
            names.FILE_PATH: "/srv/a",
        }
        for name, value in more.items():
            attributes[getattr(names, name)] = value
        return Record(
            time_unix_nano=int(self.wall * 1e9),
            observed_time_unix_nano=int(self.wall * 1e9),
            event_name=events.FINDING,
            severity_number=severity,
            severity_text="WARN",
            body="Cron Entry Added By A Shell: x",
            attributes={name: value for name, value in attributes.items() if value is not None},
            resource=Resource({names.HOST_NAME: host}),
        )

    def put(self, *records: Record) -> list[Record]:
        return self.processor.process(list(records))

    def find(self, **more: Any) -> list[Record]:
        return self.put(self.finding(**more))


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
