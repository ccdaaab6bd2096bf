"""`python -m otel_fim.store`: the store by itself, with the arguments of `otel-fim store`."""

from __future__ import annotations

import argparse
import sys

from otel_fim.store.command import HELP, add_arguments, run


def main() -> int:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m otel_fim.store", description=HELP)
    add_arguments(parser)
    return run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
