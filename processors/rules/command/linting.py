"""`otel-fim rules lint`: is everything there that a rule needs, and is it right?"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from otel_fim.cli.options import add_output_option
from otel_fim.config.errors import printable
from otel_fim.processors.rules.command.check_detection import fields, selections
from otel_fim.processors.rules.command.check_samples import orphans, samples_of
from otel_fim.processors.rules.command.check_tags import tags
from otel_fim.processors.rules.command.checks import CHECKS
from otel_fim.processors.rules.command.choice import add_paths, counted, paths_of
from otel_fim.processors.rules.command.problems import Problem, Subject
from otel_fim.processors.rules.command.reading import Library, Source, is_of_pack, library

HELP: Final = "check rules: ids, authors, licences, tags, fields, samples"
_CHECKS: Final = (*CHECKS, tags, fields, selections)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_paths(parser)
    parser.add_argument(
        "--house",
        action="store_true",
        help="ask of all rules what is asked of the project's own: its author and licence, controls, samples",
    )
    parser.add_argument("--strict", action="store_true", help="warnings count as errors")
    add_output_option(parser, "text", "json")


def run(args: argparse.Namespace) -> int:
    """Exit status 0 without errors, 1 with some, 2 when there is no rule to look at."""
    found = library(paths_of(args))
    problems = list(lint(found, house=args.house))
    if args.output == "json":
        print(json.dumps([asdict(problem) for problem in problems], indent=2, ensure_ascii=False))
    else:
        for problem in problems:
            print(printable(str(problem)))
    errors = sum(problem.is_error for problem in problems)
    warnings = len(problems) - errors
    count = len(found.sources)
    seen = f"{counted(count, 'rule')} in {counted(len(found.files), 'file')}"
    print(f"{seen}: {counted(errors, 'error')}, {counted(warnings, 'warning')}", file=sys.stderr)
    if not count and not problems:
        return 2
    return 1 if errors or (args.strict and problems) else 0


def lint(found: Library, *, house: bool = False) -> Iterator[Problem]:
    """What is wrong, file by file. `house` asks of all rules what is asked of the project's own."""
    for each in found.unreadable:
        yield Problem(each.path, 1, each.title, "load", each.reason)
    twice = _ids_of_several(found.sources)
    rejected = {(each.path, each.title): each.reason for each in found.ruleset.rejected if each.title}
    by_file: dict[str, list[Source]] = {}
    for source in found.sources:
        by_file.setdefault(source.document.file.path, []).append(source)
    for path, sources in by_file.items():
        own = house or is_of_pack(path)
        for source in sources:
            yield from _lint_source(source, own, twice, rejected)
        if own and any(source.rule is not None and source.rule.emits for source in sources):
            yield from samples_of(sources[0].document.file, sources[-1].title)
    folders = sorted({os.path.dirname(path) or "." for path in by_file})
    yield from orphans([folder for folder in folders if house or is_of_pack(str(Path(folder, "x")))])


def _lint_source(
    source: Source, own: bool, twice: dict[str, list[Source]], rejected: dict[tuple[str, str], str]
) -> Iterator[Problem]:
    finds = not source.is_filter and (source.rule is None or source.rule.emits)
    subject = Subject(source, own, finds)
    id_ = str(source.content.get("id", "")).lower()
    others = [other for other in twice.get(id_, ()) if other is not source]
    if others:
        where = ", ".join(dict.fromkeys(other.path for other in others))
        yield subject.error(
            "id", f"the id {id_} is also that of {others[0].title!r} in {where}: give it another"
        )
    elif source.rule is None and not source.is_filter:
        reason = rejected.get((source.path, source.title[:256]), "it was not loaded")
        yield subject.error("load", reason)
    for check in _CHECKS:
        yield from check(subject)


def _ids_of_several(sources: Sequence[Source]) -> dict[str, list[Source]]:
    by_id: dict[str, list[Source]] = {}
    for source in sources:
        id_ = source.content.get("id")
        if id_ is not None:
            by_id.setdefault(str(id_).lower(), []).append(source)
    return {id_: several for id_, several in by_id.items() if len(several) > 1}
