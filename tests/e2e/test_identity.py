"""A real agent: the file records of writers that were gone at once name the process, its login and its session."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from otel_fim import names
from otel_fim.names import events

CONFIG = """
receivers:
  file_integrity: {{paths: ["{watched}"], settle: 50ms}}
  process:
processors: {{identity: , attack: , chain: }}
exporters: {{console: }}
service:
  state_directory: "{state}"
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    logs: {{receivers: [file_integrity, process], processors: [identity, attack, chain], exporters: [console]}}
"""
WRITERS = 500
LOGIN_USER = 54321
WRITE = """
import subprocess, sys
# As pam_loginuid does it: the kernel gives the process, and all that it starts, a session of its own.
with open("/proc/self/loginuid", "w") as login:
    login.write(sys.argv[1])
with open("/proc/self/sessionid") as session:
    print(session.read(), flush=True)
for number in range(int(sys.argv[2])):
    writer = subprocess.Popen(["sh", "-c", f"echo x > {sys.argv[3]}/f{number}"])
    writer.wait()
    print(writer.pid)
"""


class Agent:
    def __init__(self, directory: Path) -> None:
        self.watched, self.state = directory / "watched", directory / "state"
        self.errors = directory / "err"
        self.watched.mkdir()
        config = directory / "config.yaml"
        config.write_text(CONFIG.format(watched=self.watched, state=self.state))
        with (directory / "out").open("ab") as out, self.errors.open("ab") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "otel_fim", "run", "-c", str(config)], stdout=out, stderr=err
            )

    def wait_for(self, pattern: str, timeout: float = 60) -> None:
        deadline = time.monotonic() + timeout
        while not re.search(pattern, self.errors.read_text(errors="replace")):
            assert self.process.poll() is None, self.errors.read_text()
            assert time.monotonic() < deadline, self.errors.read_text()
            time.sleep(0.05)

    def records(self) -> list[dict[str, Any]]:
        """The attributes of every record in the journal; the event's name is under the empty name."""
        found = []
        for path in sorted((self.state / "journal/logs").glob("*.jsonl")):
            for line in path.read_bytes().splitlines(keepends=True):
                if not line.endswith(b"\n"):
                    continue  # the agent is writing it
                for resource_logs in json.loads(line)["resourceLogs"]:
                    for scope_logs in resource_logs["scopeLogs"]:
                        for record in scope_logs["logRecords"]:
                            plain = {
                                pair["key"]: next(iter(pair["value"].values()), None)
                                for pair in record["attributes"]
                            }
                            found.append({"": record["eventName"], **plain})
        return found

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    running = Agent(tmp_path)
    yield running
    if running.process.poll() is None:
        running.process.kill()
        running.process.wait(10)


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_writers_that_were_gone_at_once_are_named_with_their_login(agent: Agent) -> None:
    agent.wait_for("file_integrity: compared")
    # A pid and a time prove something once all processes of the last seconds are known.
    time.sleep(4)
    command = [sys.executable, "-c", WRITE, str(LOGIN_USER), str(WRITERS), str(agent.watched)]
    written = subprocess.run(command, check=True, capture_output=True, text=True, timeout=100).stdout.split()
    session, pids = written[0], written[1:]
    deadline = time.monotonic() + 60
    while sum(record[""] == events.FILE_CREATED for record in agent.records()) < WRITERS:
        assert time.monotonic() < deadline, agent.errors.read_text()
        time.sleep(0.2)
    assert agent.stop() == 0
    created = {
        record[names.FILE_NAME]: record for record in agent.records() if record[""] == events.FILE_CREATED
    }
    assert len(created) == WRITERS
    complete = 0
    for number, pid in enumerate(pids):
        record = created[f"f{number}"]
        assert record[names.PROCESS_PID] == pid
        assert record.get(names.OTEL_FIM_LOGIN_SESSION_ID) in (None, session)
        assert record.get(names.OTEL_FIM_LOGIN_USER_ID) in (None, str(LOGIN_USER))
        assert record.get(names.PROCESS_EXECUTABLE_PATH) in (None, os.path.realpath("/bin/sh"))
        complete += {
            names.PROCESS_EXECUTABLE_PATH,
            names.PROCESS_ENTITY_ID,
            names.OTEL_FIM_LOGIN_SESSION_ID,
            names.OTEL_FIM_LOGIN_USER_ID,
        } <= record.keys()
    assert complete >= WRITERS * 0.99
    started = [record for record in agent.records() if record[""] == events.PROCESS_STARTED]
    entities = {record[names.PROCESS_PID]: record.get(names.PROCESS_ENTITY_ID) for record in started}
    # A file's record and the process's own are joined by the id.
    same = sum(
        record.get(names.PROCESS_ENTITY_ID) == entities.get(record[names.PROCESS_PID])
        for record in created.values()
    )
    assert same >= WRITERS * 0.99
