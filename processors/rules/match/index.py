"""From a field's text to the rules whose clause it meets.

A set of rules is an integer with one bit for each. The literals that must be contained in a text, or begin or end it,
are looked for in one pass (RE2's set of expressions), whole texts and names after the last slash in dictionaries, and
what was found is kept for texts that come again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

import re2

from otel_fim.processors.rules.match.needs import Atom, Clause, Kind
from otel_fim.processors.rules.match.sets import Expressions, Sets
from otel_fim.processors.rules.match.view import element_forms, text_form
from otel_fim.record import AnyValue
from otel_fim.sigma import values

_FEW: Final = 8
"""Up to so many literals are looked for one by one: that takes less time than a pass of RE2."""
_KEPT_TEXTS: Final = 1024
_KEPT_LENGTH: Final = 256


class FieldIndex:
    """The clauses that rules have for one field. `absent` are the rules that a record without the field may still
    match: those without a clause; `concerned` the others."""

    def __init__(
        self, clauses: Mapping[int, Clause], everything: int, sets: Sets, *, many: bool = False
    ) -> None:
        self.concerned = sum(1 << number for number in clauses)
        self.absent = everything & ~self.concerned
        self.kept: dict[str, int] = {}
        self._many = many
        self._present = self.absent
        by_kind: defaultdict[Kind, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
        for number, clause in clauses.items():
            for atom in clause:
                if atom.kind is Kind.PRESENT:
                    self._present |= 1 << number
                else:
                    by_kind[atom.kind][atom.literal] |= 1 << number
        self._expressions = Expressions(by_kind[Kind.REGEX], sets) if by_kind[Kind.REGEX] else None
        self._exact: dict[str, int] = dict(by_kind[Kind.EQUALS])
        self._tails: dict[str, int] = dict(by_kind[Kind.TAIL])
        self._searched = _Searched(
            [
                (Atom(kind, literal), rules)
                for kind in (Kind.CONTAINS, Kind.STARTSWITH, Kind.ENDSWITH)
                for literal, rules in by_kind[kind].items()
            ],
            sets,
        )

    @property
    def cost(self) -> int:
        """Greater for fields that take longer to look at."""
        return self._searched.cost + (self._expressions is not None)

    def of_value(self, value: AnyValue) -> int:
        """The rules that a record with this value may match."""
        if self._many:
            result = self._present
            for each in element_forms(value):
                result |= self.of_text(each)
            return result
        return self.of_text(value if value.__class__ is str else text_form(value))

    def of_text(self, raw: str) -> int:
        """The same for its text."""
        result = self.kept.get(raw)
        if result is not None:
            return result
        text = values.fold(raw if raw.isascii() else text_form(raw))
        result = self._present | self._searched.rules(text)
        if self._expressions is not None:
            result |= self._expressions.rules(raw if raw.isascii() else text_form(raw))
        if self._exact:
            result |= self._exact.get(text, 0)
        if self._tails:
            result |= self._tails.get(text[text.rfind("/") + 1 :], 0)
        if len(raw) <= _KEPT_LENGTH:
            if len(self.kept) >= _KEPT_TEXTS:
                self.kept.clear()
            self.kept[raw] = result
        return result


class _Searched:
    """Literals that are looked for within a text."""

    def __init__(self, found: Sequence[tuple[Atom, int]], sets: Sets) -> None:
        self.cost = len(found)
        self._rules = [rules for _, rules in found]
        self._set = (
            sets.of(tuple(_pattern(atom).encode() for atom, _ in found)) if len(found) > _FEW else None
        )
        self._each: tuple[tuple[Kind, str, int], ...] = ()
        if self._set is None:
            self._each = tuple((atom.kind, atom.literal, rules) for atom, rules in found)

    def rules(self, text: str) -> int:
        result = 0
        if self._set is not None:
            rules = self._rules
            for number in self._set.Match(text) or ():
                result |= rules[number]
            return result
        for kind, literal, these in self._each:
            if (
                literal in text
                if kind is Kind.CONTAINS
                else text.startswith(literal)
                if kind is Kind.STARTSWITH
                else text.endswith(literal)
            ):
                result |= these
        return result


def _pattern(atom: Atom) -> str:
    literal: str = re2.escape(atom.literal)
    match atom.kind:
        case Kind.STARTSWITH:
            return rf"\A{literal}"
        case Kind.ENDSWITH:
            return rf"{literal}\z"
        case _:
            return literal
