"""A receiver's surroundings for tests: records are collected, and durable when the test says so."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from otel_fim import names
from otel_fim.component import Health, ReceiverContext
from otel_fim.host.table import ProcessTable
from otel_fim.names import events
from otel_fim.receivers.listener import ListenerReceiver
from otel_fim.receivers.listener.config import ListenerConfig
from otel_fim.record import Record, Resource
from otel_fim.record import Scope as InstrumentationScope

WAIT = 20.0


class Host:
    """A listener receiver that can be stopped and started on the same state, and what it tells."""

    def __init__(self, directory: Path) -> None:
        self.state = directory / "state"
        self.state.mkdir()
        self.records: list[Record] = []
        self.durable = True
        self.held: list[Callable[[], None]] = []
        self.health: list[tuple[Health, str]] = []
        self.counted: dict[tuple[Any, ...], float] = {}
        self.receiver: ListenerReceiver | None = None
        self.ports: set[int] = set()
        self.lock = threading.Lock()

    def emit(self, records: Sequence[Record], on_durable: Callable[[], None] | None = None) -> None:
        with self.lock:
            self.records += records
        if on_durable is not None:
            if self.durable:
                on_durable()
            else:
                self.held.append(on_durable)

    def count(self, name: str, amount: float = 1, /, **labels: str) -> None:
        key = (name, *sorted(labels.items()))
        self.counted[key] = self.counted.get(key, 0) + amount

    def context(self) -> ReceiverContext:
        return ReceiverContext(
            id="listener",
            kind="receiver",
            state_directory=self.state,
            service_directory=self.state,
            agent_directories=(self.state,),
            resource=Resource({"host.name": "test"}),
            scope=InstrumentationScope("test"),
            logger=logging.getLogger("test"),
            report=lambda health, message: self.health.append((health, message)),
            count=self.count,
            processes=ProcessTable(),
            emit=self.emit,
        )

    def start(self, **settings: Any) -> None:
        """Starts and waits until the first look is over."""
        self.health.clear()
        config = ListenerConfig.model_validate({"interval": "200ms", **settings})
        self.receiver = ListenerReceiver(config, self.context())
        self.receiver.start()
        self.wait(lambda: any(health is Health.OK for health, _ in self.health))

    def stop(self, timeout: float = 5.0) -> None:
        if self.receiver is not None:
            self.receiver.stop(timeout)
            self.receiver = None

    def wait(self, until: Callable[[], object]) -> None:
        deadline = time.monotonic() + WAIT
        while not until():
            if time.monotonic() > deadline:
                raise TimeoutError(f"told: {[r.body for r in self.records]}, {self.health}")
            time.sleep(0.01)

    def settle(self) -> None:
        """Until a socket that is opened now has been told of: all before it has been looked at twice."""
        for _ in range(2):
            mark = listening(("127.0.0.1", 0))
            port = port_of(mark)
            self.wait(lambda port=port: self.of(port))  # type: ignore[misc]
            mark.close()
            self.wait(lambda port=port: len(self.of(port)) == 2)  # type: ignore[misc]

    def of(self, port: int) -> list[Record]:
        """All records about a port."""
        with self.lock:
            return [r for r in self.records if r.attributes.get(names.NETWORK_LOCAL_PORT) == port]

    def words(self, port: int) -> list[str]:
        return [r.event_name.rsplit(".", 1)[1] for r in self.of(port)]

    def gaps(self) -> list[Record]:
        with self.lock:
            return [
                r for r in self.records if r.event_name in (events.COVERAGE_GAP, events.COVERAGE_RESTORED)
            ]


def listening(
    address: tuple[str, int],
    family: int = socket.AF_INET,
    kind: int = socket.SOCK_STREAM,
    *,
    reuse: bool = False,
) -> socket.socket:
    made = socket.socket(family, kind)
    if reuse:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(address)
    if kind == socket.SOCK_STREAM:
        made.listen()
    return made


def port_of(made: socket.socket) -> int:
    return int(made.getsockname()[1])


@pytest.fixture(name="listening")
def _listening() -> Iterator[Callable[..., socket.socket]]:
    made: list[socket.socket] = []

    def make(*arguments: Any, **settings: Any) -> socket.socket:
        made.append(listening(*arguments, **settings))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def free_port() -> Callable[[], int]:
    """A port outside the range of clients that nobody uses."""

    def find() -> int:
        for _ in range(1000):
            port = 10_000 + int.from_bytes(os.urandom(2)) % 20_000
            try:
                # A TCP socket that is only bound is no listener; a UDP socket would be told of.
                with socket.socket() as tried:
                    tried.bind(("0.0.0.0", port))
                return port
            except OSError:
                continue
        raise OSError("no port is free")

    return find


@pytest.fixture
def spawn() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    made: list[subprocess.Popen[bytes]] = []

    def run(*command: str, **settings: Any) -> subprocess.Popen[bytes]:
        made.append(subprocess.Popen(command, **settings))
        return made[-1]

    yield run
    for each in made:
        each.kill()
        each.wait()
        for stream in (each.stdin, each.stdout, each.stderr):
            if stream is not None:
                stream.close()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    yield made
    made.stop()
