"""Many RE2 expressions that are looked for in one pass."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import re2

_LEAST_BYTES: Final = 512 << 10
_BYTES_PER_CHARACTER: Final = 800
_MOST_BYTES: Final = 512 << 20
"""What a set may take for itself and for what it learns from the texts that it sees. With this much it holds
nearly all that literals need; with less it learns the same again and again, and takes three times as long."""

_LONG: Final = 32_768
"""Longer texts are not given to many expressions at once, but to each by itself: for one expression RE2 has a way that
needs no memory, for many it has none."""
_LONGEST: Final = 1_000
_MOST_REPETITIONS: Final = 32
_COUNT: Final = re.compile(r"(?<=[{,])[0-9]{1,9}(?=[,}])")


class Sets:
    """Makes sets, each once: events that are much alike share theirs."""

    def __init__(self) -> None:
        self._made: dict[tuple[bytes, ...], re2.Set | None] = {}

    def of(self, patterns: tuple[bytes, ...]) -> re2.Set | None:
        """A set whose `Match` gives numbers in this order; None when RE2 cannot hold that much."""
        if patterns not in self._made:
            self._made[patterns] = _make(patterns)
        return self._made[patterns]


def _make(patterns: tuple[bytes, ...]) -> re2.Set | None:
    memory = _LEAST_BYTES + sum(map(len, patterns)) * _BYTES_PER_CHARACTER
    while memory <= _MOST_BYTES:
        options = re2.Options()
        options.never_capture = True
        options.log_errors = False
        options.max_mem = memory
        made = re2.Set.SearchSet(options)
        try:
            for pattern in patterns:
                made.Add(pattern)
            made.Compile()
        except re2.error:
            memory *= 4
        else:
            return made
    return None


class Expressions:
    """RE2 expressions that rules look for in one field, and what rules those are.

    Most expressions need some literal: which of them may be in a text is known from the literals that are in it, in one
    pass. The others are looked for in a pass of their own. All of them in one pass would remember so much that it takes
    a hundred times as long.
    """

    def __init__(self, rules: Mapping[str, int], sets: Sets) -> None:
        patterns = tuple(rules)
        self._filter = _make_filter(patterns)
        unknown = range(len(patterns)) if self._filter is None else self._filter.Match("", True) or ()
        self._filtered = list(rules.values())
        self._always = 0
        self._searched: list[int] = []
        together: list[bytes] = []
        for number in unknown:
            if _is_simple(patterns[number]):
                self._searched.append(self._filtered[number])
                together.append(patterns[number].encode())
            else:
                self._always |= self._filtered[number]
            self._filtered[number] = 0
        self._set = sets.of(tuple(together)) if together else None
        self._all_searched = self._always
        for each in self._searched:
            self._all_searched |= each

    def rules(self, text: str) -> int:
        """The rules of the expressions that may be in the text."""
        result = self._always
        if self._filter is not None:
            for number in self._filter.Match(text, True) or ():
                result |= self._filtered[number]
        if self._searched:
            if self._set is None or len(text) > _LONG:
                result |= self._all_searched
            else:
                for number in self._set.Match(text) or ():
                    result |= self._searched[number]
        return result


def _is_simple(pattern: str) -> bool:
    """Whether the expression may be looked for with others: repetitions multiply what is to be remembered."""
    return len(pattern) <= _LONGEST and all(
        int(count) <= _MOST_REPETITIONS for count in _COUNT.findall(pattern)
    )


def _make_filter(patterns: tuple[str, ...]) -> re2.Filter | None:
    options = re2.Options()
    options.log_errors = False
    made = re2.Filter()
    try:
        for pattern in patterns:
            made.Add(pattern, options)
        made.Compile()
    except re2.error:
        return None
    return made
