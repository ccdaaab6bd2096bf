"""The extension `health_check`: an HTTP endpoint that says which component is unwell, and why."""

from __future__ import annotations

import errno
import json
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from pydantic import field_validator

from otel_fim.component import Extension, ExtensionContext, Health, StartError
from otel_fim.config.model import ComponentConfig
from otel_fim.telemetry.address import split_address


class HealthCheckConfig(ComponentConfig):
    """The settings of the health endpoint."""

    endpoint: str = "localhost:13133"
    """Address to listen on, as in the collector. Port 0 takes a free one and logs it."""
    path: str = "/"
    """The path that is answered; every other one is 404."""

    @field_validator("endpoint")
    @classmethod
    def _address(cls, value: str) -> str:
        split_address(value)
        return value


class HealthCheckExtension(Extension[HealthCheckConfig]):
    """Answers 200 while every component is well or starting, 503 with the reason when one is not."""

    Config: ClassVar[type[ComponentConfig]] = HealthCheckConfig

    def __init__(self, config: HealthCheckConfig, context: ExtensionContext) -> None:
        super().__init__(config, context)
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port in use, 0 before the start."""
        return 0 if self._server is None else self._server.server_port

    def start(self) -> None:
        extension = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 5
            server_version = "otel-fim"
            sys_version = ""

            def do_GET(self) -> None:
                if self.path.split("?")[0] != extension.config.path:
                    self.send_error(404)
                    return
                code, body = extension.answer()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            do_HEAD = do_GET  # noqa: N815 - the name that http.server calls

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                extension.context.logger.debug(format, *args)

        host, port = split_address(self.config.endpoint)
        try:
            self._server = ThreadingHTTPServer((host, port), Handler)
        except OSError as error:
            remedy = "choose an address of this host"
            if error.errno == errno.EADDRINUSE:
                remedy = "another agent may be running, or choose another port"
            raise StartError(
                f"extensions.{self.context.id}.endpoint: cannot listen on {self.config.endpoint}: "
                f"{error.strerror or error}; {remedy}"
            ) from error
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)
        self._thread.start()
        self.context.logger.info("health at http://%s:%d%s", host, self.port, self.config.path)
        self.context.report(Health.OK, "")

    def stop(self, timeout: float) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
        if self._thread is not None:
            self._thread.join(timeout)

    def answer(self) -> tuple[int, bytes]:
        """The HTTP status and JSON body: overall status, and one entry for each component."""
        statuses = self.context.statuses()
        unwell = [s for s in statuses if s.health in (Health.RECOVERABLE_ERROR, Health.PERMANENT_ERROR)]
        overall = self.context.overall_health()
        body = {
            "status": overall.value,
            "healthy": not unwell,
            "components": {
                status.component: {
                    "status": status.health.value,
                    "healthy": status.health not in (Health.RECOVERABLE_ERROR, Health.PERMANENT_ERROR),
                    "message": status.message,
                    "since": f"{datetime.fromtimestamp(status.since, UTC):%Y-%m-%dT%H:%M:%SZ}",
                }
                for status in statuses
            },
        }
        return (503 if unwell else 200), json.dumps(body, indent=2).encode() + b"\n"
