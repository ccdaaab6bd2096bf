"""The rules that records of one event name may match, and how the few that are worth a look are found."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import compress, repeat
from operator import is_
from typing import Final

from otel_fim.processors.rules.match.index import FieldIndex
from otel_fim.processors.rules.match.needs import KEYWORDS, Clause, Needs
from otel_fim.processors.rules.match.view import ABSENT, Getter, getter, text_form
from otel_fim.record import Record
from otel_fim.sigma.ir import Field, Source

_BETWEEN: Final = "\x00"


class _AllBut(dict[type, bool]):
    """True for every type but the given ones."""

    def __init__(self, *types: type) -> None:
        super().__init__(dict.fromkeys(types, False))

    def __missing__(self, kind: type) -> bool:
        return True


_NO_TEXT: Final = _AllBut(str)
_NO_TEXT_OR_NUMBER: Final = _AllBut(str, int, float, bool)
_WORDS: Final = ("true", "false", "nan", "infinity")
"""What texts of numbers and truth values have other than digits, folded."""


class Plan:
    """`candidates` gives, as bits, the rules that may match a record: bit n is the rule at `numbers[n]`. A rule with
    several alternatives has as many bits, one beside the other."""

    def __init__(self, rules: Sequence[int], needs: Sequence[Sequence[Needs]]) -> None:
        self.numbers = tuple(number for number in rules for _ in needs[number])
        alternatives = [each for number in rules for each in needs[number]]
        self._all = (1 << len(self.numbers)) - 1
        clauses: defaultdict[Field, dict[int, Clause]] = defaultdict(dict)
        for bit, needed in enumerate(alternatives):
            for field, clause in needed.items():
                clauses[field][bit] = clause
        keywords = clauses.pop(KEYWORDS, None)
        indexes = [
            (field, FieldIndex(found, self._all, many=field.many))
            for field, found in clauses.items()
            if field.source is not Source.TIME
        ]
        # What needs no search first; among these, what tells most rules apart.
        indexes.sort(key=lambda each: (each[1].cost > 0, -each[1].concerned.bit_count()))
        self._attributes: list[tuple[str, FieldIndex, int, int, dict[str, int]]] = [
            (field.name, index, index.concerned, index.absent, index.kept)
            for field, index in indexes
            if field.source is Source.ATTRIBUTE
        ]
        self._others: list[tuple[Getter, FieldIndex]] = [
            (getter(field), index) for field, index in indexes if field.source is not Source.ATTRIBUTE
        ]
        self._keywords = FieldIndex(keywords, self._all, keep=False) if keywords else None
        self._with_numbers = keywords is not None and any(map(_may_be_in_number, keywords.values()))

    def candidates(self, record: Record) -> int:
        mask = self._all
        attributes = record.attributes
        for name, index, concerned, absent, kept in self._attributes:
            if mask & concerned:
                value = attributes.get(name, ABSENT)
                if value.__class__ is str:
                    found = kept.get(value)
                    if found is None:
                        found = index.of_value(value)
                    mask &= found
                elif value is ABSENT:
                    mask &= absent
                else:
                    mask &= index.of_value(value)  # type: ignore[arg-type]
        for get, index in self._others:
            if mask & index.concerned:
                value = get(record)
                mask &= index.absent if value is ABSENT else index.of_value(value)  # type: ignore[arg-type]
        if self._keywords is not None and mask & self._keywords.concerned:
            mask &= self._keywords.of_text(self._keyword_text(record))
        return mask

    def _keyword_text(self, record: Record) -> str:
        """All texts in which keywords are looked for; without numbers where no keyword can be in one."""
        values = record.attributes.values()
        # Without a loop in Python: this is done for every record.
        kinds = list(map(type, values))
        texts: list[str] = list(compress(values, map(is_, kinds, repeat(str))))  # type: ignore[arg-type]
        wanted = _NO_TEXT if self._with_numbers else _NO_TEXT_OR_NUMBER
        texts += map(text_form, compress(values, map(wanted.__getitem__, kinds)))
        texts.append(text_form(record.body))
        return _BETWEEN.join(texts)


def _may_be_in_number(clause: Clause) -> bool:
    return any(
        atom.literal in word or not atom.literal.strip("+-.0123456789e") for atom in clause for word in _WORDS
    )
