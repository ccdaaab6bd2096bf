"""A rule's condition in words, and which of its parts a record does not meet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, assert_never

from otel_fim.processors.rules.match.interpret import holds
from otel_fim.processors.rules.match.view import text_form
from otel_fim.record import AnyValue, Record
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
)

_KINDS: Final = {
    TextKind.EQUALS: "is",
    TextKind.STARTSWITH: "starts with",
    TextKind.ENDSWITH: "ends with",
    TextKind.CONTAINS: "contains",
}
OPERATORS: Final = {
    Operator.EQ: "=",
    Operator.NEQ: "≠",
    Operator.LT: "<",
    Operator.LTE: "≤",
    Operator.GT: ">",
    Operator.GTE: "≥",
}


def words(expression: Expression) -> str:
    """The expression for people: `file.path starts with "/etc/" and not (…)`."""
    match expression:
        case Const(value):
            return "always" if value else "never"
        case Match(field, test):
            return f"{field_name(field)} {_test(test)}"
        case Keyword(test):
            return f"any value {_test(test)}"
        case Not(item):
            return f"not {_inner(item)}"
        case And(items):
            return " and ".join(_inner(item) for item in items)
        case Or(items):
            return _alternatives(items)
    assert_never(expression)


def field_name(field: Field) -> str:
    """What a field is called: the attribute's name, or the part of the record."""
    if field.source is Source.ATTRIBUTE:
        return field.name
    if field.source is Source.RESOURCE:
        return f"resource {field.name}"
    return field.source.value


def fields_of(expression: Expression) -> Iterator[Field]:
    """Every field that is looked at, as often as it is."""
    match expression:
        case Match(field, test):
            yield field
            if isinstance(test, SameAs):
                yield test.other
        case Not(item):
            yield from fields_of(item)
        case And(items) | Or(items):
            for item in items:
                yield from fields_of(item)


def _inner(expression: Expression) -> str:
    shown = words(expression)
    return f"({shown})" if isinstance(expression, And | Or) else shown


def _alternatives(items: tuple[Expression, ...]) -> str:
    """Values of one field that are compared in the same way stand together."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for item in items:
        if isinstance(item, Match) and isinstance(item.test, Text):
            how = _KINDS[item.test.kind] + (" exactly" if item.test.cased else "")
            grouped.setdefault((field_name(item.field), how), []).append(_quoted(item.test.value))
        else:
            grouped.setdefault((_inner(item), ""), [])
    parts = []
    for (what, how), values in grouped.items():
        if len(values) > 1:
            parts.append(f"{what} {how} one of {', '.join(values)}")
        else:
            parts.append(" ".join(part for part in (what, how, *values) if part))
    return " or ".join(parts)


def _test(test: Test) -> str:
    match test:
        case Text(kind, value, cased):
            return f"{_KINDS[kind]}{' exactly' if cased else ''} {_quoted(value)}"
        case Glob(parts, cased):
            return f"is{' exactly' if cased else ''} like {_quoted(''.join(parts))}"
        case Regex(pattern):
            return f"matches {_quoted(pattern)}"
        case Cidr(network):
            return f"is in {network}"
        case Compare(operator, number):
            return f"{OPERATORS[operator]} {number:g}"
        case Present():
            return "is there"
        case Filled():
            return "is not empty"
        case SameAs(kind, other, _):
            return f"{_KINDS[kind]} {field_name(other)}"
        case InTime(part, operator, number):
            return f"has {part.value} {OPERATORS[operator]} {number}"
    assert_never(test)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '\\"') + '"'


# --- Why not ---------------------------------------------------------------------------------------------


def why_not(expression: Expression, record: Record, wanted: bool = True) -> list[str]:
    """The parts that keep the expression from being `wanted` of the record, each with what the record has; empty when
    it is."""
    if holds(expression, record) is wanted:
        return []
    match expression:
        case Not(item):
            return why_not(item, record, not wanted)
        case And(items) if wanted:
            return [reason for item in items for reason in why_not(item, record)]
        case Or(items) if not wanted:
            return [reason for item in items for reason in why_not(item, record, False)]
    looked_at = set(fields_of(expression))
    if len(looked_at) == 1:
        return [f"{_must(expression, wanted)}, and it is {_seen(looked_at.pop(), record)}"]
    return [_must(expression, wanted)]


def _must(expression: Expression, wanted: bool) -> str:
    return f"{_inner(expression)} must {'' if wanted else 'not '}hold"


def because(expression: Expression, record: Record) -> list[str]:
    """The parts by which an expression is true of a record: of alternatives the first that holds."""
    match expression:
        case And(items):
            parts = [reason for item in items for reason in because(item, record)]
            return parts or [words(expression)]
        case Or(items):
            true = next((item for item in items if holds(item, record)), expression)
            return [words(true)] if true is expression else because(true, record)
        case Not():
            return []
    return [words(expression)]


def _seen(field: Field, record: Record) -> str:
    value: AnyValue
    match field.source:
        case Source.ATTRIBUTE:
            value = record.attributes.get(field.name)
        case Source.RESOURCE:
            value = record.resource.attributes.get(field.name)
        case Source.EVENT_NAME:
            value = record.event_name
        case Source.BODY:
            value = record.body
        case Source.SEVERITY_TEXT:
            value = record.severity_text
        case Source.SEVERITY_NUMBER:
            value = record.severity_number
        case Source.TIME:
            value = record.time_unix_nano
    return "not there" if value is None else _quoted(text_form(value))
