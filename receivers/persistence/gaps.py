"""What cannot be seen, gathered from all kinds: one gap for each reason, which lists the places."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from otel_fim.component import Context
from otel_fim.names import metrics
from otel_fim.pipeline.coverage import coverage_record
from otel_fim.receivers.persistence.hosts import Host
from otel_fim.receivers.persistence.text import display, text_of
from otel_fim.record import Record

_SHOWN: Final = 40
_REASONS: Final = {"permission_denied": "permission_denied", "io_error": "io_error"}
_SENTENCES: Final = {
    "permission_denied": "may not be read",
    "io_error": "cannot be read",
    "too_large": "are too large to be read",
    "too_many": "hold too much to be looked at whole",
    "not_looked_at": "are yet to be looked through for setuid files and file capabilities",
    "not_followed": "are links of a user to what that user may not read",
}


class Gaps:
    """`update` is given all problems by reason and gives back the records that they make."""

    def __init__(self, context: Context, host: Host) -> None:
        self._context = context
        self._host = host
        self._open: dict[str, tuple[int, set[bytes]]] = {}

    def update(self, problems: Mapping[bytes, str]) -> list[Record]:
        """A gap for a reason that is new or has new places; its end when no place is left."""
        now = time.time_ns()
        found: list[Record] = []
        by_reason: dict[str, set[bytes]] = {}
        for path, reason in problems.items():
            by_reason.setdefault(reason, set()).add(path)
        for reason, paths in by_reason.items():
            known = self._open.get(reason)
            if known is None or paths - known[1]:
                self._open[reason] = (now if known is None else known[0], paths)
                self._context.logger.warning("%s", self._detail(reason, paths))
                self._context.count(metrics.COVERAGE_GAPS, 1, reason=_REASONS.get(reason, "backend_limited"))
                found.append(self._record(reason, self._open[reason][0], self._detail(reason, paths), None))
            else:
                self._open[reason] = (known[0], paths)
        for reason in self._open.keys() - by_reason.keys():
            start, _ = self._open.pop(reason)
            found.append(
                self._record(reason, start, f"no place is left of those that {_SENTENCES[reason]}", now)
            )
        return found

    def once(self, reason: str, detail: str, start: int) -> Record:
        """A gap that is over already."""
        self._context.count(metrics.COVERAGE_GAPS, 1, reason=reason)
        return self._coverage(reason, detail, start, time.time_ns(), restored=False)

    def _detail(self, reason: str, paths: set[bytes]) -> str:
        shown = ", ".join(display(text_of(self._host.real(path))) for path in sorted(paths)[:_SHOWN])
        more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
        return f"places of persistence that {_SENTENCES[reason]}: {shown}{more}"

    def _record(self, reason: str, start: int, detail: str, end: int | None) -> Record:
        return self._coverage(
            _REASONS.get(reason, "backend_limited"), detail, start, end, restored=end is not None
        )

    def _coverage(self, reason: str, detail: str, start: int, end: int | None, *, restored: bool) -> Record:
        return coverage_record(
            reason=reason,
            scope_text=self._context.id,
            detail=detail,
            component=self._context.id,
            resource=self._context.resource,
            scope=self._context.scope,
            start_unix_nano=start,
            end_unix_nano=end,
            restored=restored,
        )
