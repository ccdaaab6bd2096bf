from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from otel_fim.agent.resource import detect_resource, parse_resource_attributes
from otel_fim.agent.state import StateDirectory
from otel_fim.component import StartError
from otel_fim.names import attributes as names


def test_first_run_clean_stop_and_crash_are_told_apart(tmp_path: Path) -> None:
    first = StateDirectory(tmp_path / "state")
    assert first.previous.ending == "none"
    first.alive()
    first.close(clean=True)
    second = StateDirectory(tmp_path / "state")
    assert second.previous.ending == "clean"
    assert second.instance_id == first.instance_id
    second.alive()
    second.close(clean=False)
    third = StateDirectory(tmp_path / "state")
    assert third.previous.ending == "unclean"
    assert third.previous.last_alive_unix_nano > 0
    third.close(clean=True)


def test_a_killed_agent_counts_as_unclean_and_leaves_no_lock(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from otel_fim.agent.state import StateDirectory;"
        "s = StateDirectory(Path(sys.argv[1])); s.alive(); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], timeout=30).returncode == -9
    state = StateDirectory(tmp_path)
    assert state.previous.ending == "unclean"
    state.close(clean=True)


def test_a_start_that_fails_does_not_hide_how_long_nobody_watched(tmp_path: Path) -> None:
    first = StateDirectory(tmp_path)
    first.alive()
    first.close(clean=False)
    before = StateDirectory(tmp_path)
    seen = before.previous
    before.release()
    after = StateDirectory(tmp_path)
    assert after.previous == seen
    after.close(clean=True, until_unix_nano=17)
    assert StateDirectory(tmp_path).previous.last_alive_unix_nano == 17


def test_a_second_agent_is_refused_with_the_first_one_s_pid(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path)
    code = (
        "import sys; from pathlib import Path; from otel_fim.agent.state import StateDirectory;"
        "StateDirectory(Path(sys.argv[1]))"
    )
    refused = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=30
    )
    assert refused.returncode == 1
    assert f"in use by another otel-fim (pid {os.getpid()})" in refused.stderr
    state.close(clean=True)


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError, match=r"state_directory: .*file/state"):
        StateDirectory(tmp_path / "file" / "state")


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"alive_unix_nano": null}'])
def test_a_broken_state_file_counts_as_an_unclean_stop(tmp_path: Path, content: str) -> None:
    (tmp_path / "agent.json").write_text(content)
    state = StateDirectory(tmp_path)
    assert state.previous.ending == "unclean"
    state.alive()
    assert json.loads((tmp_path / "agent.json").read_text())["instance_id"] == state.instance_id
    state.close(clean=True)


def test_resource_attributes_of_the_environment_win_over_detected_and_configured_over_both() -> None:
    resource = detect_resource(
        "id-1",
        {names.HOST_NAME: "configured"},
        {"OTEL_RESOURCE_ATTRIBUTES": "host.name=env,team=a%2Cb,,=x,broken", "OTEL_SERVICE_NAME": "svc"},
    )
    assert resource.attributes[names.HOST_NAME] == "configured"
    assert resource.attributes["team"] == "a,b"
    assert resource.attributes[names.SERVICE_NAME] == "svc"
    assert resource.attributes[names.SERVICE_INSTANCE_ID] == "id-1"
    assert parse_resource_attributes("broken,=x") == {}
