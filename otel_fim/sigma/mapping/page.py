"""docs/reference/sigma.md, from the tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from otel_fim.sigma.ir import Source
from otel_fim.sigma.mapping import fields as f
from otel_fim.sigma.mapping import sources as s

Table = Callable[[tuple[str, ...], Iterable[tuple[str, ...]]], str]
_PARTS: Final = {
    Source.EVENT_NAME: "the event name",
    Source.BODY: "the body's text",
    Source.SEVERITY_TEXT: "the severity's text",
    Source.SEVERITY_NUMBER: "the severity's number",
    Source.TIME: "the record's time",
}

_INTRODUCTION: Final = """\
What Sigma's log sources and fields are in this project's records. It is one pySigma processing pipeline
(`otel_fim.sigma.mapping.pipeline.otel_fim_pipeline`, for pySigma's own tools the plugin `otel_fim`), used for the
stream and for the table. What tests mean is said in [detection](../detection.md).
"""
_FIELDS: Final = """\
A name with a dot is an attribute and is taken as it is ([attributes](attributes.md)), also when only others' records
have it; names that begin with `otel_fim.` must exist. `resource.NAME` is an attribute of the resource; without that,
these are the resource's: {resource}. Any other name without a dot is an unknown field, and its rule is rejected.

| field | is |
|---|---|
{parts}
`timestamp_hour`, `timestamp_weekday` (1 is Monday) and so on for minute, day, week, month and year are parts of the
record's time, for tools that do not know the modifiers `hour`, `weekday`, ….
"""
_OUTSIDE: Final = """\
## Other log sources

- `product: linux` with another service (`cron`, `clamav`, …) is about lines of that program's log: records without
  an event name, in which the service's name stands. The agent reads no logs but those of logins, so only what other
  agents write to the same table is found. `service: syslog` is any such line.
- `service: auditd` is about raw audit records, of which there are none: such rules are rejected.
- Rules for other products (`windows`, `macos`, clouds) and other categories are rejected.

## What Sigma leaves open

- **Keywords** are looked for in the body and in the attributes of the record, each by itself: a keyword with a
  wildcard does not reach from one into the other. `startswith` and `endswith` of a keyword mean a whole text.
- **Auth records** are one record for a deed, with the facts as attributes and a sentence of our own as body. A keyword
  that is the log's own wording (`Failed password for`) is found in `log.record.original`, which the auth receiver adds
  with `original: true`.
- **A list of conditions** holds when one of them does.
- **A filter** is added to the condition of its rules with `and`, as pySigma does it: a filter that takes something out
  says `condition: not selection`.
  `rules: any` is said in so many words; an empty list is an error. A filter that cannot be read for one of its rules is
  rejected as a whole.
- **Placeholders** (`expand`) become their values before the modifiers that come after, so `expand|base64` encodes
  these. A value is a pattern with `*` and `?`, within `re` too; `\\%` is a percent sign.
- **YAML**: what is a number or a truth value in one version of YAML and a text in another (`0644`, `12:30`, `no`) has
  to be put in quotes.
- **`generate`** may stand in `correlation` or beside it.
- **A category with a service**, other keys in `logsource`, another `taxonomy` than `sigma` and the status `unsupported`
  are refused: nothing of what a rule asks for is passed over.
- **Names** in `rules` are looked for in the same file first, then in the same folder of rules, then everywhere.
- **`M` and `y`** in a timespan are 30.44 and 365.24 days.
- **`utf16`, `utf16le`, `utf16be`, `wide`** make bytes; other letters than ASCII's need `base64` or `base64offset` after
  them.
- **`re` with `startswith` or `endswith`** is anchored there.
- **`weekday`** is a modifier of this project's own.

Rules beyond these limits are rejected: {limits}.
"""


def page(note: str, table: Table) -> str:
    """The page's text; `note` says that it is generated, `table` writes a table."""
    from otel_fim.sigma.load.limits import LoadLimits

    limits = LoadLimits()
    sources = [
        *((f"`category: {name}`", row) for name, row in s.CATEGORIES.items()),
        ("`product: linux`", s.GENERIC),
        ("`product: linux, service: auth`", s.AUTH),
        (
            f"`product: linux`, service one of {', '.join(f'`{name}`' for name in s.AUTH_SERVICES)}",
            s.auth_service("NAME"),
        ),
        *((f"`product: {s.OWN_PRODUCT}, service: {name}`", row) for name, row in s.OWN.items()),
        (f"`product: {s.OWN_PRODUCT}`", s.ALL_OWN),
    ]
    text = f"# Sigma: log sources and fields\n\n{note}{_INTRODUCTION}\n## Log sources\n\n"
    text += table(
        ("log source", "records", "note"),
        ((name, _records(row.detection), row.note) for name, row in sources),
    )
    text += "\nA category may stand with `product: linux` or without a product.\n\n## Fields\n\n"
    others: dict[Source, list[str]] = {}
    for name, found in f.OTHER.items():
        others.setdefault(found.source, []).append(f"`{name}`")
    text += _FIELDS.format(
        resource=", ".join(f"`{name}`" for name in sorted(f.RESOURCE)),
        parts="".join(f"| {', '.join(names)} | {_PARTS[source]} |\n" for source, names in others.items()),
    )
    for title, rows in (
        ("All log sources", f.COMMON),
        ("Processes: process_creation, process_termination, service process", f.BY_PROCESS),
        ("Logins: auth, sshd, sudo and the like, service auth", f.BY_AUTH),
    ):
        text += f"\n### {title}\n\n" + table(("field", "attribute", "note"), map(_row, rows))
    text += "\n### Hashes\n\n" + table(
        ("field", "of a process", "of a file"), list(_hashes(f.HASHES_OF_PROCESS, f.HASHES_OF_FILE))
    )
    text += (
        "\n`Hashes` and `Hash` hold `SHA256=…` and the like in Sigma; each value is compared with the attribute of its "
        "algorithm. Records have SHA-256 only.\n\n"
    )
    return text + _OUTSIDE.format(
        limits=f"a file of {limits.file_bytes // 1024} KiB, {limits.nesting} lists and mappings within each other, "
        f"{limits.nodes} values in a document with what aliases stand for, {limits.files} files"
    )


def _row(row: f.FieldRow) -> tuple[str, str, str]:
    return ", ".join(f"`{name}`" for name in row.sigma), f"`{row.attribute}`", row.note


def _hashes(process: Mapping[str, str], file: Mapping[str, str]) -> Iterable[tuple[str, ...]]:
    for name in process:
        yield f"`{name}`", f"`{process[name]}`", f"`{file[name]}`"


def _records(detection: s.Detection) -> str:
    if isinstance(detection, list):
        return " or ".join(_records(each) for each in detection)
    parts = []
    for key, value in detection.items():
        values = value if isinstance(value, list) else [value]
        if key == s.EVENT_NAME:
            parts.append(", ".join(f"`{each}`" if each else "no event name" for each in values))
        elif key.endswith("|exists"):
            parts.append(f"has `{key.partition('|')[0]}`")
        elif key.startswith("|"):
            parts.append(f"`{value}` somewhere")
        else:
            parts.append(f"`{key}` is `{value}`")
    return " and ".join(parts)
