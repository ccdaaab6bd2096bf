"""Names of users and groups: remembered for a while, and never waited for longer than a moment.

The look-up may go to a directory server through NSS, and hang when that one is away. It is made on a thread of its
own; as long as that thread is stuck, numbers are sent without names.
"""

from __future__ import annotations

import grp
import pwd
import queue
import threading
import time
from collections.abc import Callable
from typing import Final

_LIFETIME: Final = 60.0
_PATIENCE: Final = 0.25
_LIMIT: Final = 4096


class Identities:
    """`user(id)` and `group(id)` give the name, or None when there is none or it takes too long."""

    def __init__(
        self,
        user_lookup: Callable[[int], str] = lambda number: pwd.getpwuid(number).pw_name,
        group_lookup: Callable[[int], str] = lambda number: grp.getgrgid(number).gr_name,
        patience: float = _PATIENCE,
    ) -> None:
        self._lookups = {"user": user_lookup, "group": group_lookup}
        self._patience = patience
        self._known: dict[tuple[str, int], tuple[float, str | None]] = {}
        self._asked: set[tuple[str, int]] = set()
        self._requests: queue.SimpleQueue[tuple[str, int] | None] = queue.SimpleQueue()
        self._answered = threading.Condition()
        self._stuck_until = 0.0
        self._thread: threading.Thread | None = None

    def user(self, number: int | None) -> str | None:
        return None if number is None else self._name(("user", number))

    def group(self, number: int | None) -> str | None:
        return None if number is None else self._name(("group", number))

    def close(self) -> None:
        """Ends the thread once it is free."""
        self._requests.put(None)

    def _name(self, key: tuple[str, int]) -> str | None:
        now = time.monotonic()
        known = self._known.get(key)
        if known is not None and now - known[0] < _LIFETIME:
            return known[1]
        with self._answered:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="host-names", daemon=True)
                self._thread.start()
            if key not in self._asked:
                self._asked.add(key)
                self._requests.put(key)
            if now >= self._stuck_until and not self._answered.wait_for(
                lambda: key not in self._asked, self._patience
            ):
                # One wait is enough: until the thread answers, nobody else waits.
                self._stuck_until = float("inf")
        fresh = self._known.get(key)
        return None if fresh is None else fresh[1]

    def _run(self) -> None:
        while (key := self._requests.get()) is not None:
            kind, number = key
            try:
                name: str | None = self._lookups[kind](number)
            except (KeyError, OverflowError, ValueError, OSError):
                name = None
            with self._answered:
                if len(self._known) >= _LIMIT:
                    self._known.clear()
                self._known[key] = (time.monotonic(), name)
                self._asked.discard(key)
                self._stuck_until = 0.0
                self._answered.notify_all()
