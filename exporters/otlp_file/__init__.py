"""The OTLP file exporter: OTLP/JSON lines, as the collector's file exporter writes them."""

from otel_fim.exporters.otlp_file.config import OtlpFileConfig, RotationConfig
from otel_fim.exporters.otlp_file.exporter import OtlpFileExporter

__all__ = ["OtlpFileConfig", "OtlpFileExporter", "RotationConfig"]
