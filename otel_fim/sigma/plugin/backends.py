"""otel-fim's ClickHouse backend, for pySigma's tools: `sigma convert -t otel_fim_click_house …`."""

from otel_fim.sigma.sql.backend import OtelFimClickHouseBackend

__all__ = ["OtelFimClickHouseBackend"]
