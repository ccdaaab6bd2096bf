"""`otel-fim run` inside a private host, and what it told."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tests.interop.auth.login_host import ENVIRONMENT, TIMEOUT, LoginHost, wait_for


class Agent:
    """`otel-fim run` inside a host. `receivers` and `processors` are their configuration."""

    def __init__(
        self,
        host: LoginHost,
        receivers: dict[str, Any],
        processors: dict[str, Any] | None = None,
        **more: dict[str, Any],
    ) -> None:
        self.host = host
        self.receivers = receivers
        self.directory = Path(tempfile.mkdtemp(prefix="agent-", dir=host.directory))
        self.output = self.directory / "records.json"
        self.log_file = self.directory / "log"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.health_port = free.getsockname()[1]
        processors = {"chain": None} if processors is None else processors
        exporters = {"otlp_file": {"path": str(self.output), "fsync": False}, **more.get("exporters", {})}
        extensions = {
            "health_check": {"endpoint": f"127.0.0.1:{self.health_port}"},
            **more.get("extensions", {}),
        }
        pipeline = {
            "receivers": list(receivers),
            "processors": list(processors),
            "exporters": list(exporters),
        }
        self.config = {
            "receivers": receivers,
            "processors": processors,
            "exporters": exporters,
            "extensions": extensions,
            "service": {
                "state_directory": str(self.directory / "state"),
                "extensions": list(extensions),
                "telemetry": {"metrics": {"level": "none"}},
                "pipelines": {"logs": pipeline},
            },
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it and waits until every receiver has said that it is there."""
        file = self.directory / "config.yaml"
        file.write_text(yaml.safe_dump(self.config))
        command = [sys.executable, "-m", "otel_fim", "run", "-c", str(file)]
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig=KILL", *self.host.command(command)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=ENVIRONMENT,
            )
        wanted = {f"receiver:{name}" for name in self.receivers}
        self.wait_for(lambda: wanted <= self._ready(), f"{wanted} ready")

    def stop(self) -> list[dict[str, Any]]:
        """Has it drain and end; all its records."""
        assert self.process is not None
        self.process.terminate()
        assert self.process.wait(TIMEOUT) == 0, self.log()
        return self.records()

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(20)

    def records(self) -> list[dict[str, Any]]:
        """What was exported so far, in order: attributes by name, with `event` and `time` (ns) beside them."""
        found = []
        lines = self.output.read_bytes().split(b"\n")[:-1] if self.output.exists() else []
        for line in lines:
            for resource in json.loads(line)["resourceLogs"]:
                for scope in resource["scopeLogs"]:
                    for record in scope["logRecords"]:
                        plain = {pair["key"]: _plain(pair["value"]) for pair in record["attributes"]}
                        plain["event"] = record.get("eventName", "").removeprefix("otel_fim.")
                        plain["time"] = int(record["timeUnixNano"])
                        found.append(plain)
        return found

    def wait_for(self, condition: Callable[[], Any], what: str) -> Any:
        """As `wait_for`, with the agent's log in the error; an agent that has ended is an error too."""
        assert self.process is not None
        ended = self.process.poll
        try:
            return wait_for(lambda: ended() is not None or condition(), what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log()}") from None
        finally:
            assert ended() is None, self.log()

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")[-6000:]

    def _ready(self) -> set[str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.health_port}/", timeout=5) as answer:
                body = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                body = json.loads(error.read())
        except OSError:
            return set()
        return {
            name
            for name, component in body["components"].items()
            if component["status"] in ("StatusOK", "StatusRecoverableError")
        }


def _plain(value: dict[str, Any]) -> Any:
    """An OTLP/JSON AnyValue as Python has it."""
    for kind, content in value.items():
        if kind == "intValue":
            return int(content)
        if kind == "arrayValue":
            return [_plain(each) for each in content.get("values", ())]
        return content
    return None
