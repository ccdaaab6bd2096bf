"""A real store in a process of its own, and ways to talk to it."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import clickhouse_connect
import pytest

START_SECONDS = 60.0


@dataclass
class Answer:
    """An HTTP answer, read to its end; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes
    complete: bool = True

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    @property
    def code(self) -> int:
        return int(self.headers.get("x-clickhouse-exception-code", "0"))


@dataclass
class Store:
    """`python -m otel_fim.store` on a directory."""

    directory: Path
    arguments: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.directory.with_name(self.directory.name + ".log")

    def spawn(self) -> None:
        command = [sys.executable, "-m", "otel_fim.store", "--data", str(self.directory)]
        if "--listen" not in self.arguments:
            command += ["--listen", "127.0.0.1:0"]
        self.address_file.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([*command, *self.arguments], stdout=log, stderr=log)

    def start(self) -> Store:
        self.spawn()
        deadline = time.monotonic() + START_SECONDS
        while not self.address_file.exists():
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, "the store did not start"
            time.sleep(0.02)
        return self

    def end(self, number: int = signal.SIGTERM) -> int:
        """Ends the process by a signal; its exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            os.kill(self.process.pid, number)
        return self.process.wait(30)

    @property
    def address_file(self) -> Path:
        return self.directory / "address"

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.address_file.read_text().strip().rpartition(":")
        return host.strip("[]"), int(port)

    def password(self, user: str = "writer") -> str:
        return (self.directory / f"{user}.password").read_text().strip()

    def client(self, user: str = "writer", **options: Any) -> Any:
        host, port = self.address
        return clickhouse_connect.get_client(
            host=host, port=port, username=user, password=self.password(user), **options
        )

    def request(
        self,
        body: Any = None,
        *,
        method: str | None = None,
        path: str = "/",
        user: str | None = "writer",
        headers: dict[str, str] | None = None,
        parameters: dict[str, Any] | None = None,
        timeout: float = 60,
    ) -> Answer:
        """One request on a connection of its own. A `body` that is a list is sent in chunks."""
        connection = http.client.HTTPConnection(*self.address, timeout=timeout)
        body = body.encode() if isinstance(body, str) else body
        sent = dict(headers or {})
        if user is not None:
            token = b64encode(f"{user}:{self.password(user)}".encode()).decode()
            sent.setdefault("Authorization", f"Basic {token}")
        url = path + (f"?{urlencode(parameters)}" if parameters else "")
        try:
            connection.request(
                method or ("GET" if body is None else "POST"),
                url,
                body=iter(body) if isinstance(body, list) else body,
                headers=sent,
                encode_chunked=isinstance(body, list),
            )
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            try:
                return Answer(answer.status, found, answer.read())
            except http.client.IncompleteRead as error:
                return Answer(answer.status, found, error.partial, complete=False)
        finally:
            connection.close()

    def query(self, sql: str | bytes, user: str = "writer", **parameters: Any) -> str:
        """The text of a successful answer."""
        answer = self.request(sql, method="POST", user=user, parameters=parameters)
        assert answer.status == 200, answer.text
        return answer.text


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One store for all tests that leave it as they found it."""
    made = Store(tmp_path_factory.mktemp("store") / "data")
    yield made.start()
    assert made.end() == 0, made.log.read_text()


@pytest.fixture
def own_store(tmp_path: Path) -> Iterator[Store]:
    """A store for one test, not started."""
    made = Store(tmp_path / "own")
    yield made
    if made.process is not None and made.process.poll() is None:
        made.process.kill()
        made.process.wait()
