"""Several sources, one configuration: files in the order given, then `--set`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from otel_fim.config.errors import ConfigError, Problem
from otel_fim.config.yaml_source import typed_text

Tree = dict[str, Any]


def merge(base: Tree, over: Tree) -> Tree:
    """`base` with `over` laid upon it; neither is changed. Maps merge, everything else (lists too) is replaced."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        result[key] = merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result


def parse_set(text: str) -> Tree:
    """The tree that one `--set` argument stands for: `a.b=v` gives `{"a": {"b": v}}`.

    As in the collector, dots separate the keys and the value is YAML. For keys that hold a dot themselves,
    `::` separates when it occurs: `service::telemetry::resource::service.name=x`. The value is a
    `scalar.Typed`. Raises `ConfigError` when there is no `=` or a key is empty.
    """
    key, equals, value = text.partition("=")
    steps = [step.strip() for step in key.split("::" if "::" in key else ".")]
    if not equals:
        raise ConfigError(
            [Problem(f"--set {text}", "'=' is missing; write it like --set service.queue_size=1000")]
        )
    if not all(steps):
        raise ConfigError(
            [Problem(f"--set {text}", "a key is empty; write it like --set service.queue_size=1000")]
        )
    tree: Any = typed_text(value)
    for step in reversed(steps):
        tree = {step: tree}
    result: Tree = tree
    return result


def merge_all(trees: Iterable[Tree]) -> Tree:
    """All of `trees`, each laid upon those before it."""
    result: Tree = {}
    for tree in trees:
        result = merge(result, tree)
    return result
