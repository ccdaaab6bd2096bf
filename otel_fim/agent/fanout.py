"""From one receiver to all pipelines that name it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from otel_fim.agent.tap import Tap
from otel_fim.component import StoppingError
from otel_fim.names import metrics
from otel_fim.pipeline.pipeline import Pipeline
from otel_fim.record import Record
from otel_fim.telemetry.metrics import MetricStore


class FanOut:
    """A receiver's `emit`: gives the records to each pipeline, with attributes of their own from the second on."""

    def __init__(
        self, receiver_id: str, pipelines: Sequence[Pipeline], store: MetricStore, tap: Tap | None = None
    ) -> None:
        self._receiver = receiver_id
        self._pipelines = pipelines
        self._store = store
        self._tap = tap

    def __call__(self, records: Sequence[Record], on_durable: Callable[[], None] | None = None) -> None:
        if on_durable is not None and len(self._pipelines) > 1:
            on_durable = _after(len(self._pipelines), on_durable)
        if self._tap is not None:
            self._tap(records)
        copies = [[r.copy() for r in records] for _ in self._pipelines[1:]]
        try:
            for pipeline, batch in zip(self._pipelines, [list(records), *copies], strict=True):
                pipeline.put(batch, on_durable)
        except StoppingError:
            self._store.count(metrics.RECEIVER_REFUSED, len(records), receiver=self._receiver)
            raise
        self._store.count(metrics.RECEIVER_ACCEPTED, len(records), receiver=self._receiver)


def _after(calls: int, callback: Callable[[], None]) -> Callable[[], None]:
    lock = threading.Lock()
    left = calls

    def call() -> None:
        nonlocal left
        with lock:
            left -= 1
            last = left == 0
        if last:
            callback()

    return call
