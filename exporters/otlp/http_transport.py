"""OTLP over HTTP, as protobuf or JSON, over TCP, TLS or a unix socket."""

from __future__ import annotations

import gzip
import socket
import ssl
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import urllib3
from urllib3.connection import HTTPConnection

from otel_fim.component import RetryableError, StartError
from otel_fim.exporters.otlp.config import OtlpConfig, TlsConfig
from otel_fim.exporters.otlp.endpoint import Endpoint
from otel_fim.exporters.otlp.reply import Reply, http_reply, shown
from otel_fim.exporters.otlp.transport import Transport
from otel_fim.otlp import encode_logs_data, encode_logs_data_json
from otel_fim.record import Record
from otel_fim.version import __version__

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_MAX_ANSWER_BYTES: Final = 2**16
_GZIP_LEVEL: Final = 6


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, _GZIP_LEVEL, mtime=0)


def _zstd(data: bytes) -> bytes:
    return bytes(zstd.compress(data))


_COMPRESSORS: Final[dict[str, Callable[[bytes], bytes]]] = {"gzip": _gzip, "zstd": _zstd}


class HttpTransport(Transport):
    """One connection that is kept open. Redirects are not followed: they could lead records elsewhere.

    Raises `StartError` for certificates that cannot be read.
    """

    def __init__(self, config: OtlpConfig) -> None:
        endpoint = config.target
        self.destination = endpoint.text
        self._json = config.protocol == "http/json"
        self._path = endpoint.path
        self._timeout = config.timeout
        self._compress = _COMPRESSORS.get(config.compression)
        self._headers = {name: value.get_secret_value() for name, value in config.headers.items()}
        self._headers |= {
            "Content-Type": "application/json" if self._json else "application/x-protobuf",
            "User-Agent": f"otel-fim/{__version__}",
        }
        if self._compress is not None:
            self._headers["Content-Encoding"] = config.compression
        self._pool = _pool(endpoint, config.tls, urllib3.Timeout(connect=config.timeout, read=config.timeout))

    def encode(self, records: Sequence[Record]) -> bytes:
        return encode_logs_data_json(records) if self._json else encode_logs_data(records)

    def send(self, request: bytes) -> Reply:
        data = request if self._compress is None else self._compress(request)
        try:
            response = self._pool.urlopen(
                "POST",
                self._path,
                body=data,
                headers=self._headers,
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
            body = self._read(response)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise RetryableError(f"{self.destination}: {_cause(error)}") from error
        headers = {name.lower(): value for name, value in response.headers.items()}
        return http_reply(response.status, headers, body, self.destination)

    def close(self) -> None:
        self._pool.close()

    def _read(self, response: urllib3.BaseHTTPResponse) -> bytes:
        """At most 64 KiB of the answer, within the timeout; the connection is kept only when that was all."""
        deadline = time.monotonic() + self._timeout
        body = bytearray()
        try:
            while len(body) <= _MAX_ANSWER_BYTES:
                piece = response.read(_MAX_ANSWER_BYTES)
                if not piece:
                    response.release_conn()
                    return bytes(body)
                body += piece
                if time.monotonic() > deadline:
                    raise TimeoutError("the answer did not come to an end in time")
        except BaseException:
            response.close()
            raise
        response.close()
        return bytes(body[:_MAX_ANSWER_BYTES])


class _UnixConnection(HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, *args: Any, socket_path: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._socket_path = socket_path

    def _new_conn(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        if isinstance(self.timeout, int | float):
            connection.settimeout(self.timeout)
        try:
            connection.connect(self._socket_path)
        except OSError:
            connection.close()
            raise
        return connection


class _UnixPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _UnixConnection


def _pool(endpoint: Endpoint, tls: TlsConfig, timeout: urllib3.Timeout) -> urllib3.HTTPConnectionPool:
    if endpoint.socket_path is not None:
        return _UnixPool("localhost", timeout=timeout, maxsize=1, socket_path=endpoint.socket_path)
    if endpoint.plain:
        return urllib3.HTTPConnectionPool(endpoint.host, endpoint.port, timeout=timeout, maxsize=1)
    return urllib3.HTTPSConnectionPool(
        endpoint.host,
        endpoint.port,
        timeout=timeout,
        maxsize=1,
        ssl_context=_ssl_context(tls),
        server_hostname=tls.server_name_override,
        assert_hostname=False if tls.insecure_skip_verify else tls.server_name_override,
    )


def _ssl_context(tls: TlsConfig) -> ssl.SSLContext:
    file = tls.ca_file
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if tls.cert_file is not None:
            file = tls.cert_file
            context.load_cert_chain(tls.cert_file, tls.key_file)
    except (OSError, ssl.SSLError) as error:
        raise StartError(f"tls: cannot use {file}: {error}") from error
    if tls.insecure_skip_verify:
        # The exporter has said so once at its start; urllib3 would say it on each connection.
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _cause(error: BaseException) -> str:
    """The innermost reason: urllib3 wraps what the socket said."""
    while True:
        inner = getattr(error, "reason", None) or error.__cause__
        if not isinstance(inner, BaseException):
            break
        error = inner
    if isinstance(error, urllib3.exceptions.TimeoutError | TimeoutError):
        return "timed out"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return shown(str(error)) or type(error).__name__
