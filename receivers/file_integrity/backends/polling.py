"""The polling backend: asks for a comparison with the baseline at regular times. For anyone and everything."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from typing import Final

from otel_fim.receivers.file_integrity.backend import Backend, Change, Filter, Hint, Sink

_SUBTREE: Final = Change.SUBTREE | Change.DIRECTORY


class PollingBackend(Backend):
    """Every `interval` seconds one SUBTREE hint for each root, also for roots that are files or missing.

    For file systems that others change (NFS and its like), which no kernel interface reports, and for hosts on
    which nothing else may be used.
    """

    name = "polling"

    def __init__(self, interval: float, *, logger: logging.Logger | None = None) -> None:
        if interval <= 0:
            raise ValueError("the interval between two scans must be greater than 0")
        self._interval = interval
        self._logger = logger or logging.getLogger(__name__)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, roots: Sequence[bytes], scope: Filter, sink: Sink) -> None:  # noqa: ARG002 - the engine filters
        self._thread = threading.Thread(
            target=self._run, args=(tuple(roots), sink), name="polling", daemon=True
        )
        self._thread.start()

    def stop(self, timeout: float) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout)
            if self._thread.is_alive():
                self._logger.warning("the polling timer did not stop within %.1f s", timeout)

    def describe(self) -> str:
        limits = "not who did it, and not what was undone before"
        return f"polling every {self._interval:g} s: sees what differs then, {limits}"

    def _run(self, roots: Sequence[bytes], sink: Sink) -> None:
        while not self._stop.wait(self._interval):
            now = time.time_ns()
            try:
                sink.hints([Hint(root, _SUBTREE, now) for root in roots])
            except Exception:
                # The next round asks for the same again: nothing is lost.
                self._logger.exception("a round of polling could not be handed over")
