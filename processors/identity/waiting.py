"""Waits for the process table to catch up, but never for long, and not again and again for one that is stuck."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from otel_fim.host.table import ProcessTable

_RECENT_NANOSECONDS: Final = 10_000_000_000
"""Older records are not waited for. It is not less because a feeder that had nothing to tell for a while says how
far it is only when it is asked."""
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0


class Waiting:
    """`for_time` gives the table the chance to learn of everything up to a time. For one thread."""

    def __init__(
        self,
        table: ProcessTable,
        patience: float,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._table = table
        self._patience = patience
        self._clock = clock
        self._pause = 0.0
        self._not_before = 0.0

    def for_time(self, until_unix_nano: int, now_unix_nano: int) -> None:
        """Returns when the table knows of everything up to then, or when waiting is of no use."""
        until = min(until_unix_nano, now_unix_nano)
        if now_unix_nano - until > _RECENT_NANOSECONDS:
            return
        patience = self._patience if self._clock() >= self._not_before else 0.0
        if self._table.catch_up(until, patience):
            self._pause = 0.0
            self._not_before = 0.0
        elif patience > 0:
            self._pause = min(max(_FIRST_PAUSE, self._pause * 2), _LONGEST_PAUSE)
            self._not_before = self._clock() + self._pause
