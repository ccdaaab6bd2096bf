"""OTLP over gRPC, over TCP, TLS or a unix socket."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from otel_fim.component import StartError
from otel_fim.exporters.otlp.config import OtlpConfig
from otel_fim.exporters.otlp.reply import Reply, grpc_failure, protobuf_reply
from otel_fim.exporters.otlp.transport import Transport
from otel_fim.otlp import encode_logs_data
from otel_fim.record import Record
from otel_fim.version import __version__

_METHOD: Final = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
_STATUS_DETAILS: Final = "grpc-status-details-bin"
_RECONNECT_MILLISECONDS: Final = 5000


class GrpcTransport(Transport):
    """One channel. Requests go out as they were encoded: gRPC is given bytes, not messages.

    Raises `StartError` when grpcio is not installed or a certificate cannot be read.
    """

    def __init__(self, config: OtlpConfig) -> None:
        # gRPC's own library writes to stderr, which is the agent's log; only its errors belong there.
        os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
        try:
            import grpc
        except ImportError as error:
            raise StartError(
                "protocol grpc needs grpcio, which is not installed: pip install 'otel-fim[grpc]', or use "
                "protocol http/protobuf"
            ) from error
        self._grpc: Any = grpc
        endpoint = config.target
        self.destination = endpoint.text
        self._timeout = config.timeout
        self._metadata = [(name.lower(), value.get_secret_value()) for name, value in config.headers.items()]
        self._channel = self._open(config)
        # No serializer: bytes in, bytes out.
        self._export: Any = self._channel.unary_unary(_METHOD)

    def encode(self, records: Sequence[Record]) -> bytes:
        return encode_logs_data(records)

    def send(self, request: bytes) -> Reply:
        try:
            answer: bytes = self._export(request, timeout=self._timeout, metadata=self._metadata)
        except self._grpc.RpcError as error:
            details = {key: value for key, value in error.trailing_metadata() or () if key == _STATUS_DETAILS}
            raise grpc_failure(
                error.code().name, error.details() or "", details.get(_STATUS_DETAILS), self.destination
            ) from error
        return protobuf_reply(answer)

    def close(self) -> None:
        self._channel.close()

    def _open(self, config: OtlpConfig) -> Any:
        endpoint, tls = config.target, config.tls
        target = (
            f"unix:{endpoint.socket_path}" if endpoint.socket_path is not None else f"dns:{endpoint.address}"
        )
        options: list[tuple[str, object]] = [
            ("grpc.primary_user_agent", f"otel-fim/{__version__}"),
            # The exporter's own back-off decides; the channel must not sleep longer than that.
            ("grpc.initial_reconnect_backoff_ms", 1000),
            ("grpc.max_reconnect_backoff_ms", _RECONNECT_MILLISECONDS),
        ]
        gzip = self._grpc.Compression.Gzip if config.compression == "gzip" else None
        if endpoint.plain or (endpoint.plain is None and tls.insecure):
            return self._grpc.insecure_channel(target, options=options, compression=gzip)
        if tls.server_name_override is not None:
            options.append(("grpc.ssl_target_name_override", tls.server_name_override))
        credentials = self._grpc.ssl_channel_credentials(
            root_certificates=_content(tls.ca_file),
            private_key=_content(tls.key_file),
            certificate_chain=_content(tls.cert_file),
        )
        return self._grpc.secure_channel(target, credentials, options=options, compression=gzip)


def _content(file: str | None) -> bytes | None:
    try:
        return None if file is None else Path(file).read_bytes()
    except OSError as error:
        raise StartError(f"tls: cannot read {file}: {error.strerror}") from error
