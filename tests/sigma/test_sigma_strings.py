"""Wildcards and escapes: what a value in a rule matches, against an independent reading of it."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from sigma.types import SigmaString, SpecialChars

from otel_fim.sigma.ir import Glob, Text, TextKind, Wildcard
from otel_fim.sigma.lower.strings import test_of as lowered

WRITTEN = st.text(alphabet=st.sampled_from("ab*?\\ä\n"), max_size=12)
SUBJECT = st.text(alphabet=st.sampled_from("ab*?\\ä\n"), max_size=10)


def reading(written: str) -> re.Pattern[str]:
    """Sigma's rules for backslashes: before `*`, `?` and itself it escapes, elsewhere it is itself."""
    pattern = ""
    place = 0
    while place < len(written):
        character = written[place]
        if character == "\\" and written[place + 1 : place + 2] in ("*", "?", "\\"):
            pattern += re.escape(written[place + 1])
            place += 2
            continue
        pattern += {"*": ".*", "?": "."}.get(character, re.escape(character))
        place += 1
    return re.compile(pattern, re.DOTALL)


def parts(written: str) -> list[str | Wildcard]:
    names = {SpecialChars.WILDCARD_MULTI: Wildcard.ANY, SpecialChars.WILDCARD_SINGLE: Wildcard.ONE}
    return [each if isinstance(each, str) else names[each] for each in SigmaString(written).s]  # type: ignore[index]


def matches(test: Text | Glob, subject: str) -> bool:
    if isinstance(test, Glob):
        pattern = "".join(
            {"*": ".*", "?": "."}[p] if isinstance(p, Wildcard) else re.escape(p) for p in test.parts
        )
        return re.fullmatch(pattern, subject, re.DOTALL) is not None
    return {
        TextKind.EQUALS: subject == test.value,
        TextKind.STARTSWITH: subject.startswith(test.value),
        TextKind.ENDSWITH: subject.endswith(test.value),
        TextKind.CONTAINS: test.value in subject,
    }[test.kind]


@given(WRITTEN, st.lists(SUBJECT, max_size=10))
def test_a_value_matches_what_sigma_says(written: str, subjects: list[str]) -> None:
    test = lowered(parts(written), True)
    expected = reading(written)
    for subject in (*subjects, written, written.replace("*", "").replace("?", "a")):
        assert matches(test, subject) == (expected.fullmatch(subject) is not None), (test, subject)


@given(st.text(max_size=12))
def test_an_escaped_text_matches_itself_only(text: str) -> None:
    escaped = re.sub(r"([*?\\])", r"\\\1", text)
    assert lowered(parts(escaped), False) == Text(TextKind.EQUALS, text)


@given(st.lists(st.sampled_from(["a", "b", "", Wildcard.ANY, Wildcard.ONE]), max_size=8))
def test_a_pattern_has_one_form(pattern: list[str | Wildcard]) -> None:
    test = lowered(pattern, False)
    if isinstance(test, Glob):
        assert lowered(test.parts, False) == test
        neighbours = list(zip(test.parts, test.parts[1:], strict=False))
        assert not [pair for pair in neighbours if not any(isinstance(each, Wildcard) for each in pair)]
        assert (Wildcard.ANY, Wildcard.ANY) not in neighbours
        assert (Wildcard.ANY, Wildcard.ONE) not in neighbours
