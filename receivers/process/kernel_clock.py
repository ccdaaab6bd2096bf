"""From the kernel's monotonic clock, which stamps its events, to the other clocks."""

from __future__ import annotations

import time
from typing import Final

from otel_fim.host.procfs import TICK_NANOSECONDS, BootClock

_JITTER_NANOSECONDS: Final = 1_000_000
_BOOT_CLOCK: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class KernelClock:
    """`refresh` is called now and then: the wall clock may be set, and the machine may sleep."""

    def __init__(self) -> None:
        self._boot = BootClock()
        self._asleep = 0
        self._offset = 0
        self.refresh()

    def refresh(self) -> None:
        """Looks at the clocks again."""
        asleep = time.clock_gettime_ns(_BOOT_CLOCK) - time.monotonic_ns()
        if abs(asleep - self._asleep) > _JITTER_NANOSECONDS:
            self._asleep = asleep
        self._offset = self._boot.offset()

    def epoch(self, monotonic_ns: int) -> int:
        """Nanoseconds since the epoch."""
        return self._offset + self._asleep + monotonic_ns

    def ticks(self, monotonic_ns: int) -> int:
        """The clock tick after boot in which that was."""
        return (monotonic_ns + self._asleep) // TICK_NANOSECONDS

    def created(self, ticks: int) -> int:
        """A start time as the process table has it."""
        return self._boot.epoch_nanoseconds(ticks)
