"""What a text is: folded, as a number, as an address, as a time, as a literal in a statement."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_fim.record import Record, Resource, Scope
from otel_fim.sigma.ir import (
    Cidr,
    Compare,
    Field,
    InTime,
    Match,
    Operator,
    RuleSet,
    Source,
    Text,
    TextKind,
    TimePart,
)
from otel_fim.sigma.sql.conditions import Conditions
from otel_fim.sigma.sql.layout import Layout
from otel_fim.sigma.sql.quoting import comment, identifier, literal
from otel_fim.sigma.sql.texts import folded_whole
from otel_fim.sigma.values import fold
from tests.sigma.parity import strategies as make
from tests.sigma.parity.engines import check
from tests.sigma.parity.table import Table

_SETTINGS = settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
_CHARACTERS = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code <= 0xDFFF]


def _binary(text: str) -> bytes:
    data = text.encode()
    return bytes([len(data)]) + data


@pytest.fixture(scope="module")
def characters(table: Table) -> Iterator[str]:
    """A table with every character of Unicode and what it folds to."""
    table.run("CREATE TABLE characters (c String, folded String) ENGINE = Memory")
    rows = b"".join(_binary(each) + _binary(fold(each)) for each in _CHARACTERS)
    table.run("INSERT INTO characters FORMAT RowBinary", rows)
    yield "characters"
    table.run("DROP TABLE characters")


def test_every_character_folds_to_the_same(table: Table, characters: str) -> None:
    different = table.rows(f"SELECT c FROM {characters} WHERE {folded_whole('c')} != folded LIMIT 5")
    assert different == []


def test_every_character_is_found_by_what_it_folds_to(table: Table, characters: str) -> None:
    wanted = sorted({fold(each) for each in _CHARACTERS if fold(each) != each})
    assert len(wanted) > 1300
    conditions = Conditions(Layout(body="c"), "UTC")
    for start in range(0, len(wanted), 300):
        some = wanted[start : start + 300]
        found = table.rows(
            f"SELECT c FROM {characters} WHERE ({conditions.of(_any_of(some))}) != (folded IN {_listed(some)}) LIMIT 5"
        )
        assert found == []


def _any_of(texts: list[str]) -> make.Expression:
    return make.Or(tuple(Match(Field(Source.BODY), Text(TextKind.EQUALS, each)) for each in texts))


def _listed(texts: list[str]) -> str:
    return f"({', '.join(map(literal, texts))})"


def test_folding_is_the_same_for_a_part_as_for_the_whole() -> None:
    text = "ΟΔΟΣ İSTANBUL KELVIN Straße ẞ ΑΣ."
    assert fold(text) == "".join(map(fold, text))
    assert len(fold(text)) == len(text)
    assert fold("ΟΔΟΣ") in fold("ΟΔΟΣΑ")
    assert fold("\u212a") == "\u212a"
    assert fold(fold(text)) == fold(text)


@_SETTINGS
@given(st.lists(st.text(), max_size=50))
def test_literals_say_what_they_are_made_of(table: Table, texts: list[str]) -> None:
    texts += [
        "'",
        "\\",
        "\\'",
        "\0",
        "\n",
        "{x:String}",
        "%s",
        "--",
        "/*",
        "\u202e",
        "\x1b[0m",
        "\\0",
        "\\x41",
    ]
    columns = ", ".join(f"{literal(each)} AS {identifier(f'c{i}')}" for i, each in enumerate(texts))
    statement = f"SELECT {columns} {comment(''.join(texts))}\n"
    assert all(character.isprintable() or character == "\n" for character in statement if character < "\x80")
    (row,) = table.rows(f"{statement}FROM system.one")
    assert list(row.values()) == texts


FIELD = Field(Source.ATTRIBUTE, "c")


def _records(texts: list[str]) -> list[Record]:
    resource, scope = Resource({}), Scope()
    return [
        Record(
            make.START + i, make.START, event_name="e", attributes={"c": text}, resource=resource, scope=scope
        )
        for i, text in enumerate(texts)
    ]


_digits = st.text("0123456789.eE+-", max_size=8)
_floats = st.floats(allow_nan=False, allow_infinity=False).map(repr)


@_SETTINGS
@given(st.lists(st.one_of(_digits, _floats, st.sampled_from(make.NUMBERS)), max_size=150), _floats)
def test_numbers(table: Table, texts: list[str], bound: str) -> None:
    texts = [
        *texts,
        bound,
        f"{bound} ",
        f"\n{bound}",
        f"{bound}\n",
        "1_0",
        "１",
        "0.1",
        "9007199254740993",
        "1e400",
    ]
    rules = [
        make.rule(f"{operator}{number}", Match(FIELD, Compare(operator, number)))
        for operator in Operator
        for number in (float(bound), 0.1)
    ]
    check(table, RuleSet(tuple(rules)), _records(texts))


_octet = st.integers(0, 300).map(str)
_v4 = st.lists(_octet, min_size=3, max_size=5).map(".".join)
_groups = st.lists(st.one_of(st.text("0123456789abcdefABCDEF", max_size=5), st.just("")), max_size=9).map(
    ":".join
)
_v6 = st.ip_addresses(v=6).map(str)


@_SETTINGS
@given(
    st.lists(
        st.one_of(
            _v4,
            _groups,
            _v6,
            st.ip_addresses(v=4).map(str),
            _v4.map("::ffff:{}".format),
            _v4.map("::{}".format),
        ),
        max_size=150,
    ),
    st.ip_addresses(),
    st.integers(0, 128),
)
def test_addresses(table: Table, texts: list[str], address: object, bits: int) -> None:
    network = f"{address}/{min(bits, 32 if '.' in str(address) else 128)}"
    texts = [
        *texts,
        *make.ADDRESSES,
        str(address),
        "",
        " ",
        "1.2.3.4\n",
        "::1\0",
        "1.2.3.4%lo",
        "::",
        "0:0:0:0:0:0:0:0",
    ]
    rules = [make.rule(each, Match(FIELD, Cidr(each))) for each in (*make.NETWORKS, network)]
    check(table, RuleSet(tuple(rules)), _records(texts))


_two = st.integers(0, 63).map("{:02}".format)
_times = st.builds(
    "{}-{}-{}{}{}:{}:{}{}{}".format,
    st.integers(1960, 2210),
    st.integers(0, 13).map("{:02}".format),
    st.integers(0, 32).map("{:02}".format),
    st.sampled_from("T t"),
    _two,
    _two,
    _two,
    st.sampled_from(("", ".", ".5", ".123456789", ".1234567891")),
    st.sampled_from(("", "Z", "+02:00", "-14:00", "+15:00", "+0200", "z")),
)
_BOUNDS = {
    TimePart.MINUTE: (1, 30),
    TimePart.HOUR: (1, 12),
    TimePart.DAY: (2, 15, 31),
    TimePart.WEEKDAY: (1, 5, 7),
    TimePart.WEEK: (2, 26, 53),
    TimePart.MONTH: (2, 7, 12),
    TimePart.YEAR: (0, 1970, 2038),
}
"""What a part is compared with: each beginning and end, and something between."""
_real_times = st.datetimes(min_value=make.FIRST_YEAR, max_value=make.LAST_YEAR).map(
    lambda t: t.isoformat()[:19] + "Z"
)


@_SETTINGS
@given(st.lists(st.one_of(_times, _real_times), max_size=150), st.sampled_from(make.ZONES))
def test_times(table: Table, texts: list[str], zone: str) -> None:
    rules = [
        make.rule(f"{part}{number}", Match(FIELD, InTime(part, Operator.GTE, number)))
        for part, bounds in _BOUNDS.items()
        for number in bounds
    ]
    check(table, RuleSet(tuple(rules)), _records([*texts, *make.TIMES]), zone)
