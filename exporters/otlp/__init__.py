"""The OTLP exporter: gRPC, HTTP with protobuf, HTTP with JSON."""

from otel_fim.exporters.otlp.config import OtlpConfig, TlsConfig
from otel_fim.exporters.otlp.exporter import OtlpExporter

__all__ = ["OtlpConfig", "OtlpExporter", "TlsConfig"]
