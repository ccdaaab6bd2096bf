"""`otel-fim COMMAND …`: finds the command, runs it, and turns what it raises into an exit status.

0 done, 1 invalid configuration (or what the command says), 2 could not, 130 interrupted, 141 the reader of
standard output has gone.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Final

from otel_fim.cli.commands import CommandLoadError, discover, load
from otel_fim.config.errors import ConfigError, did_you_mean
from otel_fim.version import __version__

PROGRAM: Final = "otel-fim"
DEBUG_VARIABLE: Final = "OTEL_FIM_DEBUG"
_COULD_NOT: Final = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; `argv` defaults to the process's arguments. Gives the exit status, never raises."""
    try:
        try:
            status = _dispatch(sys.argv[1:] if argv is None else list(argv))
        except SystemExit as error:  # argparse, after --help and for wrong usage
            status = _exit_status(error)
        sys.stdout.flush()
    except ConfigError as error:
        return _say(*(str(problem) for problem in error.problems), status=1)
    except CommandLoadError as error:
        return _say(f"{PROGRAM}: {error}")
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _abandon_stdout()
        return 141
    except Exception as error:  # noqa: BLE001 - the last line of defence; the traceback is one variable away
        try:
            sys.stdout.flush()
        except OSError:
            _abandon_stdout()
        return _unexpected(error)
    return status


def _dispatch(argv: list[str]) -> int:
    points = discover()
    parser = _parser()
    chosen = parser.parse_args(argv)
    if chosen.help or chosen.command is None:
        _print_help(parser, list(points))
        return 0 if chosen.help else _COULD_NOT
    point = points.get(chosen.command)
    if point is None:
        hint = did_you_mean(chosen.command, points)
        return _say(f"{PROGRAM}: unknown command {chosen.command!r}{hint} (known: {', '.join(points)})")
    command = load(point)
    own = argparse.ArgumentParser(
        prog=f"{PROGRAM} {point.name}", description=command.HELP, allow_abbrev=False
    )
    command.add_arguments(own)
    return command.run(own.parse_args(chosen.arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        usage=f"{PROGRAM} COMMAND [OPTION...]",
        description="What changed on a host, who changed it, and whether the record can be trusted.",
        add_help=False,
        allow_abbrev=False,
    )
    parser.add_argument("-h", "--help", action="store_true", help="show this, or with a command its options")
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    parser.add_argument("command", nargs="?", metavar="COMMAND", help=argparse.SUPPRESS)
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def _print_help(parser: argparse.ArgumentParser, names: list[str]) -> None:
    points = discover()
    width = max((len(name) for name in names), default=0)
    lines = ["commands:"]
    for name in names:
        try:
            text = load(points[name]).HELP
        except CommandLoadError as error:
            text = f"(not available: {error})"
        lines.append(f"  {name:<{width}}  {text}")
    lines.append("")
    lines.append(f"`{PROGRAM} COMMAND --help` shows a command's options.\n")
    parser.epilog = "\n".join(lines)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    # Not print_help(), which hides that standard output cannot be written.
    sys.stdout.write(parser.format_help())


def _say(*lines: str, status: int = _COULD_NOT) -> int:
    for line in lines:
        print(line, file=sys.stderr)
    return status


def _exit_status(error: SystemExit) -> int:
    if isinstance(error.code, int):
        return error.code
    return 0 if error.code is None else _say(str(error.code), status=1)


def _unexpected(error: Exception) -> int:
    if os.environ.get(DEBUG_VARIABLE):
        traceback.print_exception(error)
    hint = "" if os.environ.get(DEBUG_VARIABLE) else f" ({DEBUG_VARIABLE}=1 shows where)"
    return _say(f"{PROGRAM}: {type(error).__name__}: {error}{hint}")


def _abandon_stdout() -> None:
    # The interpreter flushes standard output once more at exit, and would complain.
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    os.close(devnull)


if __name__ == "__main__":
    sys.exit(main())
