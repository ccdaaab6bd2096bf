"""The agent as people run it: signals, reload, refusal, the ordinary user."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

SMALL = """
receivers:
  file_integrity: {{paths: ["{watched}"], settle: 20ms{extra}}}
processors: {{attack: , chain: }}
exporters: {{console: }}
extensions: {{health_check: {{endpoint: "127.0.0.1:{port}"}}}}
service:
  state_directory: "{state}"
  extensions: [health_check]
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    logs: {{receivers: [file_integrity], processors: [attack, chain], exporters: [console]}}
"""


class SmallAgent:
    """An agent without a store: what it prints and what it writes."""

    def __init__(self, directory: Path, prefix: Sequence[str] = ()) -> None:
        self.directory = directory
        self.watched = directory / "watched"
        self.state = directory / "state"
        self.config = directory / "config.yaml"
        self.stdout, self.stderr = directory / "out", directory / "err"
        self.watched.mkdir(exist_ok=True)
        self.write_config()
        with self.stdout.open("ab") as out, self.stderr.open("ab") as err:
            self.process = subprocess.Popen(
                [*prefix, sys.executable, "-m", "otel_fim", "run", "-c", str(self.config)],
                stdout=out,
                stderr=err,
            )

    def write_config(self, extra: str = "", port: int = 0) -> None:
        self.config.write_text(SMALL.format(watched=self.watched, state=self.state, extra=extra, port=port))

    def wait_for(self, pattern: str, file: str = "err", timeout: float = 30) -> None:
        path = self.directory / file
        deadline = time.monotonic() + timeout
        while not re.search(pattern, path.read_text(errors="replace")):
            assert self.process.poll() is None or file == "err", self.stderr.read_text()
            assert time.monotonic() < deadline, (
                f"{pattern!r} not in {file}:\n{path.read_text(errors='replace')}"
            )
            time.sleep(0.02)

    def ready(self) -> None:
        """Waits until the baseline is there: what was made before belongs to it and is no change."""
        self.wait_for(r"file_integrity: compared")

    def journal(self) -> list[dict[str, Any]]:
        """The log records in the journal, in order, attributes as a plain dictionary."""
        records = []
        for path in sorted((self.state / "journal/logs").glob("*.jsonl")):
            for line in path.read_bytes().splitlines():
                for resource_logs in json.loads(line)["resourceLogs"]:
                    for scope_logs in resource_logs["scopeLogs"]:
                        for record in scope_logs["logRecords"]:
                            record["plain"] = {
                                pair["key"]: next(iter(pair["value"].values()), None)
                                for pair in record["attributes"]
                            }
                            records.append(record)
        return records

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@pytest.fixture
def agents(tmp_path: Path) -> Iterator[Callable[..., SmallAgent]]:
    made: list[SmallAgent] = []

    def make(directory: Path = tmp_path, prefix: Sequence[str] = ()) -> SmallAgent:
        made.append(SmallAgent(directory, prefix))
        return made[-1]

    yield make
    for agent in made:
        if agent.process.poll() is None:
            agent.process.kill()
            agent.process.wait(10)


def test_a_change_is_an_alert_with_user_and_executable_and_a_sealed_record(agents: Any) -> None:
    agent = agents()
    agent.ready()
    target = agent.watched / "hosts"
    subprocess.run(["sh", "-c", f"echo x >> {target}; sleep 0.5"], check=True, timeout=10)
    agent.wait_for(r"\[ALERT\] CREATED .*/hosts", "out")
    assert agent.stop() == 0
    alert = next(line for line in agent.stdout.read_text().splitlines() if "/hosts" in line)
    records = agent.journal()
    created = next(r for r in records if r["eventName"] == "otel_fim.file.created")
    if os.geteuid() == 0:
        assert "root" in alert
        assert os.path.realpath(shutil.which("sh") or "") in alert
        assert created["plain"]["process.executable.path"] == os.path.realpath(shutil.which("sh") or "")
        assert created["plain"]["otel_fim.file.backend"] == "fanotify"
    assert [int(r["plain"]["audit.sequence.number"]) for r in records] == list(range(1, len(records) + 1))
    assert records[0]["eventName"] == "otel_fim.stream.started"
    assert records[-1]["eventName"] == "otel_fim.agent.stopped"
    assert records[-1]["plain"]["otel_fim.agent.reason"] == "SIGTERM"


def test_changes_made_while_the_agent_was_down_are_reported_as_such(agents: Any) -> None:
    agent = agents()
    agent.ready()
    (agent.watched / "stays").write_text("a")
    agent.wait_for(r"CREATED .*/stays", "out")
    assert agent.stop() == 0
    (agent.watched / "stays").write_text("b")
    (agent.watched / "new").write_text("c")
    again = agents(agent.directory)
    again.wait_for(r"MODIFIED .*/stays", "out")
    again.wait_for(r"CREATED .*/new", "out")
    assert again.stop() == 0
    records = again.journal()
    late = [r["plain"] for r in records if r["plain"].get("otel_fim.file.while_down")]
    assert {p["file.name"] for p in late} == {"stays", "new"}
    assert all(p["otel_fim.file.backend"] == "scan" for p in late)
    gap = next(r["plain"] for r in records if r["plain"].get("otel_fim.coverage.reason") == "agent_stopped")
    assert "clean" in gap["otel_fim.coverage.detail"]
    assert len({r["plain"]["audit.sequence.stream_id"] for r in records}) == 1


def test_a_second_agent_on_the_same_state_is_refused(agents: Any) -> None:
    agent = agents()
    agent.ready()
    second = subprocess.run(
        [sys.executable, "-m", "otel_fim", "run", "-c", str(agent.config)],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert second.returncode == 1
    assert f"in use by another otel-fim (pid {agent.process.pid})" in second.stderr
    assert "Traceback" not in second.stderr


def test_an_invalid_reload_keeps_the_old_configuration_running_and_says_why(agents: Any) -> None:
    agent = agents()
    agent.ready()
    agent.config.write_text("receivers: {file_integrity: {path: [/etc]}}\n")
    agent.process.send_signal(signal.SIGHUP)
    agent.wait_for(r"not reloaded.*receivers\.file_integrity\.path: unknown key; did you mean 'paths'\?")
    (agent.watched / "still").write_text("x")
    agent.wait_for(r"CREATED .*/still", "out")
    assert agent.stop() == 0


def test_a_valid_reload_takes_effect_in_the_same_process_and_stream(agents: Any) -> None:
    agent = agents()
    agent.ready()
    agent.write_config(extra=', exclude: ["*.log"]')
    agent.process.send_signal(signal.SIGHUP)
    agent.wait_for(r"reloaded\n")
    (agent.watched / "a.log").write_text("x")
    (agent.watched / "a.txt").write_text("x")
    agent.wait_for(r"CREATED .*/a\.txt", "out")
    assert agent.stop() == 0
    assert "a.log" not in agent.stdout.read_text()
    records = agent.journal()
    assert [int(r["plain"]["audit.sequence.number"]) for r in records] == list(range(1, len(records) + 1))
    reasons = [r["plain"]["otel_fim.agent.reason"] for r in records if "otel_fim.agent.reason" in r["plain"]]
    assert reasons == ["start", "reload", "reload", "SIGTERM"]


def test_a_reload_that_cannot_start_goes_back(agents: Any) -> None:
    agent = agents()
    agent.ready()
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        agent.write_config(port=taken.getsockname()[1])
        agent.process.send_signal(signal.SIGHUP)
        agent.wait_for(r"going back to the old configuration: .*another port")
        (agent.watched / "still").write_text("x")
        agent.wait_for(r"CREATED .*/still", "out")
    assert agent.stop() == 0


def test_errors_in_the_configuration_come_all_at_once_with_exit_status_1(tmp_path: Path) -> None:
    config = tmp_path / "bad.yaml"
    config.write_text(
        "receivers: {file_integrity: {path: [/etc], settle: soon}}\n"
        "exporters: {console: {}, nothing: {}}\n"
        "service: {pipelines: {logs: {receivers: [file_integrity], processors: [chian], exporters: [console]}}}\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "otel_fim", "run", "-c", str(config)],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 1
    for part in (
        "receivers.file_integrity.path: unknown key",
        "receivers.file_integrity.settle",
        "nothing",
        "chian",
    ):
        assert part in done.stderr
    assert "Traceback" not in done.stderr


def test_an_ordinary_user_sees_own_files_and_is_told_what_is_not_visible(agents: Any) -> None:
    # A user namespace takes every right away and leaves the interpreter's files readable.
    ordinary = ["unshare", "--user", "--map-user=1000", "--map-group=1000"] if os.geteuid() == 0 else []
    agent = agents(prefix=ordinary)
    agent.ready()
    (agent.watched / "mine").write_text("x")
    agent.wait_for(r"\[ALERT\] CREATED .*/mine", "out")
    log = agent.stderr.read_text()
    assert "who" in log
    assert agent.stop() == 0
    created = next(r for r in agent.journal() if r["eventName"] == "otel_fim.file.created")
    assert created["plain"]["otel_fim.file.backend"] == "inotify"
    assert not [key for key in created["plain"] if key.startswith(("process.", "user."))]
    gaps = [
        r["plain"] for r in agent.journal() if r["plain"].get("otel_fim.coverage.reason") == "backend_limited"
    ]
    assert gaps


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small file system")
def test_a_full_disk_is_told_survives_a_reload_and_ends_by_itself(agents: Any, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(state)], check=True)
    try:
        agent = agents()
        agent.ready()
        (agent.watched / "before").write_text("x")
        agent.wait_for(r"CREATED .*/before", "out")
        ballast = state / "ballast"
        with ballast.open("wb") as file, contextlib.suppress(OSError):
            while True:
                file.write(b"x" * 65536)
                file.flush()
        (agent.watched / "meanwhile").write_text("x")
        agent.wait_for(r"no more records are taken")
        agent.process.send_signal(signal.SIGHUP)
        agent.wait_for(r"going back to the old configuration|cannot start again|reloaded")
        time.sleep(2)
        assert agent.process.poll() is None, agent.stderr.read_text()
        ballast.unlink()
        agent.wait_for(r"CREATED .*/meanwhile", "out", timeout=60)
        (agent.watched / "after").write_text("x")
        agent.wait_for(r"CREATED .*/after", "out")
        assert agent.stop() == 0
        records = agent.journal()
        assert [int(r["plain"]["audit.sequence.number"]) for r in records] == list(range(1, len(records) + 1))
        reasons = {r["plain"].get("otel_fim.coverage.reason") for r in records}
        assert reasons & {"disk_full", "agent_stopped"}
    finally:
        subprocess.run(["umount", "-l", str(state)], check=True)
