from __future__ import annotations

import json
import logging
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from otel_fim.component import ExtensionContext, Health, StartError
from otel_fim.record import Resource, Scope
from otel_fim.telemetry.health import HealthCheckConfig, HealthCheckExtension
from otel_fim.telemetry.status import StatusBoard


def make(board: StatusBoard, tmp_path: Path, endpoint: str = "127.0.0.1:0") -> HealthCheckExtension:
    context = ExtensionContext(
        id="health_check",
        kind="extension",
        state_directory=tmp_path,
        service_directory=tmp_path,
        agent_directories=(),
        resource=Resource(),
        scope=Scope(),
        logger=logging.getLogger("test"),
        report=partial(board.report, "extension:health_check"),
        count=lambda *_, **__: None,
        statuses=board.statuses,
        overall_health=board.overall,
    )
    return HealthCheckExtension(HealthCheckConfig(endpoint=endpoint), context)


@pytest.fixture
def board() -> StatusBoard:
    return StatusBoard()


@pytest.fixture
def extension(board: StatusBoard, tmp_path: Path) -> Iterator[HealthCheckExtension]:
    made = make(board, tmp_path)
    made.start()
    yield made
    made.stop(5)


def get(port: int, path: str = "/") -> tuple[int, dict[str, object]]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            body = error.read()
        return error.code, json.loads(body) if body.startswith(b"{") else {}


def test_well_while_everything_is_well_or_starting(
    board: StatusBoard, extension: HealthCheckExtension
) -> None:
    board.report("receiver:file_integrity", Health.STARTING, "baseline")
    code, body = get(extension.port)
    assert (code, body["healthy"], body["status"]) == (200, True, "StatusStarting")
    board.report("receiver:file_integrity", Health.OK, "")
    assert get(extension.port)[1]["status"] == "StatusOK"


def test_unwell_names_the_component_and_the_reason(
    board: StatusBoard, extension: HealthCheckExtension
) -> None:
    board.report("exporter:clickhouse@logs", Health.RECOVERABLE_ERROR, "connection refused")
    code, body = get(extension.port)
    assert code == 503
    components = body["components"]
    assert isinstance(components, dict)
    assert components["exporter:clickhouse@logs"]["message"] == "connection refused"
    assert components["exporter:clickhouse@logs"]["healthy"] is False
    assert components["extension:health_check"]["healthy"] is True


def test_other_paths_are_not_found(extension: HealthCheckExtension) -> None:
    assert get(extension.port, "/other")[0] == 404


def test_a_port_in_use_is_named(board: StatusBoard, extension: HealthCheckExtension, tmp_path: Path) -> None:
    with pytest.raises(StartError, match=f"127.0.0.1:{extension.port}"):
        make(board, tmp_path, f"127.0.0.1:{extension.port}").start()


def test_since_is_kept_while_the_health_stays(board: StatusBoard) -> None:
    board.report("a", Health.OK, "one")
    first = board.statuses()[0].since
    board.report("a", Health.OK, "two")
    assert board.statuses()[0].since == first
    assert board.statuses()[0].message == "two"


def test_an_endpoint_without_a_port_is_refused() -> None:
    with pytest.raises(ValueError, match="localhost:13133"):
        HealthCheckConfig(endpoint="localhost")
