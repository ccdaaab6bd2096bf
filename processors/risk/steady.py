"""Time for windows: the host's clock at the start, and from then on time that really went by."""

from __future__ import annotations

import time
from collections.abc import Callable


class SteadyClock:
    """Seconds since 1970 that never go back and never jump while the agent runs.

    A clock that is set does not end a window or make it last. Between two runs it is the clock's word that counts, but
    never back behind what was saved.
    """

    def __init__(
        self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._monotonic = monotonic
        self._began = monotonic()
        self._base = max(0.0, wall())

    def not_before(self, seconds: int) -> None:
        """Goes on from a time that was saved, when the clock says that it is earlier."""
        self._base += max(0.0, seconds - (self._base + self._monotonic() - self._began))

    def now(self) -> int:
        return int(self._base + max(0.0, self._monotonic() - self._began))
