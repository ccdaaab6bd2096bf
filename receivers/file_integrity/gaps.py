"""What could not be seen: gaps that are open, told once when they open and once when they close."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from otel_fim.component import Context
from otel_fim.names import metrics
from otel_fim.pipeline.coverage import component_coverage
from otel_fim.receivers.file_integrity.paths import display
from otel_fim.record import Record

_LIMIT: Final = 200


class Gaps:
    """The open gaps by reason and scope. `put(record)` takes the records and does not wait.

    More than 200 gaps of one reason are told as one that covers the component.
    """

    def __init__(self, context: Context, put: Callable[[Record], None]) -> None:
        self._context = context
        self._put = put
        self._lock = threading.Lock()
        self._open: dict[tuple[str, bytes | None], tuple[int, str]] = {}

    def open(self, reason: str, scope: bytes | None, detail: str, start: int | None = None) -> bool:
        """Opens a gap; False when it is open already. `scope` None is all that the component watches."""
        with self._lock:
            if (reason, scope) in self._open:
                return False
            same = sum(1 for key in self._open if key[0] == reason)
            if same > _LIMIT:
                return False
            if same == _LIMIT:
                scope, detail = (
                    None,
                    f"{detail}; and more: further gaps of this reason are not told one by one",
                )
                if (reason, scope) in self._open:
                    return False
            since = time.time_ns() if start is None else start
            self._open[reason, scope] = (since, detail)
        self._context.count(metrics.COVERAGE_GAPS, 1, reason=reason)
        self._put(self._record(reason, scope, detail, since, None))
        return True

    def close(self, reason: str, scope: bytes | None, detail: str) -> bool:
        """Closes a gap; False when it was not open."""
        if not self._open:
            return False
        with self._lock:
            found = self._open.pop((reason, scope), None)
        if found is None:
            return False
        self._put(self._record(reason, scope, detail, found[0], time.time_ns()))
        return True

    def once(self, reason: str, scope: bytes | None, detail: str, start: int, end: int) -> None:
        """Tells of a gap that is over already."""
        self._context.count(metrics.COVERAGE_GAPS, 1, reason=reason)
        self._put(self._record(reason, scope, detail, start, end, restored=False))

    def is_open(self, reason: str, scope: bytes | None) -> bool:
        return (reason, scope) in self._open

    def _record(
        self,
        reason: str,
        scope: bytes | None,
        detail: str,
        start: int,
        end: int | None,
        restored: bool | None = None,
    ) -> Record:
        return component_coverage(
            self._context,
            reason,
            detail,
            start,
            end,
            restored=end is not None if restored is None else restored,
            scope_text=None if scope is None else display(scope),
        )
