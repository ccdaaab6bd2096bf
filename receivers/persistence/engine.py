"""The receiver's thread: scans, reads again what file events are about, compares, and hands records on."""

from __future__ import annotations

import fnmatch
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Final

from otel_fim.component import Health, ReceiverContext, StoppingError
from otel_fim.host.identities import Identities
from otel_fim.names import events, metrics
from otel_fim.receivers.persistence.book import Book, Entry
from otel_fim.receivers.persistence.config import PersistenceConfig
from otel_fim.receivers.persistence.differ import Delta, Key, compare, key_of, keyed
from otel_fim.receivers.persistence.dirty import Dirty, Task
from otel_fim.receivers.persistence.gaps import Gaps
from otel_fim.receivers.persistence.hosts import Host
from otel_fim.receivers.persistence.index import PlaceIndex
from otel_fim.receivers.persistence.item import Item, differences
from otel_fim.receivers.persistence.kind import FileKind, Kind
from otel_fim.receivers.persistence.reader import Reader
from otel_fim.receivers.persistence.records import Cause, RecordBuilder, actor_of, path_of
from otel_fim.receivers.persistence.state import State
from otel_fim.receivers.persistence.text import text_of
from otel_fim.record import Attributes, Record

_FILE_EVENTS: Final = frozenset(
    (
        events.FILE_CREATED,
        events.FILE_MODIFIED,
        events.FILE_DELETED,
        events.FILE_RENAMED,
        events.FILE_ATTRIBUTES_CHANGED,
    )
)
_PATIENCE: Final = 1.5
"""A scan that finds a change waits this long for the file event of it, which knows who made it."""
_MOST_RELATED: Final = 1000
_ALL: Final = b"/"


class Engine:
    """Runs until it is stopped. `heard` is what listens to other receivers' records."""

    def __init__(
        self, config: PersistenceConfig, context: ReceiverContext, kinds: Sequence[Kind], state: State
    ) -> None:
        self._config = config
        self._context = context
        self._kinds = {kind.name: kind for kind in kinds}
        self._state = state
        self._host = Host(config.root.encode())
        self._reader = Reader(self._host.root, config.max_file_size)
        self._identities = Identities()
        self._builder = RecordBuilder(context, self._host, self._identities, config.command_line)
        self._book = Book(state, context)
        self._gaps = Gaps(context, self._host)
        self._dirty = Dirty(config.debounce)
        self._problems: dict[str, dict[bytes, str]] = {}
        self._blind: dict[str, set[bytes]] = {}
        self._places: dict[str, object] = {}
        self._index = PlaceIndex(())
        self._ready: set[str] = set()
        self._last_actor: Attributes = {}
        self._stopping = threading.Event()
        self.compared = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"{context.id}-scan", daemon=True)

    def start(self, records: Sequence[Record] = ()) -> None:
        """Starts the thread, which hands `records` on first."""
        self._first_records = list(records)
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Ends the thread and closes the state. What waits is looked at, as far as time allows."""
        deadline = time.monotonic() + timeout
        self._stopping.set()
        self._dirty.hurry()
        if self._thread.is_alive():
            self._thread.join(max(0.1, deadline - time.monotonic()))
        self._book.drain(max(0.0, deadline - time.monotonic()))
        self._identities.close()
        self._book.close()

    # --- what others say ---

    def heard(self, records: Sequence[Record]) -> None:
        """Takes note of file events of this host. Returns at once, keeps no record."""
        index = self._index
        resource = self._context.resource
        for record in records:
            if record.event_name not in _FILE_EVENTS:
                continue
            # Another host's files, which came through a receiver for other agents' records, are not this one's.
            if record.resource is not resource and record.resource != resource:
                continue
            cause: Cause | None = None
            for outside in {path_of(record.attributes), path_of(record.attributes, before=True)}:
                path = None if outside is None else self._host.inside(outside)
                for concern in () if path is None else index.concerns(path):
                    if not self._kinds[concern.kind].concerned(record):
                        continue
                    if cause is None:
                        cause = self._cause_of(record)
                    self._dirty.event(
                        concern.kind, concern.path, concern.place, concern.path or path or b"", cause
                    )

    def _cause_of(self, record: Record) -> Cause:
        actor = actor_of(record)
        # Many files in a row are one process's: it is remembered once.
        if actor == self._last_actor:
            actor = self._last_actor
        else:
            self._last_actor = actor
        return Cause(record.time_unix_nano, actor)

    # --- the thread ---

    def _run(self) -> None:
        try:
            self._emit_alone(self._first_records)
            self.first_scan()
            self.compared.set()
            self._context.report(Health.OK, "")
            self._loop()
        except StoppingError:
            pass
        except Exception as error:
            self._context.logger.exception("persistence is no longer looked at")
            self._context.report(Health.PERMANENT_ERROR, f"{type(error).__name__}: {error}")

    def _loop(self) -> None:
        following = self._next_scan()
        while True:
            task = self._dirty.wait(following)
            if task is not None:
                self.look(task)
            elif self._stopping.is_set():
                return
            else:
                self.scan()
                following = self._next_scan()

    def look_at_what_waits(self) -> None:
        """Does at once what is due sooner or later."""
        while (task := self._dirty.take()) is not None:
            self.look(task)

    def _next_scan(self) -> float:
        # Not all hosts at once.
        return time.monotonic() + self._config.interval * random.uniform(0.9, 1.1)  # noqa: S311

    def _prepare(self) -> None:
        """Asks the kinds anew where their files are: users come and go."""
        self._host.refresh()
        self._reader.problems = {}
        places = {name: tuple(kind.places(self._host)) for name, kind in self._kinds.items()}
        if places != self._places:
            self._places = dict(places)
            self._index = PlaceIndex(
                ((name, place) for name, of_kind in places.items() for place in of_kind), self._reader.resolve
            )

    def first_scan(self) -> None:
        """The look at everything with which a run begins."""
        self._prepare()
        started = time.monotonic()
        for name in self._state.sources().keys() - self._kinds.keys():
            self._state.forget(name)
        for kind in self._kinds.values():
            if self._stopping.is_set():
                raise StoppingError
            self._first_look(kind)
        self._reader.forget_unused()
        self._tell_problems()
        counted = sum(len(self._book.known(name)) for name in self._ready)
        self._context.logger.info("looked at %d items in %.1f s", counted, time.monotonic() - started)

    def _first_look(self, kind: Kind) -> None:
        """Takes the kind as it is, or tells what has changed since the last run."""
        found = self._read(kind)
        if found is None:
            return
        version = self._state.sources().get(kind.name)
        if version != kind.version:
            self._take(kind, found, version)
        else:
            self._blind[kind.name] = self._state.blind(kind.name)
            self._tell(kind.name, self._since_last_run(kind.name, found), {}, while_down=True)
            self._sees(kind.name)
        self._ready.add(kind.name)

    def scan(self) -> None:
        """Looks at everything; what has changed is looked at again when its file event has had time to come."""
        self._prepare()
        self._book.settle()
        for name, kind in self._kinds.items():
            if self._stopping.is_set():
                return
            if name not in self._ready:
                self._first_look(kind)
                continue
            found = self._read(kind)
            if found is None:
                continue
            if self._compare(name, self._book.known(name), found):
                self._dirty.later(name, _PATIENCE)
            else:
                self._sees(name)
        self._reader.forget_unused()
        self._tell_problems()

    def look(self, task: Task) -> None:
        """Reads again what the task names, and tells what has changed."""
        if task.kind not in self._ready:
            return
        kind = self._kinds[task.kind]
        if task.overflowed:
            detail = (
                f"more files of {task.kind} changed at once than are remembered; all its places are read again, "
                "who made each change may be missing"
            )
            self._emit_alone([self._gaps.once("queue_overflow", detail, time.time_ns())])
        known: Mapping[Key, Item] = self._book.known(task.kind)
        if isinstance(kind, FileKind) and not task.whole:
            found = self._read_files(kind, task)
            known = {key: item for key, item in known.items() if item.path in task.files}
        else:
            found = self._read(kind)
        if found is not None:
            self._tell(task.kind, self._compare(task.kind, known, found), task.causes)
            self._sees(task.kind)

    # --- reading and comparing ---

    def _read(self, kind: Kind) -> dict[Key, Item] | None:
        return self._reading(kind, lambda: keyed(kind.read(self._host, self._reader)), {})

    def _read_files(self, kind: FileKind, task: Task) -> dict[Key, Item] | None:
        def read() -> dict[Key, Item]:
            return keyed(
                item
                for path, place in task.files.items()
                for item in kind.read_file(path, place, self._reader)
            )

        kept = {
            path: why for path, why in self._problems.get(kind.name, {}).items() if path not in task.files
        }
        return self._reading(kind, read, kept)

    def _reading(
        self, kind: Kind, read: Callable[[], dict[Key, Item]], kept: dict[bytes, str]
    ) -> dict[Key, Item] | None:
        """What `read` gives, None when the kind fails: it must not take the others with it."""
        reader = self._reader
        reader.problems = kept
        reader.rejected = 0
        try:
            return read()
        except Exception as error:
            self._context.logger.exception("the kind %s cannot be read", kind.name)
            reader.problems[_ALL] = "io_error"
            self._context.report(Health.RECOVERABLE_ERROR, f"{kind.name}: {type(error).__name__}: {error}")
            return None
        finally:
            self._problems[kind.name] = reader.problems
            if reader.rejected:
                self._context.count(metrics.RECEIVER_REJECTED_INPUTS, reader.rejected, kind=kind.name)

    def _compare(self, name: str, known: Mapping[Key, Item], found: Mapping[Key, Item]) -> list[Delta]:
        problems = self._problems.get(name, {})
        blind = self._blind.get(name)
        deltas = compare(known, found, partial(_at_or_below, problems))
        for delta in deltas:
            if not self._wanted(delta.item.path) or (
                blind and delta.before is None and _at_or_below(blind, delta.item.path)
            ):
                delta.quiet = True
        return deltas

    def _sees(self, name: str) -> None:
        """What could not be read when the baseline was taken, has been read, and taken as given."""
        blind = self._blind.get(name)
        if blind and (seen := blind - self._problems.get(name, {}).keys()):
            blind -= seen
            self._state.seen(name, seen)

    def _since_last_run(self, name: str, found: Mapping[Key, Item]) -> list[Delta]:
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
        deltas = self._compare(name, known, found)
        open_keys = set()
        for delta in deltas:
            for item in (delta.before, delta.after):
                if item is not None and key_of(item) in announced:
                    delta.may_repeat = True
                    open_keys.add(key_of(item))
        if settled := announced.keys() - open_keys:
            self._state.settle(name, settled)
        return deltas

    def _take(self, kind: Kind, found: Mapping[Key, Item], version: int | None) -> None:
        """Takes what is there as given: the first time that a kind is looked at."""
        if version is not None:
            detail = (
                f"this version of the agent reads {kind.name} otherwise than the one before; what is there is "
                "taken as given, changes made while the agent was down are not known"
            )
            self._emit_alone([self._gaps.once("agent_stopped", detail, time.time_ns())])
        problems = self._problems.get(kind.name, {})
        self._blind[kind.name] = set(problems)
        take = partial(self._state.take, kind.name, kind.version, list(found.values()), list(problems))
        if self._config.baseline_records and version is None:
            records = [
                self._builder.build(Delta(None, item), None, baseline=True)
                for item in found.values()
                if self._wanted(item.path)
            ]
            size = self._config.batch_size
            # Only the last one moves the state: after a crash, the baseline is told again as a whole.
            for start in range(0, len(records), size):
                last = start + size >= len(records)
                self._context.emit(
                    records[start : start + size], partial(self._durably, take) if last else None
                )
            if not records:
                take()
        else:
            take()
        self._book.replace(kind.name, found)

    def _durably(self, call: Callable[[], None]) -> None:
        try:
            call()
        except sqlite3.Error as error:
            self._context.logger.error(
                "the baseline cannot be noted: %s; it is taken again at the next start", error
            )

    def _wanted(self, path: bytes) -> bool:
        text = text_of(path)
        include = self._config.include
        if include and not any(fnmatch.fnmatchcase(text, pattern) for pattern in include):
            return False
        return not any(fnmatch.fnmatchcase(text, pattern) for pattern in self._config.exclude)

    # --- telling ---

    def _tell(
        self, name: str, deltas: list[Delta], causes: Mapping[bytes, Cause], *, while_down: bool = False
    ) -> None:
        """Hands records on, some at a time. The steps of one file move together, after the last record of them."""
        for chunk in self._chunks(deltas):
            told = [delta for delta in chunk if delta.told]
            records = [
                self._builder.build(delta, self._cause(name, delta, causes), while_down=while_down)
                for delta in told
            ]
            entry = self._book.prepare(name, chunk)
            self._book.move(entry)
            self._hand_on(records, entry)

    def _hand_on(self, records: list[Record], entry: Entry) -> None:
        if not records:
            self._book.durable(entry)
            return
        size = self._config.batch_size
        for start in range(0, len(records), size):
            last = start + size >= len(records)
            self._context.emit(
                records[start : start + size], partial(self._book.durable, entry) if last else None
            )

    def _chunks(self, deltas: list[Delta]) -> Iterator[list[Delta]]:
        chunk: list[Delta] = []
        for _, group in groupby(deltas, key=lambda delta: delta.item.path):
            steps = list(group)
            if chunk and len(chunk) + len(steps) > self._config.batch_size:
                yield chunk
                chunk = []
            chunk += steps
        if chunk:
            yield chunk

    def _cause(self, name: str, delta: Delta, causes: Mapping[bytes, Cause]) -> Cause | None:
        """The file event behind a step: of the same file, of a directory above it, or of a file that decides on it."""
        if not causes:
            return None
        path = delta.item.path
        part = path
        while part:
            if (found := causes.get(part)) is not None:
                return found
            part = part.rpartition(b"/")[0]
        kind = self._kinds[name]
        if isinstance(kind, FileKind) or len(causes) > _MOST_RELATED:
            return None
        sides = [item for item in (delta.after, delta.before) if item is not None]
        return next(
            (cause for at, cause in causes.items() if any(kind.related(at, item) for item in sides)), None
        )

    def _tell_problems(self) -> None:
        merged = {path: why for problems in self._problems.values() for path, why in problems.items()}
        self._emit_alone(self._gaps.update(merged))

    def _emit_alone(self, records: list[Record]) -> None:
        if records:
            self._context.emit(records)


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
