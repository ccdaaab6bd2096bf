"""Fan-out, and that the agent leaves its own files alone."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from otel_fim.agent import Agent
from otel_fim.component import Health, StartError
from otel_fim.config.load import load_config
from otel_fim.journal import scan_lines
from otel_fim.names import attributes as names
from otel_fim.names import events, metrics
from otel_fim.otlp import decode_logs_data_json

CONFIG = """
receivers:
  file_integrity: {{paths: ["{watched}"], settle: 10ms, include_hidden: true, exclude: []}}
processors: {{attack: , chain: , chain/two: }}
exporters:
  otlp_file: {{path: "{watched}/own.jsonl"}}
  otlp_file/two: {{path: "{directory}/two.jsonl"}}
service:
  state_directory: "{watched}/state"
  telemetry: {{metrics: {{level: none}}, heartbeat: 0s}}
  pipelines:
    logs: {{receivers: [file_integrity], processors: [attack, chain], exporters: [otlp_file]}}
    logs/two: {{receivers: [file_integrity], processors: [chain/two], exporters: [otlp_file/two]}}
"""


def wait_for(condition: Callable[[], bool], timeout: float = 20) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    watched = tmp_path / "watched"
    watched.mkdir()
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG.format(watched=watched, directory=tmp_path))
    return path


def test_two_pipelines_get_every_record_in_streams_of_their_own_and_nothing_feeds_back(
    config_file: Path, tmp_path: Path
) -> None:
    agent = Agent(load_config([str(config_file)]))
    agent.start()
    try:
        wait_for(
            lambda: (
                {s.component: s.health for s in agent.board.statuses()}["receiver:file_integrity"]
                is Health.OK
            )
        )
        # What the agent's own process and its children do is left out, so somebody else must do it: an orphan.
        orphan = f"(sleep 0.2; echo x > {tmp_path}/watched/changed) &"
        subprocess.run(["sh", "-c", orphan], check=True, timeout=10)
        wait_for(lambda: b"/changed" in (tmp_path / "watched/own.jsonl").read_bytes())
        wait_for(lambda: b"/changed" in (tmp_path / "two.jsonl").read_bytes())
        time.sleep(0.5)
    finally:
        assert agent.stop("test")
    streams = set()
    for pipeline in ("logs", "logs_two"):
        records = [
            record
            for line in scan_lines(tmp_path / "watched/state/journal" / pipeline)
            for record in decode_logs_data_json(line.data or b"")
        ]
        file_paths = {
            r.attributes[names.FILE_PATH] for r in records if r.event_name.startswith("otel_fim.file.")
        }
        assert file_paths == {str(tmp_path / "watched/changed")}
        numbers = [r.attributes[names.AUDIT_SEQUENCE_NUMBER] for r in records]
        assert numbers == list(range(1, len(records) + 1))
        streams |= {r.attributes[names.AUDIT_SEQUENCE_STREAM_ID] for r in records}
        assert records[-1].event_name == events.AGENT_STOPPED
        technique = [names.THREAT_FRAMEWORK in r.attributes for r in records]
        assert not any(technique) or pipeline == "logs", (
            "a processor of one pipeline must not touch the other's"
        )
    assert len(streams) == 2
    assert agent.metrics.value(metrics.RECEIVER_ACCEPTED, receiver="file_integrity") > 0


def test_a_failed_start_leaves_nothing_behind_and_names_the_component(
    config_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "two.jsonl").mkdir()
    broken = Agent(load_config([str(config_file)]))
    with pytest.raises(StartError, match=r"exporters\.otlp_file/two: .*two\.jsonl"):
        broken.start()
    (tmp_path / "two.jsonl").rmdir()
    agent = Agent(load_config([str(config_file)]))
    agent.start()
    assert agent.stop("test")
