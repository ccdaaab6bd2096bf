"""Runs every benchmark, or those that are named: `python -m benchmarks codec journal`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path


def main() -> int:
    """Prints each benchmark's table. Exit status 2 for a name that there is not."""
    present = sorted(
        path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_")
    )
    wanted = sys.argv[1:] or present
    for name in wanted:
        if name not in present:
            print(f"there is no benchmark {name!r}; there are {', '.join(present)}", file=sys.stderr)
            return 2
    for name in wanted:
        print(f"\n== {name}", flush=True)
        importlib.import_module(f"benchmarks.{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
