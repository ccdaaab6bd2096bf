"""Compiled rules give what the plain interpreter gives, whatever the rules and the records are."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_fim.names import events
from otel_fim.processors.rules.match import compile_rules, sets
from otel_fim.processors.rules.match.interpret import holds
from otel_fim.processors.rules.match.matcher import is_about
from otel_fim.record import Record, Resource
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
    Meta,
    Not,
    Operator,
    Or,
    Present,
    Regex,
    Rule,
    SameAs,
    Source,
    Text,
    TextKind,
    TimePart,
    Wildcard,
)

PIECES = [
    *("", "a", "A", "b", "/", "/bin/", "sh", "SH", "é", "É", "ς", "Σ", "İ", "\u212a", "k"),
    *("*", "?", ".", "\n", "\0", "1", "10", ",", "[", "]", '"', "\\", "{", ":", "e", "nan"),
]
LITERALS = st.lists(st.sampled_from(PIECES), max_size=3).map("".join)
HOSTILE = ["\ud800", "\udcff", "\ufffd", "\\xff", "x" * 300]
TEXTS = st.lists(st.sampled_from([*PIECES, *HOSTILE]), max_size=5).map("".join)
TIMES = [
    "2026-01-13T14:32:15.123456789Z",
    "2026-02-31T00:00:00Z",
    "2026-03-29T01:59:59+02:00",
    "yesterday",
]
NUMBERS = ["42", "-1", "1e3", "1e999", " 1", "0x10", "١"]
ADDRESSES = ["10.0.0.1", "::ffff:10.0.0.1", "2001:db8::1", "10.0.0.256", "fe80::1%eth0"]
SCALARS: st.SearchStrategy[Any] = st.one_of(
    TEXTS,
    st.sampled_from([*TIMES, *NUMBERS, *ADDRESSES]),
    st.sampled_from(
        [None, True, False, 0, 1, 10, 42, -1, 2**70, 1.0, 0.5, 1e21, 1e-7, math.nan, math.inf, b"", b"\xff\0"]
    ),
)
VALUES = st.one_of(
    SCALARS, st.lists(SCALARS, max_size=3), st.dictionaries(st.sampled_from("ab"), SCALARS, max_size=2)
)
ATTRIBUTES = ["p", "q", "r", "list"]
EVENT_NAMES = [events.PROCESS_STARTED, events.FILE_CREATED, events.FINDING, "other", ""]

records = st.builds(
    Record,
    time_unix_nano=st.sampled_from([0, 1, 1_768_314_735_123_456_789, 2**64 - 1]),
    observed_time_unix_nano=st.sampled_from([0, 1_700_000_000_000_000_000]),
    event_name=st.sampled_from(EVENT_NAMES),
    severity_number=st.sampled_from([0, 9]),
    severity_text=st.sampled_from(["", "INFO"]),
    body=VALUES,
    attributes=st.dictionaries(st.sampled_from(ATTRIBUTES), VALUES),
    resource=st.builds(Resource, st.dictionaries(st.sampled_from(["p", "host.name"]), VALUES)),
)
fields = st.one_of(
    st.builds(Field, st.just(Source.ATTRIBUTE), st.sampled_from(ATTRIBUTES), st.booleans()),
    st.builds(Field, st.just(Source.RESOURCE), st.sampled_from(["p", "host.name"])),
    st.builds(Field, st.sampled_from([each for each in Source if each not in ("attribute", "resource")])),
)
globs = st.builds(
    Glob, st.lists(st.one_of(LITERALS, st.sampled_from(Wildcard)), max_size=4).map(tuple), st.booleans()
)
regexes = st.builds(
    Regex,
    st.sampled_from(
        [
            "a.*b",
            "^a",
            "b$",
            "(?i)SH",
            r"\x00",
            "[^a]",
            "é|Σ",
            ".",
            "",
            r"^\s*$",
            "sh\\b",
            "a{0,99}",
            "(?:sh|b{3,80}a)É",
            "[ab]{2,200}/bin",
            "(?i)SH{1,99}",
        ]
    ),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
words = st.builds(Text, st.sampled_from(TextKind), LITERALS, st.booleans())
tests = st.one_of(
    words,
    words,
    globs,
    regexes,
    st.builds(Cidr, st.sampled_from(["10.0.0.0/8", "10.0.0.1/32", "2001:db8::/32", "::/0", "0.0.0.0/0"])),
    st.builds(Compare, st.sampled_from(Operator), st.sampled_from([0.0, 1.0, 42.0, 0.5, -1.0, 1000.0])),
    st.just(Present()),
    st.just(Filled()),
    st.builds(SameAs, st.sampled_from(TextKind), fields, st.booleans()),
    st.builds(InTime, st.sampled_from(TimePart), st.sampled_from(Operator), st.integers(0, 60)),
)
leaves = st.one_of(
    st.builds(Match, fields, tests),
    st.builds(Match, fields, tests),
    st.builds(Keyword, st.one_of(words, globs, regexes)),
    st.builds(Const, st.booleans()),
)
expressions: st.SearchStrategy[Expression] = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(And, st.lists(inner, min_size=1, max_size=4).map(tuple)),
        st.builds(Or, st.lists(inner, min_size=1, max_size=12).map(tuple)),
    ),
    max_leaves=24,
)
about = st.one_of(st.none(), st.frozensets(st.sampled_from(EVENT_NAMES), max_size=2))
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "Pacific/Chatham"])


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(expressions, about), min_size=1, max_size=12),
    st.lists(records, min_size=1, max_size=4),
    ZONES,
)
def test_compiled_rules_match_what_the_interpreter_says(
    given_rules: list[tuple[Expression, frozenset[str] | None]], given_records: list[Record], zone: str
) -> None:
    rules = [
        Rule(Meta(str(number), f"rule {number}"), condition, event_names=names)
        for number, (condition, names) in enumerate(given_rules)
    ]
    matcher = compile_rules(rules, timezone=zone)
    assert not matcher.rejected
    for record in [*given_records, *given_records]:  # the second time from what was kept
        expected = [
            rule.meta.id
            for rule in rules
            if is_about(rule, record.event_name) and holds(rule.condition, record, timezone=zone)
        ]
        assert [rule.meta.id for rule in matcher.match(record)] == expected
        assert not matcher.take_failures()


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.builds(Match, st.just(Field(Source.ATTRIBUTE, "p")), words), min_size=12, max_size=40),
    st.lists(TEXTS, max_size=6),
)
def test_many_literals_are_found_in_one_pass(matches: list[Match], texts: list[str]) -> None:
    rules = [Rule(Meta(str(number), ""), match) for number, match in enumerate(matches)]
    together = Rule(Meta("together", ""), Or(tuple(matches)))
    matcher = compile_rules([*rules, together])
    for text in texts:
        record = Record(attributes={"p": text})
        expected = [rule.meta.id for rule in rules if holds(rule.condition, record)]
        assert [rule.meta.id for rule in matcher.match(record)] == expected + ["together"] * bool(expected)


@settings(max_examples=100, deadline=None)
@given(st.lists(words, min_size=12, max_size=40), st.lists(records, min_size=1, max_size=4))
def test_many_keywords_are_found_in_one_pass(keywords: list[Text], given_records: list[Record]) -> None:
    rules = [Rule(Meta(str(number), ""), Keyword(word)) for number, word in enumerate(keywords)]
    matcher = compile_rules(rules)
    for record in given_records:
        expected = [
            rule.meta.id
            for rule in rules
            if is_about(rule, record.event_name) and holds(rule.condition, record)
        ]
        assert [rule.meta.id for rule in matcher.match(record)] == expected


def test_what_is_too_much_for_a_set_is_looked_for_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sets, "_MOST_BYTES", 0)
    field = Field(Source.ATTRIBUTE, "p")
    conditions: list[Expression] = [
        *(Match(field, Text(kind, f"word{number}")) for kind in TextKind for number in range(20)),
        *(Match(field, Regex(f"wo.d{number}$")) for number in range(20)),
        *(Match(field, Regex(f"w{{1,99}}ord{number}$")) for number in range(20)),
        *(Keyword(Text(TextKind.CONTAINS, f"ord{number}")) for number in range(20)),
    ]
    rules = [Rule(Meta(str(number), ""), condition) for number, condition in enumerate(conditions)]
    matcher = compile_rules(rules)
    for text in ("word3", "a word12", "word7 b", "", "WORD19"):
        record = Record(attributes={"p": text})
        expected = [rule.meta.id for rule in rules if holds(rule.condition, record)]
        assert [rule.meta.id for rule in matcher.match(record)] == expected


EXPRESSIONS = st.lists(
    st.sampled_from(
        [
            *(
                "a",
                "B",
                "É",
                "é",
                "[a-c]",
                ".",
                ".*",
                "(?i:KEY)",
                "(ß|ẞ)",
                "x{2,40}",
                "^",
                "$",
                "k",
                "\u212a",
                "/bin",
                "foo",
            )
        ]
    ),
    min_size=1,
    max_size=4,
).map("".join)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.builds(Regex, EXPRESSIONS, st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=12
    ),
    st.lists(
        st.lists(
            st.sampled_from(["a", "b", "É", "é", "KEY", "ß", "ẞ", "xx", "K", "\u212a", "/BIN", "foo", "\n"])
        ).map("".join),
        max_size=6,
    ),
)
def test_many_expressions_are_told_apart_by_their_literals(tests: list[Regex], texts: list[str]) -> None:
    rules = [
        Rule(Meta(str(number), ""), Match(Field(Source.ATTRIBUTE, "p"), test))
        for number, test in enumerate(tests)
    ]
    matcher = compile_rules(rules)
    for text in texts:
        record = Record(attributes={"p": text})
        expected = [rule.meta.id for rule in rules if holds(rule.condition, record)]
        assert [rule.meta.id for rule in matcher.match(record)] == expected
