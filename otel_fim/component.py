"""What a receiver, a processor, an exporter and an extension are.

A component is a class with a `Config` (a pydantic model, see `otel_fim.config.model.ComponentConfig`) and
the methods below. It is registered under an entry point (`otel_fim.receivers`, `otel_fim.processors`,
`otel_fim.exporters`, `otel_fim.extensions`), is created with its validated configuration and a context,
and knows nothing of other components. A component never exits the process and never prints: it logs
through `context.logger` and says how it is through `context.report`.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

from otel_fim.config.model import ComponentConfig
from otel_fim.host.table import ProcessTable
from otel_fim.record import Record, Resource, Scope

if TYPE_CHECKING:
    from otel_fim.telemetry.status import ComponentStatus

ConfigT = TypeVar("ConfigT", bound=ComponentConfig)


class Health(Enum):
    """The collector's component status, in the words its health endpoint uses."""

    STARTING = "StatusStarting"
    OK = "StatusOK"
    RECOVERABLE_ERROR = "StatusRecoverableError"
    PERMANENT_ERROR = "StatusPermanentError"
    STOPPED = "StatusStopped"


class StoppingError(Exception):
    """Raised by `ReceiverContext.emit` when the pipeline no longer takes records."""


class StartError(Exception):
    """A component cannot start; the message names the cause and the remedy."""


class RetryableError(Exception):
    """The destination did not take the batch but may later.

    `retry_after` is the delay in seconds that the destination asked for, or None for the exporter's own
    back-off.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class PermanentError(Exception):
    """The destination will never take this batch; it is set aside in the dead-letter file and counted."""


@dataclass(slots=True, frozen=True)
class Context:
    """What every component is given.

    `id` is the configured id (`file_integrity/etc`), `state_directory` is the component's own directory
    below the service's state directory (it exists), `agent_directories` are the places that the agent
    and its child processes write to, `report` takes the component's health and a sentence for people,
    `count` adds to one of the agent's own counters (a metric name, an amount and attributes), `processes` is
    the one process table of the agent, with the logins behind them.
    """

    id: str
    kind: str
    state_directory: Path
    service_directory: Path
    agent_directories: tuple[Path, ...]
    resource: Resource
    scope: Scope
    logger: logging.Logger
    report: Callable[[Health, str], None]
    count: Callable[..., None]
    processes: ProcessTable = field(default_factory=ProcessTable, kw_only=True)


class Emit(Protocol):
    """Hands records to the pipelines.

    Waits while a pipeline's queue is full. `on_durable` is called once, from another thread, after every
    pipeline has the records on disk; it is never called when the agent stops before that. Raises
    `StoppingError` when the agent is past taking records.
    """

    def __call__(self, records: Sequence[Record], on_durable: Callable[[], None] | None = None) -> None: ...


class Listen(Protocol):
    """Has a function called with every batch that any receiver of the agent emits, until the function that is
    given back is called.

    The call comes on the emitting receiver's thread: it must return at once, change nothing and keep nothing.
    """

    def __call__(self, listener: Callable[[Sequence[Record]], None]) -> Callable[[], None]: ...


def _nobody_emits(listener: Callable[[Sequence[Record]], None]) -> Callable[[], None]:
    del listener
    return lambda: None


@dataclass(slots=True, frozen=True)
class ReceiverContext(Context):
    """A receiver's context: `emit` is its way into the pipelines, `listen` its ear for what others emit."""

    emit: Emit = field(kw_only=True)
    listen: Listen = field(default=_nobody_emits, kw_only=True)


def _nothing_recorded(since: int) -> Iterable[Record]:
    del since
    return ()


def _not_stopping() -> bool:
    return False


@dataclass(slots=True, frozen=True)
class ProcessorContext(Context):
    """A processor's context; there is one processor for each pipeline that names it.

    `pipeline` is the pipeline's id. `last_record` gives the newest record in the pipeline's journal, or
    None for an empty journal: what a processor that continues a series starts from. `recorded` gives the journal's
    records that were observed at a time (nanoseconds since the epoch) or later, oldest first: what a processor whose
    state is older than the journal catches up with, while it starts. `stopping` says that the agent has been told to
    stop: a processor whose start takes long then gives up with `StartError`.
    """

    pipeline: str = field(kw_only=True)
    last_record: Callable[[], Record | None] = field(kw_only=True)
    stopping: Callable[[], bool] = field(default=_not_stopping, kw_only=True)
    recorded: Callable[[int], Iterable[Record]] = field(default=_nothing_recorded, kw_only=True)


@dataclass(slots=True, frozen=True)
class ExporterContext(Context):
    """An exporter's context; there is one exporter for each pipeline that names it."""

    pipeline: str = field(kw_only=True)


@dataclass(slots=True, frozen=True)
class ExtensionContext(Context):
    """An extension's context: it may also ask how the other components are."""

    statuses: Callable[[], Sequence[ComponentStatus]] = field(kw_only=True)
    overall_health: Callable[[], Health] = field(kw_only=True)


class Component(ABC, Generic[ConfigT]):
    """What all components share. `Config` is the component's configuration model."""

    Config: ClassVar[type[ComponentConfig]]
    stability: ClassVar[str] = "alpha"
    """The collector's stability levels: development, alpha, beta, stable, deprecated."""
    context: Context

    def start(self) -> None:
        """Begin work and return. Raises `StartError` when that is not possible."""

    def stop(self, timeout: float) -> None:
        """End work within `timeout` seconds and return. Called once, also after a failed `start`."""

    def directories(self) -> Sequence[Path]:
        """Files and directories that this component and its children write, so that receivers leave them alone.

        Asked once, before any receiver is made.
        """
        return ()


class Receiver(Component[ConfigT]):
    """Turns what the host does into records, on threads of its own."""

    context: ReceiverContext

    def __init__(self, config: ConfigT, context: ReceiverContext) -> None:
        self.config = config
        self.context = context

    @abstractmethod
    def start(self) -> None: ...


class Processor(Component[ConfigT]):
    """Takes a batch, gives a batch back. Called from one thread, in the pipeline's order."""

    context: ProcessorContext

    def __init__(self, config: ConfigT, context: ProcessorContext) -> None:
        self.config = config
        self.context = context

    @abstractmethod
    def process(self, records: list[Record]) -> list[Record]:
        """The records to pass on: changed in place, added to, or fewer. May return its argument."""

    def tick(self) -> list[Record]:
        """Records that became due without any coming in; they go on to the processors behind this one.

        Called from the thread that calls `process`, about once a second while nothing arrives and between batches.
        Must be cheap when there is nothing to do.
        """
        return []


@dataclass(slots=True)
class ExportResult:
    """What the destination said of a batch that it took (OTLP partial success)."""

    rejected: int = 0
    message: str = ""


class Batch(Protocol):
    """Records on their way out, in journal order, all of one pipeline.

    `lines` are the journal's own lines (OTLP/JSON `LogsData`, one a line, no newline at the end);
    `records` are the same, decoded on first use.
    """

    @property
    def lines(self) -> Sequence[bytes]: ...

    @property
    def records(self) -> Sequence[Record]: ...

    @property
    def record_count(self) -> int: ...


class Exporter(Component[ConfigT]):
    """Delivers batches. Called from one thread of its own; a slow exporter delays no other.

    `export` returns only when the destination has acknowledged the batch; then the cursor moves. It
    raises `RetryableError` to be called again with the same batch, `PermanentError` to have the batch set
    aside. Any other exception counts as retryable.
    """

    context: ExporterContext

    def __init__(self, config: ConfigT, context: ExporterContext) -> None:
        self.config = config
        self.context = context

    @abstractmethod
    def export(self, batch: Batch) -> ExportResult: ...


class Extension(Component[ConfigT]):
    """Something beside the pipelines: the health endpoint, the embedded store."""

    context: ExtensionContext

    def __init__(self, config: ConfigT, context: ExtensionContext) -> None:
        self.config = config
        self.context = context


AnyComponent = Component[Any]
AnyReceiver = Receiver[Any]
AnyProcessor = Processor[Any]
AnyExporter = Exporter[Any]
AnyExtension = Extension[Any]
