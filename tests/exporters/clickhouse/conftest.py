"""A real embedded store in a process of its own, and exporters that write to it."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest

from otel_fim import names
from otel_fim.component import ExporterContext, Health
from otel_fim.exporters.clickhouse import ClickHouseConfig, ClickHouseExporter
from otel_fim.names import events
from otel_fim.record import Record, Resource, component_scope

_START_SECONDS = 60.0
_RESOURCE = Resource({names.SERVICE_NAME: "otel-fim", names.HOST_NAME: "web-1"}, "https://example.com/schema")
_SCOPE = component_scope("otel_fim.receivers.file_integrity")


class Store:
    """`python -m otel_fim.store` on a directory, on the same port each time it starts."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def password_file(self) -> Path:
        return self.directory / "writer.password"

    def start(self) -> None:
        command = [sys.executable, "-m", "otel_fim.store", "--data", str(self.directory)]
        with (self.directory.parent / "store.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--listen", f"127.0.0.1:{self._port}"], stdout=log, stderr=log
            )
        deadline = time.monotonic() + _START_SECONDS
        while True:
            assert self._process.poll() is None, (self.directory.parent / "store.log").read_text()
            with socket.socket() as probe:
                probe.settimeout(1)
                if probe.connect_ex(("127.0.0.1", self._port)) == 0:
                    break
            assert time.monotonic() < deadline, "the store did not start"
            time.sleep(0.05)
        with self.client() as client:  # listening comes before serving
            assert client.ping(timeout=_START_SECONDS)

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def end(self, number: int) -> None:
        """Ends the process by a signal and waits for that."""
        if self._process is not None:
            if self.is_running:
                os.kill(self._process.pid, number)
            self._process.wait(30)

    def client(self) -> Any:
        """A client of its own, with the writer's rights."""
        return clickhouse_connect.get_client(
            host="127.0.0.1",
            port=self._port,
            username="writer",
            password=self.password_file.read_text().strip(),
            autogenerate_session_id=False,
            dedicated_pool=True,
            send_receive_timeout=60,
        )


@pytest.fixture(scope="package")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    directory = tmp_path_factory.mktemp("clickhouse") / "store"
    directory.mkdir()
    running = Store(directory)
    running.start()
    yield running
    running.end(signal.SIGTERM)


@pytest.fixture
def client(store: Store) -> Iterator[Any]:
    with store.client() as open_client:
        yield open_client


@pytest.fixture
def database(client: Any) -> Iterator[str]:
    """The name of a database that does not exist, removed afterwards."""
    name = f"t_{uuid.uuid4().hex[:8]}"
    yield name
    client.command(f"DROP DATABASE IF EXISTS `{name}` SYNC")


@dataclass
class FakeBatch:
    """A batch that is only its records; this exporter asks for nothing else."""

    records: Sequence[Record]
    lines: Sequence[bytes] = ()

    @property
    def record_count(self) -> int:
        return len(self.records)


@dataclass
class Chain:
    """Makes the records of one stream."""

    stream: str = field(default_factory=lambda: str(uuid.uuid4()))

    def record(self, number: int, time_ns: int | None = None, **attributes: Any) -> Record:
        return Record(
            time_unix_nano=1_768_314_735_000_000_000 + number * 1000 if time_ns is None else time_ns,
            observed_time_unix_nano=1_768_314_735_000_000_000,
            event_name=events.FILE_MODIFIED,
            severity_number=13,
            severity_text="WARN",
            body=f"record {number}",
            attributes={
                names.FILE_PATH: f"/etc/{number}",
                names.FILE_SIZE: number,
                names.AUDIT_SEQUENCE_STREAM_ID: self.stream,
                names.AUDIT_SEQUENCE_NUMBER: number,
                **attributes,
            },
            resource=_RESOURCE,
            scope=_SCOPE,
        )

    def batch(self, *numbers: range | int) -> FakeBatch:
        flat = [n for part in numbers for n in (part if isinstance(part, range) else (part,))]
        return FakeBatch([self.record(number) for number in flat])


@pytest.fixture
def chain() -> Chain:
    return Chain()


@pytest.fixture
def make_batch() -> Callable[[Sequence[Record]], FakeBatch]:
    return FakeBatch


class Running:
    """An exporter with what it reported."""

    def __init__(self, config: ClickHouseConfig, directory: Path) -> None:
        self.reports: list[tuple[Health, str]] = []
        context = ExporterContext(
            id="clickhouse",
            kind="exporter",
            state_directory=directory,
            service_directory=directory,
            agent_directories=(),
            resource=_RESOURCE,
            scope=_SCOPE,
            logger=logging.getLogger("otel_fim.clickhouse"),
            report=lambda health, message: self.reports.append((health, message)),
            count=lambda *_, **__: None,
            pipeline="logs",
        )
        self.exporter = ClickHouseExporter(config, context)
        self.exporter.start()
        self.export = self.exporter.export

    def stop(self) -> None:
        self.exporter.stop(1.0)


@pytest.fixture
def exporter_for(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Makes exporters from configuration keys; they are stopped at the end of the test."""
    made: list[Running] = []

    def make(**keys: Any) -> Running:
        running = Running(ClickHouseConfig.model_validate(keys), tmp_path)
        made.append(running)
        return running

    yield make
    for running in made:
        running.stop()


@pytest.fixture
def exporter(store: Store, database: str, exporter_for: Callable[..., Running]) -> Callable[..., Running]:
    """Makes exporters that write to this test's database."""

    def make(**keys: Any) -> Running:
        return exporter_for(
            **{
                "endpoint": store.endpoint,
                "username": "writer",
                "password_file": str(store.password_file),
                "database": database,
                "timeout": "60s",
                **keys,
            }
        )

    return make
