"""The lowered form as JSON and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_fim.sigma import ir, ir_json

TEXT = st.text(max_size=5)
NUMBER = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-5, 5).map(float)
FIELD = st.builds(ir.Field, st.sampled_from(ir.Source), TEXT, st.booleans())
TESTS = st.one_of(
    st.builds(ir.Text, st.sampled_from(ir.TextKind), TEXT, st.booleans()),
    st.builds(
        ir.Glob,
        st.lists(TEXT | st.sampled_from(ir.Wildcard), max_size=4).map(tuple),
        st.booleans(),
    ),
    st.builds(ir.Regex, TEXT, st.booleans(), st.booleans(), st.booleans()),
    st.builds(ir.Cidr, TEXT),
    st.builds(ir.Compare, st.sampled_from(ir.Operator), NUMBER),
    st.just(ir.Present()),
    st.just(ir.Filled()),
    st.builds(ir.SameAs, st.sampled_from(ir.TextKind), FIELD, st.booleans()),
    st.builds(ir.InTime, st.sampled_from(ir.TimePart), st.sampled_from(ir.Operator), st.integers(0, 60)),
)


def groups(inner: st.SearchStrategy[ir.Expression]) -> st.SearchStrategy[ir.Expression]:
    items = st.lists(inner, min_size=1, max_size=3).map(tuple)
    return st.builds(ir.Not, inner) | st.builds(ir.And, items) | st.builds(ir.Or, items)


EXPRESSION = st.recursive(
    st.builds(ir.Const, st.booleans()) | st.builds(ir.Match, FIELD, TESTS) | st.builds(ir.Keyword, TESTS),
    groups,
    max_leaves=6,
)
META = st.builds(
    ir.Meta,
    TEXT,
    TEXT,
    st.sampled_from(ir.Level),
    references=st.lists(TEXT, max_size=2).map(tuple),
    redirected=st.lists(st.tuples(TEXT, TEXT), max_size=2).map(tuple),
)
RULE = st.builds(
    ir.Rule,
    META,
    EXPRESSION,
    st.builds(ir.LogSource, TEXT, TEXT, TEXT),
    st.none() | st.frozensets(TEXT, max_size=3),
    st.booleans(),
)
KEYED = st.lists(st.tuples(TEXT, FIELD), max_size=2).map(tuple)
CORRELATION = st.builds(
    ir.Correlation,
    META,
    st.sampled_from(ir.CorrelationType),
    st.lists(TEXT, min_size=1, max_size=3).map(tuple),
    st.integers(0, 2**60),
    st.lists(st.builds(ir.GroupKey, TEXT, KEYED), max_size=2).map(tuple),
    st.none()
    | st.builds(
        ir.Condition, st.lists(st.tuples(st.sampled_from(ir.Operator), NUMBER), max_size=2).map(tuple)
    ),
    KEYED,
    TEXT,
    st.just(95.5),
    st.none() | st.builds(ir.RuleNot, st.builds(ir.RuleOr, st.just((ir.RuleRef("a"), ir.RuleRef("b"))))),
    st.booleans(),
    st.booleans(),
)


def several(items: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(items, max_size=2).map(tuple)


@given(
    st.builds(
        ir.RuleSet,
        several(RULE),
        several(CORRELATION),
        several(st.builds(ir.Rejected, TEXT, TEXT, TEXT, TEXT)),
    )
)
def test_what_is_written_is_read(ruleset: ir.RuleSet) -> None:
    data = ir_json.dump(ruleset)
    assert ir_json.load(data) == ruleset
    assert ir_json.dump(ir_json.load(data)) == data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"version": 1}\n[]',
        b'{"version": 1}\n{"_": "Nothing"}',
        b'{"version": 1}\n{"_": "Const", "value": true}',
        b'{"version": 1}\n{"_": "Rule", "more": 1}',
        b'{"version": 1}\n{"_": "TextKind", "=": "sounds_like"}',
        b'{"version": 1}\n{"_": "Rejected"',
    ],
)
def test_what_is_something_else(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        ir_json.load(data)


def test_another_version() -> None:
    with pytest.raises(ValueError, match="version 2 of the rules' form, and 1 is expected"):
        ir_json.load(b'{"version": 2}')
