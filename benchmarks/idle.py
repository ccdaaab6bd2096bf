"""What the agent costs on a quiet host, with all receivers on: `python -m benchmarks.idle [--seconds 300]`.

The agent runs as people run it, with its state in a private directory; the clock starts when every receiver has
said that it is well and its first look is over. CPU is utime and stime of the agent and its children, memory is
what they have at the end (PSS counts shared pages once for all who share them). Threads are listed with the CPU time
they took and how often they woke up (voluntary context switches).

The process receiver has to look at every process that starts, so that a figure is one of a quiet host only if the
host was quiet: how many processes it started is told, and the figures of the fifth of the time in which it started
the fewest.

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
_WINDOW: Final = 5.0
_LONGEST_SWEEP: Final = 900.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")

_CONFIG: Final = """
extensions: {{health_check: {{endpoint: "127.0.0.1:0"}}}}
receivers: {{{receivers}}}
processors: {{identity: , attack: , novelty: , rules: , risk: , chain: }}
exporters: {{otlp_file: {{path: "{directory}/records.jsonl"}}}}
service:
  state_directory: "{directory}/state"
  extensions: [health_check]
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    logs: {{receivers: [{names}], processors: [identity, attack, novelty, rules, risk, chain], exporters: [otlp_file]}}
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


@dataclass(slots=True, frozen=True)
class Window:
    """A short time: its length, the processes that the host started, and the samples at both ends."""

    seconds: float
    started: int
    before: Sample
    after: Sample


def watch(pids: list[int], seconds: float) -> list[list[Window]]:
    """Windows of five seconds, for each process."""
    windows: list[list[Window]] = [[] for _ in pids]
    end = time.monotonic() + seconds
    before = [sample(pid) for pid in pids]
    begin, started = time.monotonic(), _started_processes()
    while time.monotonic() < end:
        time.sleep(min(_WINDOW, max(0.1, end - time.monotonic())))
        after = [sample(pid) for pid in pids]
        now, count = time.monotonic(), _started_processes()
        for number, each in enumerate(after):
            windows[number].append(Window(now - begin, count - started, before[number], each))
        before, begin, started = after, now, count
    return windows


def cost_of(windows: list[Window]) -> Cost:
    """What was used in these windows together."""
    seconds = sum(each.seconds for each in windows)
    ticks = sum(each.after.cpu - each.before.cpu for each in windows)
    threads: dict[int, tuple[str, float, float]] = {}
    for window in windows:
        for number, thread in window.after.threads.items():
            earlier = window.before.threads.get(number, Thread("", 0.0, 0))
            _, cpu, wakes = threads.get(number, ("", 0.0, 0.0))
            threads[number] = (
                thread.name,
                cpu + thread.cpu - earlier.cpu,
                wakes + (thread.wakes - earlier.wakes) / seconds,
            )
    # By the clock tick, who runs for less than one is often not seen: schedstat is exact, but has no ended threads.
    exact = sum(cpu for _, cpu, _ in threads.values())
    last = windows[-1].after
    return Cost(
        seconds,
        max(exact, ticks if len(windows) * _WINDOW > 60 else 0.0) / seconds,
        last.rss,
        last.pss,
        sum(wakes for _, _, wakes in threads.values()),
        sorted(threads.values(), key=lambda each: -each[1]),
    )


def quietest(windows: list[Window]) -> list[Window]:
    """The fifth of the windows in which the host started the fewest processes."""
    return sorted(windows, key=lambda each: each.started / each.seconds)[: max(1, len(windows) // 5)]


@contextlib.contextmanager
def agent(
    directory: Path, receivers: list[str], settle: float, *, sweep: bool
) -> Iterator[subprocess.Popen[bytes]]:
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
        if sweep:
            _wait_for_the_sweep(process.pid)
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


def _wait_for_the_sweep(pid: int) -> None:
    """Once a day the persistence receiver looks through all file systems, slowly: that is not rest."""
    deadline = time.monotonic() + _LONGEST_SWEEP
    begun = time.monotonic()
    before = -1.0
    while time.monotonic() < deadline:
        used = sum(
            each.cpu for each in sample(pid).threads.values() if each.name.startswith("persistence-swe")
        )
        if used == before:
            break
        before = used
        time.sleep(2)
    print(
        f"the first sweep through the file systems was waited for: {time.monotonic() - begun:.0f} s",
        flush=True,
    )


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
        against = f"{cost.cpu / max(peer.cpu, 1e-9):>8.1f}×{cost.pss / peer.pss:>8.1f}×"
    print(
        f"{name:<44}{cost.cpu:>8.3%}{cost.rss / 1e6:>8.1f}{cost.pss / 1e6:>8.1f}{cost.wakes:>9.1f}{against}"
    )


def _rate(windows: list[Window]) -> float:
    return sum(each.started for each in windows) / sum(each.seconds for each in windows)


def main(arguments: list[str] | None = None) -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.idle", description=main.__doc__)
    parser.add_argument("--seconds", type=float, default=_SECONDS, help="how long to measure (default: 300)")
    parser.add_argument("--receivers", default=",".join(_RECEIVERS), help="which receivers (default: all)")
    parser.add_argument("--settle", type=float, default=_SETTLE, help="seconds after the first look")
    parser.add_argument("--no-sweep", action="store_true", help="do not wait for the first sweep to end")
    parser.add_argument("--no-peer", action="store_true", help="leave the peer out")
    options = parser.parse_args(arguments or [])
    with tempfile.TemporaryDirectory(prefix="otel-fim-idle-") as place, contextlib.ExitStack() as stack:
        directory = Path(place)
        receivers = options.receivers.split(",")
        pids = [
            stack.enter_context(agent(directory, receivers, options.settle, sweep=not options.no_sweep)).pid
        ]
        if not options.no_peer and shutil.which("fail2ban-server"):
            pids.append(stack.enter_context(fail2ban(directory)))
        watched = watch(pids, options.seconds)
    ours = watched[0]
    peers = [cost_of(each) for each in watched[1:]]
    peer = peers[0] if peers else None
    quiet = quietest(ours)
    print(f"{'':<44}{'CPU':>8}{'RSS MB':>8}{'PSS MB':>8}{'wakes/s':>9}{'CPU ÷ peer':>11}{'PSS':>5}")
    _show(f"otel-fim, {options.seconds:.0f} s, {_rate(ours):.1f} processes/s", cost_of(ours), peer)
    _show(f"otel-fim, quietest fifth, {_rate(quiet):.1f} processes/s", cost_of(quiet), peer)
    if peer is not None:
        _show("fail2ban, following one file", peer)
    elif not options.no_peer:
        print("fail2ban is not installed: no peer")
    print(f"\n{'thread, in the quietest fifth':<44}{'CPU':>8}{'wakes/s':>9}")
    for name, used, wakes in cost_of(quiet).threads:
        if used or wakes:
            print(f"{name:<44}{used / sum(each.seconds for each in quiet):>8.3%}{wakes:>9.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
