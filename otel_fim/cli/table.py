"""A table for people. Colours only on a terminal, and not with NO_COLOR (no-color.org)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final, TextIO

from otel_fim.config.errors import printable

_BOLD: Final = "\x1b[1m"
_PLAIN: Final = "\x1b[0m"


def use_color(stream: TextIO) -> bool:
    """Whether `stream` is a terminal whose user wants colours."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]], stream: TextIO) -> None:
    """Columns as wide as their widest cell, two spaces between them, the last one as it comes.

    Control characters are shown escaped: cells may hold what other packages say of themselves.
    """
    clean = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in [head, *clean]) for column in range(len(head))]
    title = _line(head, widths)
    print(f"{_BOLD}{title}{_PLAIN}" if use_color(stream) else title, file=stream)
    for row in clean:
        print(_line(row, widths), file=stream)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()
