"""The process table: every component asks here who a pid is, or was.

A receiver that is told by the kernel of each start and end feeds it (`put`, `fed`); without one it reads /proc when
it is asked. Two processes with the same pid are never mixed up: a process is found by its pid and either its
creation time or a time at which it must have been alive.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from otel_fim.host import procfs
from otel_fim.host.process import Process
from otel_fim.host.sessions import LoginSessions

DEFAULT_LIMIT: Final = 8192
_TICK_NANOSECONDS: Final = 1_000_000_000 // procfs.CLOCK_TICKS_PER_SECOND
CREATION_TOLERANCE_NANOSECONDS: Final = 2 * _TICK_NANOSECONDS
"""Two readings of one process's creation time differ by less: they are rounded, and the wall clock is adjusted."""


class ProcessTable:
    """At most `limit` processes, running and ended. Safe to use from any thread.

    `sessions` are the logins behind the kernel's audit sessions.
    """

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self.limit = limit
        self.sessions = LoginSessions()
        self._lock = threading.Lock()
        self._clock = procfs.BootClock()
        self._boot = _boot_id()
        self._processes: OrderedDict[str, Process] = OrderedDict()
        self._by_pid: dict[int, list[str]] = {}
        self._feeder: Callable[[], None] | None = None
        self._fed_until = 0
        self._fed = threading.Condition()
        self.evicted = 0
        """Processes that had to make room, since the start."""

    # --- Asking --------------------------------------------------------------------------------------------

    def find(
        self, pid: int, *, created_unix_nano: int | None = None, at_unix_nano: int | None = None
    ) -> Process | None:
        """The process with that pid that was created at the one time, or was alive at the other; with neither,
        the one that has the pid now. None when that is not known for sure. Reads /proc when the table does not
        have it and the process may still run."""
        raise NotImplementedError

    def catch_up(self, until_unix_nano: int, patience: float) -> bool:
        """Waits until the feeder has taken in what happened up to then, at most `patience` seconds. True at once
        when there is no feeder."""
        raise NotImplementedError

    # --- Feeding -------------------------------------------------------------------------------------------

    def entity_id(self, pid: int, created_unix_nano: int) -> str:
        """The id of a process: made from the boot id, the pid and the start in clock ticks after boot."""
        ticks = self._clock.ticks(created_unix_nano)
        return hashlib.sha256(b"%s %d %d" % (self._boot, pid, ticks)).hexdigest()[:16]

    def put(self, process: Process) -> None:
        """Takes a process in, or newer knowledge of it (same `entity_id`)."""
        raise NotImplementedError

    def feed_with(self, poke: Callable[[], None] | None) -> None:
        """Names the feeder (None: it has stopped). `poke` is called from any thread to have it look at once; it
        then calls `fed`."""
        raise NotImplementedError

    def fed(self, until_unix_nano: int) -> None:
        """Called by the feeder: everything that happened before this time is in the table."""
        raise NotImplementedError


def _boot_id() -> bytes:
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb") as source:
            return source.read().strip()
    except OSError:
        # Without one, ids are unique for this run of the agent.
        return b"%d" % time.time_ns()
