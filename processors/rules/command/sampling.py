"""`otel-fim rules test`: do the rules find what their samples say they find?"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from otel_fim.cli.options import add_output_option
from otel_fim.config.errors import printable
from otel_fim.processors.rules.command.choice import add_paths, counted, paths_of, tell_rejected
from otel_fim.processors.rules.command.reading import Library, is_of_pack, library, samples_path
from otel_fim.processors.rules.command.trial import Outcome, run_samples
from otel_fim.sigma.load import pack_path
from otel_fim.sigma.load.files import RuleFile

HELP: Final = "run the samples that stand beside rules (name.samples.yml)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_paths(parser)
    add_output_option(parser, "text", "json")


def run(args: argparse.Namespace) -> int:
    """Exit status 0 when every sample gives what it says; 1 when one does not, or a rule was rejected; 2 when there are
    no samples at all."""
    wanted = library(paths_of(args))
    everything, files = _with_the_pack(wanted)
    outcomes = list(run_samples(everything, files))
    failed = [outcome for outcome in outcomes if not outcome.passed]
    if args.output == "json":
        print(json.dumps([asdict(outcome) for outcome in outcomes], indent=2, ensure_ascii=False))
    else:
        _print(outcomes, failed)
    tell_rejected(wanted)
    without = [file.shown for file in files if not os.path.exists(samples_path(file.path))]
    if without:
        print(
            f"{counted(len(without), 'rule file')} without samples: {printable(', '.join(without[:5]))}",
            file=sys.stderr,
        )
    if not outcomes:
        print("there are no samples: they stand beside a rule as name.samples.yml", file=sys.stderr)
        return 2
    return 1 if failed or wanted.ruleset.rejected else 0


def _with_the_pack(wanted: Library) -> tuple[Library, Sequence[RuleFile]]:
    """Rules of the project run together with all the others of it, whichever of them are looked at."""
    chosen = {os.path.realpath(file.path) for file in wanted.files}
    if not chosen or not all(is_of_pack(path) for path in chosen):
        return wanted, wanted.files
    everything = library([pack_path()])
    return everything, [file for file in everything.files if os.path.realpath(file.path) in chosen]


def _print(outcomes: Sequence[Outcome], failed: Sequence[Outcome]) -> None:
    for outcome in failed:
        if not outcome.expected:
            print(f"{printable(outcome.path)}: {printable('; '.join(outcome.why))}")
            continue
        found = counted(outcome.found, "finding") if outcome.found else "none"
        print(
            f"{printable(outcome.rule)}: {printable(outcome.about)}: expected {outcome.expected}, got {found}"
        )
        print(f"    {printable(outcome.path)}, {outcome.kind}")
        for line in outcome.why:
            print(f"    {printable(line)}")
    rules = len({outcome.rule_id for outcome in outcomes if outcome.rule_id})
    if failed:
        of = len({outcome.path for outcome in failed})
        print(
            f"{len(failed)} of {counted(len(outcomes), 'sample')} not as expected, in {counted(of, 'file')}"
        )
    elif outcomes:
        print(f"{counted(len(outcomes), 'sample')} of {counted(rules, 'rule')}: all as expected")
