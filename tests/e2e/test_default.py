"""The embedded default, as `make run` starts it: an alert and a row, with nothing configured but places and ports."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest


def wait_for(condition: Callable[[], bool], what: str, timeout: float = 40) -> None:
    deadline = time.monotonic() + timeout
    while True:
        try:
            if condition():
                return
        except (OSError, ValueError):
            pass
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_change_becomes_an_alert_and_a_row_with_the_default_configuration(tmp_path: Path) -> None:
    watched = tmp_path / "watched"
    watched.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "otel_fim", "run"]
    for setting in (
        f"receivers.file_integrity.paths=[{watched}]",
        "extensions.health_check.endpoint=127.0.0.1:0",
        f"extensions.embedded_store.listen=127.0.0.1:{port}",
        f"exporters.clickhouse.endpoint=http://127.0.0.1:{port}",
        "service.telemetry.metrics.level=none",
    ):
        command += ["--set", setting]
    out, err = tmp_path / "out", tmp_path / "err"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        agent = subprocess.Popen(command, cwd=tmp_path, stdout=stdout, stderr=stderr)
    try:
        wait_for(lambda: "file_integrity: compared" in err.read_text(), "the baseline")
        subprocess.run(["sh", "-c", f"echo x >> {watched}/hosts; sleep 0.5"], check=True, timeout=10)
        wait_for(lambda: "[ALERT] CREATED" in out.read_text(), "the alert")
        password = (tmp_path / "otel-fim-data/store/reader.password").read_text().strip()
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/?"
            + urllib.parse.urlencode(
                {"query": "SELECT LogAttributes['file.path'], LogAttributes['user.name'] FROM otel_logs"}
            ),
            headers={"Authorization": "Basic " + b64encode(f"reader:{password}".encode()).decode()},
        )

        def row() -> bool:
            with urllib.request.urlopen(request, timeout=10) as answer:
                text: str = answer.read().decode()
            return f"{watched}/hosts" in text and (os.geteuid() != 0 or "root" in text)

        wait_for(row, "the row")
    finally:
        agent.terminate()
        assert agent.wait(30) == 0, err.read_text()
