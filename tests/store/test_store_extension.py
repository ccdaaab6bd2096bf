"""The extension `embedded_store`: a child that is started, watched, and ended with its parent."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from otel_fim.component import ExtensionContext, Health, StartError
from otel_fim.record import Resource, Scope
from otel_fim.store.config import EmbeddedStoreConfig
from otel_fim.store.directory import announce
from otel_fim.store.extension import EmbeddedStoreExtension
from otel_fim.telemetry.status import StatusBoard


def make(state: Path, board: StatusBoard, **settings: Any) -> EmbeddedStoreExtension:
    context = ExtensionContext(
        id="embedded_store",
        kind="extension",
        state_directory=state,
        service_directory=state,
        agent_directories=(),
        resource=Resource(),
        scope=Scope(),
        logger=logging.getLogger("test.store"),
        report=partial(board.report, "extension:embedded_store"),
        count=lambda *_, **__: None,
        statuses=board.statuses,
        overall_health=board.overall,
    )
    settings.setdefault("listen", "127.0.0.1:0")
    return EmbeddedStoreExtension(EmbeddedStoreConfig(**settings), context)


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
    return found


@pytest.fixture
def board() -> StatusBoard:
    return StatusBoard()


@pytest.fixture
def made(tmp_path: Path, board: StatusBoard) -> Iterator[EmbeddedStoreExtension]:
    extension = make(tmp_path, board)
    yield extension
    extension.stop(20)


def alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_start_watch_restart_stop(
    made: EmbeddedStoreExtension, board: StatusBoard, tmp_path: Path, store: Any
) -> None:
    assert made.directories() == (tmp_path / "store",)
    assert made.child_pids() == ()
    made.start()
    # The exporters that start next find the password, and retry until the store answers.
    assert (tmp_path / "store" / "writer.password").read_text().strip()
    wait_for(lambda: board.overall() is Health.OK, "the store does not answer")
    child = type(store)(tmp_path / "store")
    child.query("CREATE TABLE t (n UInt8) ENGINE = MergeTree ORDER BY n")
    child.query("INSERT INTO t VALUES (3)")

    (first,) = made.child_pids()
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: board.overall() is Health.RECOVERABLE_ERROR, "the end is not reported")
    assert "SIGKILL" in board.statuses()[0].message
    wait_for(lambda: board.overall() is Health.OK, "the store does not come back")
    (second,) = made.child_pids()
    assert second != first
    assert child.query("SELECT * FROM t") == "3\n"

    made.stop(20)
    assert made.child_pids() == ()
    assert not alive(second)
    assert board.statuses()[0].health is Health.STOPPED


def test_a_stop_right_after_the_start(made: EmbeddedStoreExtension) -> None:
    made.start()
    (pid,) = wait_for(made.child_pids, "no child")
    made.stop(20)
    assert not alive(pid)


def test_a_stop_without_a_start(made: EmbeddedStoreExtension) -> None:
    made.stop(1)


def test_a_taken_port_is_a_start_error(tmp_path: Path, board: StatusBoard) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        extension = make(tmp_path, board, listen=listen)
        with pytest.raises(StartError, match=r"extensions\.embedded_store\.listen: cannot listen on"):
            extension.start()
        extension.stop(1)


def test_a_store_that_has_the_port_but_not_yet_the_lock_is_waited_for(
    tmp_path: Path, board: StatusBoard
) -> None:
    """As the one of an agent that was killed right after starting it."""
    (tmp_path / "store").mkdir()
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        os.fdopen(announce(str(tmp_path / "store"))),
    ):
        extension = make(tmp_path, board, listen=f"127.0.0.1:{taken.getsockname()[1]}")
        extension.start()
    try:
        wait_for(lambda: board.overall() is Health.OK, "the store does not come up")
    finally:
        extension.stop(20)


def test_a_missing_package_is_a_start_error(
    tmp_path: Path, board: StatusBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(StartError, match=r"pip install 'otel-fim\[embedded\]'"):
        make(tmp_path, board).start()


def test_a_directory_that_cannot_be_made_is_a_start_error(tmp_path: Path, board: StatusBoard) -> None:
    (tmp_path / "store").write_text("in the way")
    with pytest.raises(StartError, match="embedded_store"):
        make(tmp_path, board).start()


def test_a_store_that_fails_to_start_is_tried_again(tmp_path: Path, board: StatusBoard) -> None:
    extension = make(tmp_path, board, restart={"initial_interval": "100ms"})
    (tmp_path / "store" / "data").mkdir(parents=True)
    (tmp_path / "store" / "data" / "metadata").write_text("in the way")
    extension.start()
    try:
        wait_for(lambda: board.overall() is Health.RECOVERABLE_ERROR, "the failure is not reported")
        assert "metadata" in board.statuses()[0].message
        (tmp_path / "store" / "data" / "metadata").unlink()
        wait_for(lambda: board.overall() is Health.OK, "the store does not come up")
    finally:
        extension.stop(20)


def test_settings() -> None:
    assert EmbeddedStoreConfig().listen == "127.0.0.1:8123"
    for wrong in ({"listen": "x"}, {"memory": "1MiB"}, {"concurrency": 0}, {"unknown": 1}):
        with pytest.raises(ValidationError):
            EmbeddedStoreConfig(**wrong)


AGENT = """
import sys, time
sys.path.insert(0, {here!r})
import importlib.util
spec = importlib.util.spec_from_file_location("test_store_extension", {path!r})
module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module)
from pathlib import Path
extension = module.make(Path({state!r}), module.StatusBoard(), listen={listen!r})
extension.start()
print(*module.wait_for(extension.child_pids, "no child"), flush=True)
time.sleep(600)
"""


def test_a_killed_agent_takes_the_store_along_and_the_next_one_takes_over(tmp_path: Path, store: Any) -> None:
    """The next agent's store waits for the old one, which has the directory and the port until it is gone."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        listen = f"127.0.0.1:{probe.getsockname()[1]}"
    script = AGENT.format(here=os.path.dirname(__file__), path=__file__, state=str(tmp_path), listen=listen)
    child = type(store)(tmp_path / "store")
    pids = []
    agents = []
    try:
        for life in range(3):
            agent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
            agents.append(agent)
            assert agent.stdout is not None
            pids.append(int(agent.stdout.readline()))
            if life == 1:
                agent.kill()  # before its store is up, maybe before it has asked to go with its parent
                continue
            wait_for(child.address_file.exists, "the store does not come up")
            assert child.query("SELECT 1") == "1\n"
            agent.kill()
        for pid in pids:
            wait_for(lambda pid=pid: not alive(pid), "the store outlives its agent", 20)
    finally:
        for agent in agents:
            agent.kill()
            agent.wait()
            if agent.stdout is not None:
                agent.stdout.close()
