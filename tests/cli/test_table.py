"""Tables: aligned, in colour only where that is wanted, and safe from what they show."""

from __future__ import annotations

import io

import pytest

from otel_fim.cli.table import print_table, use_color


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


def test_colour_is_for_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert use_color(Terminal())
    assert not use_color(io.StringIO())
    monkeypatch.setenv("TERM", "dumb")
    assert not use_color(Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not use_color(Terminal())


def test_columns() -> None:
    out = io.StringIO()
    print_table(("A", "LONGER"), [("wide cell", "x"), ("y", "")], out)
    assert out.getvalue() == "A          LONGER\nwide cell  x\ny\n"


def test_only_the_head_is_bold_and_cells_cannot_write_escapes() -> None:
    out = Terminal()
    print_table(("A",), [("\x1b[2J\n",)], out)
    assert out.getvalue() == "\x1b[1mA\x1b[0m\n\\x1b[2J\\n\n"
