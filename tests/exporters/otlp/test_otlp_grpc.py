"""OTLP over gRPC against a real grpcio server made from the generated servicer."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import (
    LogsServiceServicer,
    add_LogsServiceServicer_to_server,
)

from otel_fim.component import ExportResult, PermanentError, RetryableError, StartError
from otel_fim.exporters.otlp import OtlpExporter
from otel_fim.otlp import decode_logs_data

Start = Callable[..., OtlpExporter]
Make = Callable[..., Any]
Answer = Callable[[Any], ExportLogsServiceResponse]


class Servicer(LogsServiceServicer):
    """Keeps the requests and answers as `answer` says."""

    def __init__(self) -> None:
        self.requests: list[ExportLogsServiceRequest] = []
        self.metadata: list[dict[str, str]] = []
        self.answer: Answer = lambda context: ExportLogsServiceResponse()

    def Export(self, request: ExportLogsServiceRequest, context: Any) -> ExportLogsServiceResponse:  # noqa: N802
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        return self.answer(context)


@pytest.fixture
def servicer() -> Servicer:
    return Servicer()


@pytest.fixture
def serve(servicer: Servicer) -> Iterator[Callable[..., int]]:
    servers = []

    def _serve(address: str = "127.0.0.1:0", credentials: Any = None) -> int:
        server = grpc.server(futures.ThreadPoolExecutor(2))
        add_LogsServiceServicer_to_server(servicer, server)
        add = server.add_insecure_port if credentials is None else server.add_secure_port
        port = add(address) if credentials is None else add(address, credentials)
        server.start()
        servers.append(server)
        return int(port)

    yield _serve
    for server in servers:
        server.stop(None).wait(10)


@pytest.fixture
def exporter(start: Start, serve: Callable[..., int]) -> OtlpExporter:
    return start(protocol="grpc", endpoint=f"http://127.0.0.1:{serve()}")


def failing(
    code: grpc.StatusCode, details: str = "no", *, retry: float | None = None, raw: bytes = b""
) -> Answer:
    def answer(context: Any) -> ExportLogsServiceResponse:
        if retry is not None:
            info = RetryInfo(retry_delay=Duration(seconds=int(retry), nanos=int(retry % 1 * 1e9)))
            status = Status(code=code.value[0], message=details)
            status.details.add().Pack(Status(message="something else first"))
            status.details.add().Pack(info)
            context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        elif raw:
            context.set_trailing_metadata((("grpc-status-details-bin", raw),))
        context.abort(code, details)
        raise AssertionError("abort raises")

    return answer


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_success(
    start: Start, serve: Callable[..., int], servicer: Servicer, make_records: Make, compression: str
) -> None:
    exporter = start(
        protocol="grpc",
        endpoint=f"127.0.0.1:{serve()}",
        tls={"insecure": True},
        compression=compression,
        headers={"X-Key": "secret"},
    )
    batch = make_records(3)
    assert exporter.export(batch) == ExportResult()
    assert decode_logs_data(servicer.requests[0].SerializeToString()) == batch.records
    assert servicer.metadata[0]["x-key"] == "secret"
    assert "otel-fim/" in servicer.metadata[0]["user-agent"]


@pytest.mark.parametrize(
    "name", ["CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"]
)
def test_retryable(exporter: OtlpExporter, servicer: Servicer, make_records: Make, name: str) -> None:
    servicer.answer = failing(grpc.StatusCode[name], "later\nplease")
    with pytest.raises(RetryableError, match=f"http://127.0.0.1.*: {name}: later please") as caught:
        exporter.export(make_records(1))
    assert caught.value.retry_after is None


@pytest.mark.parametrize(
    "name",
    [
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAUTHENTICATED",
    ],
)
def test_permanent(exporter: OtlpExporter, servicer: Servicer, make_records: Make, name: str) -> None:
    servicer.answer = failing(grpc.StatusCode[name])
    with pytest.raises(PermanentError, match=f"{name}: no"):
        exporter.export(make_records(2))
    assert len(servicer.requests) == 1


@pytest.mark.parametrize("name", ["RESOURCE_EXHAUSTED", "UNAVAILABLE"])
def test_retry_info(exporter: OtlpExporter, servicer: Servicer, make_records: Make, name: str) -> None:
    servicer.answer = failing(grpc.StatusCode[name], retry=2.5)
    with pytest.raises(RetryableError) as caught:
        exporter.export(make_records(1))
    assert caught.value.retry_after == 2.5


def test_malformed_status_details(exporter: OtlpExporter, servicer: Servicer, make_records: Make) -> None:
    servicer.answer = failing(grpc.StatusCode.RESOURCE_EXHAUSTED, raw=b"\xff\xff")
    with pytest.raises(PermanentError):
        exporter.export(make_records(1))


@pytest.mark.parametrize(("rejected", "message"), [(2, "too old"), (0, "use v2")])
def test_partial_success(
    exporter: OtlpExporter, servicer: Servicer, make_records: Make, rejected: int, message: str
) -> None:
    def answer(context: Any) -> ExportLogsServiceResponse:
        response = ExportLogsServiceResponse()
        response.partial_success.rejected_log_records = rejected
        response.partial_success.error_message = message
        return response

    servicer.answer = answer
    assert exporter.export(make_records(5)) == ExportResult(rejected, message)
    assert len(servicer.requests) == 1


def test_a_message_larger_than_the_server_takes_is_halved(
    exporter: OtlpExporter, servicer: Servicer, make_records: Make
) -> None:
    # grpcio's own limit: 4 MiB of a message after decompression.
    exporter._limit = 64 * 2**20
    assert exporter.export(make_records(1500, size=4000)) == ExportResult()
    received = [len(r.resource_logs[0].scope_logs[0].log_records) for r in servicer.requests]
    assert sum(received) == 1500
    assert max(received) < 1500


def test_a_slow_server_times_out(
    start: Start, serve: Callable[..., int], servicer: Servicer, make_records: Make
) -> None:
    release = threading.Event()
    servicer.answer = lambda context: release.wait(20) and ExportLogsServiceResponse()
    exporter = start(protocol="grpc", endpoint=f"http://127.0.0.1:{serve()}", timeout="300ms")
    with pytest.raises(RetryableError, match="DEADLINE_EXCEEDED"):
        exporter.export(make_records(1))
    release.set()


def test_connection_refused(start: Start, make_records: Make) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        exporter = start(protocol="grpc", endpoint=f"http://127.0.0.1:{port}")
        with pytest.raises(RetryableError, match=f"http://127.0.0.1:{port}: UNAVAILABLE"):
            exporter.export(make_records(1))


def test_an_answer_that_is_no_message(start: Start, make_records: Make) -> None:
    class Handler(grpc.GenericRpcHandler):
        def service(self, details: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(lambda request, context: b"\xff\xff\xff")

    server = grpc.server(futures.ThreadPoolExecutor(1), handlers=[Handler()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        result = start(protocol="grpc", endpoint=f"http://127.0.0.1:{port}").export(make_records(1))
        assert "unreadable" in result.message
    finally:
        server.stop(None).wait(10)


def test_unix_socket(
    start: Start, serve: Callable[..., int], servicer: Servicer, make_records: Make, tmp_path: Path
) -> None:
    path = tmp_path / "otel.sock"
    serve(f"unix:{path}")
    assert start(protocol="grpc", endpoint=f"unix://{path}").export(make_records(1)) == ExportResult()
    assert len(servicer.requests) == 1


def test_tls(
    start: Start, serve: Callable[..., int], make_records: Make, certificates: Any, tmp_path: Path
) -> None:
    credentials = grpc.ssl_server_credentials(
        [(certificates.server_key.read_bytes(), certificates.server.read_bytes())],
        root_certificates=certificates.ca.read_bytes(),
        require_client_auth=True,
    )
    port = serve("127.0.0.1:0", credentials)
    tls = {
        "ca_file": str(certificates.ca),
        "cert_file": str(certificates.client),
        "key_file": str(certificates.client_key),
        "server_name_override": "collector.test",
    }
    for endpoint in (f"127.0.0.1:{port}", f"https://127.0.0.1:{port}"):
        assert start(protocol="grpc", endpoint=endpoint, tls=tls).export(make_records(1)) == ExportResult()
    for wrong in ({**tls, "server_name_override": "other.test"}, {"ca_file": str(certificates.ca)}):
        with pytest.raises(RetryableError, match="UNAVAILABLE"):
            start(protocol="grpc", endpoint=f"127.0.0.1:{port}", tls=wrong).export(make_records(1))
    with pytest.raises(StartError, match=r"cannot read .*nothing\.pem: No such file"):
        start(protocol="grpc", endpoint="localhost:1", tls={"ca_file": str(tmp_path / "nothing.pem")})


def test_without_grpcio_the_remedy_is_named(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "grpc", None)
    with pytest.raises(StartError, match=r"pip install 'otel-fim\[grpc\]'"):
        start(protocol="grpc")
