"""ClickHouse's HTTP interface as an ASGI application.

Plain ASGI: the few paths need no router, and answers are written while the engine still works.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from concurrent.futures import Executor
from typing import Any, Final, TypeVar

from otel_fim.store.address import is_loopback
from otel_fim.store.answer import Answer, Send, content_type, late_exception, pieces_of, summary
from otel_fim.store.blocks import BlockDecoder, BlockEncoder
from otel_fim.store.body import Body, ClientGoneError, Receive
from otel_fim.store.encoding import Decoder, choose_encoding, request_decoder, response_encoder
from otel_fim.store.engine import Engine
from otel_fim.store.errors import (
    ACCESS_DENIED,
    AUTHENTICATION_FAILED,
    BAD_ARGUMENTS,
    LOGICAL_ERROR,
    QUERY_IS_TOO_LARGE,
    QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING,
    StoreError,
)
from otel_fim.store.forms import form_fields
from otel_fim.store.guard import Guard
from otel_fim.store.insert import Insert, NeedMoreError, split_insert
from otel_fim.store.passwords import READER, Users, credentials
from otel_fim.store.places import Places
from otel_fim.store.query import MAX_VALUES, Work, cancel
from otel_fim.store.request import Options, headers_of, options_of, parameters_of

Scope = MutableMapping[str, Any]
T = TypeVar("T")

HEAD: Final = 2**16
"""So many bytes of a body are read before it is decided whether they are an INSERT with data."""
MAX_HEAD: Final = 2**20
READ_AHEAD: Final = 4 * 2**20
"""So much of an INSERT's data is read before the engine is asked for anything."""
MAX_QUERY: Final = 16 * 2**20
FIRST: Final = 2**20
"""So much of a result is gathered before the answer begins, so that an error until then has its own status."""


class Application:
    """Serves one engine to its users. `executor` must have more threads than there are places."""

    def __init__(
        self, engine: Engine, users: Users, executor: Executor, *, places: int, logger: logging.Logger
    ) -> None:
        self._engine = engine
        self._users = users
        self._executor = executor
        self._guard = Guard(engine.table_functions)
        self._places = {name: Places(places, 4 * places) for name in ("writer", READER)}
        self._running: set[str] = set()
        self._logger = logger
        self._name = socket.gethostname()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI call."""
        if scope["type"] != "http":
            return
        answer = Answer(send, head_only=scope["method"] == "HEAD")
        headers = headers_of(scope)
        try:
            await self._route(scope, headers, receive, answer)
        except StoreError as error:
            await self._fail(answer, error)
        except ClientGoneError:
            self._logger.debug("the client went away before its request was complete")
        except Exception as error:  # a request must not take the others with it
            self._logger.exception("%s %s", scope["method"], scope["path"])
            if not answer.begun:
                await self._fail(answer, StoreError(LOGICAL_ERROR, f"{type(error).__name__}: {error}"))

    async def _route(self, scope: Scope, headers: dict[str, str], receive: Receive, answer: Answer) -> None:
        path, method = scope["path"], scope["method"]
        if path in {"/ping", "/replicas_status"}:
            await answer.whole(200, [("Content-Type", "text/html; charset=UTF-8")], b"Ok.\n")
            return
        if path not in {"/", "/query"}:
            text = f"There is no handle {path}\n\nUse / or /ping for health checks, or / for queries.\n"
            plain = [("Content-Type", "text/plain; charset=UTF-8")]
            await answer.whole(404, plain, text.encode("utf-8", "replace"))
            return
        if method == "OPTIONS":
            await answer.whole(204, [("Allow", "GET, HEAD, POST, OPTIONS")], b"")
            return
        if method not in {"GET", "HEAD", "POST"}:
            await answer.whole(405, [("Allow", "GET, HEAD, POST, OPTIONS")], b"")
            return
        parameters = parameters_of(scope)
        texts = {name: value.decode("utf-8", "replace") for name, value in parameters}
        if self._users.open and not _from_this_machine(headers):
            raise StoreError(ACCESS_DENIED, "without passwords only local programs are served, no web pages")
        user = self._users.authenticate(credentials(headers, texts))
        if user is None:
            raise StoreError(
                AUTHENTICATION_FAILED,
                "Authentication failed: password is incorrect, or there is no user with such name",
            )
        if not texts.get("query") and method != "POST":
            await answer.whole(200, [("Content-Type", "text/html; charset=UTF-8")], b"Ok.\n")
            return
        readonly = user == READER or method != "POST"
        await self._query(parameters, headers, receive, answer, user=user, readonly=readonly)

    async def _query(
        self,
        parameters: list[tuple[str, bytes]],
        headers: dict[str, str],
        receive: Receive,
        answer: Answer,
        *,
        user: str,
        readonly: bool,
    ) -> None:
        options = options_of(parameters, headers)
        answer.always = [
            ("X-ClickHouse-Query-Id", options.query_id),
            ("X-ClickHouse-Server-Display-Name", self._name),
            ("X-ClickHouse-Timezone", self._engine.timezone),
        ]
        decoders: list[Decoder] = [request_decoder(headers.get("content-encoding", ""))]
        if options.decompress:
            decoders.append(BlockDecoder())
        body = Body(receive, decoders, self._executor)
        sent_as = headers.get("content-type", "")
        if sent_as.lower().startswith("multipart/form-data"):
            fields = form_fields(sent_as, await self._all(body, b""))
            options = options_of(parameters + fields, headers)
        # Read before taking a place: a slow client holds up nobody but itself.
        insert = await self._insert_of(options, body)
        text = b""
        large = False
        if insert is not None:
            large = len(await body.head(READ_AHEAD)) >= READ_AHEAD
        else:
            text = await self._all(body, options.query)
        async with self._places[user].place(), self._only(options.query_id):
            work = Work(self._engine, self._guard, options, reader=user == READER, readonly=readonly)
            try:
                if insert is not None:
                    await self._insert(work, insert, body, answer, large=large)
                else:
                    await self._select(work, options, text, headers, receive, answer)
            finally:
                await asyncio.shield(self._run(work.close))

    @contextlib.asynccontextmanager
    async def _only(self, query_id: str) -> AsyncIterator[None]:
        """One query of an id at a time. Raises `StoreError` (QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING)."""
        if query_id in self._running:
            raise StoreError(
                QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING, f"Query with id = {query_id} is already running."
            )
        self._running.add(query_id)
        try:
            yield
        finally:
            self._running.discard(query_id)

    async def _insert_of(self, options: Options, body: Body) -> Insert | None:
        """The INSERT that the request is, the body left at the first byte of its data."""
        size = HEAD
        prefix = options.query + b"\n" if options.query else b""
        while True:
            head = await body.head(size)
            try:
                insert = split_insert(prefix + head, complete=len(head) < size)
            except NeedMoreError:
                if size >= MAX_HEAD:
                    raise StoreError(
                        QUERY_IS_TOO_LARGE, f"no data after {MAX_HEAD} bytes of an INSERT statement"
                    ) from None
                size *= 4
                continue
            if insert is None:
                return None
            if insert.data_offset < len(prefix):
                # The data begins in the URL, as in `query=INSERT INTO t VALUES (1)`.
                data = options.query[insert.data_offset :] + (b"\n" if head else b"")
                body.unread(data)
            else:
                body.drop(insert.data_offset - len(prefix))
            return insert

    async def _insert(self, work: Work, insert: Insert, body: Body, answer: Answer, *, large: bool) -> None:
        await self._run(functools.partial(work.begin_insert, insert, large=large))
        if insert.format.lower() == "values":
            data = await self._all(body, b"", limit=MAX_VALUES)
            await self._run(work.check_values, data)
            await self._run(work.append, data)
        else:
            while (piece := await body.read()) is not None:
                await self._run(work.append, piece)
        await self._run(work.finish_insert)
        await answer.whole(
            200, [*summary(work.session.progress), ("Content-Type", content_type(work.format))], b""
        )

    async def _all(self, body: Body, query: bytes, limit: int = MAX_QUERY) -> bytes:
        """The statement: what the URL has and what the body has."""
        parts = [query] if query else []
        total = len(query)
        while (piece := await body.read()) is not None:
            parts.append(piece)
            total += len(piece)
            if total > limit:
                raise StoreError(QUERY_IS_TOO_LARGE, f"more than {limit} bytes of query text")
        return b"\n".join((query, b"".join(parts[1:]))) if query and len(parts) > 1 else b"".join(parts)

    async def _select(
        self,
        work: Work,
        options: Options,
        text: bytes,
        headers: dict[str, str],
        receive: Receive,
        answer: Answer,
    ) -> None:
        if not text.strip():
            raise StoreError(BAD_ARGUMENTS, "Empty query")
        encoding = choose_encoding(headers.get("accept-encoding", "")) if options.http_compression else None
        encoder = BlockEncoder() if options.compress else response_encoder(encoding)
        limit = None if options.wait_end_of_query else FIRST
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            begin = self._run(work.start, text, encoder, limit)
            gathered, complete = await self._unless_gone(begin, gone, work)
            with gathered:
                response = [("Content-Type", content_type(work.format)), *summary(work.session.progress)]
                response.append(("X-ClickHouse-Format", work.format))
                size = gathered.seek(0, 2)
                gathered.seek(0)
                if encoding is not None and not options.compress and size:
                    response += [("Content-Encoding", encoding), ("Vary", "Accept-Encoding")]
                if complete:
                    await answer.stored(200, response, gathered, size)
                    return
                tag = secrets.token_hex(8)
                await answer.begin(200, [*response, ("X-ClickHouse-Exception-Tag", tag)])
                for piece in pieces_of(gathered):
                    await answer.piece(piece)
            try:
                while (more := await self._unless_gone(self._run(work.more), gone, work)) is not None:
                    await answer.piece(more)
            except StoreError as error:
                # Too late for a status: the text goes into the result, and the connection breaks off.
                await answer.piece(encoder.feed(late_exception(error.text(self._engine.version), tag)))
                await answer.piece(encoder.finish())
                raise ClientGoneError from error
            await answer.end()
        finally:
            gone.cancel()

    async def _unless_gone(self, call: Awaitable[T], gone: asyncio.Future[None], work: Work) -> T:
        """The call's result; when the client goes away first, the query is cancelled."""
        task = asyncio.ensure_future(call)
        waited: set[asyncio.Future[Any]] = {task, gone}
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            with contextlib.suppress(StoreError):
                await self._run(cancel, self._engine, work.tag)
            await asyncio.wait({task})
            with contextlib.suppress(StoreError):
                task.result()
            raise ClientGoneError
        return task.result()

    async def _run(self, function: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, function, *arguments)

    async def _fail(self, answer: Answer, error: StoreError) -> None:
        headers = [
            ("X-ClickHouse-Exception-Code", str(error.code)),
            ("Content-Type", "text/plain; charset=UTF-8"),
        ]
        if error.status == 401:
            headers.append(("WWW-Authenticate", 'Basic realm="ClickHouse server HTTP API"'))
        if error.status == 503:
            headers.append(("Retry-After", "1"))
        text = error.text(self._engine.version)
        await answer.whole(error.status, headers, text.encode("utf-8", "replace"))


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _from_this_machine(headers: dict[str, str]) -> bool:
    """Whether a request comes from a program and not from a page in somebody's browser: any page can send
    requests to a loopback address, and a name that a page controls can point to one."""
    host = headers.get("host", "").rpartition(":")[0] or headers.get("host", "")
    try:
        local = host == "localhost" or is_loopback(host.strip("[]"))
    except ValueError:
        local = False
    return local and "origin" not in headers
