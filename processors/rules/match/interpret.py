"""What an expression says of a record, read off the expression step by step: slow, and what the compiled rules are held
against."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import tzinfo
from typing import assert_never

import re2

from otel_fim.processors.rules.match.moments import part_of, zone_of
from otel_fim.processors.rules.match.view import (
    ABSENT,
    element_forms,
    getter,
    keyword_texts,
    text_form,
    time_of,
)
from otel_fim.record import Record
from otel_fim.sigma import values
from otel_fim.sigma.ir import (
    And,
    Cidr,
    Compare,
    Const,
    Expression,
    Field,
    Filled,
    Glob,
    InTime,
    Keyword,
    Match,
    Not,
    Operator,
    Or,
    Present,
    Regex,
    SameAs,
    Source,
    Test,
    Text,
    TextKind,
    Wildcard,
)


def holds(expression: Expression, record: Record, *, timezone: str = "UTC") -> bool:
    """Whether the expression is true of the record."""
    match expression:
        case Const(value):
            return value
        case Not(item):
            return not holds(item, record, timezone=timezone)
        case And(items):
            return all(holds(item, record, timezone=timezone) for item in items)
        case Or(items):
            return any(holds(item, record, timezone=timezone) for item in items)
        case Keyword(test):
            return any(_test(test, text, record, zone_of(timezone)) for text in keyword_texts(record))
        case Match(field, test):
            return _match(field, test, record, zone_of(timezone))
    assert_never(expression)


def _match(field: Field, test: Test, record: Record, zone: tzinfo) -> bool:
    texts = _texts(field, record)
    if texts is None:
        return False
    if isinstance(test, Present):
        return True
    if isinstance(test, InTime) and field.source is Source.TIME:
        return _in_time(test, time_of(record), zone)
    return any(_test(test, text, record, zone) for text in texts)


def _texts(field: Field, record: Record) -> Sequence[str] | None:
    value = getter(field)(record)
    if value is ABSENT:
        return None
    return element_forms(value) if field.many else [text_form(value)]  # type: ignore[arg-type]


def _test(test: Test, text: str, record: Record, zone: tzinfo) -> bool:
    match test:
        case Text(kind, value, cased):
            return _fits(kind, text, value, cased)
        case Glob(parts, cased):
            if cased:
                return _glob(parts, text)
            folded = [part if isinstance(part, Wildcard) else values.fold(part) for part in parts]
            return _glob(folded, values.fold(text))
        case Regex(pattern, ignore_case, multiline, dotall):
            flags = "i" * ignore_case + "m" * multiline + "s" * dotall
            return re2.search(f"(?{flags}){pattern}" if flags else pattern, text) is not None
        case Cidr(network):
            address = values.address_of(text)
            return address is not None and address in ipaddress.ip_network(network, strict=False)
        case Compare(operator, number):
            found = values.number_of(text)
            return found is not None and _compares(operator, found, number)
        case Present():
            return True
        case Filled():
            return text != ""
        case SameAs(kind, other, cased):
            return any(_fits(kind, text, each, cased) for each in _texts(other, record) or ())
        case InTime():
            moment = values.time_of(text)
            return moment is not None and _in_time(test, moment, zone)
    assert_never(test)


def _fits(kind: TextKind, text: str, value: str, cased: bool) -> bool:
    if not cased:
        text, value = values.fold(text), values.fold(value)
    if kind is TextKind.EQUALS:
        return text == value
    if kind is TextKind.STARTSWITH:
        return text.startswith(value)
    if kind is TextKind.ENDSWITH:
        return text.endswith(value)
    return value in text


def _glob(parts: Sequence[str | Wildcard], text: str) -> bool:
    """Keeps the places in the text that the parts so far can end at."""
    places = {0}
    for part in parts:
        if isinstance(part, Wildcard):
            if part is Wildcard.ANY:
                places = set(range(min(places), len(text) + 1)) if places else set()
            else:
                places = {place + 1 for place in places if place < len(text)}
        else:
            places = {place + len(part) for place in places if text.startswith(part, place)}
    return len(text) in places


def _in_time(test: InTime, moment: int, zone: tzinfo) -> bool:
    found = part_of(moment, test.part, zone)
    return found is not None and _compares(test.operator, found, test.number)


def _compares(operator: Operator, found: float, wanted: float) -> bool:
    match operator:
        case Operator.EQ:
            return found == wanted
        case Operator.NEQ:
            return found != wanted
        case Operator.LT:
            return found < wanted
        case Operator.LTE:
            return found <= wanted
        case Operator.GT:
            return found > wanted
        case Operator.GTE:
            return found >= wanted
    assert_never(operator)
