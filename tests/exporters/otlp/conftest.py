"""Real servers on loopback, certificates made by openssl, and an exporter towards them."""

from __future__ import annotations

import logging
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from otel_fim.component import ExporterContext, Health
from otel_fim.exporters.otlp import OtlpConfig, OtlpExporter
from otel_fim.names import events
from otel_fim.record import EMPTY_SCOPE, Record, Resource


@dataclass
class Records:
    """A batch that has only what the exporter reads."""

    records: list[Record]
    lines: list[bytes] = field(default_factory=list)

    @property
    def record_count(self) -> int:
        return len(self.records)


@dataclass
class Certificates:
    """Files: an authority, a server's certificate for localhost, a client's, with their keys."""

    ca: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path


class Answering(ThreadingHTTPServer):
    """Keeps the requests and gives the answers in `answers`, the last one for ever."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, address: Any) -> None:
        super().__init__(address, _Handler)
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.answers: list[tuple[int, dict[str, str], bytes]] = [(200, {}, b"")]
        self.release = threading.Event()
        self.stall = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Answering

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append((self.path, headers, self.rfile.read(length)))
        if self.server.stall:
            self.server.release.wait(30)
            return
        answers = self.server.answers
        status, more, body = answers.pop(0) if len(answers) > 1 else answers[0]
        self.send_response(status)
        for name, value in more.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as in the base class
        return


@pytest.fixture
def make_records() -> Callable[..., Records]:
    def _make(count: int, size: int = 0) -> Records:
        return Records(
            [
                Record(time_unix_nano=10**18 + n, event_name=events.FILE_CREATED, body=str(n) + "x" * size)
                for n in range(count)
            ]
        )

    return _make


@pytest.fixture
def reports() -> list[tuple[Health, str]]:
    return []


@pytest.fixture
def start(tmp_path: Path, reports: list[tuple[Health, str]]) -> Iterator[Callable[..., OtlpExporter]]:
    started: list[OtlpExporter] = []

    def _start(**settings: Any) -> OtlpExporter:
        context = ExporterContext(
            id="otlp",
            kind="exporter",
            state_directory=tmp_path,
            service_directory=tmp_path,
            agent_directories=(),
            resource=Resource(),
            scope=EMPTY_SCOPE,
            logger=logging.getLogger("test.otlp"),
            report=lambda health, message: reports.append((health, message)),
            count=lambda *args, **kwargs: None,
            pipeline="logs",
        )
        exporter = OtlpExporter(OtlpConfig(**settings), context)
        started.append(exporter)
        exporter.start()
        return exporter

    yield _start
    for exporter in started:
        exporter.stop(1.0)


@pytest.fixture
def serve() -> Iterator[Callable[[Any], Answering]]:
    """Runs a server made by the test until its end."""
    running: list[tuple[Answering, threading.Thread]] = []

    def _serve(server: Answering) -> Answering:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        running.append((server, thread))
        return server

    yield _serve
    for server, thread in running:
        server.release.set()
        server.shutdown()
        thread.join(10)
        server.server_close()


@pytest.fixture
def http_server(serve: Callable[[Any], Answering]) -> Answering:
    return serve(Answering(("127.0.0.1", 0)))


@pytest.fixture
def answering() -> type[Answering]:
    return Answering


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    directory = tmp_path_factory.mktemp("tls")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True, timeout=60)

    openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"),
        *("-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test authority"),
        *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
    )
    for name in ("server", "client"):
        openssl(
            *(
                "req",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-keyout",
                f"{name}.key",
            ),
            *("-out", f"{name}.csr", "-subj", f"/CN={name}"),
        )
        extensions = "subjectAltName=DNS:collector.test,DNS:localhost\nauthorityKeyIdentifier=keyid\n"
        (directory / f"{name}.ext").write_text(extensions)
        openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"),
            *("-out", f"{name}.pem", "-days", "2", "-extfile", f"{name}.ext"),
        )
    return Certificates(
        *(directory / n for n in ("ca.pem", "server.pem", "server.key", "client.pem", "client.key"))
    )
