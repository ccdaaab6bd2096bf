"""The agent's life: build, start, run, drain, stop."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from otel_fim import names
from otel_fim.agent.factory import ComponentFactory
from otel_fim.agent.fanout import FanOut
from otel_fim.agent.resource import detect_resource
from otel_fim.agent.state import StateDirectory
from otel_fim.agent.tap import Tap
from otel_fim.component import (
    AnyComponent,
    AnyExporter,
    AnyExtension,
    AnyProcessor,
    AnyReceiver,
    Health,
    StartError,
)
from otel_fim.config.validate import AgentConfig, ComponentSpec
from otel_fim.host.table import ProcessTable
from otel_fim.journal import Journal, JournalError, JournalNotice
from otel_fim.names import events, metrics
from otel_fim.pipeline.coverage import coverage_record
from otel_fim.pipeline.dead_letter import DeadLetters
from otel_fim.pipeline.exporting import ExporterRunner
from otel_fim.pipeline.pipeline import Pipeline
from otel_fim.record import Attributes, Severity, component_scope, make_event
from otel_fim.telemetry.metrics import MetricStore
from otel_fim.telemetry.readers import MetricReader, start_readers
from otel_fim.telemetry.status import StatusBoard

_ALIVE_SECONDS: Final = 10.0

logger = logging.getLogger("otel_fim.agent")


@dataclass(slots=True)
class _Line:
    """A pipeline with everything that belongs to it alone."""

    pipeline: Pipeline
    processors: list[AnyProcessor]
    exporters: list[AnyExporter]
    runners: list[ExporterRunner]


@dataclass(slots=True)
class _Built:
    extensions: list[AnyExtension] = field(default_factory=list)
    receivers: list[AnyReceiver] = field(default_factory=list)
    lines: list[_Line] = field(default_factory=list)
    journals: list[Journal] = field(default_factory=list)
    readers: list[MetricReader] = field(default_factory=list)


class Agent:
    """All components of one configuration.

    `start` either succeeds or leaves nothing behind. `stop` drains: receivers first, then the pipelines into
    the journal, then the exporters as far as they get within the time. `told_to_stop` is asked during a start that
    takes long, which is then given up.
    """

    def __init__(
        self, config: AgentConfig, *, reason: str = "start", told_to_stop: Callable[[], bool] = lambda: False
    ) -> None:
        self.config = config
        self._told_to_stop = told_to_stop
        self.metrics = MetricStore()
        self.board = StatusBoard()
        self._reason = reason
        self._built = _Built()
        self._stopping = threading.Event()
        self._ticker = threading.Thread(target=self._tick, name="heartbeat", daemon=True)
        self._state: StateDirectory | None = None
        self._scope = component_scope("otel_fim.agent")

    @property
    def state_directory(self) -> Path:
        """Where everything lives, absolute."""
        return self.config.service.state_path

    def start(self) -> None:
        """Starts everything. Raises `StartError` with the reason, after stopping what had been started."""
        self._state = StateDirectory(self.state_directory)
        try:
            self._build(self._state)
            self._start_all()
        except BaseException as error:
            self._tear_down(timeout=5.0)
            self._state.release()
            if isinstance(error, JournalError):
                raise StartError(str(error)) from error
            if isinstance(error, OSError):
                where = error.filename or self.state_directory
                raise StartError(
                    f"{where}: {error.strerror or error}; the agent must own its state directory and have room in it"
                ) from error
            raise
        self._note_alive()
        self._ticker.start()

    def _note_alive(self) -> None:
        """Notes that the agent sees what happens; not while it cannot keep it, so that the next start knows."""
        if self._state is not None and self._blind_since() is None:
            with contextlib.suppress(OSError):
                self._state.alive()

    def _blind_since(self) -> int | None:
        """Since when a pipeline has had to stop taking records, in nanoseconds since the epoch."""
        times = [line.pipeline.stopped_at for line in self._built.lines]
        return min((t for t in times if t is not None), default=None)

    # --- Building ------------------------------------------------------------------------------------

    def _build(self, state: StateDirectory) -> None:
        service = self.config.service
        self._resource = detect_resource(state.instance_id, service.telemetry.resource)
        tap = Tap()
        factory = ComponentFactory(
            state,
            self._resource,
            self.metrics,
            self.board,
            (state.path,),
            ProcessTable(service.process_table.max_processes),
            tap,
            self._told_to_stop,
        )
        for extension_id in service.extensions:
            spec = self.config.extensions[extension_id]
            extension = factory.extension(spec)
            self._built.extensions.append(extension)
            factory.agent_directories += tuple(extension.directories())
        for pipeline_id in service.pipelines:
            self._built.lines.append(self._build_line(pipeline_id, factory, state))
        for receiver_id, spec in self._used_receivers().items():
            pipelines = [
                line.pipeline
                for line in self._built.lines
                if receiver_id in service.pipelines[line.pipeline.id].receivers
            ]
            emit = FanOut(receiver_id, pipelines, self.metrics, tap)
            self._built.receivers.append(factory.receiver(spec, emit))

    def _used_receivers(self) -> dict[str, ComponentSpec]:
        used = {name for p in self.config.service.pipelines.values() for name in p.receivers}
        return {name: spec for name, spec in self.config.receivers.items() if name in used}

    def _build_line(self, pipeline_id: str, factory: ComponentFactory, state: StateDirectory) -> _Line:
        service = self.config.service
        wanted = service.pipelines[pipeline_id]
        pipeline: Pipeline | None = None

        early: list[JournalNotice] = []

        def notify(notice: JournalNotice) -> None:
            # Notices of the opening itself come before there is a pipeline to carry them.
            if pipeline is None:
                early.append(notice)
            else:
                pipeline.notice(notice)

        journal = Journal.open(
            state.path / "journal" / pipeline_id.replace("/", "_"),
            service.journal,
            logger=logging.getLogger("otel_fim.journal"),
            notify=notify,
        )
        self._built.journals.append(journal)
        processors = []
        for name in wanted.processors:
            spec = self.config.processors[name]
            processors.append(factory.processor(spec, pipeline_id, journal))
        pipeline = Pipeline(
            pipeline_id,
            processors,
            journal,
            queue_size=service.queue_size,
            resource=self._resource,
            scope=self._scope,
            store=self.metrics,
            report=factory.reporter(f"pipeline:{pipeline_id}"),
        )
        exporters, runners = [], []
        for name in wanted.exporters:
            spec = self.config.exporters[name]
            exporter = factory.exporter(spec, pipeline_id)
            letters = DeadLetters(state.path / "dead_letters", f"{pipeline_id}.{name}")
            exporters.append(exporter)
            factory.agent_directories += tuple(exporter.directories())
            runners.append(ExporterRunner(exporter, journal.reader(name), letters, self.metrics, pipeline_id))
        journal.active_readers(wanted.exporters)
        for notice in early:
            pipeline.notice(notice)
        return _Line(pipeline, processors, exporters, runners)

    # --- Starting ------------------------------------------------------------------------------------

    def _start_all(self) -> None:
        built, service = self._built, self.config.service
        for extension in built.extensions:
            self._start_one(extension)
        built.readers = start_readers(service.telemetry.metrics, self.metrics, self._resource)
        for line in built.lines:
            for component in (*line.processors, *line.exporters):
                self._start_one(component)
            line.pipeline.start()
            for runner in line.runners:
                runner.start()
        self._say_started()
        for receiver in built.receivers:
            self._start_one(receiver)

    @staticmethod
    def _start_one(component: AnyComponent) -> None:
        context = component.context
        context.report(Health.STARTING, "")
        try:
            component.start()
        except StartError as error:
            prefix = f"{context.kind}s.{context.id}"
            message = str(error)
            if message.startswith(f"{context.id}."):
                message = f"{context.kind}s.{message}"
            raise StartError(message if message.startswith(prefix) else f"{prefix}: {message}") from error
        except Exception as error:
            raise StartError(f"{context.kind}s.{context.id}: {type(error).__name__}: {error}") from error
        if context.kind in ("processor", "exporter"):
            context.report(Health.OK, "")

    def _say_started(self) -> None:
        assert self._state is not None
        previous = self._state.previous
        attributes: Attributes = {
            names.OTEL_FIM_AGENT_REASON: self._reason,
            names.OTEL_FIM_AGENT_PRIVILEGED: os.geteuid() == 0,
            names.OTEL_FIM_AGENT_PREVIOUS_STOP: previous.ending,
        }
        self._emit_everywhere(events.AGENT_STARTED, attributes, "agent started")
        if previous.ending != "none":
            self.metrics.count(metrics.COVERAGE_GAPS, reason="agent_stopped")
            record = coverage_record(
                reason="agent_stopped",
                scope_text="agent",
                detail=f"the agent did not run; the stop before was {previous.ending}",
                component="agent",
                resource=self._resource,
                scope=self._scope,
                start_unix_nano=previous.last_alive_unix_nano or self._last_recorded(),
                end_unix_nano=time.time_ns(),
            )
            for line in self._built.lines:
                line.pipeline.put_internal([record.copy()])

    def _last_recorded(self) -> int:
        """The time of the newest record in any journal: the best that is known without a state file."""
        newest = [journal.last_record() for journal in self._built.journals]
        return max((r.observed_time_unix_nano for r in newest if r is not None), default=time.time_ns())

    def _emit_everywhere(self, event: str, attributes: Attributes, body: str) -> None:
        for line in self._built.lines:
            record = make_event(
                event,
                dict(attributes),
                resource=self._resource,
                scope=self._scope,
                severity=Severity.INFO,
                body=body,
            )
            line.pipeline.put_internal([record])

    def _tick(self) -> None:
        heartbeat = self.config.service.telemetry.heartbeat
        next_beat = time.monotonic() + heartbeat
        while not self._stopping.wait(min(_ALIVE_SECONDS, heartbeat or _ALIVE_SECONDS)):
            self._note_alive()
            if heartbeat and time.monotonic() >= next_beat:
                next_beat += heartbeat
                self._emit_everywhere(events.AGENT_HEARTBEAT, {}, "agent alive")

    # --- Stopping ------------------------------------------------------------------------------------

    def stop(self, reason: str) -> bool:
        """Drains and stops within `service.shutdown_timeout`; False when something had to be given up."""
        assert self._state is not None
        self._stopping.set()
        self._ticker.join()
        clean = self._tear_down(self.config.service.shutdown_timeout, reason)
        self._state.close(clean=clean, until_unix_nano=self._blind_since())
        return clean

    def _tear_down(self, timeout: float, reason: str | None = None) -> bool:
        deadline = time.monotonic() + timeout
        built = self._built
        clean = True

        def left(share: float = 1.0) -> float:
            return max(0.0, (deadline - time.monotonic()) * share)

        for receiver in built.receivers:
            self._stop_one(receiver, left(0.6))
        if reason is not None:
            self._emit_everywhere(
                events.AGENT_STOPPED, {names.OTEL_FIM_AGENT_REASON: reason}, f"agent stopped: {reason}"
            )
        for line in built.lines:
            if not line.pipeline.stop(left(0.6)):
                logger.error(
                    "pipeline %s could not write all it held to the journal in time", line.pipeline.id
                )
                clean = False
        for line in built.lines:
            for processor in line.processors:
                self._stop_one(processor, left(0.2))
            for runner in line.runners:
                runner.finish()
        for line in built.lines:
            for runner, exporter in zip(line.runners, line.exporters, strict=True):
                if not runner.stop(left(0.8)):
                    logger.warning(
                        "exporter %s did not finish in time; it goes on after the next start",
                        exporter.context.id,
                    )
                self._stop_one(exporter, left(0.5))
        for journal in built.journals:
            journal.close(max(1.0, left(0.5)))
        for reader in built.readers:
            with contextlib.suppress(Exception):
                reader.stop()
        for extension in reversed(built.extensions):
            self._stop_one(extension, max(2.0, left()))
        return clean

    @staticmethod
    def _stop_one(component: AnyComponent, timeout: float) -> None:
        context = component.context
        try:
            component.stop(timeout)
        except Exception:
            context.logger.exception("failed while stopping")
        context.report(Health.STOPPED, "")
