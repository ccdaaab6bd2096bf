"""A real agent in a process of its own, with the embedded store, and what tests ask of both."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

CONFIG = """
extensions:
  embedded_store: {{listen: "127.0.0.1:{store}"}}
  health_check: {{endpoint: "127.0.0.1:{health}"}}
receivers:
  file_integrity:
    paths: ["{watched}"]
    include_hidden: true
    exclude: []
    settle: 20ms
    backend: {backend}
processors: {{attack: , chain: }}
exporters:
  console:
  clickhouse:
    endpoint: "http://127.0.0.1:{store}"
    username: writer
    password_file: store/writer.password
    retry_on_failure: {{initial_interval: 100ms, max_interval: 500ms}}
service:
  state_directory: "{state}"
  extensions: [health_check, embedded_store]
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    logs: {{receivers: [file_integrity], processors: [attack, chain], exporters: [console, clickhouse]}}
"""


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


class Host:
    """One agent's home: what it watches, its state, its configuration, and the running process."""

    def __init__(self, directory: Path, backend: str = "auto") -> None:
        self.watched = directory / "watched"
        self.state = directory / "state"
        self.stdout = directory / "stdout"
        self.stderr = directory / "stderr"
        self.watched.mkdir(exist_ok=True)
        self.store_port, self.health_port = free_ports(2)
        self.config = directory / "config.yaml"
        self.config.write_text(
            CONFIG.format(
                watched=self.watched,
                state=self.state,
                store=self.store_port,
                health=self.health_port,
                backend=backend,
            )
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True) -> None:
        with self.stdout.open("ab") as out, self.stderr.open("ab") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "otel_fim", "run", "-c", str(self.config)], stdout=out, stderr=err
            )
        if wait:
            self.wait_for(lambda: self.health().get("receiver:file_integrity") == "StatusOK", "the receiver")

    def health(self) -> dict[str, str]:
        """Status by component; empty while nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.health_port}/", timeout=5) as answer:
                body = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                body = json.loads(error.read())
        except OSError:
            return {}
        return {name: component["status"] for name, component in body["components"].items()}

    def query(self, sql: str, user: str = "reader") -> list[dict[str, Any]]:
        """Rows of the embedded store. Raises `OSError` while it is not there."""
        password = (self.state / "store" / f"{user}.password").read_text().strip()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.store_port}/?"
            + urllib.parse.urlencode({"default_format": "JSONEachRow"}),
            data=sql.encode(),
            headers={"Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode()},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return [json.loads(line) for line in answer.read().splitlines()]

    def wait_for(self, condition: Callable[[], bool], what: str, timeout: float = 60) -> None:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            try:
                if condition():
                    return
            except (OSError, ValueError):
                pass
            assert self.process is not None
            if self.process.poll() is not None:
                raise AssertionError(f"the agent ended with {self.process.returncode}\n{self.log()}")
            time.sleep(0.05)
        raise AssertionError(f"{what} did not happen in {timeout} s\n{self.log()}")

    def store_pid(self) -> int | None:
        """The store's process: the agent's child that runs it."""
        assert self.process is not None
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                arguments = Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"store" in arguments and str(self.state / "store").encode() in arguments:
                return int(entry)
        return None

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(30)

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(40)

    def log(self) -> str:
        return self.stderr.read_text(errors="replace")[-6000:]


@pytest.fixture
def make_host(tmp_path: Path) -> Iterator[Callable[..., Host]]:
    hosts: list[Host] = []

    def make(**options: Any) -> Host:
        host = Host(tmp_path, **options)
        hosts.append(host)
        return host

    yield make
    for host in hosts:
        if host.process is not None and host.process.poll() is None:
            host.process.kill()
            host.process.wait(30)
        pid = host.store_pid() if host.process is not None else None
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
