"""Brings the baseline of an earlier run in line with a changed configuration."""

from __future__ import annotations

import dataclasses
import json
from typing import Final

from otel_fim.receivers.file_integrity.baseline import Baseline
from otel_fim.receivers.file_integrity.scope import Rules, Scope

_RULES: Final = "rules"


def take_over(baseline: Baseline, scope: Scope) -> Scope | None:
    """Forgets the roots that are no longer watched. Gives the scope of the run before when its rules were others:
    what it did not watch is taken as given and not reported as new."""
    rules = json.dumps(dataclasses.astuple(scope.rules))
    earlier = baseline.meta(_RULES)
    known = baseline.roots()
    for root in known:
        if root not in scope.roots:
            kept = scope.wants(root, directory=True) or bool(scope.roots_below(root))
            baseline.remove_root(root, keep_content=kept)
    if earlier != rules:
        baseline.set_meta(_RULES, rules)
    if earlier is None or earlier == rules:
        return None
    include, exclude, include_hidden, hidden_names, recursive = json.loads(earlier)
    return Scope(
        list(known),
        Rules(tuple(include), tuple(exclude), include_hidden, tuple(hidden_names), recursive),
    )
