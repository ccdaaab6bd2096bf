"""An agent with the file integrity receiver and this one: what a cron file written by somebody becomes."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

CONFIG = """
receivers:
  file_integrity: {{paths: ["{root}"], settle: 20ms}}
  persistence: {{root: "{root}"}}
processors: {{chain: }}
exporters: {{console: }}
service:
  state_directory: "{state}"
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    logs: {{receivers: [file_integrity, persistence], processors: [chain], exporters: [console]}}
"""


class Agent:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.root = directory / "root"
        self.state = directory / "state"
        (self.root / "etc/cron.d").mkdir(parents=True, exist_ok=True)
        (self.root / "etc/systemd/system").mkdir(parents=True, exist_ok=True)
        config = directory / "config.yaml"
        config.write_text(CONFIG.format(root=self.root, state=self.state))
        self.err = directory / f"err{time.monotonic_ns()}"
        with self.err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "otel_fim", "run", "-c", str(config)],
                stdout=subprocess.DEVNULL,
                stderr=err,
            )
        for part in (r"file_integrity: compared", r"persistence: looked at"):
            self.wait(lambda part=part: re.search(part, self.err.read_text()))

    def wait(self, condition: Callable[[], object], seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, self.err.read_text()
            assert time.monotonic() < deadline, self.err.read_text()
            time.sleep(0.05)

    def told(self) -> list[dict[str, Any]]:
        """Event name, body and attributes of every record about an item."""
        found = []
        for path in sorted((self.state / "journal/logs").glob("*.jsonl")):
            for line in path.read_bytes().splitlines(keepends=True):
                if not line.endswith(b"\n"):
                    continue
                for resource in json.loads(line)["resourceLogs"]:
                    for scope in resource["scopeLogs"]:
                        for record in scope["logRecords"]:
                            plain = {
                                p["key"]: next(iter(p["value"].values()), None) for p in record["attributes"]
                            }
                            plain["event"] = record["eventName"]
                            if ".persistence." in record["eventName"]:
                                found.append(plain)
        return found

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0


@pytest.fixture
def agents(tmp_path: Path) -> Iterator[Callable[[], Agent]]:
    made: list[Agent] = []

    def make() -> Agent:
        made.append(Agent(tmp_path))
        return made[-1]

    yield make
    for agent in made:
        if agent.process.poll() is None:
            agent.process.kill()
            agent.process.wait(10)


def _public_key() -> str:
    blob = base64.b64encode(b"\0\0\0\x0bssh-ed25519" + b"\0\0\0 " + bytes(range(32))).decode()
    return f"ssh-ed25519 {blob} eve@elsewhere"


def by_an_orphan(script: str) -> None:
    """Runs a script in a process whose parent is gone."""
    subprocess.run(["sh", "-c", f"(setsid sh -c 'sleep 0.2; {script}; sleep 1' &)"], check=True, timeout=20)


def test_a_cron_file_written_by_an_orphan_is_one_record_that_names_it(agents: Callable[[], Agent]) -> None:
    agent = agents()
    by_an_orphan(f'echo "17 * * * * root /usr/local/bin/backup" > {agent.root}/etc/cron.d/backup')
    agent.wait(agent.told)
    by_an_orphan(f"ln -s /x {agent.root}/etc/systemd/system/unit.service")
    unit_file = agent.root / "etc/systemd/system/real.service"
    unit_file.write_text("[Service]\nExecStart=/x\n[Install]\nWantedBy=multi-user.target\n")
    agent.wait(lambda: len(agent.told()) == 2)
    if systemctl := shutil.which("systemctl"):
        subprocess.run([systemctl, f"--root={agent.root}", "enable", "real.service"], check=True, timeout=30)
        agent.wait(lambda: len(agent.told()) == 3)
    agent.stop()
    added, unit, *enabled = agent.told()
    for record in enabled:
        assert record["event"] == "otel_fim.persistence.changed"
        assert record["otel_fim.persistence.enabled"] is True
        assert record["otel_fim.before.otel_fim.persistence.enabled"] is False
        assert record["otel_fim.persistence.backend"] == "file_event"
    assert (added["event"], unit["event"]) == ("otel_fim.persistence.added", "otel_fim.persistence.added")
    assert added["otel_fim.persistence.id"] == "/etc/cron.d/backup:1"
    assert added["otel_fim.persistence.command"] == "/usr/local/bin/backup"
    assert added["otel_fim.persistence.backend"] == "file_event"
    assert unit["otel_fim.persistence.id"] == "/etc/systemd/system/real.service"
    if os.geteuid() == 0:
        shell = os.path.realpath(shutil.which("sh") or "")
        assert added["process.executable.path"] == shell
        assert int(added["process.pid"]) != agent.process.pid


def test_what_was_done_while_it_lay_dead_is_told_when_it_is_back(agents: Callable[[], Agent]) -> None:
    agent = agents()
    (agent.root / "etc/cron.d/a").write_text("1 * * * * root /a\n")
    (agent.root / "etc/cron.d/b").write_text("1 * * * * root /b\n")
    agent.wait(lambda: len(agent.told()) == 2)
    agent.process.kill()
    agent.process.wait(10)
    (agent.root / "etc/cron.d/a").write_text("2 * * * * root /a\n")
    (agent.root / "etc/cron.d/b").unlink()
    again = agents()
    again.wait(lambda: len([r for r in again.told() if "otel_fim.persistence.while_down" in r]) >= 2)
    again.stop()
    told = again.told()
    late = [r for r in told if "otel_fim.persistence.while_down" in r]
    # Killed before it knew that the first record was on disk, it tells of the whole item, and says so.
    [a] = [r for r in late if r["otel_fim.persistence.id"] == "/etc/cron.d/a:1"]
    assert a["event"].endswith("changed") or a["otel_fim.persistence.may_repeat"]
    last = {r["otel_fim.persistence.id"]: r for r in told}
    assert last["/etc/cron.d/a:1"]["otel_fim.persistence.trigger"] == "2 * * * *"
    assert last["/etc/cron.d/b:1"]["event"] == "otel_fim.persistence.removed"
    assert len([r for r in told if r["event"].endswith("removed")]) == 1


def _shell() -> str:
    return os.path.realpath(shutil.which("sh") or "")


def test_a_key_put_into_a_new_authorized_keys_is_one_record_that_names_who_did_it(
    agents: Callable[[], Agent], tmp_path: Path
) -> None:
    home = tmp_path / "root/home/alice"
    (home / ".ssh").mkdir(parents=True)
    passwd = tmp_path / "root/etc/passwd"
    passwd.parent.mkdir(parents=True, exist_ok=True)
    passwd.write_text("alice:x:1000:1000::/home/alice:/bin/sh\n")
    agent = agents()
    by_an_orphan(f'echo "{_public_key()}" > {home}/.ssh/authorized_keys')
    agent.wait(agent.told)
    by_an_orphan(f"rm {home}/.ssh/authorized_keys")
    agent.wait(lambda: len(agent.told()) == 2)
    agent.stop()
    added, removed = agent.told()
    assert (added["event"], removed["event"]) == (
        "otel_fim.persistence.added",
        "otel_fim.persistence.removed",
    )
    assert added["otel_fim.persistence.kind"] == "authorized_key"
    assert added["otel_fim.persistence.id"].startswith("/home/alice/.ssh/authorized_keys:SHA256:")
    assert (
        added["otel_fim.persistence.user"] == removed["otel_fim.before.otel_fim.persistence.user"] == "alice"
    )
    assert "eve@elsewhere" in added["otel_fim.persistence.trigger"]
    assert added["otel_fim.persistence.backend"] == removed["otel_fim.persistence.backend"] == "file_event"
    if os.geteuid() == 0:
        assert added["process.executable.path"] == _shell()
        assert int(removed["process.pid"]) not in (0, agent.process.pid)


def test_a_bit_set_in_a_watched_directory_is_one_record_that_names_who_did_it(
    agents: Callable[[], Agent], tmp_path: Path
) -> None:
    program = tmp_path / "root/usr/bin/tool"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    agent = agents()
    # It stays a moment: who has gone before the event is read is known by pid alone.
    change = f"import os, time; os.chmod({str(program)!r}, 0o4755); time.sleep(2)"
    subprocess.run([sys.executable, "-c", change], check=True, timeout=30)
    agent.wait(agent.told)
    by_an_orphan(f"cp {program} {program}2; chmod 6755 {program}2; rm {program}")
    agent.wait(lambda: len(agent.told()) == 4)
    agent.stop()
    told = agent.told()
    assert sorted(
        (r["event"].rpartition(".")[2], r["otel_fim.persistence.kind"], r["otel_fim.persistence.id"])
        for r in told
    ) == [
        ("added", "setgid", "/usr/bin/tool2"),
        ("added", "setuid", "/usr/bin/tool"),
        ("added", "setuid", "/usr/bin/tool2"),
        ("removed", "setuid", "/usr/bin/tool"),
    ]
    assert all(r["otel_fim.persistence.backend"] == "file_event" for r in told)
    assert told[0]["file.mode"] == "4755"
    if os.geteuid() == 0:
        assert told[0]["process.executable.path"] == os.path.realpath(sys.executable)
