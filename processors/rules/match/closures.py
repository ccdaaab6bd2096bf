"""Expressions compiled to functions of a `View`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import tzinfo
from typing import Final

from otel_fim.processors.rules.match.moments import part_of
from otel_fim.processors.rules.match.predicates import (
    Plain,
    Predicate,
    compile_plain,
    literals,
    wants_folded,
)
from otel_fim.processors.rules.match.view import Fields, View, time_of
from otel_fim.sigma import values
from otel_fim.sigma.ir import (
    And,
    Const,
    Expression,
    Field,
    Glob,
    InTime,
    Keyword,
    Match,
    Not,
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

Closure = Callable[[View], bool]
Costed = tuple[int, Closure]
"""What an expression costs, roughly, and the function: the cheap ones are asked first."""

_CHEAP: Final = 1
_SEARCH: Final = 3
_REGEX: Final = 10
_KEYWORD: Final = 200


class Compiler:
    """Compiles the expressions of many rules, which share the numbers of their fields."""

    def __init__(self, fields: Fields, zone: tzinfo) -> None:
        self._fields = fields
        self._zone = zone

    def compile(self, expression: Expression) -> Closure:
        """Raises what a test that cannot be compiled raises (`re2.error`, `ValueError`), and `RecursionError`."""
        return self._compile(expression)[1]

    def _compile(self, expression: Expression) -> Costed:
        match expression:
            case Const():
                return 0, _true if expression.value else _false
            case Match():
                return self._match(expression)
            case Keyword():
                return _KEYWORD, _keyword([expression.test])
            case Not():
                cost, inner = self._compile(expression.item)
                return cost, lambda view: not inner(view)
            case And():
                return _all([self._compile(each) for each in expression.items])
            case Or():
                merged, rest = self._merged(expression.items)
                return _any([*merged, *(self._compile(each) for each in rest)])

    def _match(self, expression: Match) -> Costed:
        field, test = expression.field, expression.test
        match test:
            case Present():
                number = self._fields.number(field)
                return _CHEAP, lambda view: view.is_there(number)
            case SameAs():
                return _SEARCH, self._same(field, test)
            case InTime():
                return _REGEX, self._in_time(field, test)
            case _:
                return _cost(test), self._of_text(field, compile_plain(test), wants_folded(test))

    def _of_text(self, field: Field, holds: Predicate, is_folded: bool) -> Closure:
        number = self._fields.number(field)
        if field.many:
            if is_folded:

                def any_folded(view: View) -> bool:
                    elements = view.elements(number)
                    return elements is not None and any(holds(values.fold(each)) for each in elements)

                return any_folded

            def any_element(view: View) -> bool:
                elements = view.elements(number)
                return elements is not None and any(holds(each) for each in elements)

            return any_element
        if is_folded:

            def of_folded(view: View) -> bool:
                text = view.folded(number)
                return text is not None and holds(text)

            return of_folded

        def of_text(view: View) -> bool:
            text = view.text(number)
            return text is not None and holds(text)

        return of_text

    def _merged(self, items: Iterable[Expression]) -> tuple[list[Costed], list[Expression]]:
        """Literals for the same field become one test, and so do all keywords; what else there is comes back as it
        is."""
        groups: defaultdict[tuple[Field, TextKind, bool], list[str]] = defaultdict(list)
        keywords: list[Test] = []
        rest: list[Expression] = []
        for item in items:
            match item:
                case Match(field=field, test=Text(kind=kind, value=value, cased=cased)):
                    groups[field, kind, cased].append(value if cased else values.fold(value))
                case Keyword():
                    keywords.append(item.test)
                case _:
                    rest.append(item)
        merged: list[Costed] = [
            (
                _SEARCH if kind is TextKind.CONTAINS else _CHEAP,
                self._of_text(field, literals(kind, found), not cased),
            )
            for (field, kind, cased), found in groups.items()
        ]
        if keywords:
            merged.append((_KEYWORD, _keyword(keywords)))
        return merged, rest

    def _same(self, field: Field, test: SameAs) -> Closure:
        fit = _FIT[test.kind]
        own, other = self._fields.number(field), self._fields.number(test.other)
        own_many, other_many, cased = field.many, test.other.many, test.cased

        def texts(view: View, number: int, many: bool) -> Sequence[str]:
            found = view.elements(number) if many else view.text(number)
            if found is None:
                return ()
            listed = (found,) if isinstance(found, str) else found
            return listed if cased else [values.fold(each) for each in listed]

        def holds(view: View) -> bool:
            others = texts(view, other, other_many)
            return any(fit(text, each) for text in texts(view, own, own_many) for each in others)

        return holds

    def _in_time(self, field: Field, test: InTime) -> Closure:
        compare, wanted, part, zone = values.COMPARE[test.operator], test.number, test.part, self._zone

        def meets(moment: int) -> bool:
            found = part_of(moment, part, zone)
            return found is not None and compare(found, wanted)

        if field.source is Source.TIME:
            return lambda view: meets(time_of(view.record))

        def of_text(text: str) -> bool:
            moment = values.time_of(text)
            return moment is not None and meets(moment)

        return self._of_text(field, of_text, False)


def _true(view: View) -> bool:
    del view
    return True


def _false(view: View) -> bool:
    del view
    return False


def _cost(test: Plain) -> int:
    match test:
        case Text(kind=TextKind.CONTAINS):
            return _SEARCH
        case Text():
            return _CHEAP
        case Regex():
            return _REGEX
        case _:
            return _REGEX // 2


def _all(parts: list[Costed]) -> Costed:
    cost, tests = _sorted(parts)
    if len(tests) == 1:
        return cost, tests[0]
    if len(tests) == 2:
        first, second = tests
        return cost, lambda view: first(view) and second(view)

    def holds(view: View) -> bool:
        for test in tests:  # noqa: SIM110 (a generator takes longer)
            if not test(view):
                return False
        return True

    return cost, holds


def _any(parts: list[Costed]) -> Costed:
    cost, tests = _sorted(parts)
    if len(tests) == 1:
        return cost, tests[0]
    if len(tests) == 2:
        first, second = tests
        return cost, lambda view: first(view) or second(view)

    def holds(view: View) -> bool:
        for test in tests:  # noqa: SIM110 (a generator takes longer)
            if test(view):
                return True
        return False

    return cost, holds


def _sorted(parts: list[Costed]) -> tuple[int, tuple[Closure, ...]]:
    ordered = sorted(parts, key=lambda part: part[0])
    return sum(cost for cost, _ in ordered), tuple(test for _, test in ordered)


_FIT: Final[dict[TextKind, Callable[[str, str], bool]]] = {
    TextKind.EQUALS: str.__eq__,
    TextKind.STARTSWITH: str.startswith,
    TextKind.ENDSWITH: str.endswith,
    TextKind.CONTAINS: str.__contains__,
}


def _keyword(tests: Sequence[Test]) -> Closure:
    """Whether any of the tests holds for any of the texts in which keywords are looked for."""
    of_text: list[Predicate] = []
    of_folded: list[tuple[Predicate, Predicate]] = []
    words: defaultdict[tuple[TextKind, bool], list[str]] = defaultdict(list)
    for test in tests:
        match test:
            case Text(kind=kind, value=value, cased=cased):
                words[kind, cased].append(value if cased else values.fold(value))
            case Glob(cased=False):
                longest = max(
                    (values.fold(part) for part in test.parts if not isinstance(part, Wildcard)),
                    key=len,
                    default="",
                )
                of_folded.append(
                    (literals(TextKind.CONTAINS, [longest]), _with(longest, compile_plain(test)))
                )
            case Glob() | Regex():
                of_text.append(compile_plain(test))
            case _:
                raise ValueError(f"a keyword cannot be tested with {type(test).__name__}")
    for (kind, cased), found in words.items():
        if cased:
            of_text.append(literals(kind, found))
        else:
            of_folded.append((literals(TextKind.CONTAINS, found), literals(kind, found)))

    def holds(view: View) -> bool:
        for may_hold, predicate in of_folded:
            # What is in none of the texts together is in none of them.
            if may_hold(view.joined_keywords()) and any(map(predicate, view.folded_keywords())):
                return True
        return any(any(map(predicate, view.keywords())) for predicate in of_text)

    return holds


def _with(literal: str, holds: Predicate) -> Predicate:
    """`holds`, asked only about texts that have the literal."""
    return lambda text: literal in text and holds(text)
