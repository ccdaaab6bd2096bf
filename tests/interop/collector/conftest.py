"""A real OpenTelemetry Collector: found, or built once, and run for a test."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

MANIFEST = Path(__file__).with_name("builder.yaml")
BUILDER = "go.opentelemetry.io/collector/cmd/builder@v0.159.0"
BUILD_SECONDS = 540
START_SECONDS = 20


@dataclass
class Running:
    """A collector that runs: its OTLP endpoints and the file that it writes."""

    process: subprocess.Popen[bytes]
    grpc: str
    http: str
    output: Path
    log: Path

    def lines(self, enough: Callable[[list[bytes]], bool]) -> list[bytes]:
        """The whole lines of the output, waited for until they are enough. Raises `TimeoutError`."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            data = self.output.read_bytes() if self.output.exists() else b""
            found = data[: data.rfind(b"\n") + 1].splitlines()
            if enough(found):
                return found
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise TimeoutError(f"the collector wrote {data!r}\n{self.log.read_text()}")
            time.sleep(0.05)


@pytest.fixture(scope="session")
def collector_binary() -> Path:
    """`OTEL_FIM_COLLECTOR`, a collector on PATH, or one built from builder.yaml into the user's cache."""
    if named := os.environ.get("OTEL_FIM_COLLECTOR"):
        return Path(named)
    for name in ("otelcol-contrib", "otelcol"):
        if found := shutil.which(name):
            return Path(found)
    if shutil.which("go") is None:
        pytest.skip("needs a collector: set OTEL_FIM_COLLECTOR, or install otelcol-contrib or go")
    return _build()


def _build() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "otel-fim" / "interop"
    cache.mkdir(parents=True, exist_ok=True)
    target = cache / f"otelcol-{hashlib.sha256(MANIFEST.read_bytes() + BUILDER.encode()).hexdigest()[:16]}"
    with open(cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.exists():
            return target
        sources = cache / "build"
        shutil.rmtree(sources, ignore_errors=True)
        sources.mkdir()
        manifest = yaml.safe_load(MANIFEST.read_text())
        manifest["dist"]["output_path"] = str(sources)
        config = cache / "builder.yaml"
        config.write_text(yaml.safe_dump(manifest))
        built = subprocess.run(
            ["go", "run", BUILDER, "--config", str(config)],
            env={**os.environ, "CGO_ENABLED": "0"},
            cwd=cache,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=BUILD_SECONDS,
            check=False,
        )
        if built.returncode != 0:
            tail = built.stdout.decode(errors="replace")[-3000:]
            # No test depends on the network: without modules to build from there is no collector to talk to.
            pytest.skip(f"needs a collector and could not build one; set OTEL_FIM_COLLECTOR to one\n{tail}")
        os.replace(sources / manifest["dist"]["name"], target)
        shutil.rmtree(sources, ignore_errors=True)
    return target


@pytest.fixture
def run_collector(collector_binary: Path, tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Runs the collector with more receivers than OTLP, if given, until the end of the test."""
    running: list[subprocess.Popen[bytes]] = []

    def _run(**receivers: Any) -> Running:
        # The collector cannot say which port it took, so free ones are picked; another program may be faster.
        for _ in range(5):
            grpc, http = _free_ports(2)
            collector = _start(collector_binary, tmp_path, grpc, http, receivers)
            running.append(collector.process)
            if _listens(collector.process, http) and _listens(collector.process, grpc):
                return collector
            if b"address already in use" not in collector.log.read_bytes():
                break
        raise RuntimeError(f"the collector did not start:\n{collector.log.read_text()}")

    yield _run
    for process in running:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def _start(binary: Path, directory: Path, grpc: int, http: int, more: dict[str, Any]) -> Running:
    output, log, config = directory / "out.json", directory / "collector.log", directory / "config.yaml"
    protocols = {"grpc": {"endpoint": f"127.0.0.1:{grpc}"}, "http": {"endpoint": f"127.0.0.1:{http}"}}
    receivers = {"otlp": {"protocols": protocols}, **more}
    config.write_text(
        yaml.safe_dump(
            {
                "receivers": receivers,
                "exporters": {"file": {"path": str(output), "flush_interval": "100ms"}},
                "service": {
                    "telemetry": {"metrics": {"level": "none"}},
                    "pipelines": {"logs": {"receivers": list(receivers), "exporters": ["file"]}},
                },
            }
        )
    )
    with open(log, "wb") as stream:
        process = subprocess.Popen([binary, "--config", f"file:{config}"], stdout=stream, stderr=stream)
    return Running(process, f"http://127.0.0.1:{grpc}", f"http://127.0.0.1:{http}", output, log)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _listens(process: subprocess.Popen[bytes], port: int) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return True
    return False
