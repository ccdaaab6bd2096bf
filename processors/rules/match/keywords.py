"""From all texts of a record to the rules whose keywords may be among them.

The attributes are written as JSON in one call, which takes half the time of looking at each, and the literals are
looked for in that. A literal that is in a text is in its JSON too when it is escaped in the same way.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

import orjson
import re2

from otel_fim.processors.rules.match.needs import Clause, Kind
from otel_fim.processors.rules.match.sets import Sets
from otel_fim.processors.rules.match.view import keyword_texts, text_form
from otel_fim.record import Record
from otel_fim.sigma import values

_FEW: Final = 8
_BETWEEN: Final = "\x00"
_NUMBER: Final = re.compile(r"[-+.0-9e]*|.*(?:[\[\],][-+0-9]|[0-9][\[\],]).*", re.DOTALL)
"""A literal that may be part of a number, or of a list with what is around it."""
_WORDS: Final = ("nan", "infinity", "-infinity")
_AS_IN_JSON: Final = frozenset((str, int, bool))


class KeywordIndex:
    """The keywords of rules, by bits as in `FieldIndex`."""

    def __init__(self, clauses: Mapping[int, Clause], everything: int, sets: Sets) -> None:
        self.concerned = sum(1 << number for number in clauses)
        self._always = everything & ~self.concerned
        found: defaultdict[str, int] = defaultdict(int)
        for number, clause in clauses.items():
            for atom in clause:
                if atom.kind is Kind.PRESENT:
                    self._always |= 1 << number
                else:
                    found[atom.literal] |= 1 << number
        self._with_floats = any(
            _NUMBER.fullmatch(literal) or any(literal in word for word in _WORDS) for literal in found
        )
        forms: defaultdict[bytes, int] = defaultdict(int)
        for literal, rules in found.items():
            for form in dict.fromkeys((literal.encode(), orjson.dumps(literal)[1:-1])):
                forms[form] |= rules
        self._rules = tuple(forms.values())
        self._set = sets.of(tuple(re2.escape(form) for form in forms)) if len(forms) > _FEW else None
        self._each = tuple(forms.items()) if self._set is None else ()

    def of_record(self, record: Record) -> int:
        """The rules that the record may match."""
        data = self._data(record)
        result = self._always
        if self._set is None:
            for form, rules in self._each:
                if form in data:
                    result |= rules
            return result
        rules_of = self._rules
        for number in self._set.Match(data) or ():
            result |= rules_of[number]
        return result

    def _data(self, record: Record) -> bytes:
        """All that keywords are looked for in, folded, and perhaps more."""
        body = record.body
        listed = list(record.attributes.values())
        if self._with_floats:
            # Numbers with a fraction are written differently.
            listed += [text_form(value) for value in listed if value.__class__ not in _AS_IN_JSON]
        listed.append(body if body.__class__ is str else text_form(body))
        try:
            data = orjson.dumps(listed)
        except TypeError:
            data = b""
        # Keys of maps would have to be sorted, and what is not ASCII is folded as text.
        if data and data.isascii() and b"{" not in data:
            return data.lower()
        return values.fold(_BETWEEN.join(keyword_texts(record))).encode()
