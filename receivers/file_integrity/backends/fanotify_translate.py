"""From fanotify's events to hints, in order, keeping the watched directories in step with what the events say."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Final, Protocol

from otel_fim.receivers.file_integrity.actor import ActorResolver
from otel_fim.receivers.file_integrity.backend import Actor, Filter
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
from otel_fim.receivers.file_integrity.backends.watcher import REASON_QUEUE_OVERFLOW, Lost

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
    def vanished(
        self, parent: Directory, name: bytes, key: Hashable, actor: Actor | None, *, moved: bool
    ) -> None: ...
    def moved(
        self,
        parent: Directory,
        name: bytes,
        new_parent: Directory,
        new_name: bytes,
        key: Hashable,
        actor: Actor | None,
    ) -> None: ...
    def resync(self, path: bytes) -> None: ...
    def rebuild(self) -> None: ...


class Translator:
    """Handles the events of one group. Used by the reading thread alone."""

    def __init__(
        self,
        places: Places,
        coverage: Cover,
        scope: Filter,
        actors: ActorResolver,
        batch: HintBatch,
        lost: Lost,
        ignored_pids: Callable[[], frozenset[int]],
        links: LinkedFiles,
    ) -> None:
        self._find = places.get
        self._coverage = coverage
        self._wants = scope.wants
        self._descends = scope.descends
        self._actors = actors
        self._batch = batch
        self._lost = lost
        self._ignored_pids = ignored_pids
        self._links = links
        self._bits: dict[int, int] = {}

    def handle(self, events: Iterable[Event]) -> None:
        find, wants, batch, resolve = self._find, self._wants, self._batch, self._actors.resolve
        ignored = self._ignored_pids()
        linked = self._links.by_key
        for event in events:
            mask = event.mask
            directory = find(event.directory)
            muted = event.pid in ignored
            if event.file in linked and not mask & api.FAN_ONDIR:
                self._linked(event, directory, muted)
            if directory is None and (not event.new_directory or find(event.new_directory) is None):
                if mask & api.FAN_Q_OVERFLOW:
                    self._overflow()
                continue
            if mask & (api.FAN_ONDIR | api.FAN_RENAME):
                self._directory_or_rename(event, directory, muted)
            elif not muted:
                bits = self._bits.get(mask) or self._bits_of(mask)
                while directory is not None:
                    path = directory.prefix + event.name
                    if wants(path, directory=False):
                        batch.add(path, bits, resolve(event.pid, event.pidfd))
                    directory = directory.twin

    def _linked(self, event: Event, directory: Directory | None, muted: bool) -> None:
        """A file with several names was changed through one of them: that is a change of the others."""
        paths = [each.prefix + event.name for each in twins(directory)]
        if event.mask & _CONTENT and not muted:
            bits = self._bits_of(event.mask & _CONTENT)
            for path in self._links.others(event.file, paths):
                if self._wants(path, directory=False):
                    self._batch.add(path, bits, self._actors.resolve(event.pid, event.pidfd))
        if event.mask & (api.FAN_DELETE | api.FAN_RENAME | api.FAN_MOVED_FROM):
            for path in paths:
                self._links.forget(path)
            for each in twins(self._find(event.new_directory) if event.new_directory else None):
                self._links.keep(each.prefix + event.new_name, event.file)

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

    def _directory_or_rename(self, event: Event, directory: Directory | None, muted: bool) -> None:
        actor = None if muted else self._actors.resolve(event.pid, event.pidfd)
        if event.mask & api.FAN_RENAME:
            olds = list(twins(directory))
            news = list(twins(self._find(event.new_directory)))
            for index in range(max(len(olds), len(news))):
                old = olds[index] if index < len(olds) else None
                new = news[index] if index < len(news) else None
                self._renamed(event, old, new, actor, muted)
            return
        for each in list(twins(directory)):
            if event.mask & _ENTRY:
                self._entry(event, each, actor, muted)
            elif event.name == b"." and not muted and self._wants(each.path, directory=True):
                self._batch.add(each.path, self._bits_of(event.mask), actor)

    def _entry(self, event: Event, parent: Directory, actor: Actor | None, muted: bool) -> None:
        """A directory was created, removed, or moved with one end only being told."""
        mask = event.mask
        path = parent.prefix + event.name
        away, here = mask & (api.FAN_DELETE | api.FAN_MOVED_FROM), mask & (api.FAN_CREATE | api.FAN_MOVED_TO)
        if not muted and self._wants(path, directory=True):
            self._batch.add(path, self._bits_of(mask), actor)
        if away:
            moved = bool(mask & api.FAN_MOVED_FROM)
            if moved and not muted and self._descends(path):
                self._batch.add(path, DIRECTORY | MOVED_FROM | SUBTREE, actor)
            self._coverage.vanished(parent, event.name, event.file or None, actor, moved=moved)
        if here:
            # When both happened and their order is lost, what is there now counts.
            moved = bool(mask & api.FAN_MOVED_TO)
            self._coverage.appeared(parent, event.name, key=event.file or None, deep=moved)

    def _renamed(
        self, event: Event, old: Directory | None, new: Directory | None, actor: Actor | None, muted: bool
    ) -> None:
        is_directory = bool(event.mask & api.FAN_ONDIR)
        extra = DIRECTORY | SUBTREE if is_directory else 0
        old_path = None if old is None else old.prefix + event.name
        new_path = None if new is None else new.prefix + event.new_name
        if not muted:
            old_wanted = old_path is not None and self._reports(old_path, is_directory)
            new_wanted = new_path is not None and self._reports(new_path, is_directory)
            if new_wanted and new_path is not None:
                self._batch.add(new_path, MOVED_TO | extra, actor, old_path if old_wanted else None)
            elif old_wanted and old_path is not None:
                self._batch.add(old_path, MOVED_FROM | extra, actor)
        if not is_directory:
            return
        key = event.file or None
        if old is not None and new is not None:
            self._coverage.moved(old, event.name, new, event.new_name, key, actor)
        elif old is not None:
            self._coverage.vanished(old, event.name, key, actor, moved=True)
        elif new is not None:
            self._coverage.appeared(new, event.new_name, key=key, deep=True)

    def _reports(self, path: bytes, is_directory: bool) -> bool:
        # A directory that is not wanted itself may hold what is.
        return self._wants(path, directory=is_directory) or (is_directory and self._descends(path))
