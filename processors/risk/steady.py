"""Time for windows: the host's clock at the start, and from then on time that really went by."""

from __future__ import annotations

import time
from collections.abc import Callable


class SteadyClock:
    """Seconds since 1970 that never go back and never jump while the agent runs.

    A clock that is set does not end a window or make it last. How long the agent did not run is the clock's word, but
    never less than nothing.
    """

    def __init__(
        self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._began = monotonic()
        self._base = max(0.0, wall())

    def go_on(self, seconds: int, wall: int) -> None:
        """Goes on from a time that was saved when the host's clock said `wall`."""
        self._base = seconds + max(0.0, self._wall() - wall)
        self._began = self._monotonic()

    def wall(self) -> int:
        """What the host's clock says."""
        return max(0, int(self._wall()))

    def now(self) -> int:
        return int(self._base + max(0.0, self._monotonic() - self._began))
