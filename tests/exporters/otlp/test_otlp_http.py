"""OTLP over HTTP against a real server on loopback."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import sys
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)

from otel_fim.component import ExportResult, PermanentError, RetryableError, StartError
from otel_fim.exporters.otlp import OtlpExporter
from otel_fim.otlp import decode_logs_data, decode_logs_data_json

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json; charset=utf-8"}
Start = Callable[..., OtlpExporter]
Make = Callable[..., Any]


def partial(rejected: int, message: str) -> bytes:
    response = ExportLogsServiceResponse()
    response.partial_success.rejected_log_records = rejected
    response.partial_success.error_message = message
    return response.SerializeToString()


def bodies(requests: list[tuple[str, dict[str, str], bytes]]) -> list[list[object]]:
    return [[record.body for record in decode_logs_data(data)] for _, _, data in requests]


@pytest.mark.parametrize(
    ("compression", "decompress"),
    [("gzip", gzip.decompress), ("zstd", zstd.decompress), ("none", bytes)],
)
@pytest.mark.parametrize("protocol", ["http/protobuf", "http/json"])
def test_success(
    start: Start,
    make_records: Make,
    http_server: Any,
    protocol: str,
    compression: str,
    decompress: Callable[[bytes], bytes],
) -> None:
    exporter = start(
        endpoint=http_server.url, protocol=protocol, compression=compression, headers={"X-Key": "s"}
    )
    batch = make_records(3)
    assert exporter.export(batch) == ExportResult()
    path, headers, data = http_server.requests[0]
    assert path == "/v1/logs"
    assert headers["x-key"] == "s"
    assert headers["user-agent"].startswith("otel-fim/")
    assert headers.get("content-encoding", "none") == compression
    if protocol == "http/json":
        assert headers["content-type"] == "application/json"
        assert decode_logs_data_json(decompress(data)) == batch.records
    else:
        assert headers["content-type"] == "application/x-protobuf"
        assert decode_logs_data(decompress(data)) == batch.records
        assert len(ExportLogsServiceRequest.FromString(decompress(data)).resource_logs) == 1


def test_one_connection_is_kept(start: Start, make_records: Make, http_server: Any) -> None:
    accepted = []
    process = http_server.process_request
    http_server.process_request = lambda *args: (accepted.append(args), process(*args))
    exporter = start(endpoint=http_server.url)
    for _ in range(5):
        exporter.export(make_records(1))
    assert len(accepted) == 1


def test_an_empty_batch_sends_nothing(start: Start, make_records: Make, http_server: Any) -> None:
    assert start(endpoint=http_server.url).export(make_records(0)) == ExportResult()
    assert http_server.requests == []


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"endpoint": "{url}/otlp/"}, "/otlp/v1/logs"),
        ({"endpoint": "{url}?tenant=a"}, "/v1/logs?tenant=a"),
        ({"logs_endpoint": "{url}/ingest"}, "/ingest"),
        ({"logs_endpoint": "{url}"}, "/"),
    ],
)
def test_paths(
    start: Start, make_records: Make, http_server: Any, settings: dict[str, str], path: str
) -> None:
    start(**{key: value.format(url=http_server.url) for key, value in settings.items()}).export(
        make_records(1)
    )
    assert http_server.requests[0][0] == path


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_retryable(start: Start, make_records: Make, http_server: Any, status: int) -> None:
    http_server.answers = [(status, {}, b"")]
    with pytest.raises(RetryableError, match=f"{http_server.url} answered {status}") as caught:
        start(endpoint=http_server.url).export(make_records(1))
    assert caught.value.retry_after is None


@pytest.mark.parametrize("status", [300, 400, 401, 403, 404, 405, 408, 415, 500, 501, 505])
def test_permanent(start: Start, make_records: Make, http_server: Any, status: int) -> None:
    http_server.answers = [(status, PROTOBUF, Status(message="that is\nwrong").SerializeToString())]
    with pytest.raises(PermanentError, match=rf"1 of 1 records refused: .* answered {status}: that is wrong"):
        start(endpoint=http_server.url).export(make_records(1))


def test_retry_after_seconds_and_date(start: Start, make_records: Make, http_server: Any) -> None:
    exporter = start(endpoint=http_server.url)
    http_server.answers = [(503, {"Retry-After": "120"}, b"")]
    with pytest.raises(RetryableError) as caught:
        exporter.export(make_records(1))
    assert caught.value.retry_after == 120
    http_server.answers = [(429, {"Retry-After": formatdate(time.time() + 1000, usegmt=True)}, b"")]
    with pytest.raises(RetryableError) as caught:
        exporter.export(make_records(1))
    assert caught.value.retry_after is not None
    assert 900 < caught.value.retry_after <= 1000


@pytest.mark.parametrize("kind", ["protobuf", "json", "json_string"])
def test_partial_success(start: Start, make_records: Make, http_server: Any, kind: str) -> None:
    http_server.answers = [
        {
            "protobuf": (200, PROTOBUF, partial(2, "too old")),
            "json": (200, JSON, b'{"partialSuccess":{"rejectedLogRecords":2,"errorMessage":"too old"}}'),
            "json_string": (
                200,
                JSON,
                b'{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"too old"}}',
            ),
        }[kind]
    ]
    assert start(endpoint=http_server.url).export(make_records(5)) == ExportResult(2, "too old")
    assert len(http_server.requests) == 1


def test_partial_success_with_nothing_rejected_is_a_warning(
    start: Start, make_records: Make, http_server: Any
) -> None:
    http_server.answers = [(200, PROTOBUF, partial(0, "use v2"))]
    assert start(endpoint=http_server.url).export(make_records(1)) == ExportResult(0, "use v2")


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (PROTOBUF, b"\xff\xff\xff"),
        (JSON, b"not json"),
        (JSON, b"[]"),
        (JSON, b'{"partialSuccess":{"rejectedLogRecords":"many"}}'),
        ({"Content-Type": "text/plain"}, b"ok"),
        ({}, b"ok"),
        (PROTOBUF, b"\x00" * 100_000),
    ],
)
def test_an_unreadable_answer_to_success_is_not_sent_again(
    start: Start, make_records: Make, http_server: Any, headers: dict[str, str], body: bytes
) -> None:
    http_server.answers = [(200, headers, body)]
    result = start(endpoint=http_server.url).export(make_records(1))
    assert result.rejected == 0
    assert result.message


def test_success_without_body(start: Start, make_records: Make, http_server: Any) -> None:
    http_server.answers = [(202, {}, b"")]
    assert start(endpoint=http_server.url).export(make_records(1)) == ExportResult()


def test_more_rejected_than_sent(start: Start, make_records: Make, http_server: Any) -> None:
    http_server.answers = [(200, PROTOBUF, partial(99, "x"))]
    assert start(endpoint=http_server.url).export(make_records(2)).rejected == 2


def test_a_web_page_is_no_otlp(start: Start, make_records: Make, http_server: Any) -> None:
    http_server.answers = [(200, {"Content-Type": "text/html"}, b"<html>")]
    with pytest.raises(RetryableError, match="does not speak OTLP"):
        start(endpoint=http_server.url).export(make_records(1))


def test_redirects_are_not_followed(start: Start, make_records: Make, http_server: Any) -> None:
    http_server.answers = [(307, {"Location": f"{http_server.url}/elsewhere"}, b"")]
    with pytest.raises(PermanentError, match="redirects to"):
        start(endpoint=http_server.url).export(make_records(1))
    assert len(http_server.requests) == 1


def test_a_status_with_details_in_json(start: Start, make_records: Make, http_server: Any) -> None:
    detail = AnyMessage()
    detail.Pack(Status(message="inner"))
    http_server.answers = [(400, JSON, json.dumps({"code": 3, "message": "bad \u202edata"}).encode())]
    with pytest.raises(PermanentError, match="answered 400: bad data"):
        start(endpoint=http_server.url).export(make_records(1))


def test_too_large_is_halved(start: Start, make_records: Make, http_server: Any) -> None:
    exporter = start(endpoint=http_server.url, compression="none")
    http_server.answers = [(413, {}, b""), (413, {}, b""), (200, {}, b"")]
    assert exporter.export(make_records(4)) == ExportResult()
    assert bodies(http_server.requests) == [["0", "1", "2", "3"], ["0", "1"], ["0"], ["1"], ["2"], ["3"]]
    http_server.requests.clear()
    exporter.export(make_records(4))
    assert [len(each) for each in bodies(http_server.requests)] == [1, 1, 1, 1]


def test_a_single_record_that_is_too_large(start: Start, make_records: Make, http_server: Any) -> None:
    http_server.answers = [(413, {}, b""), (413, {}, b""), (200, {}, b"")]
    exporter = start(endpoint=http_server.url, compression="none")
    with pytest.raises(PermanentError, match=r"1 of 2 records refused: a single record is too large: .* 413"):
        exporter.export(make_records(2))
    assert bodies(http_server.requests) == [["0", "1"], ["0"], ["1"]]


def test_a_batch_is_split_before_it_is_sent(start: Start, make_records: Make, http_server: Any) -> None:
    exporter = start(endpoint=http_server.url, compression="none", max_request_size="4KiB")
    exporter.export(make_records(10, size=1000))
    assert all(len(data) <= 4096 for _, _, data in http_server.requests)
    assert sum(map(len, bodies(http_server.requests))) == 10
    http_server.requests.clear()
    exporter.export(make_records(1, size=10_000))
    assert len(http_server.requests) == 1


def test_a_part_that_was_taken_is_not_sent_again(start: Start, make_records: Make, http_server: Any) -> None:
    exporter = start(endpoint=http_server.url, compression="none", max_batch_records=2)
    http_server.answers = [
        (200, PROTOBUF, partial(1, "a")),
        (503, {}, b""),
        (200, PROTOBUF, partial(1, "b")),
        (200, PROTOBUF, partial(0, "a")),
    ]
    batch = make_records(6)
    with pytest.raises(RetryableError):
        exporter.export(batch)
    assert exporter.export(batch) == ExportResult(2, "a; b")
    assert bodies(http_server.requests) == [["0", "1"], ["2", "3"], ["2", "3"], ["4", "5"]]


def test_a_refused_part_does_not_keep_back_the_others(
    start: Start, make_records: Make, http_server: Any
) -> None:
    exporter = start(endpoint=http_server.url, compression="none", max_batch_records=1)
    http_server.answers = [(400, {}, b""), (200, {}, b"")]
    with pytest.raises(PermanentError, match="1 of 3 records refused"):
        exporter.export(make_records(3))
    assert len(http_server.requests) == 3


def test_a_slow_server_times_out(start: Start, make_records: Make, http_server: Any) -> None:
    http_server.stall = True
    with pytest.raises(RetryableError, match=f"{http_server.url}: timed out"):
        start(endpoint=http_server.url, timeout="200ms").export(make_records(1))


def test_connection_refused(start: Start, make_records: Make) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        with pytest.raises(RetryableError, match=f"http://127.0.0.1:{port}: Connection refused"):
            start(endpoint=f"http://127.0.0.1:{port}").export(make_records(1))


def test_a_name_that_is_not_known(start: Start, make_records: Make) -> None:
    with pytest.raises(RetryableError, match=r"http://nothing\.invalid:4318: .+"):
        start(endpoint="http://nothing.invalid:4318").export(make_records(1))


def test_a_server_that_hangs_up(start: Start, make_records: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        exporter = start(endpoint=f"http://127.0.0.1:{port}")
        listening.close()
        with pytest.raises(RetryableError):
            exporter.export(make_records(1))


def test_what_is_no_http(start: Start, make_records: Make, serve: Any, answering: Any) -> None:
    server = serve(answering(("127.0.0.1", 0)))
    server.RequestHandlerClass = lambda request, address, server: request.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
    with pytest.raises(RetryableError, match=server.url):
        start(endpoint=server.url).export(make_records(1))


def test_unix_socket(start: Start, make_records: Make, serve: Any, answering: Any, tmp_path: Path) -> None:
    path = tmp_path / "otel.sock"

    class OnUnixSocket(answering):  # type: ignore[misc] # the class comes from a fixture
        address_family = socket.AF_UNIX

        def server_bind(self) -> None:
            self.socket.bind(self.server_address)
            self.server_name, self.server_port = "localhost", 0

        def get_request(self) -> Any:
            connection, _ = self.socket.accept()
            return connection, ("unix", 0)

    server = serve(OnUnixSocket(str(path)))
    exporter = start(endpoint=f"unix://{path}")
    assert exporter.export(make_records(1)) == ExportResult()
    assert server.requests[0][0] == "/v1/logs"
    missing = start(endpoint=f"unix:{tmp_path}/nothing.sock")
    with pytest.raises(RetryableError, match="No such file"):
        missing.export(make_records(1))


@pytest.fixture
def tls_server(serve: Any, answering: Any, certificates: Any) -> Callable[[bool], Any]:
    def _make(client: bool) -> Any:
        server = answering(("127.0.0.1", 0))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates.server, certificates.server_key)
        if client:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(certificates.ca)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        server.handle_error = lambda *args: None
        return serve(server)

    return _make


@pytest.mark.parametrize(
    ("tls", "works"),
    [
        ({"ca_file": "ca"}, True),
        ({}, False),
        ({"insecure_skip_verify": True}, True),
        ({"ca_file": "ca", "server_name_override": "collector.test"}, True),
        ({"ca_file": "ca", "server_name_override": "other.test"}, False),
    ],
)
def test_tls(
    start: Start,
    make_records: Make,
    tls_server: Callable[[bool], Any],
    certificates: Any,
    tls: dict[str, Any],
    works: bool,
) -> None:
    server = tls_server(False)
    settings = {
        key: str(getattr(certificates, value)) if key == "ca_file" else value for key, value in tls.items()
    }
    exporter = start(endpoint=f"https://localhost:{server.server_address[1]}", tls=settings)
    if works:
        assert exporter.export(make_records(1)) == ExportResult()
    else:
        with pytest.raises(RetryableError, match=r"https://localhost.*(?i:certificate|match)"):
            exporter.export(make_records(1))
        assert server.requests == []


def test_mutual_tls(
    start: Start, make_records: Make, tls_server: Callable[[bool], Any], certificates: Any
) -> None:
    server = tls_server(True)
    url = f"https://localhost:{server.server_address[1]}"
    tls = {"ca_file": str(certificates.ca)}
    with pytest.raises(RetryableError, match=url):
        start(endpoint=url, tls=tls).export(make_records(1))
    tls |= {"cert_file": str(certificates.client), "key_file": str(certificates.client_key)}
    assert start(endpoint=url, tls=tls).export(make_records(1)) == ExportResult()


def test_a_certificate_file_that_cannot_be_read(start: Start, tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"tls: cannot use .*nothing\.pem"):
        start(endpoint="https://localhost:1", tls={"ca_file": str(tmp_path / "nothing.pem")})
