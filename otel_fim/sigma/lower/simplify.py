"""Expressions without what changes nothing: nested groups, constants, doubles, double negations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from otel_fim.sigma.ir import (
    And,
    Const,
    Expression,
    Filled,
    Match,
    Not,
    Or,
    Present,
    Source,
    Text,
    TextKind,
)


def both(items: Iterable[Expression]) -> Expression:
    """All of the items, as simple as can be."""
    flat: dict[Expression, None] = {}
    for item in items:
        if item == Const(False):
            return Const(False)
        if item != Const(True):
            flat.update(dict.fromkeys(item.items if isinstance(item, And) else (item,)))
    if len(flat) == 1:
        return next(iter(flat))
    return And(tuple(flat)) if flat else Const(True)


def either(items: Iterable[Expression]) -> Expression:
    """Any of the items, as simple as can be."""
    flat: dict[Expression, None] = {}
    for item in items:
        if item == Const(True):
            return Const(True)
        if item != Const(False):
            flat.update(dict.fromkeys(item.items if isinstance(item, Or) else (item,)))
    if len(flat) == 1:
        return next(iter(flat))
    return Or(tuple(flat)) if flat else Const(False)


def any_of(items: Sequence[Expression]) -> Expression:
    """As `either`, with what is part of all items said once."""
    if len(items) < 2:
        return either(items)
    parts = [item.items if isinstance(item, And) else (item,) for item in items]
    common = [part for part in parts[0] if all(part in other for other in parts[1:])]
    rest = (both(part for part in own if part not in common) for own in parts)
    return both((*common, either(rest)))


def negated(item: Expression) -> Expression:
    """The opposite."""
    if isinstance(item, Const):
        return Const(not item.value)
    return item.item if isinstance(item, Not) else Not(item)


def split_events(condition: Expression) -> tuple[frozenset[str] | None, Expression]:
    """The event names for which the condition can hold (None: any), and the condition without the tests that say just
    that."""
    names = _events(condition)
    if names is None:
        return None, condition
    parts = condition.items if isinstance(condition, And) else (condition,)
    return names, both(part for part in parts if not _is_events(part))


def _events(condition: Expression) -> frozenset[str] | None:
    if isinstance(condition, Const):
        return None if condition.value else frozenset()
    if isinstance(condition, Match | Not):
        name = _event(condition)
        return None if name is None else frozenset((name,))
    if isinstance(condition, And):
        known = [names for each in condition.items if (names := _events(each)) is not None]
        return frozenset.intersection(*known) if known else None
    if isinstance(condition, Or):
        found: frozenset[str] = frozenset()
        for each in condition.items:
            names = _events(each)
            if names is None:
                return None
            found |= names
        return found
    return None


def _is_events(condition: Expression) -> bool:
    if isinstance(condition, Or):
        return all(_is_events(each) for each in condition.items)
    return isinstance(condition, Match | Not) and _event(condition) is not None


def _event(condition: Match | Not) -> str | None:
    """The event name that a test asks for, empty when it asks for none; None when it asks for something else."""
    match = condition.item if isinstance(condition, Not) else condition
    if not isinstance(match, Match) or match.field.source is not Source.EVENT_NAME:
        return None
    test = match.test
    if isinstance(condition, Not):
        return "" if isinstance(test, Filled | Present) else None
    return test.value if isinstance(test, Text) and test.kind is TextKind.EQUALS and test.value else None
