"""Conditions in words, and why a record meets them or does not."""

from __future__ import annotations

import pytest

from otel_fim.processors.rules.command.words import because, fields_of, why_not, words
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
    Not,
    Operator,
    Or,
    Present,
    Regex,
    SameAs,
    Source,
    Text,
    TextKind,
    TimePart,
    Wildcard,
)

PATH = Field(Source.ATTRIBUTE, "file.path")
IMAGE = Field(Source.ATTRIBUTE, "process.executable.path")


def starts(value: str, field: Field = PATH) -> Match:
    return Match(field, Text(TextKind.STARTSWITH, value))


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        (Const(True), "always"),
        (Const(False), "never"),
        (starts("/etc/"), 'file.path starts with "/etc/"'),
        (Match(PATH, Text(TextKind.EQUALS, 'a"b', cased=True)), r'file.path is exactly "a\"b"'),
        (Match(PATH, Glob(("/a", Wildcard.ANY, "b", Wildcard.ONE))), 'file.path is like "/a*b?"'),
        (Match(PATH, Regex("^/x$")), 'file.path matches "^/x$"'),
        (Match(PATH, Cidr("192.0.2.0/24")), "file.path is in 192.0.2.0/24"),
        (Match(PATH, Compare(Operator.GTE, 12)), "file.path ≥ 12"),
        (Match(PATH, Present()), "file.path is there"),
        (Not(Match(PATH, Filled())), "not file.path is not empty"),
        (Match(PATH, SameAs(TextKind.CONTAINS, IMAGE)), "file.path contains process.executable.path"),
        (Match(Field(Source.TIME), InTime(TimePart.HOUR, Operator.LT, 6)), "time has hour < 6"),
        (Match(Field(Source.RESOURCE, "host.name"), Present()), "resource host.name is there"),
        (Keyword(Text(TextKind.CONTAINS, "root")), 'any value contains "root"'),
        (
            And((Or((starts("/a"), starts("/b"))), Not(starts("/x", IMAGE)))),
            '(file.path starts with one of "/a", "/b") and not process.executable.path starts with "/x"',
        ),
        (
            Or((starts("/a"), And((starts("/b"), Const(True))), starts("/c", IMAGE))),
            (
                'file.path starts with "/a" or (file.path starts with "/b" and always) or '
                'process.executable.path starts with "/c"'
            ),
        ),
    ],
)
def test_words(expression: Expression, said: str) -> None:
    assert words(expression) == said


def test_every_field_is_found() -> None:
    expression = And((Not(starts("/a")), Or((Match(PATH, SameAs(TextKind.EQUALS, IMAGE)), Const(True)))))
    assert list(fields_of(expression)) == [PATH, PATH, IMAGE]


RECORD = Record(
    event_name="x",
    body="text",
    severity_text="INFO",
    severity_number=9,
    time_unix_nano=5,
    attributes={"file.path": "/etc/x"},
    resource=Resource({"host.name": "web"}),
)


@pytest.mark.parametrize(
    ("expression", "reasons"),
    [
        (starts("/etc"), []),
        (starts("/usr"), ['file.path starts with "/usr" must hold, and it is "/etc/x"']),
        (
            And((starts("/etc"), starts("/bin", IMAGE), Not(starts("/e")))),
            [
                'process.executable.path starts with "/bin" must hold, and it is not there',
                'file.path starts with "/e" must not hold, and it is "/etc/x"',
            ],
        ),
        (
            Or((starts("/a"), starts("/b"))),
            ['(file.path starts with one of "/a", "/b") must hold, and it is "/etc/x"'],
        ),
        (
            Not(Or((starts("/a"), starts("/e")))),
            ['file.path starts with "/e" must not hold, and it is "/etc/x"'],
        ),
        (
            Not(And((starts("/e"), Const(True)))),
            ['(file.path starts with "/e" and always) must not hold, and it is "/etc/x"'],
        ),
        (
            Match(Field(Source.RESOURCE, "host.name"), Text(TextKind.EQUALS, "db")),
            ['resource host.name is "db" must hold, and it is "web"'],
        ),
        (
            Match(Field(Source.EVENT_NAME), Text(TextKind.EQUALS, "y")),
            ['event_name is "y" must hold, and it is "x"'],
        ),
        (Match(Field(Source.BODY), Text(TextKind.EQUALS, "y")), ['body is "y" must hold, and it is "text"']),
        (
            Match(Field(Source.SEVERITY_TEXT), Text(TextKind.EQUALS, "y")),
            ['severity_text is "y" must hold, and it is "INFO"'],
        ),
        (
            Match(Field(Source.SEVERITY_NUMBER), Compare(Operator.GT, 9)),
            ['severity_number > 9 must hold, and it is "9"'],
        ),
        (
            Match(Field(Source.TIME), InTime(TimePart.YEAR, Operator.GT, 2000)),
            ['time has year > 2000 must hold, and it is "5"'],
        ),
    ],
)
def test_why_not(expression: Expression, reasons: list[str]) -> None:
    assert why_not(expression, RECORD) == reasons


def test_because() -> None:
    expression = And((Or((starts("/a"), starts("/etc"))), Not(starts("/b")), Match(PATH, Present())))
    assert because(expression, RECORD) == ['file.path starts with "/etc"', "file.path is there"]
