"""The lowered rules as JSON and back: how they come from the process that reads them to the one that runs them.

One line says the version, each other one is a rule, a correlation or a rejected document: little is in memory at once.
A dataclass is an object that names its class under `_`, with its fields; a tuple is an array; an enumeration's member
is `{"_": class, "=": value}`; a frozenset is `{"_": "set", "=": [...]}`, sorted. All else is itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from enum import StrEnum
from functools import cache
from io import BytesIO
from typing import Any, Final

import orjson

from otel_fim.sigma import ir

_CLASSES: Final[dict[str, Callable[..., Any]]] = {
    each.__name__: each
    for each in (
        *(ir.Field, ir.Text, ir.Glob, ir.Regex, ir.Cidr, ir.Compare, ir.Present, ir.Filled, ir.SameAs),
        *(ir.InTime, ir.Const, ir.Match, ir.Keyword, ir.Not, ir.And, ir.Or, ir.LogSource, ir.Meta, ir.Rule),
        *(ir.GroupKey, ir.Condition, ir.RuleRef, ir.RuleNot, ir.RuleAnd, ir.RuleOr, ir.Correlation),
        ir.Rejected,
    )
}
_ENUMS: Final[dict[str, Callable[[str], StrEnum]]] = {
    each.__name__: each
    for each in (
        *(ir.Source, ir.TextKind, ir.Wildcard, ir.Operator, ir.TimePart, ir.Level),
        ir.CorrelationType,
    )
}


def dump(ruleset: ir.RuleSet) -> bytes:
    """The rule set as lines of UTF-8 JSON. Raises `ValueError` for text that is not Unicode and for expressions nested
    deeper than about a hundred levels (the loader makes neither)."""
    try:
        lines = [orjson.dumps({"version": ir.IR_VERSION})]
        for part in (ruleset.rules, ruleset.correlations, ruleset.rejected):
            lines += [orjson.dumps(_plain(each)) for each in part]
    except (TypeError, RecursionError) as error:
        raise ValueError(f"the rule set cannot be written as JSON: {error}") from error
    return b"\n".join(lines)


def load(data: bytes) -> ir.RuleSet:
    """The rule set that `dump` wrote. Raises `ValueError` when it is something else, or another version's."""
    kinds: dict[type, list[Any]] = {ir.Rule: [], ir.Correlation: [], ir.Rejected: []}
    shared: dict[Any, Any] = {}
    lines = iter(BytesIO(data))
    try:
        version = orjson.loads(next(lines, b""))["version"]
        if version != ir.IR_VERSION:
            raise ValueError(f"this is version {version} of the rules' form, and {ir.IR_VERSION} is expected")
        for line in lines:
            found = _built(orjson.loads(line), shared)
            kinds[type(found)].append(found)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"this is no rule set: {error!r}") from error
    return ir.RuleSet(*(tuple(each) for each in kinds.values()))


@cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(each.name for each in fields(kind))


def _plain(value: Any) -> Any:
    kind = value.__class__
    if kind is str or kind is float or kind is int or kind is bool or value is None:
        return value
    if kind is tuple:
        return [_plain(each) for each in value]
    if kind is frozenset:
        return {"_": "set", "=": sorted(value)}
    if isinstance(value, StrEnum):
        return {"_": kind.__name__, "=": value.value}
    plain: dict[str, Any] = {"_": kind.__name__}
    for name in _names(kind):
        plain[name] = _plain(getattr(value, name))
    return plain


def _built(value: Any, shared: dict[Any, Any]) -> Any:
    """`shared` has what was built before and stands in many rules: fields, and sets of event names."""
    if isinstance(value, list):
        return tuple(_built(each, shared) for each in value)
    if not isinstance(value, dict):
        return value
    kind = value.pop("_")
    if "=" in value:
        if kind != "set":
            return _ENUMS[kind](value["="])
        found = frozenset(value["="])
    else:
        found = _CLASSES[kind](**{name: _built(each, shared) for name, each in value.items()})
        if kind != "Field":
            return found
    return shared.setdefault(found, found)
