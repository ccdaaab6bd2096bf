"""What the agent costs on a quiet host, with all receivers on: `python -m benchmarks.idle [--seconds 300]`.

The agent runs as people run it, with its state in a private directory; the clock starts when every receiver has
said that it is well and its first look is over. CPU is utime and stime of the agent and its children, memory is
what they have at the end (PSS counts shared pages once for all who share them). Threads are listed with the CPU time
they took and how often they woke up (voluntary context switches). The host's own bustle in that time is told too: the
process receiver has to look at every process that starts, so that the figure is one of a quiet host only if the host
was quiet.

The peer in the same run is fail2ban, when it is installed: a Python daemon that follows one log file, which is a part
of what one of the five receivers does.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_RECEIVERS: Final = ("file_integrity", "process", "auth", "listener", "persistence")
_SECONDS: Final = 300.0
_SETTLE: Final = 10.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")

_CONFIG: Final = """
extensions: {{health_check: {{endpoint: "127.0.0.1:0"}}}}
receivers: {{{receivers}}}
processors: {{identity: , attack: , chain: }}
exporters: {{otlp_file: {{path: "{directory}/records.jsonl"}}}}
service:
  state_directory: "{directory}/state"
  extensions: [health_check]
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    logs: {{receivers: [{names}], processors: [identity, attack, chain], exporters: [otlp_file]}}
"""

# The agent's own command, with one addition: each thread tells the kernel its name (prctl PR_SET_NAME).
_NAMED: Final = """
import ctypes, sys, threading
prctl = ctypes.CDLL(None).prctl
begin = threading.Thread._bootstrap_inner
def named(thread):
    prctl(15, thread.name.encode()[:15], 0, 0, 0)
    begin(thread)
threading.Thread._bootstrap_inner = named
from otel_fim.cli.main import main
sys.exit(main(sys.argv[1:]))
"""

_JAIL: Final = """[DEFAULT]
backend = polling
[sshd]
enabled = true
filter = sshd
logpath = {directory}/auth.log
banaction = noop
"""


@dataclass(slots=True)
class Thread:
    """CPU seconds and voluntary context switches so far."""

    name: str
    cpu: float
    wakes: int


@dataclass(slots=True)
class Sample:
    """A process and its children at one moment; `threads` by thread id."""

    cpu: float = 0.0
    rss: int = 0
    pss: int = 0
    threads: dict[int, Thread] = field(default_factory=dict)


@dataclass(slots=True)
class Cost:
    """What was used in a time: CPU as a share of one core, bytes, wake-ups a second."""

    seconds: float
    cpu: float
    rss: int
    pss: int
    wakes: float
    threads: list[tuple[str, float, float]]


def sample(pid: int) -> Sample:
    """Reads /proc; a process that is gone adds nothing."""
    taken = Sample()
    waiting = [pid]
    while waiting:
        each = waiting.pop()
        with contextlib.suppress(OSError):
            _add(taken, each, waiting)
    return taken


def _add(taken: Sample, pid: int, waiting: list[int]) -> None:
    root = Path(f"/proc/{pid}")
    # Own time and that of the children that have ended; those that run are added by themselves.
    fields = _after_name(root / "stat")
    taken.cpu += sum(int(word) for word in fields[11:15]) / _TICKS
    for line in (root / "smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            taken.rss += int(line.split()[1]) * 1024
        elif line.startswith("Pss:"):
            taken.pss += int(line.split()[1]) * 1024
    for task in (root / "task").iterdir():
        with contextlib.suppress(OSError):
            status = (task / "status").read_text()
            # Nanoseconds, where /proc/PID/task/TID/stat has clock ticks.
            cpu = int((task / "schedstat").read_text().split()[0]) / 1e9
            wakes = re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status, re.MULTILINE)
            name = (task / "comm").read_text().strip()
            taken.threads[int(task.name)] = Thread(name, cpu, int(wakes[1]) if wakes else 0)
            waiting += [int(word) for word in (task / "children").read_text().split()]


def _after_name(path: Path) -> list[str]:
    return path.read_text().rpartition(") ")[2].split()


def measure(pid: int, seconds: float) -> Cost:
    """Watches a process for that long."""
    begin, before = time.monotonic(), sample(pid)
    time.sleep(seconds)
    after = sample(pid)
    taken = time.monotonic() - begin
    threads = []
    for number, thread in after.threads.items():
        earlier = before.threads.get(number, Thread("", 0.0, 0))
        threads.append((thread.name, thread.cpu - earlier.cpu, (thread.wakes - earlier.wakes) / taken))
    threads.sort(key=lambda each: -each[1])
    # Where the kernel counts by ticks, a thread that runs for less than one is often not seen: schedstat is exact.
    cpu = max(after.cpu - before.cpu, sum(each[1] for each in threads))
    return Cost(taken, cpu / taken, after.rss, after.pss, sum(each[2] for each in threads), threads)


@contextlib.contextmanager
def agent(directory: Path, receivers: list[str], settle: float) -> Iterator[subprocess.Popen[bytes]]:
    """The agent, once all its receivers are well and have had time for their first look."""
    config = directory / "config.yaml"
    config.write_text(
        _CONFIG.format(
            directory=directory,
            receivers=", ".join(f"{name}: {{}}" for name in receivers),
            names=", ".join(receivers),
        )
    )
    log = directory / "agent.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", _NAMED, "run", "-c", str(config)],
            stderr=errors,
            stdout=subprocess.DEVNULL,
            cwd=directory,
        )
    try:
        _wait_until_well(process, log, receivers)
        time.sleep(settle)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_well(process: subprocess.Popen[bytes], log: Path, receivers: list[str]) -> None:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the agent ended:\n{log.read_text()}")
        found = re.search(r"health at (http://\S+)", log.read_text())
        if found is not None:
            try:
                body = urllib.request.urlopen(found[1], timeout=5).read()
            except urllib.error.HTTPError as error:
                body = error.read()
            except OSError:
                body = b'{"components": {}}'
            states = json.loads(body)["components"]
            if all(
                states.get(f"receiver:{name}", {}).get("status") not in (None, "StatusStarting")
                for name in receivers
            ):
                return
        time.sleep(0.5)
    raise TimeoutError(f"the agent did not become ready:\n{log.read_text()}")


@contextlib.contextmanager
def fail2ban(directory: Path) -> Iterator[int]:
    """fail2ban with its Debian configuration and one jail, by its pid; it bans nobody."""
    settings = directory / "fail2ban"
    shutil.copytree("/etc/fail2ban", settings)
    (directory / "auth.log").write_text("")
    (settings / "jail.d").mkdir(exist_ok=True)
    for each in (settings / "jail.d").iterdir():
        each.unlink()
    (settings / "jail.local").write_text(_JAIL.format(directory=directory))
    (settings / "action.d" / "noop.conf").write_text("[Definition]\nactionban =\nactionunban =\n")
    process = subprocess.Popen(
        [
            "fail2ban-server",
            "-f",
            "-c",
            str(settings),
            "-s",
            str(directory / "f2b.sock"),
            "-p",
            str(directory / "f2b.pid"),
            "--logtarget",
            str(directory / "f2b.log"),
            "start",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        time.sleep(_SETTLE)
        if process.poll() is not None:
            raise RuntimeError("fail2ban did not start")
        yield process.pid
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        if process.poll() is None:
            process.kill()
            process.wait()


def _started_processes() -> int:
    found = re.search(r"^processes (\d+)$", Path("/proc/stat").read_text(), re.MULTILINE)
    return int(found[1]) if found else 0


def _show(name: str, cost: Cost, peer: Cost | None = None) -> None:
    against = ""
    if peer is not None:
        against = f"   {cost.cpu / max(peer.cpu, 1e-9):.2f}× the CPU, {cost.pss / peer.pss:.2f}× the memory of the peer"
    print(
        f"{name:<24}{cost.cpu:>9.3%}{cost.rss / 1e6:>9.1f}{cost.pss / 1e6:>9.1f}{cost.wakes:>10.1f}{against}"
    )


def main(arguments: list[str] | None = None) -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.idle", description=main.__doc__)
    parser.add_argument("--seconds", type=float, default=_SECONDS, help="how long to measure (default: 300)")
    parser.add_argument("--receivers", default=",".join(_RECEIVERS), help="which receivers (default: all)")
    parser.add_argument("--settle", type=float, default=_SETTLE, help="seconds after the first look")
    parser.add_argument("--no-peer", action="store_true", help="leave the peer out")
    options = parser.parse_args(arguments or [])
    receivers = options.receivers.split(",")
    peer: Cost | None = None
    with tempfile.TemporaryDirectory(prefix="otel-fim-idle-") as place:
        directory = Path(place)
        started = _started_processes()
        with contextlib.ExitStack() as stack:
            running = stack.enter_context(agent(directory, receivers, options.settle))
            other = None
            if not options.no_peer and shutil.which("fail2ban-server"):
                other = stack.enter_context(fail2ban(directory))
            started = _started_processes()
            before = sample(other) if other is not None else None
            cost = measure(running.pid, options.seconds)
            if other is not None and before is not None:
                after = sample(other)
                cpu = max(
                    after.cpu - before.cpu,
                    sum(
                        each.cpu - before.threads[number].cpu
                        for number, each in after.threads.items()
                        if number in before.threads
                    ),
                )
                wakes = sum(each.wakes for each in after.threads.values()) - sum(
                    each.wakes for each in before.threads.values()
                )
                peer = Cost(cost.seconds, cpu / cost.seconds, after.rss, after.pss, wakes / cost.seconds, [])
            started = _started_processes() - started
    print(
        f"{cost.seconds:.0f} s; the host started {started / cost.seconds:.1f} processes a second\n\n"
        f"{'':<24}{'CPU':>9}{'RSS MB':>9}{'PSS MB':>9}{'wakes/s':>10}"
    )
    _show("otel-fim", cost, peer)
    if peer is not None:
        _show("fail2ban, one log file", peer)
    elif not options.no_peer:
        print("fail2ban is not installed: no peer")
    print(f"\n{'thread':<24}{'CPU':>9}{'wakes/s':>10}")
    for name, used, wakes in cost.threads:
        print(f"{name:<24}{used / cost.seconds:>9.3%}{wakes:>10.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
