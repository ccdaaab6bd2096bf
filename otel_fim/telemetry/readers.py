"""The ways out for the agent's own metrics: a Prometheus endpoint and OTLP through the OpenTelemetry SDK."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Protocol

from otel_fim.component import StartError
from otel_fim.names.registry import METRICS
from otel_fim.record import Resource
from otel_fim.telemetry.config import MetricsConfig, OtlpMetricsConfig, PeriodicConfig, PrometheusConfig
from otel_fim.telemetry.metrics import MetricStore
from otel_fim.version import __version__

logger = logging.getLogger("otel_fim.telemetry")


class MetricReader(Protocol):
    """Something that shows the metrics until it is stopped."""

    def stop(self) -> None: ...


def start_readers(config: MetricsConfig, store: MetricStore, resource: Resource) -> list[MetricReader]:
    """Starts every configured reader. Raises `StartError`, with those already started stopped again."""
    readers: list[MetricReader] = []
    if config.level == "none":
        return readers
    try:
        for reader in config.readers:
            if reader.pull is not None:
                readers.append(PrometheusReader(reader.pull.exporter.prometheus, store))
            if reader.periodic is not None:
                readers.append(OtlpReader(reader.periodic, store, resource))
    except Exception:
        for started in readers:
            started.stop()
        raise
    return readers


class PrometheusReader:
    """Serves `/metrics` in Prometheus' text format (counters get the suffix `_total`, as its format asks)."""

    def __init__(self, config: PrometheusConfig, store: MetricStore) -> None:
        from prometheus_client import CollectorRegistry, start_http_server
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

        class StoreCollector:
            def collect(self) -> Iterable[Metric]:
                for name, samples in store.by_name().items():
                    definition = METRICS[name]
                    family = CounterMetricFamily if definition.kind == "counter" else GaugeMetricFamily
                    keys = sorted({key for sample in samples for key, _ in sample.labels})
                    metric = family(name, definition.meaning, labels=keys)
                    for sample in samples:
                        labels = dict(sample.labels)
                        metric.add_metric([labels.get(key, "") for key in keys], sample.value)
                    yield metric

        registry = CollectorRegistry(auto_describe=False)
        registry.register(StoreCollector())
        try:
            self._server, self._thread = start_http_server(config.port, config.host, registry)
        except OSError as error:
            raise StartError(
                f"service.telemetry.metrics: cannot listen on {config.host}:{config.port}: {error.strerror}; "
                "choose another port, or set level to none"
            ) from error
        self.port: int = self._server.server_port
        logger.info("own metrics at http://%s:%d/metrics", config.host, self.port)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=2)


class OtlpReader:
    """Sends the metrics with the OpenTelemetry SDK; the instruments read the store when they are collected."""

    def __init__(self, config: PeriodicConfig, store: MetricStore, resource: Resource) -> None:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.metrics import CallbackOptions, Observation
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
        from opentelemetry.sdk.resources import Resource as SdkResource

        otlp: OtlpMetricsConfig = config.exporter.otlp
        exporter = OTLPMetricExporter(
            endpoint=otlp.endpoint.rstrip("/") + "/v1/metrics",
            headers={key: value.get_secret_value() for key, value in otlp.headers.items()},
        )
        self._provider = MeterProvider(
            resource=SdkResource({k: str(v) for k, v in resource.attributes.items()}),
            metric_readers=[PeriodicExportingMetricReader(exporter, export_interval_millis=config.interval)],
            shutdown_on_exit=False,
        )

        def observe(name: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
            def callback(_: CallbackOptions) -> Iterable[Observation]:
                return [Observation(s.value, dict(s.labels)) for s in store.samples() if s.name == name]

            return callback

        meter = self._provider.get_meter("otel_fim", __version__)
        for name, definition in METRICS.items():
            create = (
                meter.create_observable_counter
                if definition.kind == "counter"
                else meter.create_observable_gauge
            )
            create(name, callbacks=[observe(name)], unit=definition.unit, description=definition.meaning)

    def stop(self) -> None:
        self._provider.shutdown(timeout_millis=2000)
