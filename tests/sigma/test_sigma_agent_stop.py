"""An agent that is told to stop while it reads rules stops, however long these would take."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

CONFIG = """
receivers: {{file_integrity: {{paths: ["{folder}/watched"]}}}}
processors: {{rules: {{pack: false, paths: ["{folder}/rules"]}}, chain: }}
exporters: {{console: }}
service:
  state_directory: "{folder}/state"
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{logs: {{receivers: [file_integrity], processors: [rules, chain], exporters: [console]}}}}
"""
SLOW = "title: Slow\nlogsource: {{category: file_event}}\ndetection:\n  s: {{file.path: [{values}]}}\n  condition: s\n"


def test_told_to_stop_while_rules_are_read(tmp_path: Path) -> None:
    (tmp_path / "watched").mkdir()
    (tmp_path / "rules").mkdir()
    text = SLOW.format(values=",".join(f"v{number}" for number in range(90_000)))
    for number in range(60):  # seconds for each
        (tmp_path / "rules" / f"{number}.yml").write_text(text)
    (tmp_path / "config.yaml").write_text(CONFIG.format(folder=tmp_path))
    with (tmp_path / "err").open("wb") as err:
        agent = subprocess.Popen(
            [sys.executable, "-m", "otel_fim", "run", "-c", str(tmp_path / "config.yaml")],
            stdout=subprocess.DEVNULL,
            stderr=err,
        )
    try:
        children = Path(f"/proc/{agent.pid}/task/{agent.pid}/children")
        deadline = time.monotonic() + 60
        while not children.read_text().split():
            assert agent.poll() is None, (tmp_path / "err").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        (child,) = children.read_text().split()
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(timeout=30) == 0, (tmp_path / "err").read_text()
        assert "stopped while starting" in (tmp_path / "err").read_text()
        assert not os.path.exists(f"/proc/{child}")
    finally:
        agent.kill()
        agent.wait()
