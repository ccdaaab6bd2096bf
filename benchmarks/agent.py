"""The whole agent as people run it: memory over a large tree, and the time from a change to journal and row.

`python -m benchmarks.agent [TREE]`: TREE (default /usr) is what is watched for the memory figure. Needs the
extra `embedded`. The peer for memory is `aide --init` on the same tree when aide is installed; the peer for
latency is watchdog alone in this process, so that the figures show what everything behind the event adds.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

_CHANGES: Final = 400
_BURST: Final = 5000

_CONFIG: Final = """
extensions:
  embedded_store: {{listen: "127.0.0.1:{store}"}}
  health_check: {{endpoint: "127.0.0.1:{health}"}}
receivers:
  file_integrity: {{paths: ["{watched}"], include_hidden: true, exclude: []}}
processors: {{attack: , chain: }}
exporters:
  clickhouse:
    endpoint: "http://127.0.0.1:{store}"
    username: writer
    password_file: store/writer.password
    retry_on_failure: {{initial_interval: 100ms}}
service:
  state_directory: "{state}"
  extensions: [{extensions}]
  telemetry: {{metrics: {{level: none}}, logs: {{level: error}}}}
  pipelines:
    logs: {{receivers: [file_integrity], processors: [attack, chain], exporters: [clickhouse]}}
"""


@dataclass(slots=True, frozen=True)
class Row:
    """One line of the table."""

    name: str
    value: str
    ratio: str = ""


def _ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Running:
    """An agent on `watched` with its state in `directory`."""

    def __init__(self, watched: Path, directory: Path, *, store: bool) -> None:
        self.state = directory / "state"
        self.store_port, self._health_port = _ports(2)
        extensions = "health_check, embedded_store" if store else "health_check"
        config = directory / "config.yaml"
        config.write_text(
            _CONFIG.format(
                store=self.store_port,
                health=self._health_port,
                watched=watched,
                state=self.state,
                extensions=extensions,
            )
        )
        self.process = subprocess.Popen([sys.executable, "-m", "otel_fim", "run", "-c", str(config)])

    def wait_until_watching(self, timeout: float = 300) -> float:
        """Seconds until the receiver says that it is ready."""
        begin = time.monotonic()
        while time.monotonic() - begin < timeout:
            with contextlib.suppress(OSError, ValueError, KeyError):
                address = f"http://127.0.0.1:{self._health_port}/"
                try:
                    body = urllib.request.urlopen(address, timeout=2).read()
                except urllib.error.HTTPError as error:
                    body = error.read()
                if json.loads(body)["components"]["receiver:file_integrity"]["status"] == "StatusOK":
                    return time.monotonic() - begin
            time.sleep(0.02)
        raise TimeoutError("the agent did not become ready")

    def memory(self, field: str) -> int:
        """`VmRSS` or `VmHWM` of the agent, in bytes."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
        raise KeyError(field)

    def query(self, sql: str) -> list[str]:
        password = (self.state / "store/reader.password").read_text().strip()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.store_port}/?" + urllib.parse.urlencode({"query": sql}),
            headers={"Authorization": "Basic " + b64encode(f"reader:{password}".encode()).decode()},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read().decode().splitlines()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.0f} MB"


def memory(tree: Path) -> Iterator[Row]:
    """Resident memory of the agent without the store, with `tree` watched."""
    files = sum(len(names) + len(directories) for _, directories, names in os.walk(tree))
    with tempfile.TemporaryDirectory() as name:
        agent = Running(tree, Path(name), store=False)
        try:
            seconds = agent.wait_until_watching()
            time.sleep(3)
            resident, peak = agent.memory("VmRSS"), agent.memory("VmHWM")
        finally:
            agent.stop()
        peer = _aide(tree, Path(name))
    yield Row(f"{tree}: entries watched", f"{files:,}")
    yield Row("start to watching, baseline made", f"{seconds:.1f} s")
    ratio = (lambda size: f"{size / peer:.2f} × aide's peak") if peer else (lambda _: "")
    yield Row("agent, resident when watching", _megabytes(resident), ratio(resident))
    yield Row("agent, peak", _megabytes(peak), ratio(peak))
    if peer:
        yield Row("aide --init, peak", _megabytes(peer))


def _aide(tree: Path, directory: Path) -> int:
    """Peak memory of `aide --init` on the tree in bytes, 0 without aide."""
    if shutil.which("aide") is None:
        return 0
    config = directory / "aide.conf"
    config.write_text(
        f"database_out=file:{directory}/aide.db\ngzip_dbout=no\n{tree} p+i+n+u+g+s+m+c+sha256\n"
    )
    code = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "aide", "--init", "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=600,
    )
    return int(done.stdout.split()[-1]) * 1024


class Journal(threading.Thread):
    """Notes when each path first stands in the journal."""

    def __init__(self, directory: Path) -> None:
        super().__init__(daemon=True)
        self._directory = directory
        self.seen: dict[str, float] = {}
        self.done = threading.Event()

    def run(self) -> None:
        path = next(self._directory.glob("*.jsonl"))
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            while not self.done.is_set():
                line = file.readline()
                if not line.endswith(b"\n"):
                    file.seek(-len(line), os.SEEK_CUR)
                    time.sleep(0.0005)
                    continue
                now = time.monotonic()
                for resource_logs in json.loads(line)["resourceLogs"]:
                    for scope_logs in resource_logs["scopeLogs"]:
                        for record in scope_logs["logRecords"]:
                            for pair in record["attributes"]:
                                if pair["key"] == "file.name":
                                    self.seen.setdefault(pair["value"]["stringValue"], now)


class Rows(threading.Thread):
    """Notes when each path first stands in the table."""

    def __init__(self, agent: Running) -> None:
        super().__init__(daemon=True)
        self._agent = agent
        self.seen: dict[str, float] = {}
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.is_set():
            with contextlib.suppress(OSError):
                sql = "SELECT LogAttributes['file.name'] FROM otel_logs ORDER BY Timestamp DESC LIMIT 20000"
                names = self._agent.query(sql)
                now = time.monotonic()
                for name in names:
                    self.seen.setdefault(name, now)
            time.sleep(0.005)


class Peer(FileSystemEventHandler):
    """When watchdog, alone in this process, tells of each file."""

    def __init__(self, directory: Path) -> None:
        self.seen: dict[str, float] = {}
        self.observer = Observer()
        self.observer.schedule(self, str(directory))
        self.observer.start()

    def on_created(self, event: FileSystemEvent) -> None:
        self.seen.setdefault(os.path.basename(os.fsdecode(event.src_path)), time.monotonic())


def latency() -> Iterator[Row]:
    """From a write to the line in the journal and to the row in the table."""
    with tempfile.TemporaryDirectory() as name:
        watched = Path(name) / "watched"
        watched.mkdir()
        agent = Running(watched, Path(name), store=True)
        try:
            agent.wait_until_watching()
            for _ in range(600):
                with contextlib.suppress(OSError):
                    if agent.query("SELECT 1 FROM otel_logs LIMIT 1"):
                        break
                time.sleep(0.1)
            journal, rows = Journal(agent.state / "journal/logs"), Rows(agent)
            journal.start()
            rows.start()
            peer = Peer(watched)
            time.sleep(0.5)
            written: dict[str, float] = {}
            source = random.Random(1)
            for number in range(_CHANGES):
                written[f"f{number}"] = time.monotonic()
                (watched / f"f{number}").write_text(f"{number}")
                time.sleep(source.uniform(0.01, 0.05))
            _wait(lambda: len(rows.seen.keys() & written.keys()) == _CHANGES)
            single = dict(written)
            begin = time.monotonic()
            for number in range(_BURST):
                written[f"b{number}"] = time.monotonic()
                (watched / f"b{number}").write_text(f"{number}")
            wrote = time.monotonic() - begin
            _wait(lambda: len(rows.seen.keys() & written.keys()) == len(written))
            journal.done.set()
            rows.done.set()
            peer.observer.stop()
            peer.observer.join(5)
        finally:
            agent.stop()
    base = _quantiles([peer.seen[n] - single[n] for n in single if n in peer.seen])
    yield Row("watchdog's event alone (p50, p99)", f"{base[0] * 1e3:.1f} ms, {base[1] * 1e3:.1f} ms")
    for title, seen in (("journal", journal.seen), ("row", rows.seen)):
        p50, p99 = _quantiles([seen[n] - single[n] for n in single if n in seen])
        yield Row(
            f"single changes, change to {title} (p50, p99)",
            f"{p50 * 1e3:.0f} ms, {p99 * 1e3:.0f} ms",
            "includes the settle time of 100 ms",
        )
    burst = {n: t for n, t in written.items() if n.startswith("b")}
    for title, seen in (("journal", journal.seen), ("row", rows.seen)):
        p50, p99 = _quantiles([seen[n] - burst[n] for n in burst if n in seen])
        yield Row(
            f"burst of {_BURST:,} in {wrote:.1f} s, change to {title} (p50, p99)",
            f"{p50 * 1e3:.0f} ms, {p99 * 1e3:.0f} ms",
        )


def _wait(condition: object, timeout: float = 60) -> None:
    deadline = time.monotonic() + timeout
    while not condition():  # type: ignore[operator]
        if time.monotonic() > deadline:
            raise TimeoutError("records did not arrive")
        time.sleep(0.05)


def _quantiles(values: list[float]) -> tuple[float, float]:
    return statistics.median(values), statistics.quantiles(values, n=100)[98]


def main() -> None:
    """Prints the table."""
    tree = Path(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].startswith("/") else Path("/usr")
    print(f"{'':<58} {'':>22}  ratio")
    for row in (*memory(tree), *latency()):
        print(f"{row.name:<58} {row.value:>22}  {row.ratio}")


if __name__ == "__main__":
    main()
