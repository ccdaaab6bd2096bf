"""Conditions of temporal correlations: rules' names and ids with `and`, `or`, `not` and parentheses.

pySigma takes only names of letters, digits and `_` here; Sigma's rules are named by id as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from otel_fim.sigma.ir import RuleAnd, RuleExpression, RuleNot, RuleOr, RuleRef
from otel_fim.sigma.parse.detections import MAX_CONDITION, MalformedError

_TOKEN: Final = re.compile(r"\s*(\(|\)|[A-Za-z0-9_.:-]+)")
_WORDS: Final = frozenset(("and", "or", "not", "(", ")"))
_MAX_DEPTH: Final = 20


def names_in(text: str) -> tuple[str, ...]:
    """The rules that a condition names, in order of appearance. Raises `MalformedError`."""
    return tuple(dict.fromkeys(token for token in _tokens(text) if token not in _WORDS))


def words_in(text: str) -> frozenset[str]:
    """Which of `and`, `or`, `not` and the parentheses a condition uses. Raises `MalformedError`."""
    return _WORDS.intersection(_tokens(text))


def parse(text: str, id_of: Callable[[str], str]) -> RuleExpression:
    """The condition as an expression of rules' ids; `id_of` gives the id of a name. Raises `MalformedError`."""
    parser = _Parser(_tokens(text), id_of, text)
    found = parser.disjunction(0)
    parser.end()
    return found


def _tokens(text: str) -> list[str]:
    if len(text) > MAX_CONDITION:
        raise MalformedError(f"the condition has {len(text)} characters; at most {MAX_CONDITION} are read")
    tokens: list[str] = []
    place = 0
    end = len(text.rstrip())
    while place < end:
        found = _TOKEN.match(text, place)
        if found is None:
            raise MalformedError(f"the condition {text!r} cannot be read from {text[place:]!r} on")
        tokens.append(found[1])
        place = found.end()
    if not tokens:
        raise MalformedError("the condition is empty")
    return tokens


class _Parser:
    def __init__(self, tokens: list[str], id_of: Callable[[str], str], text: str) -> None:
        self._tokens = tokens
        self._place = 0
        self._id_of = id_of
        self._text = text

    def disjunction(self, depth: int) -> RuleExpression:
        items = [self._conjunction(depth)]
        while self._take("or"):
            items.append(self._conjunction(depth))
        return items[0] if len(items) == 1 else RuleOr(tuple(items))

    def end(self) -> None:
        if self._place < len(self._tokens):
            raise MalformedError(f"the condition {self._text!r} goes on with {self._tokens[self._place]!r}")

    def _conjunction(self, depth: int) -> RuleExpression:
        items = [self._term(depth)]
        while self._take("and"):
            items.append(self._term(depth))
        return items[0] if len(items) == 1 else RuleAnd(tuple(items))

    def _term(self, depth: int) -> RuleExpression:
        if depth > _MAX_DEPTH:
            raise MalformedError(f"the condition has more than {_MAX_DEPTH} levels")
        if self._take("not"):
            return RuleNot(self._term(depth + 1))
        if self._take("("):
            inside = self.disjunction(depth + 1)
            if not self._take(")"):
                raise MalformedError(f"the condition {self._text!r} lacks a closing parenthesis")
            return inside
        token = self._tokens[self._place] if self._place < len(self._tokens) else ""
        if not token or token in _WORDS:
            raise MalformedError(
                f"the condition {self._text!r} lacks a rule{f' before {token!r}' if token else ''}"
            )
        self._place += 1
        return RuleRef(self._id_of(token))

    def _take(self, token: str) -> bool:
        if self._place < len(self._tokens) and self._tokens[self._place] == token:
            self._place += 1
            return True
        return False
