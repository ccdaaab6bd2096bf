"""`otel-fim print-config`: the configuration as it is used."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Final

from otel_fim.cli.options import add_config_options, add_output_option
from otel_fim.config.load import default_config_text, load_config
from otel_fim.config.show import config_tree, show

HELP: Final = "print the configuration with every default filled in and secrets masked"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_options(parser)
    add_output_option(parser, "yaml", "json")
    parser.add_argument(
        "--template", action="store_true", help="print the embedded default with its comments, to start from"
    )


def run(args: argparse.Namespace) -> int:
    """Exit status 0. Raises `ConfigError` for a configuration that is not valid."""
    if args.template:
        sys.stdout.write(default_config_text())
        return 0
    config = load_config(args.config, args.set)
    for warning in config.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if args.output == "json":
        print(json.dumps(config_tree(config), ensure_ascii=False, indent=2))
    else:
        sys.stdout.write(show(config))
    return 0
