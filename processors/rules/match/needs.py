"""What must hold of single fields for a rule to match: cheap conditions by which most rules are left out at once.

From an expression follows, for some of its fields, that one of a few literals must be found in the field's folded text
(a `Clause`). The expression may still be false when they are; it is never true when they are not.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from otel_fim.processors.rules.match.predicates import is_unicode
from otel_fim.sigma import values
from otel_fim.sigma.ir import (
    And,
    Const,
    Expression,
    Field,
    Glob,
    Keyword,
    Match,
    Not,
    Or,
    SameAs,
    Source,
    Text,
    TextKind,
    Wildcard,
)


class Kind(IntEnum):
    """How a literal must be found; the greater, the fewer texts there are in which it is."""

    PRESENT = 0
    """The field is there."""
    CONTAINS = 1
    STARTSWITH = 2
    ENDSWITH = 3
    TAIL = 4
    """What follows the last slash of the text is the literal."""
    EQUALS = 5


@dataclass(slots=True, frozen=True)
class Atom:
    kind: Kind
    literal: str = ""


Clause = frozenset[Atom]
"""One of them must hold."""
Needs = dict[Field, Clause]

KEYWORDS: Final = Field(Source.BODY, "keywords")
"""Stands for all texts in which keywords are looked for."""
_PRESENT: Final = frozenset({Atom(Kind.PRESENT)})
_KINDS: Final = {
    TextKind.EQUALS: Kind.EQUALS,
    TextKind.STARTSWITH: Kind.STARTSWITH,
    TextKind.ENDSWITH: Kind.ENDSWITH,
    TextKind.CONTAINS: Kind.CONTAINS,
}
_MOST_ATOMS: Final = 4096


def needs_of(expression: Expression) -> Needs | None:
    """What each field needs; None for an expression that is never true."""
    return _needs(expression, False)


def _needs(expression: Expression, negated: bool) -> Needs | None:
    match expression:
        case Const():
            return {} if expression.value is not negated else None
        case Not():
            return _needs(expression.item, not negated)
        case And():
            return _either(expression.items, True) if negated else _both(expression.items, False)
        case Or():
            return _both(expression.items, True) if negated else _either(expression.items, False)
        case Match():
            return {} if negated else _of_match(expression)
        case Keyword():
            if negated or not isinstance(expression.test, Text | Glob):
                return {}
            return _clause(KEYWORDS, _as_contained(_atom(expression.test)))


def _both(items: tuple[Expression, ...], negated: bool) -> Needs | None:
    result: Needs = {}
    for item in items:
        found = _needs(item, negated)
        if found is None:
            return None
        for field, clause in found.items():
            known = result.get(field)
            if known is None or _rank(clause) > _rank(known):
                result[field] = clause
    return result


def _either(items: tuple[Expression, ...], negated: bool) -> Needs | None:
    branches = [found for item in items if (found := _needs(item, negated)) is not None]
    if not branches:
        return None
    result: Needs = {}
    for field in branches[0]:
        clauses = [branch.get(field) for branch in branches]
        if None in clauses:
            continue
        clause = frozenset[Atom]().union(*(each for each in clauses if each is not None))
        result[field] = _PRESENT if len(clause) > _MOST_ATOMS else clause
    return result


def _of_match(expression: Match) -> Needs | None:
    field, test = expression.field, expression.test
    match test:
        case Text() | Glob():
            return _clause(field, _atom(test))
        case SameAs():
            return {field: _PRESENT, test.other: _PRESENT}
        case _:
            return {field: _PRESENT}


def _clause(field: Field, atom: Atom | None) -> Needs | None:
    return None if atom is None else {field: frozenset({atom})}


def _atom(test: Text | Glob) -> Atom | None:
    """None for what fits no text. A text that has a literal has the folded literal when it is folded itself."""
    match test:
        case Text(kind=kind, value=value):
            if not is_unicode(value):
                return None
            return _best(_KINDS[kind], values.fold(value))
        case Glob(parts=parts):
            texts = [values.fold(part) for part in parts if not isinstance(part, Wildcard)]
            if not all(map(is_unicode, texts)):
                return None
            atoms = [_best(Kind.CONTAINS, text) for text in texts]
            if parts and not isinstance(parts[0], Wildcard):
                atoms.append(_best(Kind.STARTSWITH, texts[0]))
            if parts and not isinstance(parts[-1], Wildcard):
                atoms.append(_best(Kind.ENDSWITH, texts[-1]))
            return max(atoms, key=_rank_of, default=Atom(Kind.PRESENT))


def _best(kind: Kind, literal: str) -> Atom:
    if kind is Kind.ENDSWITH and "/" in literal:
        return Atom(Kind.TAIL, literal.rpartition("/")[2])
    if not literal and kind is not Kind.EQUALS:
        return Atom(Kind.PRESENT)
    return Atom(kind, literal)


def _as_contained(atom: Atom | None) -> Atom | None:
    if atom is None or atom.kind in (Kind.PRESENT, Kind.CONTAINS):
        return atom
    return Atom(Kind.CONTAINS, atom.literal) if atom.literal else Atom(Kind.PRESENT)


def _rank_of(atom: Atom) -> tuple[bool, int]:
    """The greater, the less likely. A name after a slash is worth more than its letters, a whole text most."""
    weight = {Kind.EQUALS: 100, Kind.TAIL: 12, Kind.STARTSWITH: 2, Kind.ENDSWITH: 2}.get(atom.kind, 0)
    return atom.kind is not Kind.PRESENT, weight + len(atom.literal)


def _rank(clause: Clause) -> tuple[tuple[bool, int], int]:
    """A clause is as good as its weakest literal."""
    return min(map(_rank_of, clause)), -len(clause)
