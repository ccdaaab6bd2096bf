from __future__ import annotations

import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from otel_fim.component import StartError
from otel_fim.names import metrics
from otel_fim.record import Resource
from otel_fim.telemetry.config import MetricsConfig
from otel_fim.telemetry.metrics import MetricStore
from otel_fim.telemetry.readers import PrometheusReader, start_readers


def prometheus(port: int) -> MetricsConfig:
    return MetricsConfig.model_validate(
        {"readers": [{"pull": {"exporter": {"prometheus": {"host": "127.0.0.1", "port": port}}}}]}
    )


def test_counters_add_up_by_label_and_gauges_are_read() -> None:
    store = MetricStore()
    store.count(metrics.EXPORTER_SENT, 3, exporter="a", pipeline="logs")
    store.count(metrics.EXPORTER_SENT, 4, pipeline="logs", exporter="a")
    store.count(metrics.EXPORTER_SENT, 5, exporter="b", pipeline="logs")
    store.gauge(metrics.EXPORTER_QUEUE_SIZE, lambda: 9.0, exporter="a")
    store.gauge(metrics.JOURNAL_BYTES, lambda: 1 / 0)
    assert store.value(metrics.EXPORTER_SENT, exporter="a") == 7
    assert store.value(metrics.EXPORTER_SENT) == 12
    assert store.value(metrics.EXPORTER_QUEUE_SIZE) == 9
    assert store.value(metrics.JOURNAL_BYTES) == 0


def test_a_name_outside_the_list_is_refused() -> None:
    with pytest.raises(KeyError, match=r"names\.metrics"):
        MetricStore().count("made_up")


def test_counting_from_many_threads_loses_nothing() -> None:
    store = MetricStore()

    def work() -> None:
        for _ in range(2000):
            store.count(metrics.RECEIVER_ACCEPTED, receiver="r")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert store.value(metrics.RECEIVER_ACCEPTED) == 16_000


def test_prometheus_shows_the_collector_s_names() -> None:
    store = MetricStore()
    store.count(metrics.EXPORTER_SENT, 42, exporter='click"house\n', pipeline="logs")
    (reader,) = start_readers(prometheus(0), store, Resource())
    assert isinstance(reader, PrometheusReader)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{reader.port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
    finally:
        reader.stop()
    assert 'otelcol_exporter_sent_log_records_total{exporter="click\\"house\\n",pipeline="logs"} 42.0' in text
    assert "# TYPE otelcol_exporter_sent_log_records_total counter" in text


def test_a_port_in_use_is_an_error_that_says_what_to_do() -> None:
    (reader,) = start_readers(prometheus(0), MetricStore(), Resource())
    assert isinstance(reader, PrometheusReader)
    try:
        with pytest.raises(StartError, match=rf"127.0.0.1:{reader.port}.*another port"):
            start_readers(prometheus(reader.port), MetricStore(), Resource())
    finally:
        reader.stop()


def test_level_none_starts_nothing() -> None:
    assert start_readers(MetricsConfig(level="none"), MetricStore(), Resource()) == []


def test_metrics_reach_an_otlp_endpoint() -> None:
    received: list[ExportMetricsServiceRequest] = []
    arrived = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                import gzip

                body = gzip.decompress(body)
            assert self.path == "/v1/metrics"
            assert self.headers["X-Key"] == "secret"
            received.append(ExportMetricsServiceRequest.FromString(body))
            answer = ExportMetricsServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)
            arrived.set()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    store = MetricStore()
    store.count(metrics.RECEIVER_ACCEPTED, 5, receiver="r")
    config = MetricsConfig.model_validate(
        {
            "readers": [
                {
                    "periodic": {
                        "interval": 100,
                        "exporter": {
                            "otlp": {
                                "endpoint": f"http://127.0.0.1:{server.server_port}",
                                "headers": {"X-Key": "secret"},
                            }
                        },
                    }
                }
            ]
        }
    )
    (reader,) = start_readers(config, store, Resource({"service.name": "otel-fim"}))
    try:
        assert arrived.wait(10)
    finally:
        reader.stop()
        server.shutdown()
        server.server_close()
        thread.join(5)
    resource_metrics = received[0].resource_metrics[0]
    points = {
        metric.name: metric.sum.data_points[0].as_double or metric.sum.data_points[0].as_int
        for metric in resource_metrics.scope_metrics[0].metrics
        if metric.sum.data_points
    }
    assert points[metrics.RECEIVER_ACCEPTED] == 5
    assert resource_metrics.resource.attributes[0].value.string_value == "otel-fim"
