"""The rules that records of one event name may match, and how the few that are worth a look are found."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from otel_fim.processors.rules.match.index import FieldIndex
from otel_fim.processors.rules.match.keywords import KeywordIndex
from otel_fim.processors.rules.match.needs import KEYWORDS, Clause, Needs
from otel_fim.processors.rules.match.sets import Sets
from otel_fim.processors.rules.match.view import ABSENT, Getter, getter
from otel_fim.record import Record
from otel_fim.sigma.ir import Field, Source


class Plan:
    """`candidates` gives, as bits, the rules that may match a record: bit n is the rule at `numbers[n]`. A rule with
    several alternatives has as many bits, one beside the other."""

    def __init__(self, rules: Sequence[int], needs: Sequence[Sequence[Needs]], sets: Sets) -> None:
        self.numbers = tuple(number for number in rules for _ in needs[number])
        alternatives = [each for number in rules for each in needs[number]]
        self._all = (1 << len(self.numbers)) - 1
        clauses: defaultdict[Field, dict[int, Clause]] = defaultdict(dict)
        for bit, needed in enumerate(alternatives):
            for field, clause in needed.items():
                clauses[field][bit] = clause
        keywords = clauses.pop(KEYWORDS, None)
        indexes = [
            (field, FieldIndex(found, self._all, sets, many=field.many))
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
        self._keywords = KeywordIndex(keywords, self._all, sets) if keywords else None

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
            mask &= self._keywords.of_record(record)
        return mask
