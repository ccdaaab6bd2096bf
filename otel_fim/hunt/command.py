"""`otel-fim hunt`: runs rules, or a query, on what is in ClickHouse."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from otel_fim import names
from otel_fim.cli.options import add_config_options, add_output_option
from otel_fim.config.errors import ConfigError
from otel_fim.config.load import load_config
from otel_fim.config.validate import AgentConfig
from otel_fim.hunt.choice import Choice, choose
from otel_fim.hunt.connection import Place, Server, place_of, table_of
from otel_fim.hunt.errors import HuntError, UnreachableError
from otel_fim.hunt.output import complain, print_json, print_rows, print_text
from otel_fim.hunt.standing import standing_of, zone_name
from otel_fim.hunt.times import check_zone, parse_time
from otel_fim.sigma.ir import Source
from otel_fim.sigma.sql import Layout, Query, SqlError, compile_sql, layout_of
from otel_fim.sigma.sql.quoting import identifier

HELP: Final = "run rules on what is in ClickHouse"

NONE: Final = 0
FOUND: Final = 1
COULD_NOT: Final = 2

_OWN_COLUMNS: Final = (
    (Source.RESOURCE, names.HOST_NAME),
    (Source.ATTRIBUTE, names.FILE_PATH),
)
"""Attributes that the exporter's table has as columns of their own, which are quicker to read than the maps."""
_PREFIX: Final = "__otel_materialized_"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "rules",
        metavar="RULE",
        nargs="*",
        help="a Sigma file or folder, or the id, name or title of a rule of the pack or of the configuration's `paths`",
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help="every rule that the configuration runs: the pack, and what is in its `paths`",
    )
    parser.add_argument("--query", metavar="SQL", help="run this query instead of a rule")
    parser.add_argument("--sql", action="store_true", help="print the SQL of each rule and run nothing")
    parser.add_argument(
        "--since", default="24h", metavar="TIME", help="how long ago (7d) or when (2026-01-13); default: 24h"
    )
    parser.add_argument("--until", default="now", metavar="TIME", help="in the same form; default: now")
    parser.add_argument(
        "--timezone",
        help="where hours and weekdays of rules are taken; default: where the configuration's rules processor takes "
        "them, and UTC with --endpoint",
    )
    parser.add_argument(
        "--limit", type=int, default=100, metavar="N", help="findings shown of each rule; default: 100"
    )
    add_output_option(parser, "text", "json")
    place = parser.add_argument_group(
        "where the rows are", "default: where the configuration's clickhouse exporter writes"
    )
    place.add_argument(
        "--endpoint", metavar="URL", help="ClickHouse's HTTP interface, such as http://host:8123"
    )
    place.add_argument("--username", help="default: who the configuration names; the embedded store's reader")
    place.add_argument("--password-file", metavar="FILE", help="a file with the password")
    place.add_argument("--database", help="default: the configuration's, or default")
    place.add_argument(
        "--table", help="a table as otel_logs, or one of the views; default: the configuration's"
    )
    add_config_options(parser)


def run(args: argparse.Namespace) -> int:
    """Exit status 0 when nothing was found, 1 when something was, 2 when it could not be done, in whole or in part."""
    try:
        _check(args)
        # With --endpoint it is a server that the default configuration says nothing about.
        config = load_config(args.config, args.set) if args.config or args.set or not args.endpoint else None
        return _hunt(args, config) if args.query is None else _query(args, config)
    except ConfigError as error:
        complain(*(str(problem) for problem in error.problems))
    except (HuntError, SqlError, ValueError) as error:
        complain(str(error))
    return COULD_NOT


def _check(args: argparse.Namespace) -> None:
    if args.query is not None and (args.rules or args.all or args.sql):
        raise HuntError("--query stands for itself: no rule, --all or --sql beside it")
    if args.query is None and not args.rules and not args.all:
        raise HuntError(
            "name a rule: a Sigma file or folder, or one of the pack by id, name or title; or --all, or --query SQL"
        )
    if args.limit < 1:
        raise HuntError("--limit must be at least 1")


def _query(args: argparse.Namespace, config: AgentConfig | None) -> int:
    columns, rows = Server(place_of(args, config)).table_rows(args.query.strip().rstrip(";"))
    print_rows(columns, rows, sys.stdout, as_json=args.output == "json")
    return FOUND if rows else NONE


def _hunt(args: argparse.Namespace, config: AgentConfig | None) -> int:
    standing = standing_of(config)
    args.timezone = args.timezone or zone_name(standing.timezone)
    since, until = _range(args)
    choice = choose(args.rules, standing, everything=args.all)
    complain(*(each.reason for each in choice.rejected))
    if args.sql:
        return _print_sql(args, choice, table_of(args, config), since, until)
    server = Server(place_of(args, config))
    layout = _layout(server)
    found = failed = 0
    for query in _queries(args, choice, server.place, layout, since, until):
        try:
            rows = list(server.rows(query.sql))
        except UnreachableError:
            raise
        except HuntError as error:
            failed += 1
            complain(f"{query.meta.title}: {error}")
            continue
        if not rows:
            continue
        if found and args.output == "text":
            print()
        found += 1
        more, rows = len(rows) > args.limit, rows[: args.limit]
        if args.output == "json":
            print_json(query.rule, rows, sys.stdout)
        else:
            print_text(query.rule, rows, sys.stdout, more=more)
        sys.stdout.flush()
    _summary(choice, found, failed)
    if failed or choice.rejected:
        return COULD_NOT if failed or not found else FOUND
    return FOUND if found else NONE


def _print_sql(args: argparse.Namespace, choice: Choice, place: Place, since: int, until: int) -> int:
    for number, query in enumerate(_queries(args, choice, place, layout_of(place.table), since, until)):
        print(f"{chr(10) if number else ''}{query.sql};")
    return COULD_NOT if choice.rejected else NONE


def _range(args: argparse.Namespace) -> tuple[int, int]:
    check_zone(args.timezone)
    now = time.time_ns()
    since = parse_time(args.since, now, args.timezone)
    until = parse_time(args.until, now, args.timezone)
    if since >= until:
        raise HuntError(f"--since {args.since} is not before --until {args.until}")
    return since, until


def _queries(
    args: argparse.Namespace, choice: Choice, place: Place, layout: Layout, since: int, until: int
) -> list[Query]:
    return [
        compile_sql(
            ruleset,
            rule.meta.id,
            table=place.qualified,
            since=since,
            until=until,
            timezone=args.timezone,
            layout=layout,
            # One more than is shown tells whether there are more.
            limit=None if args.sql else args.limit + 1,
        )
        for ruleset, rule in choice.rules
    ]


def _layout(server: Server) -> Layout:
    """The table's layout, with the columns that this one has beside the maps. Also says early when there is none."""
    columns: Mapping[str, str] = server.columns()
    layout = layout_of(server.place.table)
    if layout.source:
        return layout
    own = {
        (source, name): identifier(_PREFIX + name)
        for source, name in _OWN_COLUMNS
        if _PREFIX + name in columns
    }
    missing = [name for name in ("Timestamp", "LogAttributes", "EventName") if name not in columns]
    if missing:
        raise HuntError(
            f"{server.place.qualified} has no column {missing[0]}: rules run on a table as otel_logs, and on the views "
            "otel_fim_files, otel_fim_processes, otel_fim_auth, otel_fim_listeners, otel_fim_persistence"
        )
    return replace(layout, columns=own)


def _summary(choice: Choice, found: int, failed: int) -> None:
    total = len(choice.rules)
    said = [f"{total} rule{'' if total == 1 else 's'} asked, {found} found something"]
    if failed:
        said.append(f"{failed} could not be run")
    if choice.rejected:
        said.append(f"{len(choice.rejected)} could not be read")
    print(f"{'; '.join(said)}", file=sys.stderr)
