"""The example plugin, built and installed by pip into a directory of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent / "otel_fim_example_plugin"
TIMEOUT = 60

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory that holds the installed plugin."""
    home = tmp_path_factory.mktemp("plugin")
    # A copy, because building leaves files beside the source.
    shutil.copytree(SOURCE, home / "source", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    command += ["--no-build-isolation", "--no-deps", "--target", str(home / "target"), str(home / "source")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 0, done.stderr
    return home / "target"


@pytest.fixture
def environment(plugin: Path) -> dict[str, str]:
    """The process's environment with the plugin in it."""
    return os.environ | {"PYTHONPATH": str(plugin), "NO_COLOR": "1"}


@pytest.fixture
def otel_fim(environment: dict[str, str], tmp_path: Path) -> Run:
    """Runs `otel-fim` with the plugin installed."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "otel_fim", *arguments],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )

    return run
