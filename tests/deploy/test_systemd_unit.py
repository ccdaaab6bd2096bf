"""The unit file: systemd accepts it, it hides nothing that the agent watches, and its configuration is valid."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DIRECTORY = Path(__file__).resolve().parents[2] / "deploy" / "systemd"
HIDE = (
    "ProtectHome",
    "PrivateTmp",
    "PrivateDevices",
    "PrivateNetwork",
    "PrivateUsers",
    "PrivateIPC",
    "PrivateMounts",
    "ProtectKernelModules",
    "ProtectKernelLogs",
    "ProtectProc",
    "ProcSubset",
    "InaccessiblePaths",
    "TemporaryFileSystem",
    "RootDirectory",
    "DynamicUser",
)


def settings() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (DIRECTORY / "otel-fim.service").read_text().splitlines():
        if line and line[0] not in "#[;":
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def test_nothing_hides_what_is_watched() -> None:
    assert not set(settings()) & set(HIDE)


def test_every_capability_has_its_reason() -> None:
    (granted,) = settings()["CapabilityBoundingSet"]
    reasons = re.findall(r"^#   (CAP_\w+) +\S", (DIRECTORY / "otel-fim.service").read_text(), re.MULTILINE)
    assert granted.split() == reasons


def test_it_comes_back_and_may_open_many_files() -> None:
    found = settings()
    assert found["Restart"] == ["always"]
    assert found["LimitNOFILE"] == ["65536"]
    assert found["StartLimitIntervalSec"] == ["0"]


def test_its_configuration_is_valid() -> None:
    command = [sys.executable, "-m", "otel_fim", "validate", "-c", str(DIRECTORY / "config.yaml")]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_accepts_it(tmp_path: Path) -> None:
    # The agent is not installed where the unit expects it.
    unit = tmp_path / "otel-fim.service"
    text = (DIRECTORY / "otel-fim.service").read_text()
    unit.write_text(text.replace("/opt/otel-fim/bin/otel-fim", "/bin/true"))
    command = ["systemd-analyze", "verify", "--man=no", str(unit)]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
