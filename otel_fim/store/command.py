"""`otel-fim store`: the embedded ClickHouse."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Final

from otel_fim.config.model import parse_size
from otel_fim.store.address import AddressError, is_loopback, parse_listen
from otel_fim.store.directory import LockedError
from otel_fim.store.parent import OrphanError, follow
from otel_fim.store.server import Options, ServeError, serve

HELP: Final = "run the embedded ClickHouse: chDB behind ClickHouse's HTTP interface"

DEFAULT_LISTEN: Final = "127.0.0.1:8123"
DEFAULT_MEMORY: Final = "2GiB"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--data", required=True, metavar="DIR", help="where tables and passwords are kept")
    parser.add_argument(
        "--listen",
        default=DEFAULT_LISTEN,
        metavar="ADDRESS:PORT",
        help=f"address to listen on (default {DEFAULT_LISTEN}); port 0 takes a free one, see DIR/address",
    )
    parser.add_argument(
        "--no-auth",
        action="store_true",
        help="ask for no password; only on a loopback address",
    )
    parser.add_argument(
        "--memory",
        default=DEFAULT_MEMORY,
        metavar="SIZE",
        help=f"limit of the engine's memory (default {DEFAULT_MEMORY}); a query that needs more fails",
    )
    parser.add_argument(
        "--concurrency",
        type=int,
        default=8,
        metavar="N",
        help="statements that run at the same time, for each user (default 8)",
    )
    parser.add_argument(
        "--lock-timeout",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="wait this long for another store to leave DIR (default 0)",
    )
    parser.add_argument(
        "--no-sandbox",
        action="store_true",
        help="do not confine the process to DIR with Landlock",
    )
    # For the agent, which binds the port itself: then nothing that connects early is turned away.
    parser.add_argument("--parent", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--listener", type=int, default=None, help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Serve until a signal. 0 after a stop, 1 when it cannot begin."""
    try:
        if args.parent:
            follow(args.parent)
        try:
            host, port = parse_listen(args.listen)
        except AddressError as error:
            raise ServeError(f"--listen: {error}") from error
        if args.no_auth and not is_loopback(host):
            raise ServeError(
                f"--no-auth with --listen {args.listen}: anybody who reaches this address could read and write. "
                "Listen on 127.0.0.1, or leave --no-auth out"
            )
        if args.concurrency < 1:
            raise ServeError("--concurrency must be at least 1")
        try:
            memory = parse_size(args.memory)
        except ValueError as error:
            raise ServeError(f"--memory: {error}") from error
        if memory < 256 * 2**20:
            raise ServeError("--memory must be at least 256MiB")
        serve(
            Options(
                directory=args.data,
                host=host,
                port=port,
                authenticate=not args.no_auth,
                places=args.concurrency,
                memory=memory,
                threads=max(1, min(8, os.cpu_count() or 1)),
                lock_timeout=args.lock_timeout,
                sandbox=not args.no_sandbox,
                listener=args.listener,
            )
        )
    except (ServeError, LockedError, OrphanError) as error:
        sys.stderr.write(f"otel-fim store: {error}\n")
        return 1
    return 0
