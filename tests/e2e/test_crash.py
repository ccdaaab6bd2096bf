"""kill -9 of the agent, of the store and of both, at random moments during 5,000 changes."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from otel_fim.chain import sealed_row
from otel_fim.verify import Verification

CHANGES = 5000

# Runs as a process of its own: random changes on 400 names, spread over about twelve seconds.
WRITER = """
import os, random, sys, time
directory, seed, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
source = random.Random(seed)
os.chdir(directory)
for number in range(count):
    name = f"d{source.randrange(4)}/f{source.randrange(100)}"
    os.makedirs(os.path.dirname(name), exist_ok=True)
    choice = source.random()
    try:
        if choice < 0.55:
            with open(name, "w") as file:
                file.write(f"{seed} {number}\\n" * source.randrange(1, 50))
        elif choice < 0.75:
            with open(name, "a") as file:
                file.write(f"more {number}\\n")
        elif choice < 0.85:
            os.rename(name, f"d{source.randrange(4)}/f{source.randrange(100)}")
        elif choice < 0.9:
            os.chmod(name, source.choice((0o600, 0o640, 0o644)))
        else:
            os.unlink(name)
    except FileNotFoundError:
        pass
    time.sleep(0.002)
"""


def on_disk(directory: Path) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.rglob("*")
        if path.is_file()
    }


def as_reported(rows: list[dict[str, Any]]) -> dict[str, str]:
    """What somebody who knows only the records believes to be there."""
    files: dict[str, str] = {}
    for row in rows:
        attributes, event = row["LogAttributes"], row["EventName"]
        path = attributes["file.path"]
        if event == "otel_fim.file.deleted":
            files.pop(path, None)
            continue
        if event == "otel_fim.file.renamed":
            files.pop(attributes["otel_fim.before.file.path"], None)
        if attributes["file.type"] == "file":
            files[path] = attributes.get("file.hash.sha256", "not hashed")
    return files


def verified(host: Any) -> int:
    """How many rows of the table are one unbroken chain: every hash made again from the columns."""
    verification = Verification()
    rows = host.query(
        "SELECT toString(toUnixTimestamp64Nano(Timestamp)) AS ns, * FROM otel_logs "
        "ORDER BY toUInt64(LogAttributes['audit.sequence.number'])"
    )
    for row in rows:
        verification.add_sealed(
            sealed_row(
                timestamp_unix_nano=int(row["ns"]),
                severity_number=row["SeverityNumber"],
                severity_text=row["SeverityText"],
                body=row["Body"],
                event_name=row["EventName"],
                scope_name=row["ScopeName"],
                scope_version=row["ScopeVersion"],
                scope_attributes=row["ScopeAttributes"],
                log_attributes=row["LogAttributes"],
                resource_attributes=row["ResourceAttributes"],
            )
        )
    assert verification.is_whole, verification.problems[:5]
    return len(rows)


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nothing_is_lost_and_nothing_comes_twice(make_host: Callable[..., Any], seed: int) -> None:
    host = make_host()
    host.start()
    source = random.Random(seed)
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(host.watched), str(seed), str(CHANGES)])
    kills = 0
    while writer.poll() is None:
        time.sleep(source.uniform(0.3, 3.0))
        victim = source.choice(("agent", "store", "both"))
        store = host.store_pid()
        if victim != "agent" and store is not None:
            os.kill(store, signal.SIGKILL)
            kills += 1
        if victim != "store":
            host.kill()
            kills += 1
            time.sleep(source.uniform(0, 0.5))
            host.start(wait=False)
    assert writer.returncode == 0
    assert kills >= 3
    host.wait_for(lambda: host.health().get("receiver:file_integrity") == "StatusOK", "the receiver")
    # The last change is behind us: the records are complete once two questions, some time apart, agree.
    counts: list[int] = []

    def quiet() -> bool:
        time.sleep(1.0)
        counts.append(
            int(host.query("SELECT count() AS n FROM otel_logs WHERE EventName LIKE '%.file.%'")[0]["n"])
        )
        return (
            len(counts) > 3 and counts[-1] == counts[-4] and as_reported(changes()) == on_disk(host.watched)
        )

    def changes() -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = host.query(
            "SELECT EventName, LogAttributes FROM otel_logs WHERE EventName LIKE 'otel_fim.file.%' "
            "ORDER BY toUInt64(LogAttributes['audit.sequence.number'])"
        )
        return rows

    try:
        host.wait_for(quiet, "agreement of the records with the disk", timeout=90)
    except AssertionError:
        reported, real = as_reported(changes()), on_disk(host.watched)
        different = {
            p: (reported.get(p), real.get(p))
            for p in reported.keys() | real
            if reported.get(p) != real.get(p)
        }
        assert not different, f"{len(different)} files differ\n{host.log()}"
        raise
    streams = host.query(
        "SELECT LogAttributes['audit.sequence.stream_id'] AS stream, count() AS n, "
        "uniqExact(toUInt64(LogAttributes['audit.sequence.number'])) AS different, "
        "min(toUInt64(LogAttributes['audit.sequence.number'])) AS first, "
        "max(toUInt64(LogAttributes['audit.sequence.number'])) AS last "
        "FROM otel_logs GROUP BY stream"
    )
    assert len(streams) == 1, streams
    (stream,) = streams
    assert stream["stream"]
    n, different_numbers, first, last = (int(stream[k]) for k in ("n", "different", "first", "last"))
    assert (first, last, different_numbers) == (1, n, n), stream
    assert verified(host) == n
    assert host.stop() == 0
