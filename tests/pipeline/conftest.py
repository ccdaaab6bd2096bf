"""A pipeline with a real journal, and components small enough to read at a glance."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest

from otel_fim.component import Batch, Exporter, ExporterContext, ExportResult, Processor, ProcessorContext
from otel_fim.config.model import ComponentConfig
from otel_fim.journal import Journal
from otel_fim.journal.config import JournalConfig
from otel_fim.pipeline.dead_letter import DeadLetters
from otel_fim.pipeline.exporting import ExporterRunner
from otel_fim.pipeline.pipeline import Pipeline
from otel_fim.pipeline.retry import RetryConfig
from otel_fim.record import Record, Resource, Scope
from otel_fim.telemetry.metrics import MetricStore
from otel_fim.telemetry.status import StatusBoard

RESOURCE = Resource({"host.name": "h"})
SCOPE = Scope("test")


class ScriptedConfig(ComponentConfig):
    retry_on_failure: RetryConfig = RetryConfig(initial_interval=0.01, max_interval=0.02)


class Scripted(Exporter[ScriptedConfig]):
    """Does what the script says, call by call, then succeeds; keeps what it acknowledged."""

    Config: ClassVar[type[ComponentConfig]] = ScriptedConfig

    def __init__(self, config: ScriptedConfig, context: ExporterContext) -> None:
        super().__init__(config, context)
        self.script: list[Exception | ExportResult] = []
        self.calls = 0
        self.delivered: list[str] = []

    def export(self, batch: Batch) -> ExportResult:
        self.calls += 1
        step = self.script.pop(0) if self.script else ExportResult()
        if isinstance(step, Exception):
            raise step
        self.delivered += [record.event_name for record in batch.records]
        return step


class Marking(Processor[ComponentConfig]):
    """Appends its id to each record's body; fails on a record named `poison`."""

    Config: ClassVar[type[ComponentConfig]] = ComponentConfig

    def process(self, records: list[Record]) -> list[Record]:
        for record in records:
            if record.event_name == "poison":
                raise ValueError("cannot take this one")
        for record in records:
            record.body = f"{record.body or ''}{self.context.id}"
        return records


class House:
    """The surroundings of one pipeline."""

    def __init__(self, directory: Path, config: JournalConfig) -> None:
        self.directory = directory
        self.store = MetricStore()
        self.board = StatusBoard()
        self.journal = Journal.open(
            directory / "journal",
            config,
            logger=logging.getLogger("test"),
            notify=lambda n: self.pipeline.notice(n),
        )
        self.pipeline = self.make_pipeline([])
        self.runners: list[ExporterRunner] = []

    def context(self, kind: str, name: str) -> dict[str, Any]:
        return {
            "id": name,
            "kind": kind,
            "state_directory": self.directory,
            "service_directory": self.directory,
            "agent_directories": (),
            "resource": RESOURCE,
            "scope": SCOPE,
            "logger": logging.getLogger(f"test.{name}"),
            "report": partial(self.board.report, f"{kind}:{name}"),
            "count": self.store.count,
        }

    def make_pipeline(self, processors: list[Processor[Any]], queue_size: int = 100) -> Pipeline:
        self.pipeline = Pipeline(
            "logs",
            processors,
            self.journal,
            queue_size=queue_size,
            resource=RESOURCE,
            scope=SCOPE,
            store=self.store,
            report=partial(self.board.report, "pipeline:logs"),
        )
        return self.pipeline

    def marking(self, name: str) -> Marking:
        context = ProcessorContext(
            **self.context("processor", name), pipeline="logs", last_record=lambda: None
        )
        return Marking(ComponentConfig(), context)

    def exporter(self, name: str, **retry: Any) -> tuple[Scripted, ExporterRunner]:
        config = ScriptedConfig(
            retry_on_failure=RetryConfig(**{"initial_interval": 0.01, "max_interval": 0.02, **retry})
        )
        exporter = Scripted(config, ExporterContext(**self.context("exporter", name), pipeline="logs"))
        runner = ExporterRunner(
            exporter,
            self.journal.reader(name),
            DeadLetters(self.directory / "dead", name),
            self.store,
            "logs",
        )
        self.runners.append(runner)
        return exporter, runner


@pytest.fixture
def make_house(tmp_path: Path) -> Iterator[Callable[..., House]]:
    houses: list[House] = []

    def make(directory: Path | None = None, **journal: Any) -> House:
        house = House(
            directory or tmp_path, JournalConfig.model_validate({"sync_interval": 0.005, **journal})
        )
        houses.append(house)
        return house

    yield make
    for house in houses:
        house.pipeline.stop(5)
        for runner in house.runners:
            runner.finish()
            runner.stop(5)
        house.journal.close()
