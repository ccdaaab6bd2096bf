"""Each modifier of Sigma 2.1, alone and in the combinations that rules use."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

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

COMMAND = Field(Source.ATTRIBUTE, "process.command_line")
HOST = Field(Source.RESOURCE, "host.name")
TIME = Field(Source.TIME)
EQUALS, STARTS, ENDS, CONTAINS = (
    TextKind.EQUALS,
    TextKind.STARTSWITH,
    TextKind.ENDSWITH,
    TextKind.CONTAINS,
)
ANY, ONE = Wildcard.ANY, Wildcard.ONE


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize(
    ("value", "test"),
    [
        ("process.command_line: id", Text(EQUALS, "id")),
        ("process.command_line: ID", Text(EQUALS, "ID")),
        ("process.command_line: ''", Text(EQUALS, "")),
        ("process.command_line: id*", Text(STARTS, "id")),
        ("process.command_line: '*id'", Text(ENDS, "id")),
        ("process.command_line: '*id*'", Text(CONTAINS, "id")),
        ("process.command_line: 'i*d'", Glob(("i", ANY, "d"))),
        ("process.command_line: 'i?d*'", Glob(("i", ONE, "d", ANY))),
        ("process.command_line: '*'", Text(CONTAINS, "")),
        ("process.command_line: '**id**'", Text(CONTAINS, "id")),
        ("process.command_line: '*?*'", Glob((ONE, ANY))),
        (r"process.command_line: 'a\*b'", Text(EQUALS, "a*b")),
        (r"process.command_line: 'a\\*'", Text(STARTS, "a\\")),
        (r"process.command_line: 'C:\dir'", Text(EQUALS, r"C:\dir")),
        ("process.command_line: 42", Compare(Operator.EQ, 42.0)),
        ("process.command_line: 4.5", Compare(Operator.EQ, 4.5)),
        ("process.command_line: 18446744073709551615", Text(EQUALS, "18446744073709551615")),
        ("process.command_line: true", Text(EQUALS, "true")),
        ("process.command_line|contains: id", Text(CONTAINS, "id")),
        ("process.command_line|startswith: id", Text(STARTS, "id")),
        ("process.command_line|endswith: id", Text(ENDS, "id")),
        ("process.command_line|contains: 'a*b'", Glob((ANY, "a", ANY, "b", ANY))),
        ("process.command_line|contains|cased: Id", Text(CONTAINS, "Id", True)),
        ("process.command_line|cased: 'I?'", Glob(("I", ONE), True)),
        ("process.command_line|re: 'a.*b'", Regex("a.*b")),
        (r"process.command_line|re: '^\d+\\\*$'", Regex(r"^\d+\\\*$")),
        ("process.command_line|re|i: a", Regex("a", ignore_case=True)),
        ("process.command_line|re|i|m|s: a", Regex("a", True, True, True)),
        ("process.command_line|re|startswith: 'a|b'", Regex(r"\A(?:a|b)")),
        ("process.command_line|re|endswith: 'a|b'", Regex(r"(?:a|b)\z")),
        ("process.command_line|re|contains: 'a|b'", Regex("a|b")),
        ("process.command_line|cidr: 192.0.2.0/24", Cidr("192.0.2.0/24")),
        ("process.command_line|cidr: '2001:db8::/32'", Cidr("2001:db8::/32")),
        ("process.command_line|lt: 5", Compare(Operator.LT, 5.0)),
        ("process.command_line|lte: 5", Compare(Operator.LTE, 5.0)),
        ("process.command_line|gt: 5", Compare(Operator.GT, 5.0)),
        ("process.command_line|gte: 5.5", Compare(Operator.GTE, 5.5)),
        ("process.command_line|exists: true", Present()),
        ("process.command_line|fieldref: host.name", SameAs(EQUALS, HOST)),
        ("process.command_line|fieldref|startswith: host.name", SameAs(STARTS, HOST)),
        ("process.command_line|fieldref|endswith: host.name", SameAs(ENDS, HOST)),
        ("process.command_line|fieldref|contains: host.name", SameAs(CONTAINS, HOST)),
        ("process.command_line|fieldref|cased: host.name", SameAs(EQUALS, HOST, True)),
        ("process.command_line|cased|fieldref: host.name", SameAs(EQUALS, HOST, True)),
        ("process.command_line|fieldref|endswith|cased: Computer", SameAs(ENDS, HOST, True)),
        ("process.command_line|base64: id", Text(EQUALS, b64(b"id"))),
        ("process.command_line|base64|contains: 'äöü'", Text(CONTAINS, b64("äöü".encode()))),
        ("process.command_line|wide: id", Text(EQUALS, "i\0d\0")),
        ("process.command_line|utf16le: id", Text(EQUALS, "i\0d\0")),
        ("process.command_line|utf16be: id", Text(EQUALS, "\0i\0d")),
        ("process.command_line|utf16: id", Text(EQUALS, "\ufeffi\0d\0")),
        ("process.command_line|utf16le|contains: 'i*d'", Glob((ANY, "i\0", ANY, "d\0", ANY))),
        ("process.command_line|utf16le|base64: 'ä€𝄞'", Text(EQUALS, b64("ä€𝄞".encode("utf-16-le")))),
        ("process.command_line|wide|base64: 'ä'", Text(EQUALS, b64("ä".encode("utf-16-le")))),
        ("process.command_line|utf16be|base64: 'ä'", Text(EQUALS, b64("ä".encode("utf-16-be")))),
        ("process.command_line|utf16|base64: 'ä'", Text(EQUALS, b64(b"\xff\xfe" + "ä".encode("utf-16-le")))),
    ],
)
def test_one_value(condition: Callable[..., Expression], value: str, test: Test) -> None:
    assert condition(value) == Match(COMMAND, test)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("process.command_line: null", Not(Match(COMMAND, Filled()))),
        ("process.command_line: []", None),
        ("process.command_line|exists: false", Not(Match(COMMAND, Present()))),
        ("process.command_line|neq: id", Not(Match(COMMAND, Text(EQUALS, "id")))),
        ("process.command_line|neq: 5", Not(Match(COMMAND, Compare(Operator.EQ, 5.0)))),
        ("process.command_line|contains|neq: id", Not(Match(COMMAND, Text(CONTAINS, "id")))),
        ("process.command_line|fieldref|neq: host.name", Not(Match(COMMAND, SameAs(EQUALS, HOST)))),
        (
            "process.command_line|neq: [id, ls]",
            Not(Or((Match(COMMAND, Text(EQUALS, "id")), Match(COMMAND, Text(EQUALS, "ls"))))),
        ),
        (
            "process.command_line|contains: [id, ls]",
            Or((Match(COMMAND, Text(CONTAINS, "id")), Match(COMMAND, Text(CONTAINS, "ls")))),
        ),
        (
            "process.command_line|contains|all: [id, ls]",
            And((Match(COMMAND, Text(CONTAINS, "id")), Match(COMMAND, Text(CONTAINS, "ls")))),
        ),
        ("process.command_line|contains|all: id", Match(COMMAND, Text(CONTAINS, "id"))),
        ("process.command_line|contains|all: [id]", Match(COMMAND, Text(CONTAINS, "id"))),
        (
            "process.command_line: [id, null]",
            Or((Match(COMMAND, Text(EQUALS, "id")), Not(Match(COMMAND, Filled())))),
        ),
        (
            "process.command_line|windash|contains: ' -enc'",
            Or(tuple(Match(COMMAND, Text(CONTAINS, f" {dash}enc")) for dash in "-/–—―")),
        ),
        (
            "process.command_line|contains|all|windash: ['-a', 'x']",
            And(
                (
                    Or(tuple(Match(COMMAND, Text(CONTAINS, f"{dash}a")) for dash in "-/–—―")),
                    Match(COMMAND, Text(CONTAINS, "x")),
                )
            ),
        ),
        ("timestamp|exists: true", None),
        ("timestamp|hour: 3", Match(TIME, InTime(TimePart.HOUR, Operator.EQ, 3))),
        ("timestamp|minute|lt: 3", Match(TIME, InTime(TimePart.MINUTE, Operator.LT, 3))),
        ("timestamp|day|gte: 3", Match(TIME, InTime(TimePart.DAY, Operator.GTE, 3))),
        ("timestamp|week|gt: 3", Match(TIME, InTime(TimePart.WEEK, Operator.GT, 3))),
        ("timestamp|month|lte: 3", Match(TIME, InTime(TimePart.MONTH, Operator.LTE, 3))),
        ("timestamp|year: 2026", Match(TIME, InTime(TimePart.YEAR, Operator.EQ, 2026))),
        ("timestamp|weekday|gte: 6", Match(TIME, InTime(TimePart.WEEKDAY, Operator.GTE, 6))),
        ("timestamp_weekday|gte: 6", Match(TIME, InTime(TimePart.WEEKDAY, Operator.GTE, 6))),
        ("timestamp_hour|lt: 6", Match(TIME, InTime(TimePart.HOUR, Operator.LT, 6))),
        ("timestamp|hour|neq: 3", Not(Match(TIME, InTime(TimePart.HOUR, Operator.EQ, 3)))),
        (
            "file.modified|hour: [1, 2]",
            Or(
                tuple(
                    Match(Field(Source.ATTRIBUTE, "file.modified"), InTime(TimePart.HOUR, Operator.EQ, hour))
                    for hour in (1, 2)
                )
            ),
        ),
        (
            "otel_fim.novelty.first_seen: user",
            Match(Field(Source.ATTRIBUTE, "otel_fim.novelty.first_seen", True), Text(EQUALS, "user")),
        ),
        (
            "resource.deployment.environment: prod",
            Match(Field(Source.RESOURCE, "deployment.environment"), Text(EQUALS, "prod")),
        ),
    ],
)
def test_one_item(
    condition: Callable[..., Expression],
    reason: Callable[..., str],
    value: str,
    expected: Expression | None,
) -> None:
    if expected is not None:
        assert condition(value) == expected
    elif "exists" in value:
        assert condition(value) == Const(True)
    else:
        assert "has no value" in reason(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("- id", Keyword(Text(CONTAINS, "id"))),
        ("- 'rm *history'", Keyword(Glob((ANY, "rm ", ANY, "history", ANY)))),
        ("- 4625", Keyword(Text(CONTAINS, "4625"))),
        ("- a\n- b", Or((Keyword(Text(CONTAINS, "a")), Keyword(Text(CONTAINS, "b"))))),
        ("'|all': [a, b]", And((Keyword(Text(CONTAINS, "a")), Keyword(Text(CONTAINS, "b"))))),
        ("'|re': 'a+'", Keyword(Regex("a+"))),
        ("'|startswith': a", Keyword(Text(STARTS, "a"))),
        ("'|cased': Ab", Keyword(Text(CONTAINS, "Ab", True))),
        ("'|contains': a", Keyword(Text(CONTAINS, "a"))),
        ("'|neq': a", Not(Keyword(Text(CONTAINS, "a")))),
        (
            "- a\n- process.command_line: b",
            Or((Keyword(Text(CONTAINS, "a")), Match(COMMAND, Text(EQUALS, "b")))),
        ),
    ],
)
def test_keywords(condition: Callable[..., Expression], value: str, expected: Expression) -> None:
    assert condition(value) == expected


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("process.command_line|upper: x", "unknown modifier 'upper'"),
        ("process.command_line|expand: '%nobody%'", "placeholder %nobody% has no values"),
        ("process.command_line|re: '(?<=a)b'", "look-around"),
        ("process.command_line|re: '(a)\\1'", "back-references"),
        ("process.command_line|re: 'a{5000}'", "up to 1000"),
        ("process.command_line|re: '(a'", "RE2"),
        ("process.command_line|cidr: 192.0.2.1/24", "host bits"),
        ("process.command_line|cidr: nonsense", "CIDR"),
        ("process.command_line|lt: x", "lt takes a number, and a value is 'x'"),
        ("process.command_line|base64: 'a*'", "wildcards"),
        ("process.command_line|base64offset|contains: a", "two bytes"),
        ("process.command_line|wide: 'é'", "base64"),
        ("process.command_line|exists: maybe", "takes true or false, and a value is 'maybe'"),
        ("timestamp|hour: 24", "between 0 and 23"),
        ("timestamp_second: 24", "unknown field 'timestamp_second'"),
        ("NoSuchField: x", "unknown field 'NoSuchField'"),
        ("Imagge: x", "did you mean 'Image'"),
        ("otel_fim.novelty.first_sean: x", "did you mean 'otel_fim.novelty.first_seen'"),
        ("- ''", "keyword is empty"),
        ("1: x", "'1'|field 1"),
        ("process.command_line: {a: b}", "mapping"),
        ("process.command_line: 2026-01-01", "quotes"),
        ("process.command_line: .inf", "'process.command_line': Invalid number: write a finite number"),
        ("process.command_line|contains: 10", "contains takes a text, and a value is 10: put it in quotes"),
        ("process.command_line|contains: null", "a value is null"),
        ("process.command_line|re: null", "the expression of 'process.command_line|re' is null"),
        ("process.command_line|re: true", "put it in quotes"),
        ("process.command_line|re: 1.50", "put it in quotes"),
        ("process.command_line|i: a", "i takes an expression, so it stands after re"),
        ("process.command_line|windash|re: -a", "write it first"),
        ("file.size|gte|lt: 5", "behind gte it has none"),
        ("process.command_line|startswith|fieldref: Image", "fieldref before"),
        ("process.command_line|utf16le|windash|base64: -a", "windash must stand before utf16le"),
        ("timestamp|hour: 5.5", "whole number"),
        ("timestamp|minute|lt: 5.5", "whole number"),
        ("TTY: x", "one of logins only"),
        ("file.path|neq|neq: a", "neq twice"),
        ("file.mode: 0644", "'0644'|0644 is a text for one version of YAML"),
        ("file.path: 12:30:45", "put it in quotes"),
        ("file.path: 1_000", "put it in quotes"),
        ("file.path: no", "put it in quotes"),
        ("Hashes|re: 'SHA256=a'", "name sha256"),
        ("Hashes: 'SHA256=a,MD5=b'", "several hashes"),
    ],
)
def test_what_is_refused(reason: Callable[..., str], value: str, words: str) -> None:
    told = reason(value)
    assert any(each in told for each in words.split("|")), told
    assert "one.yml" in told
    assert "'A rule'" in told


def test_base64offset_finds_the_value_at_each_place(condition: Callable[..., Expression]) -> None:
    for value in ("http://", "cmd", "xy", "/bin/bash -i", "äöü€"):
        found = condition(f"process.command_line|base64offset|contains: '{value}'")
        assert isinstance(found, Or)
        parts = [each.test.value for each in found.items]  # type: ignore[union-attr]
        for before in range(9):
            for after in range(5):
                encoded = b64(b"\xa5" * before + value.encode() + b"\x5a" * after)
                assert any(part in encoded for part in parts), (value, before, after)


@given(
    st.binary(min_size=0, max_size=6),
    st.text(min_size=1, max_size=8).filter(lambda t: "'" not in t and t.isprintable()),
    st.binary(max_size=6),
)
def test_base64offset_of_utf16_against_brute_force(before: bytes, value: str, after: bytes) -> None:
    from sigma.types import SigmaString

    from otel_fim.sigma.parse.modifiers import MODIFIERS

    text = SigmaString()
    text.s = [value]
    item = object()
    wide = MODIFIERS["utf16le"](item, []).apply(text)  # type: ignore[arg-type]
    (expansion,) = MODIFIERS["base64offset"](item, []).apply(wide[0])  # type: ignore[arg-type]
    parts = [each.s[0] for each in expansion.values]
    encoded = b64(before + value.encode("utf-16-le") + after)
    assert any(part in encoded for part in parts)


def test_a_network_of_mapped_addresses_is_the_one_they_stand_for(
    condition: Callable[..., Expression],
) -> None:
    assert condition("source.address|cidr: '::ffff:10.0.0.0/104'") == Match(
        Field(Source.ATTRIBUTE, "source.address"), Cidr("10.0.0.0/8")
    )


@pytest.mark.parametrize(
    "modifiers", ["cased|base64", "base64|cased", "cased|windash", "windash|cased|contains"]
)
def test_case_matters_wherever_cased_stands(condition: Callable[..., Expression], modifiers: str) -> None:
    found = condition(f"process.command_line|{modifiers}: -Ab")
    matches = found.items if isinstance(found, Or) else (found,)
    assert matches
    assert all(
        isinstance(each, Match) and isinstance(each.test, Text) and each.test.cased for each in matches
    )


def test_every_dash_stands_for_the_others(condition: Callable[..., Expression]) -> None:
    plain = condition("process.command_line|windash: '-a'")
    assert condition("process.command_line|windash: '/a'") == plain
    for dash in "\u2013\u2014\u2015":
        assert condition(f"process.command_line|windash: '{dash}a'") == plain
