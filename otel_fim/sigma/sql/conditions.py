"""Expressions of a rule as ClickHouse conditions: always 0 or 1, never NULL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, assert_never
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

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
    TimePart,
    Wildcard,
)
from otel_fim.sigma.sql.layout import ADDED_LATER, Layout, SqlError
from otel_fim.sigma.sql.quoting import listed, literal, number
from otel_fim.sigma.sql.texts import cidr, compared, folded_whole, glob, regex, texts
from otel_fim.sigma.values import NUMBER_PATTERN, TIME_PATTERN

_SIGNS: Final = {
    Operator.EQ: "=",
    Operator.NEQ: "!=",
    Operator.LT: "<",
    Operator.LTE: "<=",
    Operator.GT: ">",
    Operator.GTE: ">=",
}
_PARTS: Final = {
    TimePart.MINUTE: "toMinute({0}, {1})",
    TimePart.HOUR: "toHour({0}, {1})",
    TimePart.DAY: "toDayOfMonth({0}, {1})",
    TimePart.WEEKDAY: "toDayOfWeek({0}, 0, {1})",
    TimePart.WEEK: "toISOWeek({0}, {1})",
    TimePart.MONTH: "toMonth({0}, {1})",
    TimePart.YEAR: "toYear({0}, {1})",
}


def sign(operator: Operator) -> str:
    """The operator in SQL."""
    return _SIGNS[operator]


def number_text(value: str) -> str:
    """Whether the text `value` is a number (`values.number_of`)."""
    return f"match({value}, {literal(f'^{NUMBER_PATTERN}$')}) AND isFinite(toFloat64OrZero({value}))"


def elements(value: str) -> str:
    """The elements of a list's text as an array; anything else is a list of one."""
    return f"if(JSONType({value}) = 'Array', JSONExtract({value}, 'Array(String)'), [{value}])"


class Conditions:
    """Makes conditions for one layout and time zone. Raises `SqlError` for an unknown time zone."""

    def __init__(self, layout: Layout, timezone: str) -> None:
        try:
            ZoneInfo(timezone)
        except (ValueError, OSError, ZoneInfoNotFoundError):
            raise SqlError(f"unknown time zone {timezone!r}; write one such as Europe/Berlin") from None
        self._layout = layout
        self._timezone = literal(timezone)
        self.settings: dict[str, str] = {}
        """What the statement needs to be run with."""

    def reads_numbers(self) -> None:
        """Numbers in texts are read as they are in Python: to the nearest double."""
        self.settings["precise_float_parsing"] = "1"

    def parts(self, expression: Expression) -> list[str]:
        """Conditions that all have to hold, each fit to stand beside AND."""
        items = _flat(expression, And) if isinstance(expression, And) else [expression]
        return [_beside(self.of(each)) for each in items]

    def of(self, expression: Expression) -> str:
        """The condition as one text; beside others it may need brackets."""
        match expression:
            case Const(value):
                return "1" if value else "0"
            case Not(item):
                return f"NOT ({self.of(item)})"
            case And():
                return _joined(" AND ", [self.of(each) for each in _flat(expression, And)])
            case Or():
                return _joined(" OR ", self._alternatives(_flat(expression, Or)))
            case Match(at, test):
                return self._match(at, [test])
            case Keyword(test):
                return self._keyword([test])
        assert_never(expression)

    def _alternatives(self, items: Sequence[Expression]) -> list[str]:
        """Tests of one field stand together, so that it is looked up once and lists of texts are one function."""
        fields: dict[Field, list[Test]] = {}
        keywords: list[Test] = []
        others: list[Expression] = []
        for each in items:
            if isinstance(each, Match):
                fields.setdefault(each.field, []).append(each.test)
            elif isinstance(each, Keyword):
                keywords.append(each.test)
            else:
                others.append(each)
        texts = [self._match(at, tests) for at, tests in fields.items()]
        texts += [self.of(each) for each in others]
        if keywords:
            texts.append(self._keyword(keywords))
        return texts

    # --- One field -----------------------------------------------------------------------------------------------

    def _match(self, at: Field, tests: Sequence[Test]) -> str:
        if any(isinstance(test, Present) for test in tests):
            return self._layout.present(at)
        if at.source is Source.TIME and all(isinstance(test, InTime) for test in tests):
            return " OR ".join(self._in_time(self._layout.timestamp, test) for test in tests)  # type: ignore[arg-type]
        value = self._layout.text(at)
        if at.many:
            condition = f"arrayExists(x -> {self._any('x', tests)}, {elements(value)})"
            matches_empty = True
        else:
            condition = self._any(value, tests)
            matches_empty = any(_matches_empty(test) for test in tests)
        guard = self._layout.guard(at, matches_empty=matches_empty)
        if not guard:
            return condition
        return f"{guard} AND {_beside(condition)}"

    def _any(self, value: str, tests: Sequence[Test]) -> str:
        found: list[str] = []
        groups: dict[tuple[TextKind, bool], list[str]] = {}
        for test in tests:
            if isinstance(test, Text):
                groups.setdefault((test.kind, test.cased), []).append(test.value)
            else:
                found.append(self._test(value, test))
        found[:0] = [
            each for (kind, cased), values in groups.items() for each in texts(value, kind, values, cased)
        ]
        return " OR ".join(_beside(each) if len(found) > 1 else each for each in found)

    def _keyword(self, tests: Sequence[Test]) -> str:
        if not all(isinstance(test, Text | Glob | Regex) for test in tests):
            raise SqlError("a keyword is a text, a pattern or an expression")
        attributes = self._layout.attributes
        return (
            f"({self._any(self._layout.body, tests)}) OR arrayExists((k, v) -> k NOT IN {listed(ADDED_LATER)} AND "
            f"({self._any('v', tests)}), mapKeys({attributes}), mapValues({attributes}))"
        )

    def _test(self, value: str, test: Test) -> str:
        match test:
            case Text(kind, text, cased):
                return " OR ".join(texts(value, kind, [text], cased))
            case Glob():
                return glob(value, test)
            case Regex():
                return regex(value, test)
            case Cidr(network):
                return cidr(value, network)
            case Compare(operator, bound):
                self.reads_numbers()
                return f"{number_text(value)} AND toFloat64OrZero({value}) {sign(operator)} {number(bound)}"
            case Present():
                return "1"
            case Filled():
                return f"{value} != ''"
            case SameAs():
                return self._same(value, test)
            case InTime():
                parsed = f"parseDateTime64BestEffortOrNull({value}, 9, 'UTC')"
                return (
                    f"match({value}, {literal(f'^{TIME_PATTERN}$')}) AND "
                    f"ifNull({self._in_time(parsed, test)}, 0)"
                )
        assert_never(test)

    def _in_time(self, moment: str, test: InTime) -> str:
        return f"{_PARTS[test.part].format(moment, self._timezone)} {sign(test.operator)} {test.number}"

    def _same(self, value: str, test: SameAs) -> str:
        other = test.other
        theirs = "y" if other.many else self._layout.text(other)
        folded: Callable[[str], str] = (lambda text: text) if test.cased else folded_whole
        condition = compared(test.kind, folded(value), folded(theirs))
        if other.many:
            condition = f"arrayExists(y -> {condition}, {elements(self._layout.text(other))})"
        guard = self._layout.guard(other, matches_empty=True)
        return f"{guard} AND {condition}" if guard else condition


def _flat(expression: And | Or, kind: type[And | Or]) -> list[Expression]:
    """The items, with those of the same kind within them."""
    found: list[Expression] = []
    for each in expression.items:
        found += _flat(each, kind) if isinstance(each, kind) else [each]
    return found


def _matches_empty(test: Test) -> bool:
    """Whether the test can hold for the empty text; when in doubt, true."""
    match test:
        case Text(_, text, _):
            return text == ""
        case Glob(parts, _):
            return all(part is Wildcard.ANY or part == "" for part in parts)
        case Cidr() | Compare() | Filled() | InTime():
            return False
        case Regex() | SameAs() | Present():
            return True
    assert_never(test)


def _joined(word: str, texts: Sequence[str]) -> str:
    return texts[0] if len(texts) == 1 else word.join(map(_beside, texts))


def _beside(condition: str) -> str:
    """The condition, fit to stand beside AND and OR."""
    return f"({condition})" if " AND " in condition or " OR " in condition else condition
