"""Which of the loaded rules run: those that make findings, and what they are made of."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Final

from otel_fim.sigma.ir import Correlation, Level, Rule, RuleSet

_ORDER: Final = {level: number for number, level in enumerate(Level)}


def select(ruleset: RuleSet, exclude: Collection[str], min_level: Level) -> tuple[RuleSet, list[str]]:
    """The rule set without findings of excluded rules (by id or title) and of those below a level, and without rules
    that nothing needs then; and the entries of `exclude` that are no rule's."""
    wanted = set(exclude)
    every: list[Rule | Correlation] = [*ruleset.rules, *ruleset.correlations]
    unknown = wanted - {name for rule in every for name in _names(rule)}

    def is_silent(rule: Rule | Correlation) -> bool:
        return bool(wanted.intersection(_names(rule))) or _ORDER[rule.meta.level] < _ORDER[min_level]

    needed: set[str] = set()
    correlations: list[Correlation] = []
    # Correlations stand after what they refer to.
    for correlation in reversed(ruleset.correlations):
        emits = correlation.emits and not is_silent(correlation)
        if emits or correlation.meta.id in needed:
            needed.update(correlation.rules)
            correlations.append(replace(correlation, emits=emits))
    rules: list[Rule] = []
    for rule in ruleset.rules:
        emits = rule.emits and not is_silent(rule)
        if emits or rule.meta.id in needed:
            rules.append(rule if emits == rule.emits else replace(rule, emits=emits))
    return (
        replace(ruleset, rules=tuple(rules), correlations=tuple(reversed(correlations))),
        [entry for entry in dict.fromkeys(exclude) if entry in unknown],
    )


def _names(rule: Rule | Correlation) -> tuple[str, str]:
    return rule.meta.id, rule.meta.title
