"""Lets one receiver see what another one has emitted: a cron file that changed is news for two receivers."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from otel_fim.record import Record

logger = logging.getLogger("otel_fim.agent")

Listener = Callable[[Sequence[Record]], None]


class Tap:
    """Calls every listener with every batch that receivers emit. Safe to use from any thread."""

    def __init__(self) -> None:
        self._listeners: tuple[Listener, ...] = ()
        self._lock = threading.Lock()

    def listen(self, listener: Listener) -> Callable[[], None]:
        """From now on `listener` is called; the function that is given back ends it.

        It is called on the emitting receiver's thread, before the records enter the pipelines, must return at
        once, and must neither change the records nor keep them longer than it takes to read them.
        """
        with self._lock:
            self._listeners = (*self._listeners, listener)

        def end() -> None:
            with self._lock:
                self._listeners = tuple(each for each in self._listeners if each is not listener)

        return end

    def __call__(self, records: Sequence[Record]) -> None:
        for listener in self._listeners:
            try:
                listener(records)
            except Exception:
                # One receiver's fault must not cost another one its records.
                logger.exception("a receiver failed to look at another one's records")
