"""`otel-fim components`: what is installed, and what of it does not work."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import Final

from otel_fim.cli.options import add_output_option
from otel_fim.cli.table import print_table
from otel_fim.config.show import to_yaml
from otel_fim.registry import ComponentInfo, Registry

HELP: Final = "list the installed receivers, processors, exporters and extensions"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_output_option(parser, "table", "json", "yaml")


def run(args: argparse.Namespace) -> int:
    """Exit status 0, also when a component is broken: then the list says so."""
    components = list(Registry.discover().describe())
    if args.output == "table":
        print_table(("KIND", "TYPE", "STABILITY", "PACKAGE"), [_row(one) for one in components], sys.stdout)
    elif args.output == "json":
        print(json.dumps([asdict(one) for one in components], indent=2))
    else:
        sys.stdout.write(to_yaml([asdict(one) for one in components]))
    return 0


def _row(one: ComponentInfo) -> tuple[str, ...]:
    package = f"{one.distribution} {one.version}"
    if one.error:
        return one.kind, one.type, "broken", f"{package}: {one.error}"
    return one.kind, one.type, one.stability, package
