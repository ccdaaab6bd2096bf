"""`exporters.otlp`: where records are sent, and how. The keys are those of the collector's OTLP exporters."""

from __future__ import annotations

import re
from typing import Final, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from otel_fim.config.model import ByteSize, ComponentConfig, ConfigModel, Duration
from otel_fim.exporters.otlp.endpoint import Endpoint, parse_endpoint
from otel_fim.pipeline.retry import RetryConfig

_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e]*")
_DEFAULT_ENDPOINTS: Final = {
    "grpc": "http://localhost:4317",
    "http/protobuf": "http://localhost:4318",
    "http/json": "http://localhost:4318",
}


class TlsConfig(ConfigModel):
    """TLS towards the destination."""

    insecure: bool = False
    """gRPC only: no TLS. With HTTP, and with an endpoint that has a scheme, `http://` or `https://` decides."""
    ca_file: str | None = None
    """Certificates, PEM, that the server's certificate must lead to. Default: those that the system trusts."""
    cert_file: str | None = None
    """The client's own certificate, PEM; `key_file` goes with it."""
    key_file: str | None = None
    """The key of `cert_file`, PEM without a password."""
    insecure_skip_verify: bool = False
    """HTTP only: take any certificate. Whoever is in between can then read and change everything."""
    server_name_override: str | None = None
    """The name that the server's certificate must have, when it is not that of the endpoint."""

    @model_validator(mode="after")
    def _pair(self) -> TlsConfig:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("'cert_file' and 'key_file' go together")
        return self


class OtlpConfig(ComponentConfig):
    """The settings of the OTLP exporter."""

    protocol: Literal["grpc", "http/protobuf", "http/json"] = "http/protobuf"
    """What is spoken. `grpc` needs the extra: `pip install 'otel-fim[grpc]'`."""
    endpoint: str | None = None
    """A base URL such as `https://collector:4318` (HTTP: `/v1/logs` is added), `host:port` for gRPC, or
    `unix:///run/otel.sock` for either. Default: localhost, port 4318, or 4317 for gRPC."""
    logs_endpoint: str | None = None
    """HTTP only: the whole URL, used as it is."""
    timeout: Duration = Field(default=5.0, gt=0)
    """How long to wait for the destination before the delivery is tried again."""
    compression: Literal["gzip", "zstd", "none"] = "gzip"
    """`zstd` for HTTP only, and not every destination takes it."""
    headers: dict[str, SecretStr] = {}
    """Added to each request, for example `authorization`."""
    tls: TlsConfig = TlsConfig()
    """TLS."""
    max_batch_records: int = Field(default=2000, ge=1)
    """At most this many records in a request."""
    max_request_size: ByteSize = Field(default=4 * 2**20, ge=1024)
    """At most this many bytes in a request before compression; the default is what a gRPC server takes when
    nothing else is said. A larger batch is split."""
    retry_on_failure: RetryConfig = RetryConfig()
    """How deliveries that failed are tried again."""

    @property
    def target(self) -> Endpoint:
        """Where requests go."""
        if self.logs_endpoint is not None:
            return parse_endpoint(self.logs_endpoint, self.protocol, whole=True)
        return parse_endpoint(self.endpoint or _DEFAULT_ENDPOINTS[self.protocol], self.protocol)

    @field_validator("headers")
    @classmethod
    def _well_formed(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, value in headers.items():
            if not _HEADER_NAME.fullmatch(name):
                raise ValueError(f"{name!r} is not the name of a header")
            if not _HEADER_VALUE.fullmatch(value.get_secret_value()):
                raise ValueError(f"the value of {name!r} has characters that a header cannot carry")
        return headers

    @model_validator(mode="after")
    def _consistent(self) -> OtlpConfig:
        grpc = self.protocol == "grpc"
        if grpc and self.logs_endpoint is not None:
            raise ValueError("'logs_endpoint' is for HTTP; use 'endpoint' with protocol grpc")
        if grpc and self.compression == "zstd":
            raise ValueError("'compression: zstd' is for HTTP; use gzip or none with protocol grpc")
        if grpc and self.tls.insecure_skip_verify:
            raise ValueError(
                "'tls.insecure_skip_verify' is for HTTP; with protocol grpc give the server's certificate as "
                "'tls.ca_file' and its name as 'tls.server_name_override'"
            )
        if self.endpoint is not None and self.logs_endpoint is not None:
            raise ValueError("give one of 'endpoint' and 'logs_endpoint'")
        target = self.target
        if target.socket_path is not None and not target.plain:
            raise ValueError("a unix socket takes no TLS")
        return self
