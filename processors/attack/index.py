"""Finds the mappings for a path without trying them all: a few dictionary look-ups for each path component.

Patterns, with no other special characters:

- `/etc/passwd` is that path,
- `/etc/cron.d/` is everything below that directory,
- `/etc/systemd/system/*.timer` is every name below that directory, at any depth, that fits; one `*`,
- `**/.ssh/authorized_keys`, `**/.config/autostart/` and `**/security/pam_*.so` are the same three wherever
  the path ends, or continues, like that.

Paths are compared by component: `/etcfoo` is not below `/etc`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

T = TypeVar("T")
_ANYWHERE: Final = "**"


@dataclass(slots=True, frozen=True)
class _Below(Generic[T]):
    directory: str
    """The whole directory, or for `**/` its last components, with a leading slash."""
    prefix: str
    suffix: str
    value: T

    def fits(self, name: str) -> bool:
        return (
            len(name) >= len(self.prefix) + len(self.suffix)
            and name.startswith(self.prefix)
            and name.endswith(self.suffix)
        )


@dataclass(slots=True)
class PathIndex(Generic[T]):
    """Values under path patterns; `find` gives those that fit, the most specific pattern first."""

    _exact: dict[str, list[T]] = field(default_factory=dict)
    _tails: dict[str, list[tuple[str, T]]] = field(default_factory=dict)
    _below: dict[str, list[_Below[T]]] = field(default_factory=dict)
    _tails_below: dict[str, list[_Below[T]]] = field(default_factory=dict)

    def add(self, patterns: Iterable[str], value: T) -> None:
        """Puts `value` under each pattern. Raises `ValueError` for a pattern of another form."""
        for pattern in patterns:
            self._add(pattern, value)

    def _add(self, pattern: str, value: T) -> None:
        anywhere = pattern.startswith(_ANYWHERE + "/")
        path = pattern.removeprefix(_ANYWHERE)
        directory, _, name = path.rpartition("/")
        prefix, star, suffix = name.partition("*")
        if not path.startswith("/") or "*" in directory or "*" in suffix:
            raise ValueError(f"{pattern!r} is not a pattern that this index knows")
        if name and not star:
            if anywhere:
                self._tails.setdefault(name, []).append((path, value))
            else:
                self._exact.setdefault(path, []).append(value)
            return
        entry = _Below(directory, prefix, suffix, value)
        if anywhere:
            self._tails_below.setdefault(directory.rpartition("/")[2], []).append(entry)
        else:
            self._below.setdefault(directory, []).append(entry)

    def find(self, path: str) -> Iterator[T]:
        """The values whose patterns fit the absolute `path`."""
        yield from self._exact.get(path, ())
        name = path[path.rfind("/") + 1 :]
        for tail, value in self._tails.get(name, ()):
            if path.endswith(tail):
                yield value
        end = len(path) - len(name) - 1
        while end > 0:
            directory = path[:end]
            for entry in self._below.get(directory, ()):
                if entry.fits(name):
                    yield entry.value
            start = path.rfind("/", 0, end)
            for entry in self._tails_below.get(path[start + 1 : end], ()):
                if directory.endswith(entry.directory) and entry.fits(name):
                    yield entry.value
            end = start
