"""YAML as the collector reads it, and what is refused with its line."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_fim.config.errors import ConfigError
from otel_fim.config.scalar import Typed, plain_scalar
from otel_fim.config.show import to_yaml
from otel_fim.config.yaml_source import parse_yaml, typed_text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("False", False),
        ("on", "on"),
        ("yes", "yes"),
        ("n", "n"),
        ("~", None),
        ("", None),
        ("12", 12),
        ("-0", 0),
        ("+7", 7),
        ("0644", 420),
        ("0o17", 15),
        ("0x1F", 31),
        ("-0b11", -3),
        ("089", 89.0),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("-.inf", -math.inf),
        ("2026-01-13", "2026-01-13"),
        ("1.2.3", "1.2.3"),
        ("=", "="),
        ("٣", "٣"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_plain_scalars(text: str, value: object) -> None:
    assert plain_scalar(text) == value
    assert type(plain_scalar(text)) is type(value)


def test_nan_is_a_number() -> None:
    found = plain_scalar(".nan")
    assert isinstance(found, float)
    assert math.isnan(found)


def test_quotes_and_tags_decide() -> None:
    text = "a: '5'\nb: \"true\"\nc: !!str 5\nd: !!int '5'\ne: |\n  5\nf: !!float 5\n"
    assert parse_yaml(text, "f") == {"a": "5", "b": "true", "c": "5", "d": 5, "e": "5\n", "f": 5}


def test_keys_are_text_and_merge_keys_work() -> None:
    assert parse_yaml("8: a\non: b\ntrue: c", "f") == {"8": "a", "on": "b", "true": "c"}
    text = "base: &b {x: 1, y: 1}\nmore: &m {y: 2, z: 2}\nall: {<<: [*b, *m], x: 3}\nquoted: {'<<': 1}"
    found = parse_yaml(text, "f")
    assert found["all"] == {"x": 3, "y": 1, "z": 2}
    assert found["quoted"] == {"<<": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "f.yaml:3: the key 'a' stands twice in one map, first in line 1"),
        ("a: [1\nb: 2", "f.yaml:2: not YAML: "),
        ("\ta: 1", "f.yaml:1: not YAML: "),
        ("a: 1\n---\nb: 2", "f.yaml:2: not YAML: expected a single document"),
        ("a: \x00", "f.yaml: not YAML: special characters are not allowed (U+0000)"),
        ("a: &a [*a]", "f.yaml:1: an alias cannot contain itself"),
        ("a: *nowhere", "f.yaml:1: not YAML: found undefined alias"),
        ("a: !!python/object:os.system x", "f.yaml:1: the tag tag:yaml.org,2002:python/object:os.system"),
        ("a: !!int x", "f.yaml:1: 'x' is not what its tag says"),
        ("? [a]\n: 1", "f.yaml:1: a key must be plain text"),
        ("a: {<<: 5}", "f.yaml:1: '<<' takes a map or a list of maps"),
        ("[" * 5000, "f.yaml: not YAML that can be read: nested too deeply"),
        ("[" * 150 + "]" * 150, "f.yaml:1: too large"),
    ],
)
def test_refuses_with_file_and_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, "f.yaml")
    assert str(caught.value).startswith(message)


def test_all_double_keys_are_reported() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_yaml("a: 1\na: 2\nb: {c: 1, c: 2}", "f")
    assert len(caught.value.problems) == 2


def test_aliases_cannot_ask_for_all_memory() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    with pytest.raises(ConfigError, match="too large"):
        parse_yaml("\n".join(lines), "f")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("[a, 2]", ["a", 2]),
        ("{a: 1}", {"a": 1}),
        ("", None),
        ("'quoted'", "'quoted'"),
        ("pass # word", "pass # word"),
        (" padded ", " padded "),
        ("*.log", "*.log"),
        ("{{", "{{"),
        ("-----BEGIN X-----\na\n-----END X-----\n", "-----BEGIN X-----\na\n-----END X-----\n"),
    ],
)
def test_a_text_from_outside_keeps_its_text(text: str, value: object) -> None:
    assert typed_text(text) == Typed(value, text)


TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)
BREAKS = ["\x85", "\u2028x", "a\ufeff", "\r"]
TRICKY = st.sampled_from(
    [
        "0644",
        "0o17",
        "1e3",
        "on",
        "~",
        "",
        "<<",
        "=",
        "2026-01-13",
        "1:30",
        ".5",
        "089",
        "- a",
        "a: b",
        *BREAKS,
    ]
)


@given(TREES | st.dictionaries(TRICKY, TRICKY) | TRICKY)
def test_what_is_written_is_read_back(tree: Any) -> None:
    assert parse_yaml(to_yaml(tree), "f") == tree


@given(st.text(max_size=30))
def test_any_text_is_a_value_or_a_config_error(text: str) -> None:
    found = typed_text(text)
    assert found.text == text


@given(st.text(alphabet="ab:{}[]-&*!?|>'\"# \n,<0.~", max_size=40))
def test_no_yaml_is_worse_than_a_config_error(text: str) -> None:
    try:
        parse_yaml(text, "f")
    except ConfigError as error:
        problems = error.problems
        assert problems
