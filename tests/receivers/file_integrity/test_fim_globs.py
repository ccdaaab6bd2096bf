"""Patterns against the standard library's, and against a plain definition for paths."""

from __future__ import annotations

import fnmatch
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_fim.receivers.file_integrity.globs import PatternError, PatternSet, is_path_pattern, translate

NAMES = st.text("ab.é\n", min_size=1, max_size=6)
NAME_PATTERNS = st.text("ab.é*?[]!", min_size=1, max_size=7)


def matches(pattern: str, text: str) -> bool:
    return re.fullmatch(translate(pattern), text.encode(), re.DOTALL) is not None


@given(NAME_PATTERNS, NAMES)
def test_a_name_pattern_matches_what_fnmatch_matches(pattern: str, name: str) -> None:
    assert matches(pattern, name) == fnmatch.fnmatchcase(name, pattern)


def _path_matches(pattern: list[str], path: list[str]) -> bool:
    """The definition: component by component, `**` stands for any number of them (at the end: one at least)."""
    if not pattern:
        return not path
    if pattern[0] == "**":
        if len(pattern) == 1:
            return bool(path)
        return any(_path_matches(pattern[1:], path[start:]) for start in range(len(path) + 1))
    return bool(path) and fnmatch.fnmatchcase(path[0], pattern[0]) and _path_matches(pattern[1:], path[1:])


COMPONENT = st.sampled_from(["a", "b", "ab", "a.log", ".a"])
PATTERN_COMPONENT = st.sampled_from(["a", "*", "**", "?", "a*", "*.log", "[ab]", "[!a]*", ".*"])


@given(st.lists(PATTERN_COMPONENT, min_size=1, max_size=5), st.lists(COMPONENT, min_size=1, max_size=5))
def test_a_path_pattern_matches_by_component(pattern: list[str], path: list[str]) -> None:
    assert matches("/" + "/".join(pattern), "/" + "/".join(path)) == _path_matches(pattern, path)


@given(st.binary(min_size=1, max_size=20).filter(lambda b: b"/" not in b and b"\0" not in b))
def test_a_star_matches_every_name_even_one_that_is_not_utf8(name: bytes) -> None:
    assert PatternSet.compile(["*"]).matches_name(name)
    assert PatternSet.compile(["/etc/*"]).matches_path(b"/etc/" + name)
    assert not PatternSet.compile(["/etc/*"]).matches_path(b"/etcx/" + name)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("/etc", "/etcfoo", False),
        ("/etc/*", "/etc/a/b", False),
        ("/etc/**", "/etc/a/b", True),
        ("/etc/**", "/etc", False),
        ("/etc/**/b", "/etc/b", True),
        ("conf/*.bak", "/srv/conf/x.bak", True),
        ("conf/*.bak", "/srv/myconf/x.bak", False),
        ("node_modules/", "node_modules", True),
        ("caf?", "café", True),
        ("[éa]", "é", True),
        ("[!é]", "é", False),
        (r"\*", "*", True),
        (r"\*", "x", False),
        ("a[", "a[", True),
        ("/", "/", True),
    ],
)
def test_examples(pattern: str, text: str, expected: bool) -> None:
    assert matches(pattern, text) is expected


@pytest.mark.parametrize("pattern", ["", "//", "[b-a]", "[à-é]"])
def test_what_cannot_be_meant_is_an_error_that_quotes_the_pattern(pattern: str) -> None:
    with pytest.raises(PatternError, match=re.escape(repr(pattern))):
        translate(pattern)


def test_a_set_of_patterns_is_one() -> None:
    patterns = PatternSet.compile(["*.pyc", "core", "/etc/adjtime"])
    assert patterns.matches(b"/x/a.pyc", b"a.pyc")
    assert patterns.matches(b"/x/core", b"core")
    assert patterns.matches(b"/etc/adjtime", b"adjtime")
    assert not patterns.matches(b"/srv/adjtime", b"adjtime")
    assert patterns
    assert not PatternSet.compile([])
    assert is_path_pattern("a/b")
    assert not is_path_pattern("a/")
