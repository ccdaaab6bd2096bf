"""The process receiver under 10,000 runs of /bin/true: `python -m benchmarks.process`, as root.

- What is known of each: the share of records with executable, hash, user, session, directory and parent.
- What it costs: processor time for each process, and how much longer the loop takes.
- The peer: psutil's `process_iter` every 2 s and every 0.1 s, in a process of its own, at the same time.
- At rest: processor time in ten seconds, with whatever else the machine does.
"""

from __future__ import annotations

import logging
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from otel_fim import names
from otel_fim.component import ReceiverContext
from otel_fim.host.table import ProcessTable
from otel_fim.names import events
from otel_fim.receivers.process import ProcessReceiver
from otel_fim.receivers.process.config import ProcessConfig
from otel_fim.record import Record, Resource, Scope

_COUNT: Final = 10_000
_LOOP: Final = f"i=0; while [ $i -lt {_COUNT} ]; do /bin/true; i=$((i+1)); done"
_POLL: Final = """
import psutil, sys, time
interval, parent, seen = float(sys.argv[1]), int(sys.argv[2]), set()
print(flush=True)
end = time.monotonic() + 600
while psutil.pid_exists(parent) and time.monotonic() < end:
    for process in psutil.process_iter(["pid", "create_time", "ppid", "exe"]):
        if process.info["ppid"] == parent:
            seen.add((process.info["pid"], process.info["create_time"]))
    time.sleep(interval)
print(len(seen), time.process_time())
"""


class _Records:
    def __init__(self) -> None:
        self.all: list[Record] = []

    def emit(self, records: Sequence[Record], on_durable: Callable[[], None] | None = None) -> None:
        del on_durable
        self.all += records


def _receiver(place: Path, records: _Records) -> ProcessReceiver:
    context = ReceiverContext(
        id="process",
        kind="receiver",
        state_directory=place,
        service_directory=place,
        agent_directories=(place,),
        resource=Resource({}),
        scope=Scope("benchmark"),
        logger=logging.getLogger("benchmark"),
        report=lambda health, message: None,
        count=lambda *args, **more: None,
        emit=records.emit,
        processes=ProcessTable(),
    )
    return ProcessReceiver(ProcessConfig(), context, own_pid=-1)


def _loop(intervals: Sequence[float] = ()) -> tuple[float, int, list[tuple[int, float]]]:
    """Seconds, the shell's pid, and for each poller how many it saw and its processor seconds."""
    shell = subprocess.Popen(["/bin/sh", "-c", f"read go; {_LOOP}"], stdin=subprocess.PIPE)
    pollers = [
        subprocess.Popen(
            [sys.executable, "-c", _POLL, str(interval), str(shell.pid)], stdout=subprocess.PIPE, text=True
        )
        for interval in intervals
    ]
    for each in pollers:
        assert each.stdout is not None
        each.stdout.readline()
    start = time.perf_counter()
    shell.communicate(b"\n")
    seconds = time.perf_counter() - start
    seen = [each.communicate()[0].split() for each in pollers]
    return seconds, shell.pid, [(int(count), float(cpu)) for count, cpu in seen]


def run() -> list[tuple[str, float, str]]:
    """All figures: what, how much, and the unit."""
    rows: list[tuple[str, float, str]] = []
    alone = min(_loop()[0] for _ in range(2))
    with tempfile.TemporaryDirectory() as place:
        records = _Records()
        receiver = _receiver(Path(place), records)
        receiver.start()
        before = time.process_time()
        seconds, shell, _ = _loop()
        _settle(records)
        cpu = time.process_time() - before
        rows += _completeness(records.all, shell)
        rows += [
            ("receiver: processor time for each process, two records each", cpu / _COUNT * 1e6, "µs"),
            ("the loop alone", alone, "s"),
            ("the loop with the receiver", seconds, "s"),
            ("the loop, with the receiver against alone", seconds / alone, "×"),
        ]
        records.all.clear()
        _, shell, polled = _loop((2.0, 0.1))
        _settle(records)
        own = len(_started(records.all, shell))
        rows.append(("side by side: the receiver saw", 100 * own / _COUNT, "%"))
        for interval, (count, cpu) in zip(("2 s", "0.1 s"), polled, strict=True):
            rows.append((f"side by side: psutil every {interval} saw", 100 * count / _COUNT, "%"))
            rows.append(
                (f"side by side: psutil every {interval}, processor time", cpu / _COUNT * 1e6, "µs/process")
            )
        records.all.clear()
        before = time.process_time()
        time.sleep(10)
        rows.append(
            (
                f"at rest: processor time, {len(records.all)} records meanwhile",
                (time.process_time() - before) * 10,
                "% of a core",
            )
        )
        rows.append(
            (
                "greatest memory, with the records of the run",
                resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                "MB",
            )
        )
        receiver.stop(10)
    return rows


def _settle(records: _Records) -> None:
    count = -1
    while count != len(records.all):
        count = len(records.all)
        time.sleep(0.5)


def _started(records: Sequence[Record], shell: int) -> list[Record]:
    """One record of each process: the one that knows most."""
    best: dict[object, Record] = {}
    for record in records:
        if (
            record.event_name == events.PROCESS_STARTED
            and record.attributes.get(names.PROCESS_PARENT_PID) == shell
        ):
            key = record.attributes.get(names.PROCESS_ENTITY_ID)
            if key not in best or len(record.attributes) > len(best[key].attributes):
                best[key] = record
    return list(best.values())


def _completeness(records: Sequence[Record], shell: int) -> list[tuple[str, float, str]]:
    found = _started(records, shell)
    exits = sum(
        r.event_name == events.PROCESS_EXITED and r.attributes.get(names.PROCESS_PARENT_PID) == shell
        for r in records
    )
    rows = [
        ("processes told", 100 * len(found) / _COUNT, "%"),
        ("ends told", 100 * exits / _COUNT, "%"),
    ]
    for key in (
        names.PROCESS_EXECUTABLE_PATH,
        names.PROCESS_HASH_SHA256,
        names.PROCESS_COMMAND,
        names.PROCESS_USER_NAME,
        names.PROCESS_SESSION_LEADER_PID,
        names.PROCESS_WORKING_DIRECTORY,
        names.PROCESS_LINUX_CGROUP,
        names.PROCESS_PARENT_EXECUTABLE_PATH,
        names.PROCESS_GROUP_LEADER_PID,
    ):
        rows.append((f"  with {key}", 100 * sum(key in r.attributes for r in found) / _COUNT, "%"))
    return rows


def main() -> None:
    """Prints the table."""
    if os.geteuid() != 0:
        print("the kernel's accounting of processes is root's: run it as root")
        return
    for name, value, unit in run():
        print(f"{name:66} {value:10,.2f} {unit}")


if __name__ == "__main__":
    main()
