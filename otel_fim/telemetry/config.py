"""`service.telemetry`, in the collector's form."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr, model_validator

from otel_fim.config.model import ConfigModel, Duration


class LogsConfig(ConfigModel):
    """The agent's own log on stderr."""

    level: Literal["debug", "info", "warn", "error"] = "info"
    """Messages below this level are left out."""
    encoding: Literal["console", "json"] = "console"
    """`json` writes one object a line."""


class PrometheusConfig(ConfigModel):
    """The endpoint that Prometheus scrapes."""

    host: str = "localhost"
    """Address to listen on."""
    port: int = Field(default=8888, ge=0, le=65535)
    """Port to listen on; 0 takes a free one and logs it."""


class PullExporterConfig(ConfigModel):
    """What a pull reader serves."""

    prometheus: PrometheusConfig
    """Prometheus' text format at `/metrics`."""


class PullConfig(ConfigModel):
    """A reader that waits to be asked."""

    exporter: PullExporterConfig
    """Where it listens."""


class OtlpMetricsConfig(ConfigModel):
    """Where the agent's own metrics are sent."""

    protocol: Literal["http/protobuf"] = "http/protobuf"
    """OTLP over HTTP, the one protocol that needs nothing beyond the core."""
    endpoint: str
    """Base URL, such as `http://localhost:4318`; `/v1/metrics` is added."""
    headers: dict[str, SecretStr] = {}
    """Added to each request."""


class PushExporterConfig(ConfigModel):
    """What a periodic reader sends."""

    otlp: OtlpMetricsConfig
    """OTLP, through the OpenTelemetry SDK."""


class PeriodicConfig(ConfigModel):
    """A reader that sends by itself."""

    interval: int = Field(default=60000, ge=100)
    """Milliseconds between two exports, as in the collector."""
    exporter: PushExporterConfig
    """Where they go."""


class ReaderConfig(ConfigModel):
    """One way out for the metrics: exactly one of `pull` and `periodic`."""

    pull: PullConfig | None = None
    """Serve them."""
    periodic: PeriodicConfig | None = None
    """Send them."""

    @model_validator(mode="after")
    def _one(self) -> ReaderConfig:
        if (self.pull is None) == (self.periodic is None):
            raise ValueError("exactly one of 'pull' and 'periodic' is needed")
        return self


class MetricsConfig(ConfigModel):
    """The agent's own metrics."""

    level: Literal["none", "basic", "normal", "detailed"] = "normal"
    """`none` switches them off; the other levels are the same for now."""
    readers: list[ReaderConfig] = [
        ReaderConfig(pull=PullConfig(exporter=PullExporterConfig(prometheus=PrometheusConfig())))
    ]
    """Where they can be had. The default is the collector's: Prometheus on localhost:8888."""


class TelemetryConfig(ConfigModel):
    """The agent's view of itself."""

    logs: LogsConfig = LogsConfig()
    """The agent's own log."""
    metrics: MetricsConfig = MetricsConfig()
    """The agent's own metrics."""
    heartbeat: Duration = 60.0
    """Time between two `otel_fim.agent.heartbeat` records in each pipeline; 0 sends none."""
    resource: dict[str, str] = {}
    """Resource attributes to add to every record, over the detected ones (as `OTEL_RESOURCE_ATTRIBUTES`)."""
