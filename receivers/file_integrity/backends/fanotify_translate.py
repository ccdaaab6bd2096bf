"""From fanotify's events to hints, in order, keeping the watched directories in step with what the events say."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from itertools import zip_longest
from typing import Final, Protocol

from otel_fim.receivers.file_integrity.actor import ActorResolver
from otel_fim.receivers.file_integrity.backend import Filter
from otel_fim.receivers.file_integrity.backends import fanotify_api as api
from otel_fim.receivers.file_integrity.backends.directories import Directory, twins
from otel_fim.receivers.file_integrity.backends.fanotify_events import Event
from otel_fim.receivers.file_integrity.backends.hints import (
    ATTRIBUTES,
    CONTENT,
    CREATED,
    DELETED,
    DIRECTORY,
    MOVED_FROM,
    MOVED_TO,
    SUBTREE,
    HintBatch,
)
from otel_fim.receivers.file_integrity.backends.links import LinkedFiles
from otel_fim.receivers.file_integrity.backends.watcher import REASON_QUEUE_OVERFLOW, Lost, Who

_BITS: Final = (
    (api.FAN_CREATE, CREATED),
    (api.FAN_DELETE, DELETED),
    (api.FAN_MODIFY | api.FAN_CLOSE_WRITE, CONTENT),
    (api.FAN_ATTRIB, ATTRIBUTES),
    (api.FAN_MOVED_FROM, MOVED_FROM),
    (api.FAN_MOVED_TO, MOVED_TO),
    (api.FAN_ONDIR, DIRECTORY),
)
_CONTENT: Final = api.FAN_MODIFY | api.FAN_CLOSE_WRITE | api.FAN_ATTRIB
_ENTRY: Final = api.FAN_CREATE | api.FAN_DELETE | api.FAN_MOVED_FROM | api.FAN_MOVED_TO | api.FAN_RENAME


class Places(Protocol):
    """Where directories are found by their keys."""

    def get(self, key: bytes, /) -> Directory | None: ...


class Cover(Protocol):
    """What is kept in step with the events: see `Coverage`, which it is taken from."""

    def step(self, seconds: float) -> bool: ...
    def seconds_to_retry(self) -> float | None: ...
    def appeared(
        self, parent: Directory, name: bytes, *, key: Hashable = None, deep: bool = False
    ) -> bool: ...
    def vanished(self, parent: Directory, name: bytes, key: Hashable, who: Who, *, moved: bool) -> None: ...
    def moved(
        self,
        parent: Directory,
        name: bytes,
        new_parent: Directory,
        new_name: bytes,
        key: Hashable,
        who: Who,
    ) -> None: ...
    def resync(self, path: bytes) -> None: ...
    def rebuild(self) -> None: ...


class Translator:
    """Handles the events of one group. Used by the reading thread alone.

    `own` is the agent's pid, whose changes are not reported; nor are those of `ignored_pids`. These are asked for
    after the first process has been looked at: it may be about to end.
    """

    def __init__(
        self,
        places: Places,
        coverage: Cover,
        scope: Filter,
        actors: ActorResolver,
        batch: HintBatch,
        lost: Lost,
        links: LinkedFiles,
        own: int,
        ignored_pids: Callable[[], frozenset[int]],
    ) -> None:
        self._find = places.get
        self._coverage = coverage
        self._wants = scope.wants
        self._descends = scope.descends
        self._actors = actors
        self._batch = batch
        self._lost = lost
        self._links = links
        self._own = own
        self._ignored_pids = ignored_pids
        self._ignored: frozenset[int] | None = None
        self._bits: dict[int, int] = {}

    def handle(self, events: Iterable[Event]) -> None:
        find, wants, linked = self._find, self._wants, self._links.by_key
        self._ignored = None
        for event in events:
            mask = event.mask
            directory = find(event.directory)
            if event.file in linked and not mask & api.FAN_ONDIR:
                self._linked(event, directory)
            if directory is None and (not event.new_directory or find(event.new_directory) is None):
                if mask & api.FAN_Q_OVERFLOW:
                    self._overflow()
            elif mask & api.FAN_RENAME:
                self._rename(event, directory)
            elif mask & api.FAN_ONDIR:
                for each in list(twins(directory)):
                    self._directory(event, each)
            else:
                bits = self._bits.get(mask) or self._bits_of(mask)
                while directory is not None:
                    path = directory.prefix + event.name
                    if wants(path, directory=False):
                        self._report(event, path, bits)
                    directory = directory.twin

    def _report(self, event: Event, path: bytes, bits: int, old_path: bytes | None = None) -> None:
        if event.pid == self._own:
            return
        actor = self._actors.resolve(event.pid, event.pidfd)
        if self._ignored is None:
            self._ignored = self._ignored_pids()
        if event.pid not in self._ignored:
            self._batch.add(path, bits, actor, old_path)

    def _bits_of(self, mask: int) -> int:
        bits = 0
        for flags, bit in _BITS:
            if mask & flags:
                bits |= bit
        self._bits[mask] = bits
        return bits

    def _overflow(self) -> None:
        self._lost(REASON_QUEUE_OVERFLOW, None, "the kernel's fanotify queue was full")
        self._coverage.rebuild()

    def _linked(self, event: Event, directory: Directory | None) -> None:
        """A file with several names was changed through one of them: that is a change of the others."""
        paths = [each.prefix + event.name for each in twins(directory)]
        if event.mask & _CONTENT:
            bits = self._bits_of(event.mask & _CONTENT)
            for path in self._links.others(event.file, paths):
                if self._wants(path, directory=False):
                    self._report(event, path, bits)
        if event.mask & (api.FAN_DELETE | api.FAN_RENAME | api.FAN_MOVED_FROM):
            for path in paths:
                self._links.forget(path)
            for each in twins(self._find(event.new_directory) if event.new_directory else None):
                self._links.keep(each.prefix + event.new_name, event.file)

    def _directory(self, event: Event, parent: Directory) -> None:
        """A directory was created, removed, changed, or moved with one end only being told."""
        mask = event.mask
        if not mask & _ENTRY:
            if event.name == b"." and self._wants(parent.path, directory=True):
                self._report(event, parent.path, self._bits_of(mask))
            return
        path = parent.prefix + event.name
        if self._wants(path, directory=True):
            self._report(event, path, self._bits_of(mask))
        key = event.file or None
        if mask & (api.FAN_DELETE | api.FAN_MOVED_FROM):
            moved = bool(mask & api.FAN_MOVED_FROM)
            if moved and self._descends(path):
                self._report(event, path, DIRECTORY | MOVED_FROM | SUBTREE)
            self._coverage.vanished(parent, event.name, key, self._who(event), moved=moved)
        if mask & (api.FAN_CREATE | api.FAN_MOVED_TO):
            # When both happened and their order is lost, what is there now counts.
            self._coverage.appeared(parent, event.name, key=key, deep=bool(mask & api.FAN_MOVED_TO))

    def _who(self, event: Event) -> Who:
        return lambda: self._actors.resolve(event.pid, event.pidfd)

    def _rename(self, event: Event, directory: Directory | None) -> None:
        olds = list(twins(directory))
        news = list(twins(self._find(event.new_directory) if event.new_directory else None))
        for old, new in zip_longest(olds, news):
            self._renamed(event, old, new)

    def _renamed(self, event: Event, old: Directory | None, new: Directory | None) -> None:
        is_directory = bool(event.mask & api.FAN_ONDIR)
        extra = DIRECTORY | SUBTREE if is_directory else 0
        old_path = None if old is None else old.prefix + event.name
        new_path = None if new is None else new.prefix + event.new_name
        old_wanted = old_path is not None and self._reports(old_path, is_directory)
        if new_path is not None and self._reports(new_path, is_directory):
            self._report(event, new_path, MOVED_TO | extra, old_path if old_wanted else None)
        elif old_path is not None and old_wanted:
            self._report(event, old_path, MOVED_FROM | extra)
        if not is_directory:
            return
        key = event.file or None
        if old is not None and new is not None:
            self._coverage.moved(old, event.name, new, event.new_name, key, self._who(event))
        elif old is not None:
            self._coverage.vanished(old, event.name, key, self._who(event), moved=True)
        elif new is not None:
            self._coverage.appeared(new, event.new_name, key=key, deep=True)

    def _reports(self, path: bytes, is_directory: bool) -> bool:
        # A directory that is not wanted itself may hold what is.
        return self._wants(path, directory=is_directory) or (is_directory and self._descends(path))
