"""Findings for people, and for programs."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final, TextIO

from otel_fim.cli.table import print_table, use_color
from otel_fim.config.errors import printable
from otel_fim.sigma.ir import Correlation, Level, Meta, Rule

_ENTITIES: Final = ("host", "user", "executable", "path", "source", "event")
_COLORS: Final = {
    Level.CRITICAL: "\x1b[1;31m",
    Level.HIGH: "\x1b[31m",
    Level.MEDIUM: "\x1b[33m",
    Level.LOW: "\x1b[36m",
    Level.INFORMATIONAL: "\x1b[2m",
}
_PLAIN: Final = "\x1b[0m"
_LEAST_BODY: Final = 40
_LONGEST_CELL: Final = 80

Row = Mapping[str, Any]


def iso(time: str) -> str:
    """ClickHouse's form of a time in UTC as ISO 8601."""
    return f"{time.replace(' ', 'T', 1)}Z"


def print_text(rule: Rule | Correlation, rows: Sequence[Row], stream: TextIO, *, more: bool) -> None:
    """A heading that says which rule it was and whose it is, and a table of its findings."""
    meta = rule.meta
    color = _COLORS[meta.level] if use_color(stream) else ""
    count = f"more than {len(rows)}" if more else str(len(rows))
    noun = "finding" if count == "1" else "findings"
    print(
        f"{color}{meta.level}{_PLAIN if color else ''}  {printable(meta.title)}: {count} {noun}", file=stream
    )
    print(f"    {printable(_whose(meta))}", file=stream)
    head, cells = _cells(rule, rows)
    print_table([f"    {head[0]}", *head[1:]], [[f"    {row[0]}", *row[1:]] for row in cells], stream)


def print_json(rule: Rule | Correlation, rows: Sequence[Row], stream: TextIO) -> None:
    """One finding a line, with what the rule says of itself."""
    meta = rule.meta
    for row in rows:
        found = {**row, "time": iso(row["time"]), "count": int(row["count"])}
        found |= {
            "kind": rule.type if isinstance(rule, Correlation) else "event",
            "author": meta.author,
            "license": meta.license,
            "ruleset": meta.ruleset,
            "techniques": list(meta.techniques),
            "references": list(meta.references),
        }
        print(
            json.dumps(found, ensure_ascii=not (stream.encoding or "").lower().startswith("utf")), file=stream
        )


def print_rows(names: Sequence[str], rows: Sequence[Sequence[Any]], stream: TextIO, *, as_json: bool) -> None:
    """The answer to a query of the user's own."""
    if as_json:
        for row in rows:
            print(json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False), file=stream)
        return
    if names:
        print_table(names, [[_cell(value) for value in row] for row in rows], stream)


def _whose(meta: Meta) -> str:
    said = [f"rule {meta.id}"]
    if meta.author:
        said.append(f"author {meta.author}")
    if meta.license:
        said.append(f"licence {meta.license}")
    if meta.techniques:
        said.append(", ".join(meta.techniques))
    return "; ".join(said)


def _cells(rule: Rule | Correlation, rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Columns in which nothing stands are left out."""
    if isinstance(rule, Correlation):
        keys = [key.name for key in rule.group_by]
        head = ["time", *keys, "value", "records"]
        return head, [
            [
                _time(row),
                *(_short(row["group"].get(key, "")) for key in keys),
                f"{row['value']:g}",
                str(row["count"]),
            ]
            for row in rows
        ]
    used = [name for name in _ENTITIES if any(row[name] for row in rows)]
    cells = [[_time(row), *(_short(row[name]) for name in used)] for row in rows]
    head = ["time", *used]
    if any(row["body"] for row in rows):
        head.append("body")
        width = sum(max(len(row[i]) for row in [head, *cells]) + 2 for i in range(len(used) + 1)) + 4
        room = max(_LEAST_BODY, shutil.get_terminal_size((160, 24)).columns - width)
        cells = [[*cell, _short(row["body"], room)] for cell, row in zip(cells, rows, strict=True)]
    return head, cells


def _time(row: Row) -> str:
    """To the millisecond: what is cut off is in the JSON."""
    return f"{iso(row['time'])[:23]}Z"


def _short(text: str, longest: int = _LONGEST_CELL) -> str:
    shown = printable(text)
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False) if value is not None else "NULL"


def complain(*lines: str) -> None:
    """On standard error, with nothing that moves a cursor."""
    for line in lines:
        print(f"otel-fim hunt: {printable(line)}", file=sys.stderr)
