"""What cannot be seen, gathered from all kinds: one gap for each reason, which lists the places."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Final

from otel_fim.component import Context
from otel_fim.names import metrics
from otel_fim.pipeline.coverage import component_coverage
from otel_fim.receivers.persistence.hosts import Host
from otel_fim.receivers.persistence.reader import NOT_LOOKED_AT
from otel_fim.receivers.persistence.text import display, text_of
from otel_fim.record import Record

_SHOWN: Final = 40
_REASONS: Final = {"permission_denied": "permission_denied", "io_error": "io_error"}
_SENTENCES: Final = {
    "permission_denied": "places of persistence that may not be read: {}",
    "io_error": "places of persistence that cannot be read: {}",
    "too_large": "places of persistence that are too large to be read: {}",
    "too_many": "places of persistence that hold too much to be looked at whole: {}",
    NOT_LOOKED_AT: "looking through {} for setuid files and file capabilities; until that is over, those that are "
    "there already are not known",
    "not_followed": "links of a user to what that user may not read, which are not followed: {}",
}
_ENDS: Final = {
    "permission_denied": "all places of persistence may be read again",
    "io_error": "all places of persistence can be read again",
    "too_large": "no place of persistence is too large to be read any more",
    "too_many": "no place of persistence holds too much to be looked at whole any more",
    NOT_LOOKED_AT: "everything has been looked through for setuid files and file capabilities",
    "not_followed": "no link of a user leads to what that user may not read any more",
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
                # That a walk takes its time is how it is, and nothing to be done about.
                level = logging.INFO if reason == NOT_LOOKED_AT else logging.WARNING
                self._context.logger.log(level, "%s", self._detail(reason, paths))
                self._context.count(metrics.COVERAGE_GAPS, 1, reason=_REASONS.get(reason, "backend_limited"))
                found.append(self._record(reason, self._open[reason][0], self._detail(reason, paths), None))
            else:
                self._open[reason] = (known[0], paths)
        for reason in self._open.keys() - by_reason.keys():
            start, _ = self._open.pop(reason)
            self._context.logger.info("%s", _ENDS[reason])
            found.append(self._record(reason, start, _ENDS[reason], now))
        return found

    def once(self, reason: str, detail: str, start: int) -> Record:
        """A gap that is over already."""
        self._context.count(metrics.COVERAGE_GAPS, 1, reason=reason)
        return self._coverage(reason, detail, start, time.time_ns(), restored=False)

    def _detail(self, reason: str, paths: set[bytes]) -> str:
        shown = ", ".join(display(text_of(self._host.real(path))) for path in sorted(paths)[:_SHOWN])
        more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
        return _SENTENCES[reason].format(shown + more)

    def _record(self, reason: str, start: int, detail: str, end: int | None) -> Record:
        return self._coverage(
            _REASONS.get(reason, "backend_limited"), detail, start, end, restored=end is not None
        )

    def _coverage(self, reason: str, detail: str, start: int, end: int | None, *, restored: bool) -> Record:
        return component_coverage(self._context, reason, detail, start, end, restored=restored)
