"""`otel-fim validate`: is the configuration right?"""

from __future__ import annotations

import argparse
import sys
from typing import Final

from otel_fim.cli.options import add_config_options
from otel_fim.config.load import load_config

HELP: Final = "check a configuration without running it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_options(parser)


def run(args: argparse.Namespace) -> int:
    """Exit status 0 for a valid configuration. Raises `ConfigError` for any other."""
    config = load_config(args.config, args.set)
    for warning in config.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    counts = [
        _count(len(config.service.pipelines), "pipeline"),
        _count(len(config.receivers), "receiver"),
        _count(len(config.processors), "processor"),
        _count(len(config.exporters), "exporter"),
        _count(len(config.extensions), "extension"),
    ]
    print(f"configuration is valid: {', '.join(counts)}")
    return 0


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
