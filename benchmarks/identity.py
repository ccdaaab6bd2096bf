"""The identity processor against psutil and against the pipeline without it: `python -m benchmarks.identity`.

The records are file events of processes that run (`sleep`), 500 in a batch, as a pipeline hands them on. psutil looks
up the same process for each record: name, executable, user, parent, start. The last lines are shares of the way
through a pipeline that ends in `chain`.
"""

from __future__ import annotations

import gc
import logging
import pwd
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from otel_fim import names
from otel_fim.component import ProcessorContext
from otel_fim.host.process import Process
from otel_fim.host.sessions import LoginSession
from otel_fim.host.table import ProcessTable
from otel_fim.names import events
from otel_fim.pipeline.coverage import timestamp
from otel_fim.processors.chain import ChainConfig, ChainProcessor
from otel_fim.processors.identity import IdentityConfig, IdentityProcessor
from otel_fim.record import Record, Resource, component_scope

_COUNT: Final = 10_000
_BATCH: Final = 500
_PROCESSES: Final = 40
_ROUNDS: Final = 5
_RESOURCE: Final = Resource(
    {names.HOST_ID: "fdbf79e8af94cb7f9e8df36789187052", names.SERVICE_INSTANCE_ID: "627cc493"}
)
_SCOPE: Final = component_scope("otel_fim.receivers.file_integrity")

Work = Callable[[list[Record]], object]


@dataclass(slots=True, frozen=True)
class Row:
    """One line of the table: records per second, and how many times as fast as the line that it names."""

    name: str
    per_second: float
    ratio: float | None = None
    peer: str = ""


def run() -> list[Row]:
    """All measurements."""
    children = [subprocess.Popen(["sleep", "300"]) for _ in range(_PROCESSES)]
    try:
        with tempfile.TemporaryDirectory() as state:
            return _measure_all([child.pid for child in children], Path(state))
    finally:
        for child in children:
            child.kill()
            child.wait(10)


def _measure_all(pids: list[int], state: Path) -> list[Row]:
    table = ProcessTable()
    table.sessions.learn(LoginSession(3, 0, "root", "203.0.113.7", 51234, "publickey", "sshd", "pts/0"))
    processes = []
    for pid in pids:
        process = table.find(pid)
        if process is None:
            raise RuntimeError(f"process {pid} has ended")
        processes.append(process)
    table.feed_with(lambda: table.fed(time.time_ns()))
    # By time alone a process is found once nobody else can have had its pid in the last three seconds.
    time.sleep(3.5)
    rows: list[Row] = []

    def add(name: str, per_second: float, peer: Row | None = None) -> Row:
        ratio = per_second / peer.per_second if peer else None
        rows.append(Row(name, per_second, ratio, peer.name if peer else ""))
        return rows[-1]

    identity = IdentityProcessor(IdentityConfig(), _context("identity", state, table))
    look_up = add(
        "psutil.Process(pid) for each record",
        _rate(_psutil, processes, complete_key=names.PROCESS_PARENT_PID),
    )
    add("identity, processes known, pid and creation time", _rate(identity.process, processes), look_up)
    add("identity, pid alone", _rate(identity.process, processes, with_creation=False), look_up)
    chain = ChainProcessor(ChainConfig(), _context("chain", state, table))
    chain.start()
    sealed = add("chain alone", _rate(chain.process, processes, complete_key=names.OTEL_FIM_CHAIN_HASH))
    add(
        "identity, then chain", _rate(lambda batch: chain.process(identity.process(batch)), processes), sealed
    )
    identity.stop(1)
    return rows


def _psutil(batch: list[Record]) -> None:
    for record in batch:
        process = psutil.Process(int(str(record.attributes[names.PROCESS_PID])))
        attributes = record.attributes
        with process.oneshot():
            attributes[names.PROCESS_COMMAND] = process.name()
            attributes[names.PROCESS_EXECUTABLE_PATH] = process.exe()
            attributes[names.USER_NAME] = process.username()
            attributes[names.PROCESS_PARENT_PID] = process.ppid()
            attributes[names.PROCESS_CREATION_TIME] = process.create_time()


def _rate(
    work: Work,
    processes: list[Process],
    *,
    with_creation: bool = True,
    complete_key: str = names.PROCESS_ENTITY_ID,
) -> float:
    """Records per second of the fastest round; every record must have the attribute afterwards."""
    best = float("inf")
    for _ in range(_ROUNDS):
        batches = _batches(processes, with_creation)
        gc.collect()
        begin = time.perf_counter()
        for batch in batches:
            work(batch)
        best = min(best, time.perf_counter() - begin)
        complete = sum(complete_key in record.attributes for batch in batches for record in batch)
        if complete < _COUNT:
            raise RuntimeError(f"{_COUNT - complete} records were not completed")
    return _COUNT / best


def _batches(processes: list[Process], with_creation: bool) -> list[list[Record]]:
    now = time.time_ns()
    records = []
    for number in range(_COUNT):
        process = processes[number % len(processes)]
        attributes = {
            names.FILE_PATH: f"/usr/lib/python3/dist-packages/module_{number}.py",
            names.FILE_SIZE: number * 977,
            names.FILE_MODE: "0644",
            names.FILE_HASH_SHA256: f"{number * 7919:064x}",
            names.PROCESS_PID: process.pid,
        }
        if with_creation:
            attributes |= {
                names.PROCESS_CREATION_TIME: timestamp(process.created_unix_nano),
                names.PROCESS_EXECUTABLE_PATH: process.executable_path or "",
                names.PROCESS_COMMAND: process.command or "",
                names.USER_ID: str(process.effective_user_id),
                names.USER_NAME: pwd.getpwuid(process.effective_user_id or 0).pw_name,
            }
        records.append(
            Record(now, now, events.FILE_MODIFIED, 13, "WARN", "modified", attributes, _RESOURCE, _SCOPE)
        )
    return [records[start : start + _BATCH] for start in range(0, _COUNT, _BATCH)]


def _context(name: str, state: Path, table: ProcessTable) -> ProcessorContext:
    return ProcessorContext(
        id=name,
        kind="processor",
        state_directory=state,
        service_directory=state,
        agent_directories=(),
        resource=_RESOURCE,
        scope=_SCOPE,
        logger=logging.getLogger("benchmark"),
        report=lambda health, message: None,
        count=lambda *args, **kwargs: None,
        processes=table,
        pipeline="logs",
        last_record=lambda: None,
    )


def main() -> None:
    """Prints the table."""
    for row in run():
        ratio = f"{row.ratio:7.2f}x {row.peer}" if row.ratio is not None else ""
        print(f"{row.name:52} {row.per_second:12,.0f} records/s {ratio}")


if __name__ == "__main__":
    sys.exit(main())
