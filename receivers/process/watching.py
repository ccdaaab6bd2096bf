"""The thread that the kernel tells of processes."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import threading
import time
from collections.abc import Callable
from typing import Final, Protocol

from otel_fim.host.table import ProcessTable
from otel_fim.receivers.process import cn_proc
from otel_fim.receivers.process.connector import BATCH, Connector, OverflowedError
from otel_fim.receivers.process.tracker import Tracker

_ROUNDS: Final = 64
_RESYNC_SECONDS: Final = 1.0
_ERROR_SECONDS: Final = 1.0


class Gap(Protocol):
    """Tells of a coverage gap; see `Reporter.gap`."""

    def __call__(
        self, reason: str, detail: str, start: int, end: int | None = None, *, restored: bool = False
    ) -> None: ...


class Told:
    """Feeds the table from the proc connector."""

    def __init__(
        self,
        connector: Connector,
        tracker: Tracker,
        table: ProcessTable,
        *,
        gap: Gap,
        rejected: Callable[[int], None],
        existing: bool,
        logger: logging.Logger,
    ) -> None:
        self._connector = connector
        self._tracker = tracker
        self._table = table
        self._gap = gap
        self._rejected = rejected
        self._existing = existing
        self._logger = logger
        self._poke = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._stop = False
        self._ready = threading.Event()
        self._lost_since: int | None = None
        self._lost_reason = ""
        self._resync_at = 0.0
        self._latest = time.time_ns()
        self._thread = threading.Thread(target=self._run, name="process-watch", daemon=True)

    def start(self) -> None:
        """Returns when all that runs is known."""
        self._thread.start()
        self._ready.wait()

    def stop(self, timeout: float) -> None:
        self._stop = True
        self.poke()
        if self._thread.is_alive():
            self._thread.join(timeout)
        self._table.feed_with(None)

    def poke(self) -> None:
        """Has it look at once."""
        with contextlib.suppress(OSError, ValueError):
            os.eventfd_write(self._poke, 1)

    def _run(self) -> None:
        poller = select.poll()
        poller.register(self._connector.fileno(), select.POLLIN)
        poller.register(self._poke, select.POLLIN)
        try:
            try:
                self._tracker.compare(all_pids(), "scan" if self._existing else None)
            except Exception:  # told as a gap, and tried again
                self._logger.exception("the processes could not be listed")
                self._lost("io_error", "the processes could not be listed; the agent's log says why")
            self._table.feed_with(self.poke)
            self._ready.set()
            while not self._stop:
                try:
                    self._round(poller)
                except Exception:  # the thread must live on
                    self._logger.exception("the processes could not be watched")
                    self._lost("io_error", "the processes could not be watched; the agent's log says why")
                    time.sleep(_ERROR_SECONDS)
        finally:
            self._ready.set()
            self._connector.close()
            poke, self._poke = self._poke, -1
            os.close(poke)

    def _round(self, poller: select.poll) -> None:
        due = self._tracker.due()
        timeout = None if due is None else max(0.0, (due - time.monotonic_ns()) / 1e6 + 1)
        if self._lost_since is not None:
            timeout = max(0.0, self._resync_at - time.monotonic()) * 1000 + 1
        poller.poll(timeout)
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._poke)
        self._tracker.refresh_clock()
        now = time.time_ns()
        drained = self._drain()
        if self._lost_since is None:
            if drained:
                self._table.fed(now)
        elif drained and time.monotonic() >= self._resync_at:
            # Not before: after an overflow the kernel drops everything until the buffer has been emptied.
            self._resync()

    def _drain(self) -> bool:
        """Whether nothing is left. With more coming in all the time, what is due has to be done in between."""
        tracker, rejected = self._tracker, 0
        event, drained = None, False
        for _ in range(_ROUNDS):
            try:
                messages = self._connector.receive()
            except OverflowedError:
                self._lost("queue_overflow", "the kernel's buffer for process events was full: some are lost")
                continue
            for message in messages:
                try:
                    event = cn_proc.parse(message)
                except cn_proc.MalformedError:
                    rejected += 1
                    continue
                if event is not None:
                    self._handle(event)
            if len(messages) < BATCH:
                drained = True
                break
        if event is not None:
            self._latest = tracker.epoch(event.time_ns)
        if rejected:
            self._rejected(rejected)
        return drained

    def _handle(self, event: cn_proc.ProcEvent) -> None:
        try:
            self._tracker.handle(event)
        except Exception:  # the others must not suffer from what one event did
            self._logger.exception("an event of process %d could not be dealt with", event.pid)
            self._lost("io_error", "an event of a process could not be dealt with; the agent's log says why")

    def _lost(self, reason: str, detail: str) -> None:
        if self._lost_since is not None:
            return
        self._lost_since, self._lost_reason = self._latest, reason
        self._resync_at = max(self._resync_at, time.monotonic())
        self._gap(reason, detail, self._latest)

    def _is_behind(self) -> bool:
        return self._lost_since is not None

    def _resync(self) -> None:
        since = self._lost_since or 0
        self._lost_since = None
        # What happens from here on is told, unless the buffer overflows again.
        self._table.feed_with(self.poke)
        self._tracker.compare(all_pids(), "scan", since)
        self._drain()
        self._resync_at = time.monotonic() + _RESYNC_SECONDS
        if self._is_behind():
            # It is still going on: the gap stays open.
            self._lost_since = since
            return
        self._gap(
            self._lost_reason,
            "all processes have been looked at; those that started and ended in between are not known",
            since,
            time.time_ns(),
            restored=True,
        )


def all_pids() -> list[int]:
    """Every process of /proc, oldest first for the most part: parents come before their children."""
    return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
