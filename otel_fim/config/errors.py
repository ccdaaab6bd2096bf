"""What is wrong with a configuration, and where."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding: `path` is the key's path (`receivers.file_integrity.paths[0]`) or `file:line`."""

    path: str
    message: str

    def __str__(self) -> str:
        """One line, whatever the keys and values that it quotes contain."""
        return printable(f"{self.path}: {self.message}" if self.path else self.message)


class ConfigError(Exception):
    """A configuration that cannot be used; `problems` are all that were found, at least one."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'paths'?` for the known word nearest to `word`, or an empty text."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def key_path(steps: Iterable[str | int]) -> str:
    """The path as people write it: `("a", "b", 0)` gives `a.b[0]`."""
    text = ""
    for step in steps:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text


def printable(text: str) -> str:
    """`text` with control characters escaped, so that it stays on its line and moves no cursor."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
