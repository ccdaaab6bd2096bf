"""The serving process: directory, engine, socket, event loop, and their end in the right order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from otel_fim.store.address import address_text, listen
from otel_fim.store.directory import DirectoryLock, prepare, write_address
from otel_fim.store.engine import Engine, EngineMissingError
from otel_fim.store.errors import StoreError
from otel_fim.store.http import Application
from otel_fim.store.passwords import USERS, Users, ensure_password
from otel_fim.store.sandbox import confine

LOGGER: Final = logging.getLogger("otel_fim.store")
DRAIN_SECONDS: Final = 8
"""Statements under way at a stop have about this long to end; then they are cancelled."""
DRAIN_READS_SECONDS: Final = 2
"""Those that only read have less: somebody can ask again."""
EXIT_SECONDS: Final = 15.0
"""An engine that has not shut down by then is left to the kernel: what it has acknowledged is on disk."""
MAX_URL: Final = 2**20


class ServeError(Exception):
    """The store cannot run; the message names the cause and the remedy."""


@dataclass(slots=True, frozen=True)
class Options:
    """How to serve. `memory` in bytes, `lock_timeout` in seconds; `listener` is the descriptor of a socket that
    listens already, and takes the place of `host` and `port`."""

    directory: str
    host: str
    port: int
    authenticate: bool = True
    places: int = 8
    memory: int = 2 * 2**30
    threads: int = 2
    lock_timeout: float = 0.0
    sandbox: bool = True
    listener: int | None = None


def _listener(options: Options) -> socket.socket:
    if options.listener is not None:
        inherited = socket.socket(fileno=options.listener)
        inherited.setblocking(False)
        return inherited
    try:
        return listen(options.host, options.port)
    except OSError as error:
        raise ServeError(
            f"cannot listen on {address_text(options.host, options.port)}: {error.strerror}. "
            "Another program may have the port: choose another with --listen"
        ) from error


def serve(options: Options) -> None:
    """Serve until SIGTERM or SIGINT. Raises `ServeError` when that cannot begin."""
    logging.basicConfig(level=logging.WARNING, format="otel-fim store: %(message)s", stream=sys.stderr)
    try:
        os.makedirs(options.directory, mode=0o700, exist_ok=True)
        directory = os.path.realpath(options.directory)
        lock = DirectoryLock(directory)
        lock.acquire(options.lock_timeout)
    except OSError as error:
        raise ServeError(f"--data {options.directory}: {error.strerror}") from error
    with contextlib.ExitStack() as stack:
        stack.callback(lock.release)
        listener = _listener(options)
        stack.callback(listener.close)
        try:
            passwords = {user: ensure_password(directory, user) for user in USERS}
            prepare(directory, memory=options.memory, threads=options.threads)
        except (OSError, ValueError) as error:
            raise ServeError(f"--data {options.directory}: {error}") from error
        free = confine(directory) if options.sandbox else "--no-sandbox"
        engine = Engine()
        try:
            engine.open(directory)
        except EngineMissingError as error:
            raise ServeError(str(error)) from error
        except StoreError as error:
            raise ServeError(f"the engine cannot open {directory}: {error.message}") from error
        users = Users(passwords if options.authenticate else None)
        try:
            _run(engine, users, options, listener, directory, free)
        finally:
            _exit_later(EXIT_SECONDS)
            engine.close()


def _run(
    engine: Engine, users: Users, options: Options, listener: socket.socket, directory: str, free: str | None
) -> None:
    import uvicorn

    stopping = asyncio.Event()

    class Server(uvicorn.Server):
        """uvicorn without its own signal handlers: those end the process before the engine is closed."""

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            host, port = listener.getsockname()[:2]
            write_address(directory, address_text(host, port))
            _announce(options, directory, address_text(host, port), free)

        async def main_loop(self) -> None:
            """Without the ten ticks a second that uvicorn's own has."""
            await stopping.wait()

    with ThreadPoolExecutor(max_workers=2 * options.places + 4, thread_name_prefix="query") as executor:
        application = Application(engine, users, executor, places=options.places, logger=LOGGER)
        server = Server(
            uvicorn.Config(
                application,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,
                limit_concurrency=64 * options.places,
                timeout_keep_alive=30,
                timeout_graceful_shutdown=DRAIN_SECONDS,
                h11_max_incomplete_event_size=MAX_URL,
                http="h11",
                ws="none",
            )
        )
        # uvicorn calls it an error when an answer is broken off, which is how a late failure is told.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)

        def stop() -> None:
            server.should_exit = True
            stopping.set()
            _exit_later(DRAIN_SECONDS + EXIT_SECONDS)
            for seconds, which in ((DRAIN_READS_SECONDS, "query_kind = 'Select'"), (DRAIN_SECONDS - 1, "1")):
                timer = threading.Timer(seconds, _cancel, (engine, which))
                timer.daemon = True
                timer.start()

        async def main() -> None:
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, stop)
            await server.serve(sockets=[listener])

        asyncio.run(main())
        _cancel(engine, "1")
        with contextlib.suppress(FileNotFoundError):
            os.unlink("address")


def _cancel(engine: Engine, condition: str) -> None:
    if not engine.is_open:
        return
    with contextlib.suppress(StoreError, RuntimeError), engine.session() as session:
        session.execute(f"KILL QUERY WHERE query_id != queryID() AND ({condition}) ASYNC".encode(), "Null")


def _exit_later(seconds: float) -> None:
    timer = threading.Timer(seconds, os._exit, (0,))
    timer.daemon = True
    timer.start()


def _announce(options: Options, directory: str, address: str, free: str | None) -> None:
    where = (
        f"passwords in {directory}/writer.password and reader.password"
        if options.authenticate
        else "no passwords"
    )
    confined = "confined to its directory" if free is None else f"not confined to its directory: {free}"
    sys.stderr.write(f"otel-fim store: listening on http://{address}, {where}; {confined}\n")
    sys.stderr.flush()
