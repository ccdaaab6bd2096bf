"""A receiver's surroundings for tests: records are collected, and durable when the test says so."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from otel_fim import names
from otel_fim.component import Health, ReceiverContext
from otel_fim.names import events
from otel_fim.receivers.file_integrity.backend import Actor, Change, Hint
from otel_fim.receivers.file_integrity.baseline import Baseline
from otel_fim.receivers.file_integrity.config import FileIntegrityConfig
from otel_fim.receivers.file_integrity.engine import Engine
from otel_fim.receivers.file_integrity.scope import Rules, Scope, expand_paths
from otel_fim.receivers.file_integrity.takeover import take_over
from otel_fim.record import Record, Resource
from otel_fim.record import Scope as InstrumentationScope

WAIT = 8.0


class Pipeline:
    """Stands where the pipelines stand: keeps records, and calls `on_durable` at once unless held back."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.durable = True
        self.held: list[Callable[[], None]] = []
        self.raises: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()

    def emit(self, records: Sequence[Record], on_durable: Callable[[], None] | None = None) -> None:
        self.gate.wait(WAIT)
        if self.raises is not None:
            raise self.raises
        self.records += records
        if on_durable is not None:
            if self.durable:
                on_durable()
            else:
                self.held.append(on_durable)

    def files(self) -> list[Record]:
        return [r for r in self.records if names.FILE_PATH in r.attributes]

    def told(self) -> list[tuple[str, str]]:
        """(last word of the event's name, path) of every file record."""
        return [(r.event_name.rsplit(".", 1)[1], str(r.attributes[names.FILE_PATH])) for r in self.files()]

    def gaps(self) -> list[Record]:
        return [r for r in self.records if r.event_name in (events.COVERAGE_GAP, events.COVERAGE_RESTORED)]


class Host:
    """A directory to watch, a pipeline, and an engine that can be stopped and started on the same state."""

    def __init__(self, directory: Path) -> None:
        self.tree = directory / "tree"
        self.tree.mkdir()
        self.state = directory / "state"
        self.state.mkdir()
        self.pipeline = Pipeline()
        self.health: list[tuple[Health, str]] = []
        self.engine: Engine | None = None
        self.baseline: Baseline | None = None
        self.before_start: Callable[[Engine, Scope], object] = lambda engine, scope: None
        self.settings: dict[str, Any] = {"settle": 0.02, "rescan_interval": 0, "exclude": []}

    def context(self) -> ReceiverContext:
        return ReceiverContext(
            id="file_integrity",
            kind="receiver",
            state_directory=self.state,
            service_directory=self.state,
            agent_directories=(self.state,),
            resource=Resource({"host.name": "test"}),
            scope=InstrumentationScope("test"),
            logger=logging.getLogger("test"),
            report=lambda health, message: self.health.append((health, message)),
            count=lambda *args, **kwargs: None,
            emit=self.pipeline.emit,
        )

    def start(self, **settings: Any) -> Engine:
        self.settings.update(settings)
        config = FileIntegrityConfig(**{"paths": [str(self.tree)], **self.settings})
        scope = Scope(expand_paths(config.paths), Rules.of(config), [os.fsencode(self.state)])
        self.baseline = Baseline(self.state / "baseline.db")
        self.engine = Engine(
            config, self.context(), scope, self.baseline, formerly=take_over(self.baseline, scope)
        )
        self.before_start(self.engine, scope)
        self.engine.start()
        self.wait()
        return self.engine

    def stop(self, timeout: float = WAIT) -> None:
        if self.engine is not None:
            self.engine.stop(timeout)
            self.engine = None

    def restart(self, **settings: Any) -> None:
        self.stop()
        self.pipeline.records.clear()
        self.start(**settings)

    def wait(self, until: Callable[[], bool] | None = None) -> None:
        """Until the engine has nothing to do and `until` holds."""
        deadline = time.monotonic() + WAIT
        while time.monotonic() < deadline:
            if self.engine is not None and self.engine.is_quiet() and (until is None or until()):
                return
            time.sleep(0.005)
        raise TimeoutError(f"not quiet after {WAIT} s; told: {self.pipeline.told()[-20:]}")

    def path(self, name: str | bytes) -> bytes:
        return os.path.join(os.fsencode(self.tree), os.fsencode(name) if isinstance(name, str) else name)

    def hint(
        self,
        name: str | bytes,
        change: Change,
        *,
        old: str | bytes | None = None,
        actor: Actor | None = None,
        backend: str = "fanotify",
    ) -> None:
        assert self.engine is not None
        old_path = None if old is None else self.path(old)
        hint = Hint(self.path(name), change, time.time_ns(), actor, old_path)
        self.engine.sink(backend).hints([hint])

    def told(self) -> list[tuple[str, str]]:
        """What was told, with paths relative to the tree."""
        return [(event, os.path.relpath(path, self.tree)) for event, path in self.pipeline.told()]

    def only(self, event: str, name: str) -> Record:
        """The one record of that event and path."""
        found = [
            r
            for r in self.pipeline.files()
            if r.event_name == event and r.attributes[names.FILE_PATH] == str(self.tree / name)
        ]
        assert len(found) == 1, self.told()
        return found[0]


@pytest.fixture(autouse=True)
def files_of_tests_are_old_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that were changed in the last two seconds are looked at twice; in tests all files are that new."""
    for module in ("evaluate", "scanner"):
        monkeypatch.setattr(f"otel_fim.receivers.file_integrity.{module}._RECENT_NS", 20_000_000)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    yield made
    made.pipeline.gate.set()
    made.stop(2.0)


@pytest.fixture(scope="session")
def host_class() -> type[Host]:
    return Host
