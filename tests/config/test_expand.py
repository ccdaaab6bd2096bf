"""References: what they become, what they must not become, and where an error points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_fim.config.expand import escape, expand

ENVIRON = {
    "NAME": "host",
    "NUMBER": "8123",
    "TRUE": "true",
    "LIST": "[a, 2]",
    "MAP": "{k: '${env:NAME}'}",
    "EMPTY": "",
    "MONEY": "a$$b${env:NAME}",
    "WHICH": "NAME",
    "SELF": "['${env:SELF}']",
    "BAD": "\udcff",
}


def one(value: Any) -> Any:
    result = expand(value, ENVIRON)
    assert not result.problems
    return result.tree


def message(value: Any) -> str:
    result = expand({"a": {"b": [value]}}, ENVIRON)
    assert result.failed == {("a", "b", 0)}
    (problem,) = result.problems
    assert problem.path == "a.b[0]"
    assert result.tree == {"a": {"b": [None]}}
    return problem.message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${env:NAME}", "host"),
        ("${NAME}", "host"),
        ("${env:NUMBER}", 8123),
        ("${env:TRUE}", True),
        ("${env:LIST}", ["a", 2]),
        ("${env:MAP}", {"k": "host"}),
        ("${env:EMPTY}", None),
        ("http://${env:NAME}:${env:NUMBER}/", "http://host:8123/"),
        (" ${env:NUMBER}", " 8123"),
        ("x${env:EMPTY}y", "xy"),
        ("x${env:LIST}", "x[a, 2]"),
        ("${env:UNSET:-5s}", "5s"),
        ("${env:UNSET:-5}", 5),
        ("${UNSET:-5}", 5),
        ("${env:UNSET:-}", None),
        ("a${env:UNSET:-}b", "ab"),
        ("${env:EMPTY:-5}", None),
        ("${env:NAME:-other}", "host"),
        ("${env:UNSET:-http://h:1/-x}", "http://h:1/-x"),
        ("${env:UNSET:-${env:NAME}}", "host"),
        ("${env:UNSET:-a${env:ALSO_UNSET:-b}c}", "abc"),
        ("${env:${env:WHICH}}", "host"),
        ("$$", "$"),
        ("$${env:NAME}", "${env:NAME}"),
        ("$$${env:NAME}", "$host"),
        ("$NAME", "$NAME"),
        ("^a$", "^a$"),
        ("$", "$"),
        ("cost: 5$ }", "cost: 5$ }"),
        ("${env:MONEY}", "a$$b${env:NAME}"),
        ("-${env:MONEY}", "-a$$b${env:NAME}"),
        (5, 5),
        (None, None),
    ],
)
def test_values(text: object, value: object) -> None:
    found = one(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (
            "${env:UNSET}",
            "the environment variable UNSET is not set; set it, or give a default: ${env:UNSET:-",
        ),
        ("a ${UNSET} b", "the environment variable UNSET is not set"),
        ("${env:NAME", "'${' without its '}'"),
        ("a${", "'${' without its '}'"),
        ("${}", "'' is not the name of an environment variable"),
        ("${env:1A}", "'1A' is not the name of an environment variable"),
        ("${env:-x}", "'-x' is not the name"),
        ("${http://x/y}", "'${http:...}' is not supported; there are ${env:NAME} and ${file:PATH}"),
        ("${file:/does/not/exist}", "the file '/does/not/exist' cannot be read: No such file or directory"),
        ("${file:/}", "the file '/' cannot be read: Is a directory"),
        ("${file:}", "the file '' cannot be read: No such file"),
        ("${file:a\0b}", "cannot be read: embedded null byte"),
        ("${env:BAD}", "the environment variable BAD is not valid UTF-8"),
    ],
)
def test_errors_name_the_key(text: str, part: str) -> None:
    assert part in message(text)


def test_a_loop_ends() -> None:
    result = expand("${env:SELF}", ENVIRON)
    assert len(result.problems) == 1
    assert "more than 20 variables or files; a loop?" in result.problems[0].message


def test_files(tmp_path: Path) -> None:
    secret, fragment, binary, large = (
        tmp_path / name for name in ("secret", "fragment.yaml", "binary", "large")
    )
    secret.write_text("s3cret$$\n")
    fragment.write_text("endpoint: ${env:NAME}\nlist: [1, 2]\n")
    binary.write_bytes(b"ab\xff")
    large.write_bytes(b"x" * (4 * 2**20 + 1))
    assert one(f"${{file:{secret}}}") == "s3cret$$"
    assert one(f"key ${{file:{secret}}}!") == "key s3cret$$!"
    assert one(f"${{file:{fragment}}}") == {"endpoint": "host", "list": [1, 2]}
    assert "is not valid UTF-8 (byte 2)" in message(f"${{file:{binary}}}")
    assert "is larger than 4 MiB" in message(f"${{file:{large}}}")


def test_all_errors_at_once_and_keys_untouched() -> None:
    result = expand({"${A}": "${A}", "b": ["${B}", {"c": "${C}"}]}, {})
    assert [problem.path for problem in result.problems] == ["${A}", "b[0]", "b[1].c"]


def test_texts_are_kept_for_keys_that_want_text() -> None:
    result = expand({"a": "${env:NUMBER}", "b": ["${env:LIST}"], "c": "x${env:NUMBER}"}, ENVIRON)
    assert result.texts == {("a",): "8123", ("b", 0): "[a, 2]"}


PIECES = st.lists(
    st.sampled_from(["$", "{", "}", "$$", "${", "a", "env:", ":-", "${env:NAME}", "\n"]), max_size=12
)


@given(st.text(st.characters(exclude_categories=("Cs",))) | PIECES.map("".join))
def test_escaped_text_expands_to_itself(text: str) -> None:
    assert one(escape(text)) == text


@given(st.text(st.characters(exclude_characters="$")))
def test_text_without_dollar_stays(text: str) -> None:
    assert one({"a": [text]}) == {"a": [text]}


@given(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0")))
def test_what_a_variable_holds_is_data(value: str) -> None:
    result = expand("<${env:V}>", {"V": value})
    assert result.tree == f"<{value}>"


@given(PIECES.map("".join))
def test_any_text_is_a_value_or_one_problem(text: str) -> None:
    result = expand(text, {"NAME": "x"})
    assert len(result.problems) == len(result.failed) <= 1
