"""Answers of the HTTP interface, in ClickHouse's form."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import IO, Any, Final

from otel_fim.store.engine import Progress

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

CHUNK: Final = 2**18

_CONTENT_TYPES: Final = {
    "tabseparated": "text/tab-separated-values; charset=UTF-8",
    "tsv": "text/tab-separated-values; charset=UTF-8",
    "csv": "text/csv; charset=UTF-8; header=absent",
    "csvwithnames": "text/csv; charset=UTF-8; header=present",
    "json": "application/json; charset=UTF-8",
    "jsoncompact": "application/json; charset=UTF-8",
    "jsoneachrow": "application/x-ndjson; charset=UTF-8",
    "native": "application/octet-stream",
    "rowbinary": "application/octet-stream",
    "parquet": "application/octet-stream",
    "arrow": "application/octet-stream",
    "arrowstream": "application/octet-stream",
    "xml": "application/xml; charset=UTF-8",
}


class Answer:
    """An HTTP answer, written in one piece or in many."""

    def __init__(self, send: Send, *, head_only: bool) -> None:
        self._send = send
        self._head_only = head_only
        self.always: list[tuple[str, str]] = []
        self.begun = False

    async def whole(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """Everything at once."""
        await self.begin(status, [*headers, ("Content-Length", str(len(body)))])
        await self._send({"type": "http.response.body", "body": b"" if self._head_only else body})

    async def stored(self, status: int, headers: list[tuple[str, str]], body: IO[bytes], size: int) -> None:
        """Everything, from a file."""
        await self.begin(status, [*headers, ("Content-Length", str(size))])
        if not self._head_only:
            for piece in pieces_of(body):
                await self.piece(piece)
        await self.end()

    async def begin(self, status: int, headers: list[tuple[str, str]]) -> None:
        """Status and headers."""
        self.begun = True
        pairs = [*self.always, *headers]
        encoded = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in pairs]
        await self._send({"type": "http.response.start", "status": status, "headers": encoded})

    async def piece(self, data: bytes) -> None:
        """A piece of the body."""
        if data and not self._head_only:
            await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self) -> None:
        """The end of the body."""
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})


def pieces_of(stored: IO[bytes]) -> Iterator[bytes]:
    while piece := stored.read(CHUNK):
        yield piece


def content_type(name: str) -> str:
    return _CONTENT_TYPES.get(name.lower(), "text/plain; charset=UTF-8")


def summary(progress: Progress) -> list[tuple[str, str]]:
    values = {
        "read_rows": progress.read_rows,
        "read_bytes": progress.read_bytes,
        "written_rows": progress.written_rows,
        "written_bytes": progress.written_bytes,
        "total_rows_to_read": 0,
        "result_rows": 0,
        "result_bytes": progress.result_bytes,
    }
    text = json.dumps({name: str(value) for name, value in values.items()}, separators=(",", ":"))
    return [("X-ClickHouse-Summary", text)]


def late_exception(text: str, tag: str) -> bytes:
    """An error in the middle of a result, as ClickHouse marks it from version 25.11."""
    message = text.encode("utf-8", "replace")
    return b"__exception__\r\n%s\r\n%s%d %s\r\n__exception__\r\n" % (
        tag.encode(),
        message,
        len(message),
        tag.encode(),
    )
