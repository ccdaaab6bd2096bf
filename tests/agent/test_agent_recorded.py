"""A processor can read what its pipeline's journal has."""

from __future__ import annotations

from pathlib import Path

from otel_fim.agent import Agent
from otel_fim.config.load import load_config
from otel_fim.names import events

CONFIG = """
receivers: {{file_integrity: {{paths: ["{directory}/watched"]}}}}
processors: {{chain: }}
exporters: {{otlp_file: {{path: "{directory}/out.jsonl"}}}}
service:
  state_directory: "{directory}/state"
  telemetry: {{metrics: {{level: none}}, heartbeat: 0s}}
  pipelines:
    logs: {{receivers: [file_integrity], processors: [chain], exporters: [otlp_file]}}
"""


def test_a_processor_is_given_the_records_of_its_journal(tmp_path: Path) -> None:
    (tmp_path / "watched").mkdir()
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG.format(directory=tmp_path))
    first = Agent(load_config([str(path)]))
    first.start()
    assert first.stop("test")
    second = Agent(load_config([str(path)]))
    second.start()
    try:
        recorded = second._built.lines[0].processors[0].context.recorded
        found = list(recorded(0))
        assert [record.event_name for record in found].count(events.AGENT_STOPPED) == 1
        assert list(recorded(2**62)) == []
    finally:
        assert second.stop("test")
