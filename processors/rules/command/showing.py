"""`otel-fim rules show RULE`: everything about one rule."""

from __future__ import annotations

import argparse
import json
import os
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, Final

from otel_fim import attack
from otel_fim.cli.options import add_output_option
from otel_fim.config.errors import printable
from otel_fim.config.model import format_duration
from otel_fim.processors.rules.command.choice import add_path_option, find, logsource_of, paths_of, tactics_of
from otel_fim.processors.rules.command.listing import described
from otel_fim.processors.rules.command.reading import Library, Source, library, samples_path
from otel_fim.processors.rules.command.samples import SampleError, read_samples
from otel_fim.processors.rules.command.words import OPERATORS, field_name, words
from otel_fim.sigma.ir import Correlation, Rule
from otel_fim.sigma.mapping.fields import BY_AUTH, BY_PROCESS, COMMON, field_of, table_of
from otel_fim.sigma.mapping.sources import source_row

HELP: Final = "show all about a rule"
_WIDTH: Final = 100
_INDENT: Final = 18


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("rule", metavar="RULE", help="the rule's id, name or title, or a part of its title")
    add_path_option(parser)
    parser.add_argument(
        "--sql", action="store_true", help="show the statement that `otel-fim hunt` runs, and no more"
    )
    add_output_option(parser, "text", "json")


def run(args: argparse.Namespace) -> int:
    """Exit status 0; 1 when there is no such rule."""
    everything = library(paths_of(args))
    rule = find(everything, args.rule)
    if args.sql:
        from otel_fim.sigma.sql import compile_sql

        print(compile_sql(everything.ruleset, rule.meta.id).sql)
    elif args.output == "json":
        print(json.dumps(_json(everything, rule), indent=2, ensure_ascii=False))
    else:
        for line in _lines(everything, rule):
            print(line)
    return 0


def _json(everything: Library, rule: Rule | Correlation) -> dict[str, Any]:
    source = everything.source_of(rule)
    return {
        **described(rule),
        "condition": condition_of(everything, rule),
        "fields": dict(_fields(source)) if source else {},
        "events": _events(rule),
        "data_components": _data_components(rule),
        "source": source.text if source else "",
    }


def _lines(everything: Library, rule: Rule | Correlation) -> Iterator[str]:
    meta, source = rule.meta, everything.source_of(rule)
    yield printable(meta.title)
    yield ""
    yield from _item("id", meta.id)
    yield from _item("name", meta.name)
    yield from _item("level", f"{meta.level.value} (confidence {meta.confidence})")
    yield from _item(
        "status", ", ".join(part for part in (meta.status, _dates(meta.date, meta.modified)) if part)
    )
    yield from _item("author", meta.author)
    yield from _item("licence", meta.license)
    yield from _item("ruleset", f"{meta.ruleset}: {meta.path}")
    yield from _item("description", meta.description)
    for position, technique in enumerate(meta.techniques):
        yield from _item("techniques" if position == 0 else "", _technique(technique))
    yield from _item("tactics", ", ".join(tactics_of(meta)))
    yield from _item("old ids", ", ".join(f"{old} is now {new}" for old, new in meta.redirected))
    yield from _item("compliance", ", ".join(meta.compliance))
    for position, text in enumerate(meta.false_positives):
        yield from _item("false positives" if position == 0 else "", text)
    for position, text in enumerate(meta.references):
        yield from _item("references" if position == 0 else "", text)
    yield from _item("log source", logsource_of(rule))
    yield from _item("events", ", ".join(_events(rule)))
    components = (f"{id_} {attack.DATA_COMPONENTS[id_]}" for id_ in _data_components(rule))
    yield from _item("data components", ", ".join(components))
    if not rule.emits:
        yield from _item("finds", "nothing by itself: it feeds correlations")
    if source is not None:
        for position, (written, meant) in enumerate(_fields(source)):
            yield from _item("fields" if position == 0 else "", f"{written} is {meant}")
        yield from _item("samples", _samples(source))
    yield from _item("condition", condition_of(everything, rule))
    if source is not None:
        yield ""
        yield from (printable(line) for line in source.text.splitlines())


def condition_of(everything: Library, rule: Rule | Correlation) -> str:
    """What has to hold, in words."""
    if isinstance(rule, Rule):
        return words(rule.condition)
    titles = {each.meta.id: each.meta.title for each in everything.everything}
    of = ", ".join(repr(titles.get(id_, id_)) for id_ in rule.rules)
    bounds = " and ".join(
        f"{OPERATORS[operator]} {number:g}"
        for operator, number in (rule.condition.bounds if rule.condition else ())
    )
    what = f"{rule.type.value} of {rule.value_name}" if rule.value_name else rule.type.value
    by = ", ".join(key.name for key in rule.group_by)
    within = format_duration(rule.timespan_nano / 10**9)
    return (
        f"{what} {bounds} within {within}".replace("  ", " ")
        + (f" for each {by}" if by else "")
        + f", of {of}"
    )


def _item(name: str, text: str) -> Iterator[str]:
    if not text:
        return
    lines = textwrap.wrap(
        printable(" ".join(text.split())), _WIDTH - _INDENT, break_long_words=False, break_on_hyphens=False
    )
    for position, line in enumerate(lines):
        yield f"{(name if position == 0 else ''):<{_INDENT}}{line}"


def _dates(date: str, modified: str) -> str:
    return f"of {date}" + (f", changed {modified}" if modified else "") if date else ""


def _technique(id_: str) -> str:
    technique = attack.TECHNIQUES.get(id_)
    return f"{id_} {technique.name}, {technique.reference}" if technique else id_


def _events(rule: Rule | Correlation) -> list[str]:
    return (
        sorted(name or "records without a name" for name in rule.event_names or ())
        if isinstance(rule, Rule)
        else []
    )


def _data_components(rule: Rule | Correlation) -> list[str]:
    """What ATT&CK calls the data that a rule about one record looks at."""
    names = rule.event_names or () if isinstance(rule, Rule) else ()
    return sorted({id_ for name in names for id_ in attack.data_components_for(name)})


def _samples(source: Source) -> str:
    path = samples_path(source.document.file.path)
    if not os.path.exists(path):
        return "none"
    try:
        cases = read_samples(path)
    except SampleError as error:
        return f"cannot be read: {error}"
    matching = sum(case.matches for case in cases)
    return f"{matching} that must match, {len(cases) - matching} that must not"


def _fields(source: Source) -> list[tuple[str, str]]:
    """Each field that the rule's detection names, and what it is in a record; those that are called the same are left
    out."""
    fields = _mapping_of(source)
    found = []
    for written in field_names(source.content.get("detection")):
        try:
            meant = field_name(field_of(fields.get(written, written)))
        except ValueError:
            continue  # fields of hashes are several attributes
        if meant != written:
            found.append((written, meant))
    return found


def _mapping_of(source: Source) -> dict[str, str]:
    logsource = source.content.get("logsource")
    if not isinstance(logsource, dict):
        return table_of(COMMON, BY_PROCESS, BY_AUTH)
    row = source_row(*(logsource.get(key) for key in ("category", "product", "service")))
    return {} if isinstance(row, str) else dict(row.fields)


def field_names(detection: object) -> list[str]:
    """The names of fields in a detection as it is written, without modifiers, in order."""
    found: dict[str, None] = {}
    pending: list[object] = (
        [value for key, value in detection.items() if key not in ("condition", "timeframe")]
        if isinstance(detection, dict)
        else []
    )
    while pending:
        part = pending.pop(0)
        if isinstance(part, dict):
            for key in part:
                name = str(key).partition("|")[0]
                if name:
                    found[name] = None
        elif isinstance(part, Sequence) and not isinstance(part, str):
            pending.extend(part)
    return list(found)
