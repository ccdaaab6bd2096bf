"""`otel-fim greet`."""

from __future__ import annotations

import argparse
from typing import Final

HELP: Final = "say hello"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("whom")


def run(args: argparse.Namespace) -> int:
    print(f"hello, {args.whom}")
    return 0
