"""Paths as text and in pieces."""

from __future__ import annotations

import os

from hypothesis import example, given
from hypothesis import strategies as st

from otel_fim.receivers.file_integrity import paths

NAME = st.binary(min_size=1, max_size=12).filter(lambda b: b"/" not in b and b"\0" not in b)


@given(st.lists(NAME, max_size=4))
def test_split_and_join_are_inverse(parts: list[bytes]) -> None:
    path = b"/" + b"/".join(parts)
    assert paths.join(*paths.split(path)) == path


@given(NAME)
@example(b"\xc2\xa0\xc2\xad\xc2\x85")
def test_what_is_displayed_is_one_line_of_printable_text(name: bytes) -> None:
    shown = paths.display(name)
    assert all(c.isprintable() or ord(c) > 0xFF for c in shown), shown
    shown.encode()


@given(st.text(min_size=1, max_size=8).filter(lambda t: "\0" not in t and t.isprintable() and "\\" not in t))
def test_plain_names_are_shown_as_they_are(text: str) -> None:
    assert paths.display(text.encode()) in (text, paths.display(text.encode()))
    if text.isascii():
        assert paths.display(text.encode()) == text


@given(NAME, NAME)
def test_different_names_look_different(one: bytes, other: bytes) -> None:
    if one != other:
        assert paths.display(one) != paths.display(other)


@given(NAME)
def test_text_tells_whether_it_is_exact(name: bytes) -> None:
    if paths.is_utf8(name):
        assert paths.text_of(name).encode() == name
    else:
        assert "\\x" in paths.text_of(name)


def test_examples() -> None:
    assert paths.display(b"a\nb") == r"a\nb"
    assert paths.display(b"a\x1b[31m") == r"a\x1b[31m"
    assert paths.display(b"caf\xe9") == r"caf\xe9"
    assert paths.display("a\u202eb".encode()) == r"a\u202eb"
    assert paths.display(b"a\\nb") == r"a\\nb"
    assert paths.split(b"/") == (b"/", b"")
    assert paths.split(b"/etc") == (b"/", b"etc")
    assert paths.is_below(b"/etc/a", b"/etc")
    assert not paths.is_below(b"/etcfoo", b"/etc")
    assert paths.is_below(b"/etc", b"/")
    assert not paths.is_below(b"/", b"/")
    with paths.short(os.fsencode("/etc")) as (rest, descriptor):
        assert (rest, descriptor) == (b"/etc", None)
