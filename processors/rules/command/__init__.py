"""`otel-fim rules list | show | lint | test`: looking at rules, and at whether they do what they say."""

from __future__ import annotations

import argparse
from typing import Final

from otel_fim.cli.commands import Command
from otel_fim.processors.rules.command import linting, listing, sampling, showing

HELP: Final = "list, show, lint and test detection rules"

_COMMANDS: Final[dict[str, Command]] = {"list": listing, "show": showing, "lint": linting, "test": sampling}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, module in _COMMANDS.items():
        module.add_arguments(
            commands.add_parser(name, help=module.HELP, description=module.HELP, allow_abbrev=False)
        )


def run(args: argparse.Namespace) -> int:
    """Exit status 0 when all is well, 1 for what is wrong with rules, 2 when they could not be looked at."""
    return _COMMANDS[args.action].run(args)
