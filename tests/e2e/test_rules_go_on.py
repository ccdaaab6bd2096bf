"""A real agent with a correlation: half of what it counts comes before a reload, a stop or a kill, half after it."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

CONFIG = """
extensions: {{health_check: {{endpoint: "127.0.0.1:{port}"}}}}
receivers: {{file_integrity: {{paths: ["{watched}"], settle: 20ms}}}}
processors: {{rules: {{pack: false, paths: ["{rules}"], lateness: 200ms}}, risk: , chain: }}
exporters: {{console: }}
service:
  state_directory: "{state}"
  extensions: [health_check]
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{logs: {{receivers: [file_integrity], processors: [rules, risk, chain], exporters: [console]}}}}
"""
RULES = """
title: A File
id: 3f3c6f0e-3a58-4b8e-8f8e-6f2d6b7f6b11
name: a_file
logsource: {product: otel_fim, service: file}
detection: {created: {event_name: otel_fim.file.created}, condition: created}
---
title: Four Files
id: 0f0a3b8c-52a5-4f0d-9f4c-1e6a2d9a7c22
correlation: {type: event_count, rules: [a_file], group-by: [host.name], timespan: 1h, condition: {gte: 4}}
level: high
"""


class Agent:
    def __init__(self, directory: Path) -> None:
        self.watched, self.rules = directory / "watched", directory / "rules"
        self.watched.mkdir()
        self.rules.mkdir()
        (self.rules / "files.yml").write_text(RULES)
        self.out, self.err, self.config = directory / "out", directory / "err", directory / "config.yaml"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.config.write_text(
            CONFIG.format(port=port, watched=self.watched, rules=self.rules, state=directory / "state")
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        seen = self.log().count("compared")
        with self.out.open("ab") as out, self.err.open("ab") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "otel_fim", "run", "-c", str(self.config)], stdout=out, stderr=err
            )
        self.wait_for("compared", seen + 1)

    def create(self, name: str) -> None:
        (self.watched / name).write_text("x")
        self.wait_for(rf"CREATED .*/{name} ", 1)

    def findings(self) -> int:
        return len(re.findall(r"^\[FINDING\] HIGH \"Four Files\"", self.out.read_text(), re.MULTILINE))

    def log(self) -> str:
        return "".join(each.read_text() for each in (self.out, self.err) if each.exists())

    def wait_for(self, pattern: str, times: int) -> None:
        deadline = time.monotonic() + 60
        while len(re.findall(pattern, self.log())) < times:
            assert time.monotonic() < deadline, f"{pattern} not seen {times} times\n{self.log()}"
            assert self.process is not None
            assert self.process.poll() is None, self.log()
            time.sleep(0.05)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    agent = Agent(tmp_path)
    yield agent
    if agent.process is not None and agent.process.poll() is None:
        agent.process.kill()
        agent.process.wait(20)


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("how", ["reload", "stop", "kill"])
def test_a_window_goes_on(agent: Agent, how: str) -> None:
    agent.start()
    for name in ("one", "two", "three"):
        agent.create(name)
    (agent.rules / "broken.yml").write_text("title: Broken\nlogsource: {product: otel_fim}\n")
    assert agent.process is not None
    if how == "reload":
        agent.process.send_signal(signal.SIGHUP)
        agent.wait_for("reloaded\n", 1)
        agent.wait_for("compared", 2)
    else:
        agent.process.send_signal(signal.SIGKILL if how == "kill" else signal.SIGTERM)
        agent.process.wait(30)
        agent.start()
    # A rule that came meanwhile and cannot be used is named; the others, and what they remember, go on.
    assert re.search(r"broken\.yml.*Broken", agent.log()), agent.log()
    assert agent.findings() == 0
    agent.create("four")
    agent.wait_for(r'\[FINDING\] HIGH "Four Files"', 1)
    agent.create("five")
    agent.process.terminate()
    assert agent.process.wait(30) == 0
    assert agent.findings() == 1
