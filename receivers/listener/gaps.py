"""What could not be seen: gaps that are open, told once when they open and once when they close."""

from __future__ import annotations

import time
from collections.abc import Callable

from otel_fim.component import Context
from otel_fim.names import metrics
from otel_fim.pipeline.coverage import component_coverage
from otel_fim.record import Record


class Gaps:
    """The open gaps by reason and subject. `put(record)` takes the records and does not wait. For one thread."""

    def __init__(self, context: Context, put: Callable[[Record], None]) -> None:
        self._context = context
        self._put = put
        self._open: dict[tuple[str, str], int] = {}

    def open(self, reason: str, subject: str, detail: str) -> None:
        """Opens a gap; one that is open already is not told again. `subject` tells gaps of one reason apart."""
        if (reason, subject) in self._open:
            return
        since = time.time_ns()
        self._open[reason, subject] = since
        self._context.count(metrics.COVERAGE_GAPS, 1, reason=reason)
        self._put(self._record(reason, detail, since, None, restored=False))

    def close(self, reason: str, subject: str, detail: str) -> None:
        """Closes a gap; nothing happens when it is not open."""
        since = self._open.pop((reason, subject), None)
        if since is not None:
            self._put(self._record(reason, detail, since, time.time_ns(), restored=True))

    def once(self, reason: str, detail: str, start: int) -> None:
        """Tells of a gap that is over already."""
        self._context.count(metrics.COVERAGE_GAPS, 1, reason=reason)
        self._put(self._record(reason, detail, start, time.time_ns(), restored=False))

    def _record(self, reason: str, detail: str, start: int, end: int | None, *, restored: bool) -> Record:
        return component_coverage(self._context, reason, detail, start, end, restored=restored)
