"""The cost of looking at 1,000 listeners, and of doing nothing: `python -m benchmarks.listener [SECONDS]`.

Peers in the same run: `ss -H -ltun` (with the start of the program, as a shell script pays it) and
`psutil.net_connections`, which also looks up who holds each socket. Each figure is the best of several rounds.
SECONDS (default 60) is how long the idle receiver is measured, at its default interval of two seconds.
"""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from otel_fim.component import Health, ReceiverContext
from otel_fim.receivers.listener import ListenerReceiver
from otel_fim.receivers.listener.config import ListenerConfig
from otel_fim.receivers.listener.holders import find_holders
from otel_fim.receivers.listener.proc_net import ProcTables
from otel_fim.receivers.listener.sock_diag import Dumper
from otel_fim.record import Resource, component_scope

_LISTENERS: Final = 1000
_ROUNDS: Final = 7
_SECONDS: Final = 60.0

_HOLD = """
import socket, sys
held = []
for number in range(int(sys.argv[1])):
    family = socket.AF_INET if number % 2 else socket.AF_INET6
    made = socket.socket(family)
    made.bind(("127.0.0.1" if number % 2 else "::1", 0))
    made.listen()
    held.append(made)
print("ready", flush=True)
sys.stdin.read()
"""


@dataclass(slots=True, frozen=True)
class Row:
    """One line of the table: milliseconds, and how many times as fast as `ss` and as psutil."""

    name: str
    milliseconds: float
    ss: float | None = None
    psutil: float | None = None


def run() -> list[Row]:
    """The rows, in the order in which they are shown."""
    with _held(_LISTENERS):
        ss = _best(lambda: subprocess.run(["ss", "-H", "-ltun"], capture_output=True, check=True))
        peer = _best(lambda: psutil.net_connections(kind="inet"))
        rows = [Row("ss -H -ltun", ss), Row("psutil.net_connections", peer)]

        def add(name: str, call: Callable[[], Any]) -> None:
            taken = _best(call)
            rows.append(Row(name, taken, ss / taken, peer / taken))

        dumper = Dumper(("tcp", "udp"))
        dumper.dump()
        add("sock_diag, nothing has changed", dumper.dump)

        def changed() -> None:
            with _one_more():
                dumper.dump()

        def forget() -> None:
            dumper._last.clear()
            dumper.dump()

        add("sock_diag, one listener more", changed)
        add("sock_diag, all read anew", forget)
        dumper.close()
        tables = ProcTables(("tcp", "udp"))
        tables.dump()
        add("/proc/net, nothing has changed", tables.dump)
        with _one_more() as made:
            inode = os.fstat(made.fileno()).st_ino
            add("who holds a new socket: told by the kernel", lambda: find_holders({inode: 0}, [os.getpid()]))
            add("who holds a new socket: searched", lambda: find_holders({inode: 0}))
            add("who holds a socket that nobody holds", lambda: find_holders({1 << 40: 0}))
    return rows


def idle(seconds: float) -> tuple[float, int]:
    """CPU seconds and voluntary context switches of a receiver at rest."""
    ready = threading.Event()
    with tempfile.TemporaryDirectory() as directory:
        context = ReceiverContext(
            id="listener",
            kind="receiver",
            state_directory=Path(directory),
            service_directory=Path(directory),
            agent_directories=(),
            resource=Resource(),
            scope=component_scope("benchmark"),
            logger=logging.getLogger("benchmark"),
            report=lambda health, _: ready.set() if health is Health.OK else None,
            count=lambda *_, **__: None,
            emit=lambda records, on_durable=None: on_durable() if on_durable is not None else None,
        )
        receiver = ListenerReceiver(ListenerConfig(), context)
        receiver.start()
        ready.wait(30)
        time.sleep(1)
        cpu, switches = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
        time.sleep(seconds)
        cpu, switches = (
            time.process_time() - cpu,
            resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - switches,
        )
        receiver.stop(5)
    return cpu, switches


def _best(call: Callable[[], Any]) -> float:
    times = []
    for _ in range(_ROUNDS):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return min(times) * 1000


@contextlib.contextmanager
def _one_more() -> Iterator[socket.socket]:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        made.listen()
        yield made


@contextlib.contextmanager
def _held(count: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + 100
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        yield
    finally:
        holder.communicate(timeout=30)


def main() -> None:
    """Prints the table."""
    print(f"{_LISTENERS:,} TCP listeners\n{'':<46}{'ms':>9}{'ss ÷':>9}{'psutil ÷':>10}")
    for row in run():
        ratios = (f"{each:.1f}×" if each else "" for each in (row.ss, row.psutil))
        print(f"{row.name:<46}{row.milliseconds:>9.3f}{next(ratios):>9}{next(ratios):>10}")
    arguments = sys.argv[1:]
    seconds = float(arguments[0]) if arguments and arguments[0].replace(".", "").isdigit() else _SECONDS
    cpu, switches = idle(seconds)
    print(
        f"\nat rest for {seconds:g} s: {cpu:.3f} s of CPU ({cpu / seconds:.3%} of a core), "
        f"{switches / seconds:.1f} wake-ups a second, the sleeping main thread's among them"
    )


if __name__ == "__main__":
    main()
