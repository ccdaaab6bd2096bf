"""The thread that looks at all processes every now and then, where nobody tells of them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from otel_fim.receivers.process.tracker import Tracker

_ERROR_SECONDS: Final = 1.0


class Polled:
    """Compares all processes every `interval` seconds."""

    def __init__(
        self,
        tracker: Tracker,
        interval: float,
        *,
        existing: bool,
        logger: logging.Logger,
        pids: Callable[[], list[int]],
    ) -> None:
        self._tracker = tracker
        self._interval = interval
        self._existing = existing
        self._logger = logger
        self._pids = pids
        self._looked = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="process-poll", daemon=True)

    def start(self) -> None:
        self._looked = time.time_ns()
        self._tracker.compare(self._pids(), "scan" if self._existing else None)
        self._thread.start()

    def stop(self, timeout: float) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            now = time.time_ns()
            try:
                self._tracker.compare(self._pids(), "exec", self._looked)
                self._looked = now
            except Exception:  # the thread must live on
                self._logger.exception("the processes could not be listed")
                self._stop.wait(_ERROR_SECONDS)
