"""Placeholders become their values, and the modifiers behind `expand` are about these."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest

from otel_fim.sigma.ir import (
    Expression,
    Field,
    Glob,
    Match,
    Not,
    Or,
    Regex,
    Source,
    Test,
    Text,
    TextKind,
    Wildcard,
)

COMMAND = Field(Source.ATTRIBUTE, "process.command_line")
EQUALS, CONTAINS = TextKind.EQUALS, TextKind.CONTAINS
VALUES = {
    "one": ["bob"],
    "two": ["alice", "a*c"],
    "dot": ["b.b*"],
    "none": [],
    "many": [str(n) for n in range(200)],
}


@pytest.mark.parametrize(
    ("written", "tests"),
    [
        ("expand: 'su %two%'", [Text(EQUALS, "su alice"), Glob(("su a", Wildcard.ANY, "c"))]),
        ("expand|contains: 'su %one%'", [Text(CONTAINS, "su bob")]),
        ("contains|expand: 'su %one%'", [Text(CONTAINS, "su bob")]),
        ("expand: '%one%-%two%'", [Text(EQUALS, "bob-alice"), Glob(("bob-a", Wildcard.ANY, "c"))]),
        ("expand: plain", [Text(EQUALS, "plain")]),
        ("expand: '50%'", [Text(EQUALS, "50%")]),
        (r"expand: '\%one%two%'", [Text(EQUALS, "%onealice"), Glob(("%onea", Wildcard.ANY, "c"))]),
        ("expand|cased: '%one%'", [Text(EQUALS, "bob", True)]),
        ("cased|expand: '%one%'", [Text(EQUALS, "bob", True)]),
        ("expand|base64: 'su %one%'", [Text(EQUALS, base64.b64encode(b"su bob").decode())]),
        (
            "expand|utf16le|base64: '%one%'",
            [Text(EQUALS, base64.b64encode("bob".encode("utf-16-le")).decode())],
        ),
        ("re|expand: '^su %one%$'", [Regex("^su bob$")]),
        ("re|expand: '^su %dot%$'", [Regex(r"^su b\.b(?s:.*)$")]),
    ],
)
def test_expand(condition: Callable[..., Expression], written: str, tests: list[Test]) -> None:
    found = condition(f"process.command_line|{written}", placeholders=VALUES)
    expected = [Match(COMMAND, test) for test in tests]
    assert found == (Or(tuple(expected)) if len(expected) > 1 else expected[0])


def test_dashes_of_values(condition: Callable[..., Expression]) -> None:
    found = condition("process.command_line|expand|windash: '-%one%'", placeholders=VALUES)
    assert isinstance(found, Or)
    assert Match(COMMAND, Text(EQUALS, "/bob")) in found.items


def test_keywords_and_negation(condition: Callable[..., Expression]) -> None:
    found = condition("process.command_line|expand|neq: '%one%'", placeholders=VALUES)
    assert found == Not(Match(COMMAND, Text(EQUALS, "bob")))


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("expand: '%nobody%'", "placeholder %nobody% has no values: give them under placeholders"),
        ("expand: '%none%'", "placeholder %none% has no values"),
        ("base64|expand: '%one%'", "expand must stand before base64"),
        ("wide|expand: '%one%'", "expand must stand before wide"),
        ("expand|re: '%one%'", "write it first"),
        ("expand: '%many%%many%'", "more than 10000 values"),
        ("expand|base64: '%two%'", "wildcards"),
    ],
)
def test_what_is_refused(load: Callable[..., object], written: str, words: str) -> None:
    text = (
        "title: A rule\nlogsource: {product: otel_fim}\n"
        f"detection:\n  selection:\n    process.command_line|{written}\n  condition: selection\n"
    )
    ruleset = load(text, placeholders=VALUES)
    assert not ruleset.rules  # type: ignore[attr-defined]
    assert words in ruleset.rejected[0].reason  # type: ignore[attr-defined]
