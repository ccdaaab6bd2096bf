"""`otel-fim rules list`: the rules, and how many of what."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from otel_fim import attack
from otel_fim.cli.options import add_output_option
from otel_fim.cli.table import print_table
from otel_fim.processors.rules.command.choice import (
    add_filters,
    add_path_option,
    chosen,
    counted,
    logsource_of,
    nothing_read,
    paths_of,
    tactics_of,
    tell_rejected,
)
from otel_fim.processors.rules.command.reading import library
from otel_fim.sigma.ir import Correlation, Level, Rule

HELP: Final = "list the rules"
_HEAD: Final = ("LEVEL", "TITLE", "TACTIC", "TECHNIQUE", "LOG SOURCE", "ID")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_filters(parser)
    add_path_option(parser)
    add_output_option(parser, "table", "json")


def run(args: argparse.Namespace) -> int:
    """Exit status 0, also when some rules were rejected (they are told on standard error); 2 when all were."""
    everything = library(paths_of(args))
    rules = chosen(everything, args)
    if args.output == "json":
        print(json.dumps([described(rule) for rule in rules], indent=2, ensure_ascii=False))
    else:
        print_table(_HEAD, [_row(rule) for rule in rules], sys.stdout)
        print(f"\n{summary(rules)}")
    tell_rejected(everything)
    if everything.ruleset.rejected and args.output != "json":
        print(f"{len(everything.ruleset.rejected)} rejected", file=sys.stderr)
    return 2 if nothing_read(everything) else 0


def described(rule: Rule | Correlation) -> dict[str, Any]:
    """A rule as JSON."""
    meta = rule.meta
    return {
        "id": meta.id,
        "title": meta.title,
        "name": meta.name,
        "level": meta.level.value,
        "confidence": meta.confidence,
        "status": meta.status,
        "kind": rule.type.value if isinstance(rule, Correlation) else "event",
        "log_source": logsource_of(rule),
        "finds": rule.emits,
        "tactics": list(tactics_of(meta)),
        "techniques": list(meta.techniques),
        "redirected": dict(meta.redirected),
        "compliance": list(meta.compliance),
        "tags": list(meta.tags),
        "description": meta.description,
        "false_positives": list(meta.false_positives),
        "references": list(meta.references),
        "author": meta.author,
        "license": meta.license,
        "date": meta.date,
        "modified": meta.modified,
        "ruleset": meta.ruleset,
        "path": meta.path,
    }


def summary(rules: Sequence[Rule | Correlation]) -> str:
    """`142 rules (3 critical, 40 high …), 12 of them correlations; 61 techniques in 11 tactics`."""
    levels = Counter(rule.meta.level for rule in rules)
    parts = ", ".join(f"{levels[level]} {level.value}" for level in reversed(Level) if levels[level])
    correlations = sum(isinstance(rule, Correlation) for rule in rules)
    techniques = {technique for rule in rules for technique in rule.meta.techniques}
    tactics = {tactic for rule in rules for tactic in rule.meta.tactics}
    said = counted(len(rules), "rule")
    if parts:
        said += f" ({parts})"
    if correlations:
        said += f", {correlations} of them correlations"
    shown = f"{counted(len(techniques), 'technique')} in {counted(len(tactics), 'tactic')}"
    return f"{said}; {shown} ({attack.FRAMEWORK})"


def _row(rule: Rule | Correlation) -> tuple[str, ...]:
    meta = rule.meta
    return (
        meta.level.value,
        meta.title if rule.emits else f"{meta.title} (feeds correlations only)",
        ", ".join(tactics_of(meta)),
        ", ".join(meta.techniques),
        logsource_of(rule),
        meta.id,
    )
