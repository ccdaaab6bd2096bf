"""The one thread of a backend: it handles descriptors that have something to read, and works a little in between."""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from collections.abc import Callable
from typing import Final

from otel_fim.receivers.file_integrity.backends.watcher import REASON_IO_ERROR, Lost

_ERROR_PAUSE_SECONDS: Final = 1.0


class Loop:
    """Runs until stopped, whatever fails: an error is logged and told as a gap, for a dead reader sees nothing.

    `idle` is called after each round. It gives the seconds until it wants to be called again though nothing
    happened: 0 while it has more to do, None for never.
    """

    def __init__(
        self, name: str, idle: Callable[[], float | None], lost: Lost, logger: logging.Logger
    ) -> None:
        self._idle = idle
        self._lost = lost
        self._logger = logger
        self._handlers: dict[int, Callable[[], None]] = {}
        self._poll = select.poll()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._stopping = False
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.add(self._wake, select.POLLIN, self._woken)

    def add(self, descriptor: int, events: int, handler: Callable[[], None]) -> None:
        """Calls `handler` when poll(2) reports one of `events`. Before `start` only."""
        self._handlers[descriptor] = handler
        self._poll.register(descriptor, events)

    def start(self) -> None:
        """Returns when `idle` has nothing left to do for the first time."""
        self._thread.start()
        self._ready.wait()

    def wake(self) -> None:
        """Makes the loop go round once. From any thread."""
        os.eventfd_write(self._wake, 1)

    def stop(self, timeout: float) -> bool:
        """True when the thread has ended; only then may the descriptors be closed."""
        self._stopping = True
        if self._wake < 0:
            return True
        self.wake()
        if self._thread.ident is not None:
            self._thread.join(timeout)
            if self._thread.is_alive():
                self._logger.warning("the %s reader did not stop within %.1f s", self._thread.name, timeout)
                return False
        os.close(self._wake)
        self._wake = -1
        return True

    def _woken(self) -> None:
        os.eventfd_read(self._wake)

    def _run(self) -> None:
        pause: float | None = 0
        while not self._stopping:
            try:
                # Rounded up: rounded down, the last millisecond would be spent going round in circles.
                for descriptor, _ in self._poll.poll(None if pause is None else int(pause * 1000 + 0.999)):
                    self._handlers[descriptor]()
                pause = self._idle()
            except Exception as error:
                self._logger.exception("the %s reader failed and goes on", self._thread.name)
                self._lost(REASON_IO_ERROR, None, f"reading events failed: {type(error).__name__}: {error}")
                time.sleep(_ERROR_PAUSE_SECONDS)
                pause = 0
                self._ready.set()
            if pause != 0:
                self._ready.set()
        self._ready.set()
