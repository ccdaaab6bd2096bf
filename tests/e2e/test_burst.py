"""20,000 create-write-delete cycles in one directory, and names made to hurt."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

CYCLES = 20_000
WRITER = """
import os, sys
os.chdir(sys.argv[1])
for number in range(int(sys.argv[2])):
    name = f"f{number % 500}"
    descriptor = os.open(name, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644)
    os.write(descriptor, b"%d" % number)
    os.close(descriptor)
    if number % 100 != 99:
        os.unlink(name)
"""


@pytest.mark.slow
@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: fanotify")
@pytest.mark.timeout(300)
def test_a_burst_ends_in_the_right_states_and_hides_no_loss(make_host: Callable[..., Any]) -> None:
    host = make_host(backend="fanotify")
    host.start()
    subprocess.run([sys.executable, "-c", WRITER, str(host.watched), str(CYCLES)], check=True, timeout=120)
    wanted = {f"{host.watched}/{name}" for name in os.listdir(host.watched)}
    assert len(wanted) == 5

    def present() -> set[str]:
        rows = host.query(
            "SELECT LogAttributes['file.path'] AS path, "
            "argMax(EventName, toUInt64(LogAttributes['audit.sequence.number'])) AS last "
            "FROM otel_logs WHERE EventName LIKE 'otel_fim.file.%' GROUP BY path"
        )
        return {row["path"] for row in rows if row["last"] != "otel_fim.file.deleted"}

    host.wait_for(lambda: present() == wanted, "the final states", timeout=120)
    seen = host.query(
        "SELECT uniqExact(LogAttributes['file.path']) AS n FROM otel_logs WHERE LogAttributes['file.path'] != ''"
    )
    gaps = host.query(
        "SELECT count() AS n FROM otel_logs WHERE EventName = 'otel_fim.coverage.gap' AND "
        "LogAttributes['otel_fim.coverage.reason'] = 'queue_overflow'"
    )
    assert int(seen[0]["n"]) >= 500 or int(gaps[0]["n"]) > 0
    assert host.stop() == 0


HOSTILE = [
    b"new\nline",
    b"[ALERT] DELETED \x1b[2K etc passwd",
    b"quote'\"`;DROP TABLE otel_logs;--",
    b"tab\tand\\backslash",
    b"\xff\xfe invalid \xc3\x28",
    "bidi\u202etxt.exe".encode(),
    b"x" * 255,
    b"percent %s {0} ${env:HOME}",
]


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_hostile_names_neither_crash_nor_forge_and_can_be_found(make_host: Callable[..., Any]) -> None:
    host = make_host()
    host.start()
    root = os.fsencode(host.watched)
    for name in HOSTILE:
        with open(os.path.join(root, name), "wb") as file:
            file.write(name)
    # A path beyond 4,096 bytes can only be made, and reached, step by step.
    directory = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(20):
        os.mkdir(b"d" * 250, dir_fd=directory)
        deeper = os.open(b"d" * 250, os.O_RDONLY | os.O_DIRECTORY, dir_fd=directory)
        os.close(directory)
        directory = deeper
    descriptor = os.open(b"deep", os.O_CREAT | os.O_WRONLY, dir_fd=directory)
    os.write(descriptor, b"deep")
    os.close(descriptor)
    os.close(directory)

    def rows(where: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = host.query(
            f"SELECT EventName, LogAttributes FROM otel_logs WHERE EventName LIKE 'otel_fim.%' AND {where}"
        )
        return found

    host.wait_for(
        lambda: len(rows("LogAttributes['file.hash.sha256'] != ''")) >= len(HOSTILE),
        "all hostile names",
        timeout=30,
    )
    for name in HOSTILE:
        try:
            text = name.decode()
        except UnicodeDecodeError:
            assert rows(
                "LogAttributes['otel_fim.file.path_bytes'] = base64Encode("
                f"unhex('{os.path.join(root, name).hex()}'))"
            )
            continue
        assert rows(f"LogAttributes['file.name'] = unhex('{text.encode().hex()}')"), name
    host.wait_for(
        lambda: bool(
            rows(
                "LogAttributes['file.name'] = 'deep' OR (EventName = 'otel_fim.coverage.gap' AND "
                "LogAttributes['otel_fim.coverage.reason'] = 'path_too_long')"
            )
        ),
        "the deep file, or a gap that names it",
    )
    assert host.stop() == 0
    printed = host.stdout.read_bytes()
    assert b"\x1b" not in printed
    for line in printed.decode().splitlines():
        assert line.startswith(("[ALERT]", "[COVERAGE]")), line
        assert "\u202e" not in line
