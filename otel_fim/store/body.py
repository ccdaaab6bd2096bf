"""A request's body as it arrives: decoded, with a look at its head, never all of it in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Executor
from typing import Any, Final

from otel_fim.store.encoding import Decoder

Receive = Callable[[], Awaitable[Any]]

GATHER: Final = 2**20
"""Network pieces are gathered to this size before they are decoded and handed on."""


class ClientGoneError(Exception):
    """The client closed the connection before its request was complete."""


class Body:
    """Pieces of a request's body, decoded on a worker thread."""

    def __init__(self, receive: Receive, decoders: list[Decoder], executor: Executor) -> None:
        self._receive = receive
        self._decoders = decoders
        self._executor = executor
        self._more = True
        self._decoded: Iterator[bytes] = iter(())
        self._kept: list[bytes] = []

    async def read(self) -> bytes | None:
        """The next decoded piece, or None at the end. Raises `ClientGoneError`, `StoreError`."""
        if self._kept:
            return self._kept.pop(0)
        loop = asyncio.get_running_loop()
        while True:
            piece = await loop.run_in_executor(self._executor, next, self._decoded, None)
            if piece:
                return piece
            if piece is None:
                if not self._more:
                    return None
                raw = await self._gather()
                self._decoded = _decode(self._decoders, raw, last=not self._more)

    async def _gather(self) -> bytes:
        raw = bytearray()
        while self._more and len(raw) < GATHER:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            raw += message.get("body", b"")
            self._more = message.get("more_body", False)
        return bytes(raw)

    async def head(self, size: int) -> bytes:
        """The first `size` decoded bytes or more, less only when that is all; `read` gives them again."""
        gathered: list[bytes] = []
        total = 0
        while total < size:
            piece = await self.read()
            if piece is None:
                break
            gathered.append(piece)
            total += len(piece)
        whole = b"".join(gathered)
        self._kept = [whole] if whole else []
        return whole

    def unread(self, data: bytes) -> None:
        """Put `data` in front of what `read` gives next."""
        if data:
            self._kept.insert(0, data)

    def drop(self, size: int) -> None:
        """Forget the first `size` bytes of what `head` gave."""
        whole = b"".join(self._kept)[size:]
        self._kept = [whole] if whole else []


def _decode(decoders: list[Decoder], data: bytes, *, last: bool) -> Iterator[bytes]:
    """`data` through one decoder after the other, piece by piece."""
    if not decoders:
        yield data
        return
    for piece in decoders[0].feed(data):
        yield from _decode(decoders[1:], piece, last=False)
    if last:
        decoders[0].finish()
        yield from _decode(decoders[1:], b"", last=True)
