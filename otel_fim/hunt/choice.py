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


@dataclass(slots=True, frozen=True)
class Choice:
    """The rules to run, the set that they and what they refer to are in, and what of the files cannot run."""

    ruleset: RuleSet
    rules: tuple[Rule | Correlation, ...]
    rejected: tuple[Rejected, ...]


def choose(wanted: Sequence[str], *, everything: bool) -> Choice:
    """`wanted` are paths, ids, names or titles; `everything` adds the whole pack. Raises `HuntError`."""
    paths = [os.path.abspath(each) for each in wanted if os.path.exists(each)]
    called = [each for each in wanted if not os.path.exists(each)]
    needs_pack = everything or bool(called)
    try:
        ruleset = load_isolated([*paths, *([pack_path()] if needs_pack else [])])
    except IsolationError as error:
        raise HuntError(f"the rules cannot be read: {error}") from error
    everyone: list[Rule | Correlation] = [*ruleset.rules, *ruleset.correlations]
    if everything:
        return Choice(ruleset, tuple(rule for rule in everyone if rule.emits), ruleset.rejected)
    pack = _pack_of(everyone) if needs_pack else []
    chosen = {rule.meta.id: rule for rule in everyone if rule.emits and rule not in pack}
    for each in called:
        chosen.update({rule.meta.id: rule for rule in _called(each, pack)})
    # What is wrong with the pack does not concern a hunt that has found its rules there.
    rejected = ruleset.rejected if not needs_pack or not called else ()
    if not chosen and not rejected:
        raise HuntError(f"there is no rule in {', '.join(wanted)}")
    return Choice(ruleset, tuple(chosen.values()), rejected)


def _pack_of(rules: Sequence[Rule | Correlation]) -> list[Rule | Correlation]:
    known = {str(path) for path in (pack_path(), pack_path().resolve())}
    names = {os.path.basename(path) for path in known} | {"otel-fim", "rules"}
    return [rule for rule in rules if rule.meta.ruleset in names]


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
