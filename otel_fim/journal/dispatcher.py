"""Calls back to the outside from one thread, in order, so that nothing outside can hold up an fsync."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

Callback = Callable[[], None]


class Dispatcher:
    """Runs callbacks in the order in which they come. What they raise is logged."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._queue: queue.SimpleQueue[Callback | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="journal-callbacks", daemon=True)
        self._thread.start()

    def put(self, callback: Callback) -> None:
        """Has `callback` called soon."""
        self._queue.put(callback)

    def close(self, timeout: float) -> bool:
        """Runs what is waiting; false when that takes longer than `timeout` seconds."""
        self._queue.put(None)
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (callback := self._queue.get()) is not None:
            try:
                callback()
            except Exception:
                self._logger.exception("a callback of the journal failed")
