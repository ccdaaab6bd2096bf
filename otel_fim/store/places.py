"""How many statements run at the same time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

from otel_fim.store.errors import TOO_MANY_SIMULTANEOUS_QUERIES, StoreError

QUEUE_SECONDS: Final = 5.0
"""A request waits this long for its turn when all places are taken."""


class Places:
    """How many requests of one user may run at the same time, and how many may wait for that."""

    def __init__(self, running: int, waiting: int) -> None:
        self._free = asyncio.Semaphore(running)
        self._running = running
        self._left_to_wait = waiting

    @contextlib.asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Wait for a place and hold it. Raises `StoreError` (TOO_MANY_SIMULTANEOUS_QUERIES)."""
        full = StoreError(
            TOO_MANY_SIMULTANEOUS_QUERIES, f"Too many simultaneous queries. Maximum: {self._running}"
        )
        if self._free.locked() and self._left_to_wait <= 0:
            raise full
        self._left_to_wait -= 1
        try:
            async with asyncio.timeout(QUEUE_SECONDS):
                await self._free.acquire()
        except TimeoutError:
            raise full from None
        finally:
            self._left_to_wait += 1
        try:
            yield
        finally:
            self._free.release()
