"""Files upon files, and `--set` upon all."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_fim.config.errors import ConfigError
from otel_fim.config.merge import merge, merge_all, parse_set
from otel_fim.config.scalar import Typed

KEYS = st.sampled_from(["a", "b", "c"])
LEAVES = st.none() | st.integers(0, 3) | st.lists(st.integers(0, 3), max_size=2)
MAPS = st.dictionaries(
    KEYS,
    st.recursive(LEAVES, lambda inner: st.dictionaries(KEYS, inner, max_size=3), max_leaves=8),
    max_size=3,
)


def test_maps_merge_and_all_else_is_replaced() -> None:
    base = {"x": {"keep": 1, "list": [1, 2], "scalar": 1, "null": {"a": 1}}, "y": 1}
    over = {"x": {"list": [3], "scalar": {"now": "a map"}, "null": None}, "z": 2}
    assert merge(base, over) == {
        "x": {"keep": 1, "list": [3], "scalar": {"now": "a map"}, "null": None},
        "y": 1,
        "z": 2,
    }


@given(MAPS)
def test_nothing_is_the_neutral_element(tree: Any) -> None:
    assert merge(tree, {}) == merge({}, tree) == merge(tree, tree) == tree


@given(MAPS, MAPS)
def test_the_later_wins_and_neither_is_changed(base: Any, over: Any) -> None:
    before = copy.deepcopy((base, over))
    result = merge(base, over)
    assert (base, over) == before
    assert merge(result, over) == result
    assert set(result) == set(base) | set(over)
    for key, value in over.items():
        if not isinstance(value, dict):
            assert result[key] == value


@given(MAPS, MAPS, MAPS)
def test_files_are_laid_down_in_order(first: Any, second: Any, third: Any) -> None:
    assert merge_all([first, second, third]) == merge(merge(first, second), third)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a=1", {"a": Typed(1, "1")}),
        (
            "exporters.otlp/2.endpoint=h:4317",
            {"exporters": {"otlp/2": {"endpoint": Typed("h:4317", "h:4317")}}},
        ),
        ("a.b=x=y", {"a": {"b": Typed("x=y", "x=y")}}),
        ("a.b=", {"a": {"b": Typed(None, "")}}),
        ("a.b=[1, x]", {"a": {"b": Typed([1, "x"], "[1, x]")}}),
        ("a::b.c=true", {"a": {"b.c": Typed(True, "true")}}),
        ("a.b=http://[::1]:80", {"a": {"b": Typed("http://[::1]:80", "http://[::1]:80")}}),
    ],
)
def test_reads_set(text: str, tree: object) -> None:
    assert parse_set(text) == tree


@pytest.mark.parametrize(
    ("text", "message"),
    [("a.b", "--set a.b: '=' is missing"), ("=1", "--set =1: a key is empty"), ("a..b=1", "a key is empty")],
)
def test_refuses_set(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_set(text)
    assert message in str(caught.value)


@given(st.lists(st.from_regex(r"[a-z_/0-9]{1,8}", fullmatch=True), min_size=1, max_size=5), st.integers())
def test_a_set_path_leads_to_its_value(steps: list[str], number: int) -> None:
    found: Any = parse_set(f"{'.'.join(steps)}={number}")
    for step in steps:
        assert list(found) == [step]
        found = found[step]
    assert found == Typed(number, str(number))
