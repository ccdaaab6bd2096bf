"""`otel-fim schema`: the statements that make the tables and views, to look at or to pipe into a client."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Final

from otel_fim.config.model import parse_duration
from otel_fim.exporters.clickhouse.rows import TYPES
from otel_fim.exporters.clickhouse.schema import HOT_KEYS, IndexKind, create_database, create_table
from otel_fim.exporters.clickhouse.table import Column, Table
from otel_fim.exporters.clickhouse.view_list import VIEWS

HELP: Final = "print the ClickHouse schema"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--database", default="default", help="name of the database (default: default)")
    parser.add_argument("--table", default="otel_logs", help="name of the table (default: otel_logs)")
    parser.add_argument(
        "--ttl",
        type=_duration,
        default=0.0,
        help="how long the server keeps rows, such as 90d (default: 0, for ever)",
    )
    parser.add_argument(
        "--indexes",
        choices=("bloom_filter", "text"),
        default="bloom_filter",
        help="text needs ClickHouse 26.2 or newer (default: bloom_filter)",
    )


def run(args: argparse.Namespace) -> int:
    """Prints the statements. Exit status 0."""
    for statement in statements(args.database, args.table, ttl=args.ttl, indexes=args.indexes):
        print(f"{statement};\n")
    return 0


def statements(
    database: str = "default",
    table: str = "otel_logs",
    *,
    ttl: float = 0.0,
    indexes: IndexKind = "bloom_filter",
) -> Iterator[str]:
    """All statements in the order to run them, without semicolons. Running them again changes nothing.

    `ttl` is in seconds, 0 for ever.
    """
    if database != "default":
        yield create_database(database)
    yield create_table(database, table, ttl=ttl, indexes=indexes)
    columns = {name: Column(kind, "") for name, kind in TYPES.items()}
    columns |= {key.column: Column("String", "MATERIALIZED") for key in HOT_KEYS}
    created = Table(database, table, columns)
    for view in VIEWS:
        yield view.statement(created)


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
