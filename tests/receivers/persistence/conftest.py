"""A root to watch, a pipeline whose records are durable when the test says so, and an engine that can be restarted."""

from __future__ import annotations

import logging
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from otel_fim import names
from otel_fim.component import Health, ReceiverContext
from otel_fim.names import events
from otel_fim.receivers.persistence import PersistenceReceiver
from otel_fim.receivers.persistence.config import PersistenceConfig
from otel_fim.receivers.persistence.engine import Engine
from otel_fim.receivers.persistence.kinds import all_kinds
from otel_fim.receivers.persistence.state import State
from otel_fim.record import Attributes, Record, Resource, Scope

TOLD = (events.PERSISTENCE_ADDED, events.PERSISTENCE_CHANGED, events.PERSISTENCE_REMOVED)


class Pipeline:
    """Keeps records; `on_durable` is called at once unless `durable` is false, when it waits in `held`."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.batches: list[int] = []
        self.durable = True
        self.held: list[Callable[[], None]] = []
        self.arrived = threading.Condition()

    def emit(self, records: Sequence[Record], on_durable: Callable[[], None] | None = None) -> None:
        with self.arrived:
            self.records += records
            self.batches.append(len(records))
            self.arrived.notify_all()
        if on_durable is not None:
            if self.durable:
                on_durable()
            else:
                self.held.append(on_durable)

    def wait_for(self, condition: Callable[[], bool], seconds: float = 30) -> None:
        with self.arrived:
            assert self.arrived.wait_for(condition, seconds), self.told()

    def told(self) -> list[tuple[str, str]]:
        """(last word of the event's name, id) of every record about an item."""
        return [
            (r.event_name.rsplit(".", 1)[1], str(r.attributes[names.OTEL_FIM_PERSISTENCE_ID]))
            for r in self.records
            if r.event_name in TOLD
        ]

    def take(self) -> list[Record]:
        """The records about items since the last call."""
        with self.arrived:
            found = [r for r in self.records if r.event_name in TOLD]
            self.records = [r for r in self.records if r.event_name not in TOLD]
        return found


class Bench:
    """A root in a directory, and an engine on it that is driven by hand (or a whole receiver)."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "root"
        (self.root / "etc").mkdir(parents=True)
        self.state = directory / "state"
        self.state.mkdir()
        self.pipeline = Pipeline()
        self.counts: Counter[str] = Counter()
        self.health: list[tuple[Health, str]] = []
        self.resource = Resource({names.HOST_NAME: "here"})
        self.listeners: list[Callable[[Sequence[Record]], None]] = []
        self.engine: Engine | None = None
        self.receivers: list[PersistenceReceiver] = []

    def context(self) -> ReceiverContext:
        def count(metric: str, amount: int = 1, **_: str) -> None:
            self.counts[metric] += amount

        def listen(listener: Callable[[Sequence[Record]], None]) -> Callable[[], None]:
            self.listeners.append(listener)
            return lambda: self.listeners.remove(listener)

        return ReceiverContext(
            id="persistence",
            kind="persistence",
            state_directory=self.state,
            service_directory=self.state.parent,
            agent_directories=(),
            resource=self.resource,
            scope=Scope("otel_fim.receivers.persistence"),
            logger=logging.getLogger("otel_fim.test"),
            report=lambda health, text: self.health.append((health, text)),
            count=count,
            emit=self.pipeline.emit,
            listen=listen,
        )

    def config(self, **settings: Any) -> PersistenceConfig:
        return PersistenceConfig.model_validate({"root": str(self.root), "debounce": "10ms", **settings})

    def start(self, **settings: Any) -> Engine:
        """A new run: a first scan, no thread."""
        config = self.config(**settings)
        kinds = [make() for name, make in all_kinds().items() if not config.kinds or name in config.kinds]
        self.engine = Engine(config, self.context(), kinds, State(self.state / "persistence.db"))
        self.engine.first_scan()
        return self.engine

    def stop(self, *, crash: bool = False) -> None:
        """Ends the run. After a crash, nothing that was under way arrives any more."""
        assert self.engine is not None
        if crash:
            self.pipeline.held.clear()
        self.engine.stop(0.1)
        self.engine = None

    def look(self) -> list[Record]:
        """A scan, and what it tells."""
        assert self.engine is not None
        self.engine.scan()
        self.engine.look_at_what_waits()
        return self.pipeline.take()

    def receiver(self, **settings: Any) -> PersistenceReceiver:
        """A whole receiver with its thread, ready."""
        receiver = PersistenceReceiver(self.config(**settings), self.context())
        self.receivers.append(receiver)
        receiver.start()
        engine = receiver._engine
        assert engine is not None
        assert engine.compared.wait(30), self.health
        return receiver

    def file_event(
        self, path: str, event: str = events.FILE_MODIFIED, actor: Attributes | None = None, **more: Any
    ) -> Record:
        """A record of the file integrity receiver for a path in the root."""
        attributes: Attributes = {names.FILE_PATH: f"{self.root}{path}", **(actor or {}), **more}
        return Record(
            time_unix_nano=1_700_000_000_000_000_000,
            event_name=event,
            attributes=attributes,
            resource=self.resource,
        )

    def write(self, path: str, content: str | bytes, mode: int = 0o644) -> Path:
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        target.chmod(mode)
        return target


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that others may enter: pytest closes its own to all but the user, and again at every start."""
    with tempfile.TemporaryDirectory(prefix="otel-fim-test-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    for receiver in made.receivers:
        receiver.stop(5)
    if made.engine is not None:
        made.stop()
