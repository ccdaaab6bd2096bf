"""The installed commands: named without an import, imported one at a time."""

from __future__ import annotations

import argparse
import importlib.metadata
from typing import Final, Protocol

GROUP: Final = "otel_fim.commands"
"""An entry point of this group leads to a module that is a `Command`."""


class Command(Protocol):
    """A command's module. `run` gives the exit status; it prints data on stdout and everything else on stderr."""

    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, args: argparse.Namespace) -> int: ...


class CommandLoadError(Exception):
    """A command is installed and cannot be imported; the message names it, its distribution and the cause."""


def discover() -> dict[str, importlib.metadata.EntryPoint]:
    """The commands by name, sorted. Of two packages with the same command, otel-fim's own is taken."""
    found: dict[str, importlib.metadata.EntryPoint] = {}
    for point in importlib.metadata.entry_points(group=GROUP):
        if point.name not in found or (point.dist and point.dist.name == "otel-fim"):
            found[point.name] = point
    return dict(sorted(found.items()))


def load(point: importlib.metadata.EntryPoint) -> Command:
    """The command's module. Raises `CommandLoadError`."""
    package = point.dist.name if point.dist else "an unknown package"
    try:
        module: Command = point.load()
        _ = module.HELP, module.add_arguments, module.run
    except ImportError as error:
        cause = f"{error}; is an optional part of {package} not installed?"
    except (Exception, SystemExit) as error:  # noqa: BLE001 - another package's module may fail in any way
        cause = f"{type(error).__name__}: {error}"
    else:
        return module
    raise CommandLoadError(f"the command '{point.name}' of {package} cannot be loaded: {cause}")
