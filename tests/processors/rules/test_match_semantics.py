"""Single points of what a rule means, and values that nobody wants."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_fim import names
from otel_fim.names import events
from otel_fim.otlp.anyvalue import to_text
from otel_fim.otlp.text import cleaned
from otel_fim.processors.rules.match import compile_rules
from otel_fim.processors.rules.match.matcher import MAX_FAILURES, Matcher
from otel_fim.processors.rules.match.moments import zone_of
from otel_fim.processors.rules.match.view import text_form
from otel_fim.record import AnyValue, Record
from otel_fim.sigma.ir import (
    And,
    Cidr,
    Const,
    Expression,
    Field,
    Glob,
    InTime,
    Keyword,
    Match,
    Meta,
    Not,
    Operator,
    Or,
    Regex,
    Rule,
    SameAs,
    Source,
    Test,
    Text,
    TextKind,
    TimePart,
    Wildcard,
)


def field(name: str = "p", *, many: bool = False) -> Field:
    return Field(Source.ATTRIBUTE, name, many)


def matches(condition: Expression, record: Record, timezone: str = "UTC") -> bool:
    matcher = compile_rules([Rule(Meta("1", "one"), condition)], timezone=timezone)
    assert not matcher.rejected
    found = bool(matcher.match(record))
    assert not matcher.take_failures()
    return found


def holds(test: Test, value: AnyValue, *, many: bool = False) -> bool:
    return matches(Match(field(many=many), test), Record(attributes={"p": value}))


@pytest.mark.parametrize("kind", TextKind)
def test_texts_fold_unless_cased(kind: TextKind) -> None:
    assert holds(Text(kind, "/BIN/Sh"), "/bin/sh")
    assert not holds(Text(kind, "/BIN/Sh", cased=True), "/bin/sh")
    assert holds(Text(kind, "ÉTÉ"), "été")


def test_a_literal_star_is_no_wildcard() -> None:
    assert holds(Glob(("a", Wildcard.ANY, "*", Wildcard.ONE)), "Axx*y")
    assert not holds(Glob(("a", Wildcard.ANY, "*", Wildcard.ONE)), "axxxy")


def test_wildcards_stand_for_newlines_and_whole_characters() -> None:
    assert holds(Glob(("a", Wildcard.ONE, "b", Wildcard.ANY)), "a\nb\n\n")
    assert holds(Glob(("a", Wildcard.ONE, "b")), "aéb")
    assert not holds(Glob(("a", Wildcard.ONE, "b")), "ab")


def test_expressions_are_searched_for_with_their_flags() -> None:
    assert holds(Regex("b.d"), "abcde")
    assert not holds(Regex("B.D"), "abcde")
    assert holds(Regex("B.D", ignore_case=True), "abcde")
    assert not holds(Regex("b.d"), "b\nd")
    assert holds(Regex("b.d", dotall=True), "b\nd")
    assert not holds(Regex("^d"), "b\nd")
    assert holds(Regex("^d", multiline=True), "b\nd")


def test_an_expression_that_hangs_others_takes_no_time() -> None:
    start = time.process_time()
    assert not holds(Regex("(a+)+$"), "a" * 100_000 + "b")
    assert not holds(Regex("(x+x+)+y"), "x" * 100_000)
    assert time.process_time() - start < 20


@pytest.mark.parametrize(
    ("network", "address", "expected"),
    [
        ("192.0.2.0/24", "192.0.2.255", True),
        ("192.0.2.0/24", "::ffff:192.0.2.1", True),
        ("192.0.2.0/24", "192.0.3.0", False),
        ("192.0.2.0/24", "192.0.2.1 ", False),
        ("2001:db8::/32", "2001:db8::1", True),
        ("::/0", "192.0.2.1", False),
        ("0.0.0.0/0", "2001:db8::1", False),
    ],
)
def test_networks(network: str, address: str, expected: bool) -> None:
    assert holds(Cidr(network), address) is expected


def test_lists_are_looked_at_element_by_element_and_otherwise_as_text() -> None:
    value = ["executable", "user"]
    assert holds(Text(TextKind.EQUALS, "USER"), value, many=True)
    assert not holds(Text(TextKind.EQUALS, "user"), value)
    assert holds(Text(TextKind.EQUALS, '["executable","user"]'), value)
    assert not holds(Text(TextKind.CONTAINS, ""), [], many=True)


def test_a_missing_field_matches_the_negation_only() -> None:
    test = Match(field(), Text(TextKind.CONTAINS, ""))
    assert not matches(test, Record())
    assert matches(Not(test), Record())


def test_fields_compare_with_each_other() -> None:
    record = Record(attributes={"p": "/usr/bin/SH", "q": "/bin/sh"})
    assert matches(Match(field(), SameAs(TextKind.ENDSWITH, field("q"))), record)
    assert not matches(Match(field(), SameAs(TextKind.ENDSWITH, field("q"), cased=True)), record)
    assert not matches(Match(field(), SameAs(TextKind.CONTAINS, field("none"))), record)


def test_keywords_are_looked_for_in_body_and_attributes() -> None:
    keyword = Keyword(Text(TextKind.CONTAINS, "Evil"))
    assert matches(keyword, Record(body="an evil line"))
    assert matches(keyword, Record(attributes={"x": ["good", "EVIL"]}))
    assert matches(keyword, Record(attributes={"x": {"deep": {"er": "evil"}}}))
    assert not matches(keyword, Record(attributes={"evil": "name"}, event_name="evil"))
    assert not matches(keyword, Record(attributes={names.LOG_RECORD_UID: "evil"}))
    assert matches(Keyword(Text(TextKind.CONTAINS, "4444")), Record(attributes={"port": 4444}))
    assert matches(Keyword(Text(TextKind.EQUALS, "true")), Record(attributes={"yes": True}))
    assert not matches(keyword, Record(attributes={"x": "ev", "y": "il"}))


def test_hours_are_those_of_the_time_zone() -> None:
    night = Match(Field(Source.TIME), InTime(TimePart.HOUR, Operator.LT, 6))
    record = Record(time_unix_nano=1_784_066_400_000_000_000)  # 2026-07-14T22:00:00Z
    assert not matches(night, record)
    assert matches(night, record, "Europe/Berlin")  # midnight
    tuesday = InTime(TimePart.WEEKDAY, Operator.EQ, 2)
    assert holds(tuesday, "2026-07-14T22:00:00Z")
    assert not matches(
        Match(field(), tuesday), Record(attributes={"p": "2026-07-14T22:00:00Z"}), "Europe/Berlin"
    )


def test_the_hosts_own_time_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", ":Pacific/Chatham")
    assert str(zone_of("local")) == "Pacific/Chatham"
    monkeypatch.delenv("TZ")
    assert zone_of("local") is not None
    with pytest.raises(ValueError, match=r"'Mars/Olympus' is no time zone"):
        compile_rules([], timezone="Mars/Olympus")


# --- Routing ---------------------------------------------------------------------------------------------


def test_findings_are_looked_at_by_rules_that_name_them_only() -> None:
    finding = Record(event_name=events.FINDING)
    assert not compile_rules([Rule(Meta("1", "any"), Const(True))]).match(finding)
    named = Rule(Meta("2", "named"), Const(True), event_names=frozenset({events.FINDING}))
    assert compile_rules([named]).match(finding) == [named]


def test_rules_come_in_their_order_and_each_once() -> None:
    twice = Or(
        (Match(field(), Text(TextKind.CONTAINS, "a")), Match(field("q"), Text(TextKind.CONTAINS, "b")))
    )
    rules = [Rule(Meta(str(number), ""), twice) for number in range(5)]
    assert compile_rules(rules).match(Record(attributes={"p": "a", "q": "b"})) == rules


def test_a_rule_of_another_event_is_not_asked() -> None:
    rule = Rule(Meta("1", ""), Const(True), event_names=frozenset({events.FILE_CREATED}))
    matcher = compile_rules([rule])
    assert matcher.match(Record(event_name=events.FILE_CREATED)) == [rule]
    assert not matcher.match(Record(event_name=events.FILE_DELETED))
    assert not matcher.match(Record())


# --- What goes wrong -------------------------------------------------------------------------------------


def test_what_cannot_be_compiled_is_named_and_the_rest_runs() -> None:
    deep: Expression = Match(field(), Text(TextKind.EQUALS, "x"))
    for _ in range(5000):
        deep = Not(And((deep,)))
    good = Rule(Meta("4", "good"), Const(True))
    matcher = compile_rules(
        [
            Rule(Meta("1", "look-ahead", path="a.yml"), Match(field(), Regex("(?=x)"))),
            Rule(Meta("2", "deep"), deep),
            Rule(Meta("3", "network"), Match(field(), Cidr("nowhere"))),
            good,
        ]
    )
    assert matcher.match(Record()) == [good]
    assert [each.rule_id for each in matcher.rejected] == ["1", "2", "3"]
    assert matcher.rejected[0].reason.startswith("a.yml: look-ahead cannot be compiled: ")
    assert "nested too deeply" in matcher.rejected[1].reason


def test_a_rule_that_fails_is_disabled_and_the_others_go_on() -> None:
    bad, good = Rule(Meta("1", "bad"), Const(True)), Rule(Meta("2", "good"), Const(True))
    matcher = compile_rules([bad, good])

    def fail(view: object) -> bool:
        raise ZeroDivisionError("no")

    matcher._tests[0] = fail  # no test of an expression raises, so one is put in
    failures = []
    for _ in range(MAX_FAILURES + 5):
        assert matcher.match(Record()) == [good]
        failures += matcher.take_failures()
    assert [failure.is_disabled for failure in failures] == [False] * (MAX_FAILURES - 1) + [True]
    assert failures[0].rule is bad
    assert failures[0].error == "ZeroDivisionError: no"


@pytest.fixture(scope="module")
def all_kinds() -> Matcher:
    tests: list[Test] = [
        *(Text(kind, "needle", cased) for kind in TextKind for cased in (True, False)),
        Glob(("nee", Wildcard.ANY, "dle")),
        Regex("ne+dle"),
        Cidr("10.0.0.0/8"),
        InTime(TimePart.HOUR, Operator.EQ, 3),
        SameAs(TextKind.EQUALS, field("q")),
    ]
    rules = [
        Rule(Meta(f"{number}-{many}", ""), Match(field(many=many), test))
        for number, test in enumerate(tests)
        for many in (False, True)
    ]
    return compile_rules([*rules, Rule(Meta("k", ""), Keyword(Text(TextKind.CONTAINS, "needle")))])


class _Odd:
    pass


@pytest.mark.parametrize(
    "value",
    [
        None,
        "\ud800 needle \udcff",
        "\0" * 1000,
        "x" * 1_000_000,
        "/" * 1_000_000,
        ["needle"] * 10_000,
        float("nan"),
        float("inf"),
        2**80,
        -(2**80),
        b"\xff\xfe",
        {"a": {"b": ["\udcff"]}},
        _Odd(),
        [_Odd()],
        True,
    ],
    ids=lambda value: type(value).__name__,
)
def test_no_value_makes_a_rule_fail(all_kinds: Matcher, value: Any) -> None:
    all_kinds.match(Record(attributes={"p": value, "q": value}, body=value))
    assert not all_kinds.take_failures()


def test_values_within_each_other_without_end(all_kinds: Matcher) -> None:
    nested: Any = "needle"
    for _ in range(100_000):
        nested = [nested]
    all_kinds.match(Record(attributes={"p": nested}, body=nested))
    assert not all_kinds.take_failures()
    while isinstance(nested, list):  # taken apart by hand: its destructor would go as deep
        nested = nested[0]


def test_bytes_of_file_names_are_compared_as_the_journal_has_them() -> None:
    record = Record(attributes={"p": "/tmp/\udcff", "list": ["a\udcfe"]})
    assert matches(Match(field(), Text(TextKind.ENDSWITH, "\\xff")), record)
    assert matches(Match(field("list", many=True), Text(TextKind.EQUALS, "a\\xfe")), record)
    assert not matches(Match(field(), Text(TextKind.CONTAINS, "\udcff")), record)


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.binary(max_size=3),
    st.text(max_size=5),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(values)
def test_the_text_is_that_of_the_journal(value: AnyValue) -> None:
    record = cleaned(Record(attributes={"p": value}))
    assert text_form(record.attributes["p"]) == to_text(record.attributes["p"])
    assert text_form(value) == to_text(record.attributes["p"])


@given(st.lists(st.text(alphabet=st.sampled_from('ab"\\,[]\n\u2028é\x7f'), max_size=4), max_size=4))
def test_the_text_of_lists_of_texts(value: list[AnyValue]) -> None:
    assert text_form(value) == to_text(value)
