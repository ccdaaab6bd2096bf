"""The console exporter: one `[ALERT]` line, or one JSON object, for each record that concerns people."""

from otel_fim.exporters.console.config import ConsoleConfig
from otel_fim.exporters.console.exporter import ConsoleExporter

__all__ = ["ConsoleConfig", "ConsoleExporter"]
