"""Options that several commands share."""

from __future__ import annotations

import argparse


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """`-c/--config FILE` and `--set KEY=VALUE`, each as often as wanted: `args.config` and `args.set` are lists."""
    parser.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        action="append",
        default=[],
        help="configuration file; may be given several times, later files override (default: the embedded one)",
    )
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="override one key, such as --set service.queue_size=1000; the value is YAML",
    )


def add_output_option(parser: argparse.ArgumentParser, *formats: str) -> None:
    """`--output`: what is printed; the first of `formats` is the default. `args.output` is a text."""
    parser.add_argument(
        "--output", choices=formats, default=formats[0], help=f"form of the output (default: {formats[0]})"
    )
