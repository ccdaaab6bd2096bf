"""A package from outside: found, listed, configured and run; and what of it is broken harms nothing else."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

Run = Callable[..., "subprocess.CompletedProcess[str]"]

CONFIG = """
receivers:
  greeting: {whom: world}
processors:
  label: {text: "${env:LABEL:-labelled}"}
  chain:
exporters:
  otlp_file: {path: out.jsonl}
service:
  state_directory: state
  telemetry: {metrics: {level: none}, heartbeat: 0}
  pipelines:
    logs: {receivers: [greeting], processors: [label, chain], exporters: [otlp_file]}
"""
CAUSE = "ModuleNotFoundError: No module named 'a_library_that_nobody_has'"
BROKEN = f"the processor 'broken_label' of otel-fim-example-plugin cannot be loaded: {CAUSE}"


def test_components_lists_it_and_names_what_is_broken(otel_fim: Run) -> None:
    done = otel_fim("components", "--output", "json")
    assert done.returncode == 0, done.stderr
    own = [one for one in json.loads(done.stdout) if one["distribution"] == "otel-fim-example-plugin"]
    common = {"distribution": "otel-fim-example-plugin", "version": "1.2.3"}
    assert own == [
        {"kind": "receiver", "type": "greeting", "stability": "development", **common, "error": ""},
        {"kind": "processor", "type": "broken_label", "stability": "", **common, "error": CAUSE},
        {"kind": "processor", "type": "label", "stability": "alpha", **common, "error": ""},
    ]


def test_components_as_a_table(otel_fim: Run) -> None:
    done = otel_fim("components")
    assert done.returncode == 0, done.stderr
    lines = [line.split(maxsplit=3) for line in done.stdout.splitlines()]
    assert lines[0] == ["KIND", "TYPE", "STABILITY", "PACKAGE"]
    assert ["receiver", "greeting", "development", "otel-fim-example-plugin 1.2.3"] in lines
    assert ["processor", "broken_label", "broken", f"otel-fim-example-plugin 1.2.3: {CAUSE}"] in lines


def test_a_pipeline_with_it_is_valid(otel_fim: Run, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG)
    done = otel_fim("validate", "-c", "c.yaml")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "configuration is valid: 1 pipeline, 1 receiver, 2 processors, 1 exporter, 0 extensions\n"
    )


def test_its_keys_are_checked_as_our_own(otel_fim: Run, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG)
    done = otel_fim("validate", "-c", "c.yaml", "--set", "receivers.greeting.who=x")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "receivers.greeting.who: unknown key; did you mean 'whom'?\n"


def test_its_broken_part_is_a_warning_until_it_is_used(otel_fim: Run, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG)
    configured = ("validate", "-c", "c.yaml", "--set", "processors.broken_label=")
    done = otel_fim(*configured)
    assert done.returncode == 0
    assert done.stderr == (
        f"warning: processors.broken_label: configured but not used: no pipeline names it; {BROKEN}\n"
    )
    done = otel_fim(*configured, "--set", "service.pipelines.logs.processors=[broken_label]")
    assert done.returncode == 1
    assert f"service.pipelines.logs.processors[0]: {BROKEN}\n" in done.stderr


def test_its_commands(otel_fim: Run) -> None:
    done = otel_fim("greet", "you")
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello, you\n", "")
    done = otel_fim("broken-greet")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "otel-fim: the command 'broken-greet' of otel-fim-example-plugin cannot be loaded: No module named "
        "'a_library_that_nobody_has'; is an optional part of otel-fim-example-plugin not installed?\n"
    )
    done = otel_fim("--help")
    assert done.returncode == 0
    assert "\n  greet         say hello\n" in done.stdout
    assert "\n  broken-greet  (not available: " in done.stdout


def test_it_runs(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG)
    out = tmp_path / "out.jsonl"
    command = [sys.executable, "-m", "otel_fim", "run", "-c", "c.yaml"]
    with open(tmp_path / "log", "wb") as log:
        agent = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 60
            while not (out.exists() and b"example.greeting" in out.read_bytes()):
                assert agent.poll() is None, (tmp_path / "log").read_text()
                assert time.monotonic() < deadline, (tmp_path / "log").read_text()
                time.sleep(0.05)
            agent.send_signal(signal.SIGTERM)
            assert agent.wait(30) == 0, (tmp_path / "log").read_text()
        finally:
            agent.kill()
            agent.wait(30)
    (greeting,) = [record for record in _records(out) if record.get("eventName") == "example.greeting"]
    attributes = {one["key"]: one["value"] for one in greeting["attributes"]}
    assert attributes["example.whom"] == {"stringValue": "world"}
    assert attributes["example.label"] == {"stringValue": "labelled"}


def _records(path: Path) -> list[dict]:
    return [
        record
        for line in path.read_text().splitlines()
        for resource in json.loads(line)["resourceLogs"]
        for scope in resource["scopeLogs"]
        for record in scope["logRecords"]
    ]
