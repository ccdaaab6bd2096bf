"""Makes the contexts that components are given."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from otel_fim.agent.state import StateDirectory
from otel_fim.component import (
    Emit,
    ExporterContext,
    ExtensionContext,
    Health,
    ProcessorContext,
    ReceiverContext,
)
from otel_fim.config.validate import ComponentSpec
from otel_fim.record import Record, Resource, component_scope
from otel_fim.telemetry.metrics import MetricStore
from otel_fim.telemetry.status import StatusBoard


@dataclass(slots=True)
class ContextFactory:
    """What the contexts of one agent have in common."""

    state: StateDirectory
    resource: Resource
    metrics: MetricStore
    board: StatusBoard
    agent_directories: tuple[Path, ...]

    def receiver(self, spec: ComponentSpec, emit: Emit) -> ReceiverContext:
        return ReceiverContext(**self._common(spec), emit=emit)

    def processor(
        self, spec: ComponentSpec, pipeline: str, last_record: Callable[[], Record | None]
    ) -> ProcessorContext:
        return ProcessorContext(**self._common(spec, pipeline), pipeline=pipeline, last_record=last_record)

    def exporter(self, spec: ComponentSpec, pipeline: str) -> ExporterContext:
        return ExporterContext(**self._common(spec, pipeline), pipeline=pipeline)

    def extension(self, spec: ComponentSpec) -> ExtensionContext:
        return ExtensionContext(
            **self._common(spec), statuses=self.board.statuses, overall_health=self.board.overall
        )

    def reporter(self, name: str) -> Callable[[Health, str], None]:
        """Reports under `name`, which is `kind:id`, with the pipeline behind it where there is one for each."""
        return partial(self.board.report, name)

    def _common(self, spec: ComponentSpec, pipeline: str | None = None) -> dict[str, Any]:
        name = f"{spec.kind}:{spec.id}" + (f"@{pipeline}" if pipeline is not None else "")
        return {
            "id": spec.id,
            "kind": spec.kind,
            "state_directory": self.state.component_directory(f"{spec.kind}s", spec.id, pipeline),
            "service_directory": self.state.path,
            "agent_directories": self.agent_directories,
            "resource": self.resource,
            "scope": component_scope(f"otel_fim.{spec.kind}s.{spec.type}"),
            "logger": logging.getLogger(f"otel_fim.{spec.id}"),
            "report": self.reporter(name),
            "count": self.metrics.count,
        }
