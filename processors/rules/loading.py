"""From the configuration to an engine: rules are read, chosen and compiled, and what was left out is told."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from otel_fim.component import ProcessorContext, StartError
from otel_fim.journal.files import replace_file
from otel_fim.names import metrics
from otel_fim.processors.rules.config import RulesConfig
from otel_fim.processors.rules.correlate import StateLimits
from otel_fim.processors.rules.engine import Engine
from otel_fim.processors.rules.selection import select
from otel_fim.sigma.ir import Level, Rejected, RuleSet
from otel_fim.sigma.load import LoadLimits, load_isolated, pack_path
from otel_fim.sigma.load.isolated import IsolationError

REJECTED_FILE: Final = "rejected.txt"
_MOST_LOGGED: Final = 200
_SECOND: Final = 1_000_000_000
_OBJECTS_SHARE: Final = 0.8
"""What the process grows by is up to a quarter more than the objects: memory between them that is free and not given
back (161 MiB for 127 of objects after ten million records, `benchmarks/correlations.py`)."""


def load_engine(config: RulesConfig, context: ProcessorContext, clock: Callable[[], int]) -> Engine:
    """Raises `StartError` for a path that there is not, and when rules cannot be read at all."""
    ruleset = _load(config, context)
    ruleset, unknown = select(ruleset, config.exclude, Level(config.min_level))
    for entry in unknown:
        context.logger.warning("exclude: %r is neither the id nor the title of a rule that is loaded", entry)
    engine = Engine(
        ruleset,
        timezone=config.timezone,
        lateness_nano=int(config.lateness * _SECOND),
        limits=StateLimits(
            max_groups=config.max_groups, max_bytes=int(config.max_state_bytes * _OBJECTS_SHARE)
        ),
        clock=clock,
    )
    rejected = (*ruleset.rejected, *engine.rejected)
    _tell(rejected, context)
    rules, correlations = len(ruleset.rules) - len(engine.rejected), len(ruleset.correlations)
    if rules + correlations:
        context.logger.info(
            "%d rules and %d correlations run, %d were left out", rules, correlations, len(rejected)
        )
    else:
        context.logger.warning(
            "no rule runs: set pack to true, or name a folder of Sigma rules in paths (%d rules were left out)",
            len(rejected),
        )
    return engine


def _load(config: RulesConfig, context: ProcessorContext) -> RuleSet:
    paths: list[Path] = []
    if config.pack:
        pack = pack_path()
        if not pack.is_dir():
            raise StartError(
                f"{context.id}.pack: the project's own rules are not at {pack}; install otel-fim again, or set pack "
                "to false"
            )
        paths.append(pack)
    for text in config.paths:
        # The child that reads them has another working directory.
        path = Path(os.path.abspath(text))
        try:
            path.stat()
        except OSError as error:
            raise StartError(
                f"{context.id}.paths: {path}: {error.strerror}; name a folder or a file of Sigma rules"
            ) from error
        paths.append(path)
    if not paths:
        return RuleSet()
    try:
        return load_isolated(
            paths,
            placeholders=config.placeholders,
            limits=LoadLimits(file_bytes=config.max_file_size),
            stopping=context.stopping,
        )
    except IsolationError as error:
        raise StartError(f"{context.id}: {error}") from error


def _tell(rejected: Sequence[Rejected], context: ProcessorContext) -> None:
    """Names each in a file, and the first of them in the log."""
    path = context.state_directory / REJECTED_FILE
    reasons = [each.reason.replace("\n", " ") for each in rejected]
    for reason in reasons[:_MOST_LOGGED]:
        # A message of its own, as the log holds back many of the same.
        context.logger.warning(reason)
    if len(reasons) > _MOST_LOGGED:
        context.logger.warning(
            "%d more rules were left out; %s has them all", len(reasons) - _MOST_LOGGED, path
        )
    if reasons:
        context.count(metrics.RULES_REJECTED, len(reasons))
    text = "".join(f"{reason}\n" for reason in reasons)
    try:
        replace_file(path, text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        context.logger.warning("%s: cannot be written: %s", path, error.strerror)
