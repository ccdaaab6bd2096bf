"""What the stream found while it ran, a hunt finds in the table: the same rules, resting on the same records."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

_RULES = """
title: E2E file
name: e2e_file
id: 6a9a2c44-3a52-4f0b-9f0b-61c1a7d0a001
level: low
logsource: {product: linux, category: file_event}
detection: {s: {TargetFilename|endswith: .e2e}, condition: s}
---
title: E2E word
id: 6a9a2c44-3a52-4f0b-9f0b-61c1a7d0a002
level: low
logsource: {product: linux}
detection: {keywords: [e2eword], condition: keywords}
---
title: E2E digits
id: 6a9a2c44-3a52-4f0b-9f0b-61c1a7d0a003
level: low
logsource: {product: linux}
detection: {keywords: [dead, beef, c0, '77'], condition: keywords}
---
title: E2E many
id: 6a9a2c44-3a52-4f0b-9f0b-61c1a7d0a004
level: medium
correlation:
  type: value_count
  rules: [e2e_file]
  group-by: [host.name]
  timespan: 1m
  generate: true
  condition: {field: TargetFilename, gte: 3}
---
title: E2E rows
id: 6a9a2c44-3a52-4f0b-9f0b-61c1a7d0a005
level: medium
correlation: {type: event_count, rules: [e2e_file], timespan: 3s, generate: true, condition: {gte: 2}}
"""

_OF_THE_PACK = "Password Hashes Read By A Tool"
Found = set[tuple[str, tuple[str, ...]]]


def wait_for(condition: Callable[[], bool], what: str, timeout: float = 60) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.2)


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_a_hunt_finds_what_the_stream_found(tmp_path: Path) -> None:
    watched = tmp_path / "watched"
    watched.mkdir()
    rules = tmp_path / "rules.yml"
    rules.write_text(_RULES)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = []
    for setting in (
        f"receivers.file_integrity.paths=[{watched}]",
        "extensions.health_check.endpoint=127.0.0.1:0",
        f"extensions.embedded_store.listen=127.0.0.1:{port}",
        f"exporters.clickhouse.endpoint=http://127.0.0.1:{port}",
        "service.telemetry.metrics.level=none",
        f"processors.rules.paths=[{rules}]",
        "processors.rules.lateness=2s",
        # Otherwise what repeats itself is counted in the stream, and stands in the table once.
        "processors.risk.fold_window=0",
    ):
        settings += ["--set", setting]
    program = [sys.executable, "-m", "otel_fim"]
    out, err = tmp_path / "out", tmp_path / "err"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        agent = subprocess.Popen([*program, "run", *settings], cwd=tmp_path, stdout=stdout, stderr=stderr)

    def hunt(*arguments: str) -> list[dict[str, object]]:
        done = subprocess.run(
            [*program, "hunt", *settings, *arguments, "--output", "json"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert done.returncode in (0, 1), done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    try:
        wait_for(lambda: "file_integrity: compared" in err.read_text(), "the baseline")
        script = f"""
            for i in 1 2 3 4; do echo x > {watched}/a$i.e2e; sleep 0.3; done; sleep 4
            echo x > {watched}/e2eword; echo y >> {watched}/a1.e2e; rm {watched}/a2.e2e
            cp /bin/true {tmp_path}/tool; chmod u+s {tmp_path}/tool; {tmp_path}/tool
        """
        subprocess.run(["bash", "-c", script], check=False, timeout=30, stderr=subprocess.DEVNULL)
        if os.geteuid() == 0:
            # Again and again, as nothing above says that programs are looked at by now.
            told = f"SELECT 1 FROM otel_fim_findings WHERE rule = '{_OF_THE_PACK}'"
            wait_for(lambda: _read_hashes() and bool(hunt("--query", told)), "a finding of the pack")
        # Rows come in the order of the stream: with this one all those before it are there.
        (watched / "last.e2e").write_text("x")
        last = f"SELECT 1 FROM otel_logs WHERE LogAttributes['file.path'] = '{watched}/last.e2e'"
        wait_for(lambda: bool(hunt("--query", last)), "the last row")
        until = time.time_ns()
        time.sleep(5)  # correlations wait for stragglers, and rows for others to go with
        end = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(until // 10**9))}.{until % 10**9:09d}Z"
        by_hunt = hunt("--all", "--since", "10m", "--until", end, "--limit", "100000")
        table = {(str(each["title"]), _texts(each["evidence"])) for each in by_hunt}
        deadline = time.monotonic() + 20
        while (stream := _told(hunt, until)) != table and time.monotonic() < deadline:
            time.sleep(1)
    finally:
        agent.terminate()
        assert agent.wait(30) == 0, err.read_text()
    assert table == stream
    titles = {title for title, _ in table}
    assert titles >= {"E2E many", "E2E rows", "E2E word"}
    if os.geteuid() == 0:
        assert _OF_THE_PACK in titles


def _told(hunt: Callable[..., list[dict[str, object]]], until: int) -> Found:
    """What the stream found before `until`."""
    rows = hunt(
        "--query",
        f"SELECT rule, evidence FROM otel_fim_findings WHERE time < fromUnixTimestamp64Nano({until})",
    )
    return {(str(each["rule"]), _texts(each["evidence"])) for each in rows}


def _read_hashes() -> bool:
    subprocess.run(["cat", "/etc/shadow"], check=False, timeout=10, stdout=subprocess.DEVNULL)
    return True


def _texts(evidence: object) -> tuple[str, ...]:
    assert isinstance(evidence, list)
    return tuple(map(str, evidence))
