"""Tests of one text, compiled: a function from a text to a truth value, and whether it wants the text folded."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from typing import Final, assert_never

import re2

from otel_fim.sigma import values
from otel_fim.sigma.ir import (
    Cidr,
    Compare,
    Filled,
    Glob,
    Regex,
    Text,
    TextKind,
    Wildcard,
)

Predicate = Callable[[str], bool]
Plain = Text | Glob | Regex | Cidr | Compare | Filled
"""The tests that look at nothing but one text."""

_MANY: Final = 8
"""From this many literals on, one pass of RE2 is faster than one search for each."""


def wants_folded(test: Plain) -> bool:
    return isinstance(test, Text | Glob) and not test.cased


def compile_plain(test: Plain) -> Predicate:
    match test:
        case Text():
            return literals(test.kind, [test.value if test.cased else values.fold(test.value)])
        case Glob():
            return _searcher(glob_pattern(test))
        case Regex():
            return _searcher(regex_pattern(test))
        case Cidr():
            return _network(test.network)
        case Compare():
            return _number(values.COMPARE[test.operator], test.number)
        case Filled():
            return bool
    assert_never(test)


def literals(kind: TextKind, wanted: Sequence[str]) -> Predicate:
    """Whether any of the literals fits."""
    match kind:
        case TextKind.EQUALS:
            return frozenset(wanted).__contains__
        case TextKind.STARTSWITH:
            beginnings = tuple(wanted)
            return lambda text: text.startswith(beginnings)
        case TextKind.ENDSWITH:
            ends = tuple(wanted)
            return lambda text: text.endswith(ends)
        case TextKind.CONTAINS:
            return _contains(wanted)
    assert_never(kind)


def _contains(wanted: Sequence[str]) -> Predicate:
    if len(wanted) == 1:
        one = wanted[0]
        return lambda text: one in text
    encodable = [each for each in wanted if values.is_unicode(each)]
    if len(encodable) >= _MANY:
        return _searcher("|".join(re2.escape(each) for each in encodable))
    parts = tuple(wanted)

    def holds(text: str) -> bool:
        return any(each in text for each in parts)

    return holds


def glob_pattern(test: Glob) -> str:
    """The glob as an RE2 expression for the whole (folded, unless it is cased) text."""
    parts: list[str] = []
    for each in test.parts:
        # A literal star is equal to the wildcard, which is a text too; only its class tells them apart.
        if isinstance(each, Wildcard):
            parts.append("(?s:.*)" if each is Wildcard.ANY else "(?s:.)")
        else:
            parts.append(re2.escape(each if test.cased else values.fold(each)))
    return rf"\A{''.join(parts)}\z"


def regex_pattern(test: Regex) -> str:
    """The expression with its flags in RE2's own notation."""
    flags = "".join(
        letter
        for letter, wanted in (("i", test.ignore_case), ("m", test.multiline), ("s", test.dotall))
        if wanted
    )
    return f"(?{flags}){test.pattern}" if flags else test.pattern


def _searcher(pattern: str) -> Predicate:
    """Raises `re2.error` for an expression that RE2 does not take."""
    if not values.is_unicode(pattern):
        return _never
    options = re2.Options()
    options.never_capture = True
    options.log_errors = False
    compiled = re2.compile(pattern, options)
    search = compiled.search

    def holds(text: str) -> bool:
        return search(text) is not None

    return holds


def _never(text: str) -> bool:
    del text
    return False


def _network(text: str) -> Predicate:
    network = ipaddress.ip_network(text, strict=False)

    def holds(text: str) -> bool:
        address = values.address_of(text)
        return address is not None and address.version == network.version and address in network

    return holds


def _number(compare: Callable[[float, float], bool], wanted: float) -> Predicate:
    def holds(text: str) -> bool:
        number = values.number_of(text)
        return number is not None and compare(number, wanted)

    return holds
