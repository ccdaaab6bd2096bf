"""Records into ClickHouse, each exactly once."""

from otel_fim.exporters.clickhouse.config import ClickHouseConfig
from otel_fim.exporters.clickhouse.exporter import ClickHouseExporter

__all__ = ["ClickHouseConfig", "ClickHouseExporter"]
