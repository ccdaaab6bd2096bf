"""The agent's own numbers: counters that components add to and gauges that are read when asked for.

They are kept in plain dictionaries, because a counter is touched on every batch; `readers` shows them to
Prometheus and to OpenTelemetry.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from otel_fim.names.registry import METRICS

Labels = tuple[tuple[str, str], ...]


@dataclass(slots=True, frozen=True)
class Sample:
    """One number: `labels` are sorted (name, value) pairs."""

    name: str
    labels: Labels
    value: float


class MetricStore:
    """All counters and gauges of one agent. Names are those of `otel_fim.names.metrics`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters: dict[tuple[str, Labels], float] = {}
        self._gauges: dict[tuple[str, Labels], Callable[[], float]] = {}

    def count(self, name: str, amount: float = 1, /, **labels: str) -> None:
        """Adds `amount` to a counter. Raises `KeyError` for a name that is not in the list of metrics."""
        if name not in METRICS:
            raise KeyError(f"{name} is not in otel_fim.names.metrics")
        key = (name, tuple(sorted(labels.items())))
        with self._lock:
            self._counters[key] = self._counters.get(key, 0) + amount

    def gauge(self, name: str, read: Callable[[], float], /, **labels: str) -> None:
        """Registers a gauge: `read` is called for each export, from another thread."""
        if name not in METRICS:
            raise KeyError(f"{name} is not in otel_fim.names.metrics")
        with self._lock:
            self._gauges[(name, tuple(sorted(labels.items())))] = read

    def value(self, name: str, /, **labels: str) -> float:
        """The sum of all samples of `name` whose labels include `labels`."""
        wanted = set(labels.items())
        return sum(s.value for s in self.samples() if s.name == name and wanted <= set(s.labels))

    def samples(self) -> Iterator[Sample]:
        """All current numbers. A gauge whose reading fails is left out."""
        with self._lock:
            counters = list(self._counters.items())
            gauges = list(self._gauges.items())
        for (name, labels), value in counters:
            yield Sample(name, labels, value)
        for (name, labels), read in gauges:
            try:
                yield Sample(name, labels, read())
            except Exception:  # noqa: BLE001, S112 - telemetry never raises into what it watches
                continue

    def by_name(self) -> Mapping[str, list[Sample]]:
        """The samples grouped by metric name."""
        grouped: dict[str, list[Sample]] = {}
        for sample in self.samples():
            grouped.setdefault(sample.name, []).append(sample)
        return grouped
