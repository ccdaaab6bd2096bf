"""Which processes are reported."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fnmatch import translate

from otel_fim.host.process import Process
from otel_fim.receivers.process.config import ProcessFilter


class Filters:
    """`users` gives the name of a user id."""

    def __init__(
        self, include: ProcessFilter, exclude: ProcessFilter, users: Callable[[int | None], str | None]
    ) -> None:
        self._include = None if include.is_empty() else _Filter(include, users)
        self._exclude = None if exclude.is_empty() else _Filter(exclude, users)

    def wants(self, process: Process, executable: str | None) -> bool:
        """Whether a process is to be reported. When in doubt, as its executable is not known, it is."""
        if self._include is not None and not self._include.matches(process, executable, unknown=True):
            return False
        return self._exclude is None or not self._exclude.matches(process, executable, unknown=False)


class _Filter:
    def __init__(self, config: ProcessFilter, users: Callable[[int | None], str | None]) -> None:
        self._executables = _patterns(config.executables)
        self._parents = _patterns(config.parents)
        self._users = frozenset(config.users)
        self._user_name = users

    def matches(self, process: Process, executable: str | None, *, unknown: bool) -> bool:
        """`unknown` is the answer for what is not known."""
        if self._executables and not _matches(self._executables, executable, unknown):
            return False
        if self._parents:
            parent = process.ancestors[0].executable_path if process.ancestors else None
            if not _matches(self._parents, parent, unknown):
                return False
        if self._users:
            number = process.effective_user_id
            if number is None:
                return unknown
            return str(number) in self._users or self._user_name(number) in self._users
        return True


def _patterns(texts: Sequence[str]) -> list[tuple[bool, re.Pattern[str]]]:
    return [("/" in text, re.compile(translate(text))) for text in texts]


def _matches(patterns: list[tuple[bool, re.Pattern[str]]], path: str | None, unknown: bool) -> bool:
    if path is None:
        return unknown
    name = path.rpartition("/")[2]
    return any(pattern.match(path if full else name) is not None for full, pattern in patterns)
