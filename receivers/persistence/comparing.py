"""Reads kinds and compares what is found with what is known."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Final

from otel_fim.component import Context, Health
from otel_fim.names import metrics
from otel_fim.receivers.persistence.book import Book
from otel_fim.receivers.persistence.differ import Delta, Key, compare, key_of, keyed
from otel_fim.receivers.persistence.dirty import Task
from otel_fim.receivers.persistence.hosts import Host
from otel_fim.receivers.persistence.item import Item, differences
from otel_fim.receivers.persistence.kind import FileKind, Kind, Place
from otel_fim.receivers.persistence.reader import NOT_LOOKED_AT, Reader
from otel_fim.receivers.persistence.state import State
from otel_fim.receivers.persistence.text import display, text_of

_ALL: Final = b"/"
MOST_ITEMS: Final = 50_000
"""Of one kind, on one host."""


class Selection:
    """Which paths are told: those that match `include` (or all), and not `exclude`; shell patterns."""

    def __init__(self, include: Sequence[str], exclude: Sequence[str]) -> None:
        self._include = tuple(include)
        self._exclude = tuple(exclude)

    def __call__(self, path: bytes) -> bool:
        if not self._include and not self._exclude:
            return True
        text = text_of(path)
        if self._include and not any(fnmatch.fnmatchcase(text, pattern) for pattern in self._include):
            return False
        return not any(fnmatch.fnmatchcase(text, pattern) for pattern in self._exclude)


class Comparer:
    """Used by the receiver's own thread.

    `problems` has, by kind, what could not be read at the last look. What is hidden is not taken for removed; what was
    hidden when the baseline was taken is not taken for new when it can be read: it is told as a part of the baseline
    when `tells_given`, and not at all otherwise.
    """

    def __init__(
        self,
        context: Context,
        host: Host,
        reader: Reader,
        book: Book,
        state: State,
        wanted: Selection,
        *,
        tells_given: bool = False,
    ) -> None:
        self._context = context
        self._host = host
        self._reader = reader
        self._book = book
        self._state = state
        self._wanted = wanted
        self._tells_given = tells_given
        self._blind: dict[str, set[bytes]] = {}
        self._failing: set[str] = set()
        self._overfull: set[str] = set()
        self.problems: dict[str, dict[bytes, str]] = {}

    def read(self, kind: Kind, files: Mapping[bytes, Place] | None = None) -> dict[Key, Item] | None:
        """All items of a kind; None when it fails. `files` are those of file events: a kind that does not list its
        places each time learns of new ones in no other way."""

        def read() -> dict[Key, Item]:
            if isinstance(kind, FileKind):
                for path, place in (files or {}).items():
                    for _ in kind.read_file(path, place, self._reader):
                        pass
            return keyed(self._some(kind))

        return self._reading(kind, read, {})

    def _some(self, kind: Kind) -> Iterator[Item]:
        """Not more than can be held: any user may lay out any number of files."""
        for number, item in enumerate(kind.read(self._host, self._reader)):
            if number >= MOST_ITEMS:
                self._reader.problems[_ALL] = "too_many"
                if kind.name not in self._overfull:
                    self._overfull.add(kind.name)
                    self._context.logger.warning(
                        "more than %d items of the kind %s: those behind %s are not looked at; `exclude_kinds` leaves "
                        "the kind out",
                        MOST_ITEMS,
                        kind.name,
                        display(text_of(item.path)),
                    )
                return
            yield item
        self._overfull.discard(kind.name)

    def read_files(self, kind: FileKind, task: Task) -> dict[Key, Item] | None:
        """The items of the task's files; None when the kind fails."""

        def read() -> dict[Key, Item]:
            return keyed(
                item
                for path, place in task.files.items()
                for item in kind.read_file(path, place, self._reader)
            )

        before = self.problems.get(kind.name, {})
        return self._reading(
            kind, read, {path: why for path, why in before.items() if path not in task.files}
        )

    def _reading(
        self, kind: Kind, read: Callable[[], dict[Key, Item]], kept: dict[bytes, str]
    ) -> dict[Key, Item] | None:
        """What `read` gives, None when it raises: one kind must not take the others with it."""
        reader = self._reader
        reader.problems = kept
        reader.rejected = 0
        try:
            found = read()
        except Exception as error:
            self._context.logger.exception("the kind %s cannot be read", kind.name)
            reader.problems[_ALL] = "io_error"
            self._failing.add(kind.name)
            self._context.report(Health.RECOVERABLE_ERROR, f"{kind.name}: {type(error).__name__}: {error}")
            return None
        finally:
            self.problems[kind.name] = reader.problems
            if reader.rejected:
                self._context.count(metrics.RECEIVER_REJECTED_INPUTS, reader.rejected, kind=kind.name)
        if kind.name in self._failing:
            self._failing.discard(kind.name)
            if not self._failing:
                self._context.report(Health.OK, "")
        return found

    def compare(
        self,
        name: str,
        known: Mapping[Key, Item],
        found: Mapping[Key, Item],
        new: Collection[bytes] = (),
    ) -> list[Delta]:
        """The steps from what is known to what was found at the last look at the kind. `new`: paths that are told
        also where it was not looked at before."""
        blind = self._blind.get(name)
        # What is not looked through yet hides nothing that is known: that was looked at.
        hidden = {path for path, why in self.problems.get(name, {}).items() if why != NOT_LOOKED_AT}
        deltas = compare(known, found, partial(_at_or_below, hidden))
        for delta in deltas:
            path = delta.item.path
            if blind and delta.before is None and path not in new and _at_or_below(blind, path):
                delta.given = True
                delta.quiet = not self._tells_given
            if not self._wanted(path):
                delta.quiet = True
        return deltas

    def blind(self, name: str, paths: set[bytes]) -> None:
        """What could not be read when the kind's baseline was taken."""
        self._blind[name] = paths

    def sees(self, name: str) -> None:
        """What of it has been read since, is told from now on: call it when the steps of this look are told."""
        blind = self._blind.get(name)
        if blind and (seen := blind - self.problems.get(name, {}).keys()):
            blind -= seen
            self._book.attempt(lambda: self._state.seen(name, seen))

    def since_last_run(self, name: str, found: Mapping[Key, Item]) -> list[Delta]:
        """What has changed since the agent was stopped. After a crash, records may have been told that nobody noted:
        what they may have said is taken into account, so that the last thing told is what is there."""
        known = dict(self._book.known(name))
        announced = self._state.announced(name)
        for key, told in announced.items():
            now = found.get(key)
            if not _same(known.get(key), now):
                continue
            for said in told:
                if not _same(said, now):
                    known.pop(key, None)
                    if said is not None:
                        known[key] = said
        deltas = self.compare(name, known, found)
        open_keys = set()
        for delta in deltas:
            for item in (delta.before, delta.after):
                if item is not None and key_of(item) in announced:
                    delta.may_repeat = True
                    open_keys.add(key_of(item))
        if settled := announced.keys() - open_keys:
            self._book.attempt(lambda: self._state.settle(name, settled))
        return deltas


def _at_or_below(places: Mapping[bytes, str] | set[bytes], path: bytes) -> bool:
    if not places:
        return False
    while path:
        if path in places:
            return True
        path = path.rpartition(b"/")[0]
    return b"/" in places


def _same(one: Item | None, other: Item | None) -> bool:
    if one is None or other is None:
        return one is other
    return not differences(one, other)
