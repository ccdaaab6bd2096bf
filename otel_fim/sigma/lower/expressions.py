"""pySigma's condition trees as expressions."""

from __future__ import annotations

import ipaddress
from typing import Any, Final

from sigma.conditions import (
    ConditionAND,
    ConditionFieldEqualsValueExpression,
    ConditionNOT,
    ConditionOR,
    ConditionValueExpression,
)
from sigma.types import (
    CompareOperators,
    SigmaBool,
    SigmaCasedString,
    SigmaCIDRExpression,
    SigmaCompareExpression,
    SigmaExists,
    SigmaExpansion,
    SigmaFieldReference,
    SigmaNull,
    SigmaNumber,
    SigmaRegularExpression,
    SigmaRegularExpressionFlag,
    SigmaString,
    SigmaTimestampPart,
    SigmaType,
    SpecialChars,
    TimestampPart,
)

from otel_fim.sigma import ir
from otel_fim.sigma.lower.simplify import both, either, negated
from otel_fim.sigma.lower.strings import test_of
from otel_fim.sigma.mapping.fields import field_of
from otel_fim.sigma.parse.modifiers import BytesString, Reference, Weekday

_MAX_EXACT: Final = 2**53
"""Whole numbers beyond it are not exact as a double, so they are compared as text."""
_MAPPED: Final = 96
"""Bits before the IPv4 address in an IPv4-mapped one."""
_WILDCARDS: Final[dict[Any, ir.Wildcard]] = {
    SpecialChars.WILDCARD_MULTI: ir.Wildcard.ANY,
    SpecialChars.WILDCARD_SINGLE: ir.Wildcard.ONE,
}
_OPERATORS: Final = {
    CompareOperators.LT: ir.Operator.LT,
    CompareOperators.LTE: ir.Operator.LTE,
    CompareOperators.GT: ir.Operator.GT,
    CompareOperators.GTE: ir.Operator.GTE,
    CompareOperators.NEQ: ir.Operator.NEQ,
}
_TIME_PARTS: Final = {
    TimestampPart.MINUTE: ir.TimePart.MINUTE,
    TimestampPart.HOUR: ir.TimePart.HOUR,
    TimestampPart.DAY: ir.TimePart.DAY,
    TimestampPart.WEEK: ir.TimePart.WEEK,
    TimestampPart.MONTH: ir.TimePart.MONTH,
    TimestampPart.YEAR: ir.TimePart.YEAR,
}
_RANGES: Final = {
    ir.TimePart.MINUTE: (0, 59),
    ir.TimePart.HOUR: (0, 23),
    ir.TimePart.DAY: (1, 31),
    ir.TimePart.WEEKDAY: (1, 7),
    ir.TimePart.WEEK: (1, 53),
    ir.TimePart.MONTH: (1, 12),
    ir.TimePart.YEAR: (1, 9999),
}
_KINDS: Final[dict[type, str]] = {
    SigmaNull: "null",
    SigmaCIDRExpression: "a network",
    SigmaCompareExpression: "compared as a number",
    Reference: "a field",
    SigmaTimestampPart: "a part of a time",
    Weekday: "a part of a time",
}
_TIME_FIELD: Final = "timestamp_"
"""`timestamp_hour` is the hour of the record's time: for parts that other tools' parsers have no modifier for."""


class MeaninglessError(ValueError):
    """A test that has no meaning here; the message says why."""


def expression(tree: Any) -> ir.Expression:
    """A condition tree as an expression.

    Raises `MeaninglessError` and `mapping.fields.UnknownFieldError`, which say what is wrong with which field.
    """
    if isinstance(tree, ConditionAND):
        return both(expression(each) for each in tree.args)
    if isinstance(tree, ConditionOR):
        return either(expression(each) for each in tree.args)
    if isinstance(tree, ConditionNOT):
        return negated(expression(tree.args[0]))
    if isinstance(tree, ConditionFieldEqualsValueExpression):
        return _field(tree.field, tree.value)
    if isinstance(tree, ConditionValueExpression):
        return _keyword(tree.value)
    raise MeaninglessError("the condition is empty")


def _field(name: str, value: SigmaType) -> ir.Expression:
    if isinstance(value, SigmaExpansion):
        return either(_field(name, each) for each in value.values)
    if name.startswith(_TIME_FIELD):
        return _time_part(name, value)
    field = field_of(name)
    if isinstance(value, SigmaNull):
        return negated(ir.Match(field, ir.Filled()))
    if isinstance(value, SigmaExists):
        there = ir.Const(True) if field.source is ir.Source.TIME else ir.Match(field, ir.Present())
        return there if value.exists else negated(there)
    return ir.Match(field, _test(name, value))


def _keyword(value: SigmaType) -> ir.Expression:
    if isinstance(value, SigmaExpansion):
        return either(_keyword(each) for each in value.values)
    if isinstance(value, SigmaBool | SigmaNumber) and not isinstance(value, SigmaTimestampPart):
        test: ir.Test = ir.Text(ir.TextKind.CONTAINS, str(value).lower())
    elif isinstance(value, SigmaString | SigmaRegularExpression):
        test = _test("a keyword", value)
    else:
        raise MeaninglessError(
            f"a keyword cannot be {_KINDS.get(type(value), 'this')}: name a field before the pipe"
        )
    if isinstance(test, ir.Text) and not test.value:
        raise MeaninglessError(
            "a keyword is empty, so every record would match: leave it out, or write a field with exists"
        )
    return ir.Keyword(test)


def _test(name: str, value: SigmaType) -> ir.Test:
    if isinstance(value, BytesString):
        value = value.as_text()
    if isinstance(value, SigmaString):
        return test_of(
            (part if isinstance(part, str) else _WILDCARDS[part] for part in value.s),
            isinstance(value, SigmaCasedString),
        )
    if isinstance(value, SigmaTimestampPart):
        return _in_time(value, ir.Operator.EQ)
    if isinstance(value, SigmaNumber):
        return _number(value, ir.Operator.EQ)
    if isinstance(value, SigmaBool):
        return ir.Text(ir.TextKind.EQUALS, str(value).lower())
    if isinstance(value, SigmaRegularExpression):
        return _regex(value)
    if isinstance(value, SigmaCIDRExpression):
        return ir.Cidr(_network(value.network))
    if isinstance(value, SigmaCompareExpression):
        operator = _OPERATORS[value.op]
        if isinstance(value.number, SigmaTimestampPart):
            return _in_time(value.number, operator)
        return _number(value.number, operator)
    if isinstance(value, SigmaFieldReference):
        return _same_as(value)
    raise MeaninglessError(f"{name} is compared with a {type(value).__name__}, which has no meaning here")


def _network(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> str:
    """The network as text, one of IPv4-mapped addresses as the IPv4 network: so addresses are looked at, too."""
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= _MAPPED:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return f"{mapped}/{network.prefixlen - _MAPPED}"
    return str(network)


def _number(value: SigmaNumber, operator: ir.Operator) -> ir.Test:
    if isinstance(value.number, int) and abs(value.number) > _MAX_EXACT and operator is ir.Operator.EQ:
        return ir.Text(ir.TextKind.EQUALS, str(value.number))
    try:
        return ir.Compare(operator, float(value.number))
    except OverflowError:
        raise MeaninglessError("a number is larger than any that records hold") from None


def _in_time(value: SigmaTimestampPart, operator: ir.Operator) -> ir.InTime:
    part = ir.TimePart.WEEKDAY if isinstance(value, Weekday) else _TIME_PARTS[value.timestamp_part]
    lowest, highest = _RANGES[part]
    number = int(value.number)
    if not lowest <= number <= highest:
        raise MeaninglessError(f"{part.value} {number} does not exist: it is between {lowest} and {highest}")
    return ir.InTime(part, operator, number)


def _time_part(name: str, value: SigmaType) -> ir.Expression:
    try:
        part = ir.TimePart(name.removeprefix(_TIME_FIELD))
    except ValueError:
        raise MeaninglessError(
            f"unknown field {name!r}; there are {', '.join(_TIME_FIELD + each for each in ir.TimePart)}"
        ) from None
    operator = ir.Operator.EQ
    if isinstance(value, SigmaCompareExpression):
        operator, value = _OPERATORS[value.op], value.number
    if not isinstance(value, SigmaNumber) or not isinstance(value.number, int):
        raise MeaninglessError(f"{name} is compared with whole numbers only")
    made = Weekday(value.number)
    if part is not ir.TimePart.WEEKDAY:
        reverse = {mapped: own for own, mapped in _TIME_PARTS.items()}
        return ir.Match(
            ir.Field(ir.Source.TIME), _in_time(SigmaTimestampPart(reverse[part], value.number), operator)
        )
    return ir.Match(ir.Field(ir.Source.TIME), _in_time(made, operator))


def _regex(value: SigmaRegularExpression) -> ir.Regex:
    flags = value.flags
    return ir.Regex(
        value.regexp.to_plain(regex=True),
        SigmaRegularExpressionFlag.IGNORECASE in flags,
        SigmaRegularExpressionFlag.MULTILINE in flags,
        SigmaRegularExpressionFlag.DOTALL in flags,
    )


def _same_as(value: SigmaFieldReference) -> ir.SameAs:
    kinds = {
        (False, False): ir.TextKind.EQUALS,
        (True, False): ir.TextKind.STARTSWITH,
        (False, True): ir.TextKind.ENDSWITH,
        (True, True): ir.TextKind.CONTAINS,
    }
    cased = isinstance(value, Reference) and value.cased
    return ir.SameAs(kinds[value.starts_with, value.ends_with], field_of(value.field), cased)
