"""A real store that an exporter wrote into, and the command."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from otel_fim import names
from otel_fim.cli.main import main
from otel_fim.exporters.clickhouse.command import statements
from otel_fim.names import events
from otel_fim.record import Record, Resource, Scope
from tests.sigma.parity.table import Table

SECOND = 1_000_000_000

RULE = """
title: Cron Entry Added
name: cron_added
id: 2f1f0c1f-6f2c-4a51-9c8c-5d8bd1ee9f57
author: Jane \x1b[31mDoe
license: DRL-1.1
level: high
tags: [attack.t1053.003]
references: [https://example.com/cron]
logsource: {product: linux, category: file_event}
detection:
  s: {TargetFilename|startswith: /etc/cron.d/}
  condition: s
"""
CORRELATION = """
---
title: Many Cron Entries
name: many
id: 3f1f0c1f-6f2c-4a51-9c8c-5d8bd1ee9f57
level: critical
correlation:
  type: value_count
  rules: [cron_added]
  group-by: [host.name]
  timespan: 10m
  condition: {field: TargetFilename, gte: 3}
"""
BROKEN = """
---
title: Broken
logsource: {product: linux, category: file_event}
detection:
  s: {TargetFilename|re: '(?=x)'}
  condition: s
"""


def created(path: str, ago: float, number: int) -> Record:
    return Record(
        time_unix_nano=time.time_ns() - int(ago * SECOND),
        observed_time_unix_nano=time.time_ns(),
        event_name=events.FILE_CREATED,
        severity_number=9,
        severity_text="INFO",
        body=f"created {path}",
        attributes={
            names.FILE_PATH: path,
            names.USER_NAME: "root",
            names.PROCESS_EXECUTABLE_PATH: "/usr/bin/bash",
            names.AUDIT_SEQUENCE_STREAM_ID: "stream",
            names.AUDIT_SEQUENCE_NUMBER: number,
        },
        resource=Resource({names.HOST_NAME: "web-1"}),
        scope=Scope(),
    )


@pytest.fixture(scope="package")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Table]:
    """Three files in the last half hour, one of which nobody should print as it is, and one from two days ago."""
    made = Table(tmp_path_factory.mktemp("hunt") / "store")
    made.run("CREATE DATABASE real")
    for statement in statements("real"):
        made.run(statement)
    paths = ["/etc/cron.d/a", "/etc/cron.d/b\n\x1b[2J", "/etc/cron.d/c"]
    records = [created(path, 1800 - 60 * i, i) for i, path in enumerate(paths)]
    made.insert(
        [*records, created("/etc/cron.d/old", 2 * 86_400, 9), created("/tmp/x", 60, 10)], "real.otel_logs"
    )
    yield made
    made.stop()


@dataclass
class Ran:
    status: int
    out: str
    err: str


@pytest.fixture
def hunt(table: Table, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Runs the command against the store as its reader; other arguments override."""

    def run(*arguments: Any) -> Ran:
        place = [
            "--endpoint",
            f"http://{table.host}:{table.port}",
            "--username",
            "reader",
            "--database",
            "real",
        ]
        place += ["--password-file", str(table.directory / "reader.password")]
        status = main(["hunt", *place, *map(str, arguments)])
        captured = capsys.readouterr()
        return Ran(status, captured.out, captured.err)

    return run


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yml"
    path.write_text(
        (RULE + CORRELATION).replace("\x1b", "\\e").replace("Jane \\e[31mDoe", '"Jane \\e[31mDoe"')
    )
    return path


@pytest.fixture
def broken(rules: Path) -> Path:
    rules.write_text(rules.read_text() + BROKEN)
    return rules
