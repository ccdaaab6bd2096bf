"""What must hold of single fields for a rule to match: cheap conditions by which most rules are left out at once.

From an expression follows, for some of its fields, that one of a few literals must be found in the field's folded text
(a `Clause`). Where it is a choice between different fields, there are several such alternatives. The expression may
still be false when they hold; it is never true when none does.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, assert_never

from otel_fim.processors.rules.match.predicates import regex_pattern
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
    Regex,
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
    REGEX = 1
    """An RE2 expression, to be searched for in the text as it is, not folded."""
    CONTAINS = 2
    STARTSWITH = 3
    ENDSWITH = 4
    TAIL = 5
    """What follows the last slash of the text is the literal."""
    EQUALS = 6


@dataclass(slots=True, frozen=True)
class Atom:
    kind: Kind
    literal: str = ""


Clause = frozenset[Atom]
"""One of them must hold."""
Needs = dict[Field, Clause]

KEYWORDS: Final = Field(Source.BODY, "keywords")
"""Stands for all texts in which keywords are looked for."""
_ANY: Final = Atom(Kind.PRESENT)
_PRESENT: Final = frozenset({_ANY})
_KINDS: Final = {
    TextKind.EQUALS: Kind.EQUALS,
    TextKind.STARTSWITH: Kind.STARTSWITH,
    TextKind.ENDSWITH: Kind.ENDSWITH,
    TextKind.CONTAINS: Kind.CONTAINS,
}
_MOST_ATOMS: Final = 4096
_MOST_ALTERNATIVES: Final = 8


def needs_of(expression: Expression) -> list[Needs]:
    """What must hold of the fields: all clauses of one of these. Nothing for an expression that is never true."""
    return _needs(expression, False)


def _needs(expression: Expression, negated: bool) -> list[Needs]:
    match expression:
        case Const():
            return [{}] if expression.value is not negated else []
        case Not():
            return _needs(expression.item, not negated)
        case And() if not negated:
            return _both(expression.items, False)
        case Or() if negated:
            return _both(expression.items, True)
        case And() | Or():
            return _either(expression.items, negated)
        case Match():
            return [{}] if negated else _of_match(expression)
        case Keyword():
            if negated or not isinstance(expression.test, Text | Glob):
                return [{}]
            return _clause(KEYWORDS, _as_contained(_atom(expression.test)))
    assert_never(expression)


def _both(items: tuple[Expression, ...], negated: bool) -> list[Needs]:
    """Each alternative of one with each of the others; where that would be too many, less is asked for."""
    result: list[Needs] = [{}]
    for found in sorted((_needs(item, negated) for item in items), key=len):
        if len(result) * len(found) > _MOST_ALTERNATIVES:
            found = [_common(found)]
        result = _grouped([_joined(one, other) for one in result for other in found])
    return result


def _joined(one: Needs, other: Needs) -> Needs:
    result = dict(one)
    for field, clause in other.items():
        known = result.get(field)
        if known is None or _rank(clause) > _rank(known):
            result[field] = clause
    return result


def _either(items: tuple[Expression, ...], negated: bool) -> list[Needs]:
    found = _grouped([each for item in items for each in _needs(item, negated)])
    return [_common(found)] if len(found) > _MOST_ALTERNATIVES else found


def _grouped(alternatives: list[Needs]) -> list[Needs]:
    """Alternatives that need the same fields become one, which asks a little less of them."""
    groups: dict[frozenset[Field], list[Needs]] = {}
    for each in alternatives:
        groups.setdefault(frozenset(each), []).append(each)
    # Who needs nothing may always match, whatever the others need.
    return [{}] if frozenset() in groups else [_common(group) for group in groups.values()]


def _common(alternatives: list[Needs]) -> Needs:
    """What all of the alternatives need."""
    result: Needs = {}
    first, *others = alternatives
    for field, clause in first.items():
        if all(field in other for other in others):
            union = clause.union(*(other[field] for other in others))
            is_weak = _ANY in union or len(union) > _MOST_ATOMS
            result[field] = _PRESENT if is_weak else union
    return result


def _of_match(expression: Match) -> list[Needs]:
    field, test = expression.field, expression.test
    match test:
        case Text() | Glob():
            return _clause(field, _atom(test))
        case SameAs():
            return [{field: _PRESENT, test.other: _PRESENT}]
        case Regex() if values.is_unicode(test.pattern):
            return _clause(field, Atom(Kind.REGEX, regex_pattern(test)))
        case _:
            return [{field: _PRESENT}]


def _clause(field: Field, atom: Atom | None) -> list[Needs]:
    return [] if atom is None else [{field: frozenset({atom})}]


def _atom(test: Text | Glob) -> Atom | None:
    """None for what fits no text. A text that has a literal has the folded literal when it is folded itself."""
    match test:
        case Text(kind=kind, value=value):
            if not values.is_unicode(value):
                return None
            return _best(_KINDS[kind], values.fold(value))
        case Glob(parts=parts):
            texts = [values.fold(part) for part in parts if not isinstance(part, Wildcard)]
            if not all(map(values.is_unicode, texts)):
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
    if atom.kind is Kind.REGEX:
        return True, 0
    weight = {Kind.EQUALS: 100, Kind.TAIL: 12, Kind.STARTSWITH: 2, Kind.ENDSWITH: 2}.get(atom.kind, 0)
    return atom.kind is not Kind.PRESENT, weight + len(atom.literal)


def _rank(clause: Clause) -> tuple[tuple[bool, int], int]:
    """A clause is as good as its weakest literal."""
    return min(map(_rank_of, clause)), -len(clause)
