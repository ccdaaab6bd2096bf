"""Makes components, each with the context that it is given."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from otel_fim.agent.state import StateDirectory
from otel_fim.agent.tap import Tap
from otel_fim.component import (
    AnyExporter,
    AnyExtension,
    AnyProcessor,
    AnyReceiver,
    Emit,
    ExporterContext,
    ExtensionContext,
    Health,
    ProcessorContext,
    ReceiverContext,
)
from otel_fim.config.validate import ComponentSpec
from otel_fim.host.table import ProcessTable
from otel_fim.journal import Journal
from otel_fim.record import Resource, component_scope
from otel_fim.telemetry.metrics import MetricStore
from otel_fim.telemetry.status import StatusBoard


@dataclass(slots=True)
class ComponentFactory:
    """What the components of one agent have in common."""

    state: StateDirectory
    resource: Resource
    metrics: MetricStore
    board: StatusBoard
    agent_directories: tuple[Path, ...]
    processes: ProcessTable
    tap: Tap
    stopping: Callable[[], bool]

    def receiver(self, spec: ComponentSpec, emit: Emit) -> AnyReceiver:
        """The receiver of `spec`, not started."""
        made = cast("type[AnyReceiver]", spec.cls)
        return made(spec.config, ReceiverContext(**self._common(spec), emit=emit, listen=self.tap.listen))

    def processor(self, spec: ComponentSpec, pipeline: str, journal: Journal) -> AnyProcessor:
        """The processor of `spec` for one pipeline, whose journal this is, not started."""
        made = cast("type[AnyProcessor]", spec.cls)
        common = self._common(spec, pipeline)
        context = ProcessorContext(
            **common,
            pipeline=pipeline,
            last_record=journal.last_record,
            recorded=journal.recorded,
            stopping=self.stopping,
        )
        return made(spec.config, context)

    def exporter(self, spec: ComponentSpec, pipeline: str) -> AnyExporter:
        """The exporter of `spec` for one pipeline, not started."""
        made = cast("type[AnyExporter]", spec.cls)
        return made(spec.config, ExporterContext(**self._common(spec, pipeline), pipeline=pipeline))

    def extension(self, spec: ComponentSpec) -> AnyExtension:
        """The extension of `spec`, not started."""
        made = cast("type[AnyExtension]", spec.cls)
        context = ExtensionContext(
            **self._common(spec), statuses=self.board.statuses, overall_health=self.board.overall
        )
        return made(spec.config, context)

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
            "processes": self.processes,
        }
