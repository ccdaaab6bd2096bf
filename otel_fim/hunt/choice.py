"""Which rules a hunt is for: files and folders, or rules of the pack by id, name or title."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from otel_fim.config.errors import did_you_mean
from otel_fim.hunt.errors import HuntError
from otel_fim.sigma.ir import Correlation, Rejected, Rule, RuleSet
from otel_fim.sigma.load import load_isolated, pack_path
from otel_fim.sigma.load.isolated import IsolationError
from otel_fim.sigma.sql.query import by_id


@dataclass(slots=True, frozen=True)
class Choice:
    """The rules to run, each with the set that it and what it refers to are in, and what of the files cannot run."""

    rules: tuple[tuple[RuleSet, Rule | Correlation], ...]
    rejected: tuple[Rejected, ...]


def choose(wanted: Sequence[str], *, everything: bool) -> Choice:
    """`wanted` are paths, ids, names or titles; `everything` adds the whole pack. Raises `HuntError`."""
    # The child that reads them has a working directory of its own.
    paths = [os.path.abspath(each) for each in wanted if os.path.exists(each)]
    called = [each for each in wanted if not os.path.exists(each)]
    chosen: dict[str, tuple[RuleSet, Rule | Correlation]] = {}
    rejected: tuple[Rejected, ...] = ()
    if paths:
        own = _load(paths)
        rejected = own.rejected
        chosen.update({rule.meta.id: (own, rule) for rule in by_id(own).values() if rule.emits})
    if everything or called:
        pack = _load([str(pack_path())])
        everyone = list(by_id(pack).values())
        if everything:
            # What is wrong with the pack does not concern a hunt that finds its rules there.
            rejected += pack.rejected
            chosen.update({rule.meta.id: (pack, rule) for rule in everyone if rule.emits})
        for each in called:
            chosen.update({rule.meta.id: (pack, rule) for rule in _called(each, everyone)})
    if not chosen and not rejected:
        raise HuntError(f"there is no rule in {', '.join(wanted) or pack_path()}")
    return Choice(tuple(chosen.values()), rejected)


def _load(paths: Sequence[str]) -> RuleSet:
    try:
        return load_isolated(paths)
    except IsolationError as error:
        raise HuntError(f"the rules cannot be read: {error}") from error


def _called(name: str, pack: Sequence[Rule | Correlation]) -> list[Rule | Correlation]:
    """A pack's rules that are called so: one, as a rule, or all that have that title."""
    folded = name.casefold()
    for field in ("id", "name", "title"):
        found = [rule for rule in pack if getattr(rule.meta, field).casefold() == folded]
        if found:
            return found
    if os.sep in name or name.endswith((".yml", ".yaml")):
        raise HuntError(f"{name}: there is no such file or folder")
    hint = did_you_mean(
        name, [rule.meta.title for rule in pack] + [rule.meta.name for rule in pack if rule.meta.name]
    )
    raise HuntError(
        f"{name!r} is neither a file nor a rule of the pack{hint}: `otel-fim rules list` shows ids and titles, "
        "and a rule of your own is given as its file"
    )
