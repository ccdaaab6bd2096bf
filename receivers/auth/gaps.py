"""What could not be seen: told once when it begins and once when it is over."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from otel_fim.component import Context
from otel_fim.names import metrics
from otel_fim.pipeline.coverage import component_coverage
from otel_fim.record import Record


class Gaps:
    """The open gaps by source and reason. `put` takes the records and does not wait. Safe to use from any thread."""

    def __init__(self, context: Context, put: Callable[[Record], None]) -> None:
        self._context = context
        self._put = put
        self._lock = threading.Lock()
        self._open: dict[tuple[str, str], int] = {}

    def gap(self, source: str, reason: str, detail: str, start: int, end: int | None = None) -> None:
        """A gap of a source; without an end it is open until `restored`."""
        with self._lock:
            if end is None:
                if (source, reason) in self._open:
                    return
                self._open[source, reason] = start
        self._context.count(metrics.COVERAGE_GAPS, 1, reason=reason)
        self._put(self._record(source, reason, detail, start, end, restored=False))

    def restored(self, source: str, reason: str, detail: str) -> None:
        """The open gap is over."""
        with self._lock:
            start = self._open.pop((source, reason), None)
        if start is not None:
            self._put(self._record(source, reason, detail, start, time.time_ns(), restored=True))

    def _record(
        self, source: str, reason: str, detail: str, start: int, end: int | None, *, restored: bool
    ) -> Record:
        return component_coverage(
            self._context, reason, detail, start, end, restored=restored, scope_text=source
        )
