"""Which rules a hunt is for: files and folders, or rules that the agent runs, by id, name or title."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from otel_fim.config.errors import did_you_mean
from otel_fim.hunt.errors import HuntError
from otel_fim.hunt.standing import Standing
from otel_fim.sigma.ir import Correlation, Rejected, Rule, RuleSet
from otel_fim.sigma.load import load_isolated, pack_path
from otel_fim.sigma.load.isolated import IsolationError
from otel_fim.sigma.sql.query import by_id


@dataclass(slots=True, frozen=True)
class Choice:
    """The rules to run, each with the set that it and what it refers to are in, and what of the files cannot run."""

    rules: tuple[tuple[RuleSet, Rule | Correlation], ...]
    rejected: tuple[Rejected, ...]


def choose(wanted: Sequence[str], standing: Standing, *, everything: bool) -> Choice:
    """`wanted` are paths, ids, names or titles; `everything` adds all that runs on the stream. Raises `HuntError`."""
    # The child that reads them has a working directory of its own.
    paths = [os.path.abspath(each) for each in wanted if os.path.exists(each)]
    called = [each for each in wanted if not os.path.exists(each)]
    chosen: dict[str, tuple[RuleSet, Rule | Correlation]] = {}
    rejected: tuple[Rejected, ...] = ()
    if paths:
        own = _load(paths, standing)
        rejected = own.rejected
        chosen.update({rule.meta.id: (own, rule) for rule in by_id(own).values() if rule.emits})
    if everything:
        running = _load([*([str(pack_path())] if standing.pack else []), *standing.paths], standing)
        rejected += running.rejected
        chosen.update(
            {rule.meta.id: (running, rule) for rule in by_id(running).values() if standing.runs(rule)}
        )
    if called:
        # What is wrong with other rules does not concern a hunt that finds its own there.
        known = _load([str(pack_path()), *standing.paths], standing)
        everyone = list(by_id(known).values())
        for each in called:
            chosen.update({rule.meta.id: (known, rule) for rule in _called(each, everyone)})
    if not chosen and not rejected:
        places = [*wanted, *(["the rules processor's pack and paths"] if everything else [])]
        raise HuntError(f"there is no rule in {', '.join(places)} that makes findings")
    return Choice(tuple(chosen.values()), rejected)


def _load(paths: Sequence[str], standing: Standing) -> RuleSet:
    try:
        return load_isolated(paths, placeholders=standing.placeholders)
    except IsolationError as error:
        raise HuntError(f"the rules cannot be read: {error}") from error


def _called(name: str, rules: Sequence[Rule | Correlation]) -> list[Rule | Correlation]:
    """The rules that are called so: one, as a rule, or all that have that title."""
    folded = name.casefold()
    for field in ("id", "name", "title"):
        found = [rule for rule in rules if getattr(rule.meta, field).casefold() == folded]
        if found:
            return found
    if os.sep in name or name.endswith((".yml", ".yaml")):
        raise HuntError(f"{name}: there is no such file or folder")
    hint = did_you_mean(
        name, [rule.meta.title for rule in rules] + [rule.meta.name for rule in rules if rule.meta.name]
    )
    raise HuntError(
        f"{name!r} is neither a file nor a rule that the agent knows{hint.rstrip('?')}{'?' if hint else '.'} "
        "`otel-fim rules list` shows ids and titles, and a rule of your own is given as its file"
    )
