"""The receiver's thread: scans, reads again what file events are about, compares, and hands records on."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from otel_fim.component import Health, ReceiverContext, StoppingError
from otel_fim.host.identities import Identities
from otel_fim.names import events
from otel_fim.receivers.persistence.book import Book
from otel_fim.receivers.persistence.comparing import Comparer, Selection
from otel_fim.receivers.persistence.config import PersistenceConfig
from otel_fim.receivers.persistence.differ import Delta, Key
from otel_fim.receivers.persistence.dirty import Dirty, Task
from otel_fim.receivers.persistence.gaps import Gaps
from otel_fim.receivers.persistence.hosts import Host
from otel_fim.receivers.persistence.index import PlaceIndex
from otel_fim.receivers.persistence.item import Item
from otel_fim.receivers.persistence.kind import FileKind, Kind
from otel_fim.receivers.persistence.reader import Reader
from otel_fim.receivers.persistence.records import Cause, RecordBuilder, actor_of, path_of
from otel_fim.receivers.persistence.state import State
from otel_fim.receivers.persistence.telling import Teller
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


class Engine:
    """Runs until it is stopped. `heard` is what listens to other receivers' records."""

    def __init__(
        self, config: PersistenceConfig, context: ReceiverContext, kinds: Sequence[Kind], state: State
    ) -> None:
        self._config = config
        self._context = context
        self._kinds = {kind.name: kind for kind in kinds}
        self._dirty = Dirty(config.debounce)
        for kind in kinds:
            # A file event of the same may still be on its way.
            kind.on_news(partial(self._dirty.later, kind.name, _PATIENCE))
        self._state = state
        self._host = Host(config.root.encode())
        self._reader = Reader(self._host.root, config.max_file_size)
        self._identities = Identities()
        self._book = Book(state, context)
        builder = RecordBuilder(context, self._host, self._identities, config.command_line)
        self._teller = Teller(context, self._book, builder, config.batch_size)
        self._wanted = Selection(config.include, config.exclude)
        self._comparer = Comparer(
            context,
            self._host,
            self._reader,
            self._book,
            state,
            self._wanted,
            tells_given=config.baseline_records,
        )
        self._gaps = Gaps(context, self._host)
        self._places: dict[str, object] = {}
        self._index = PlaceIndex(())
        self._ready: set[str] = set()
        self._last_actor: Attributes = {}
        self._stopping = threading.Event()
        self.compared = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"{context.id}-scan", daemon=True)

    def prepare(self) -> None:
        """Finds out where the kinds' files are, so that nothing that is heard from now on is lost."""
        try:
            self._prepare()
        except Exception:
            # The first scan tries again and says what that means.
            self._context.logger.exception("the places of persistence cannot be found out")

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
                    kind = self._kinds[concern.kind]
                    if not kind.concerned(record):
                        continue
                    if cause is None:
                        cause = self._cause_of(record)
                    at = concern.path or path or b""
                    new = kind.brings(record)
                    self._dirty.event(concern.kind, concern.path, concern.place, at, cause, new=new)

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
            self._teller.alone(self._first_records)
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
            self._book.attempt(partial(self._state.forget, name))
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
        if kind.name in self._state.sources():
            kind.recall({item.path for item in self._book.known(kind.name).values()})
        found = self._comparer.read(kind)
        if found is None:
            return
        version = self._state.sources().get(kind.name)
        if version != kind.version:
            self._take(kind, found, version)
        else:
            self._comparer.blind(kind.name, self._state.blind(kind.name))
            self._teller.tell(kind, self._comparer.since_last_run(kind.name, found), {}, while_down=True)
            self._comparer.sees(kind.name)
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
            found = self._comparer.read(kind)
            if found is None:
                continue
            if self._comparer.compare(name, self._book.known(name), found):
                self._dirty.later(name, _PATIENCE)
            else:
                self._comparer.sees(name)
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
            self._teller.alone([self._gaps.once("queue_overflow", detail, time.time_ns())])
        known: Mapping[Key, Item] = self._book.known(task.kind)
        if isinstance(kind, FileKind) and not task.whole:
            found = self._comparer.read_files(kind, task)
            known = {key: item for key, item in known.items() if item.path in task.files}
        else:
            found = self._comparer.read(kind, task.files)
        if found is not None:
            self._teller.tell(kind, self._comparer.compare(task.kind, known, found, task.new), task.causes)
            self._comparer.sees(task.kind)
        if task.whole:
            self._tell_problems()

    def _take(self, kind: Kind, found: Mapping[Key, Item], version: int | None) -> None:
        """Takes what is there as given: the first time that a kind is looked at."""
        if version is not None:
            detail = (
                f"this version of the agent reads {kind.name} otherwise than the one before; what is there is "
                "taken as given, changes made while the agent was down are not known"
            )
            self._teller.alone([self._gaps.once("agent_stopped", detail, time.time_ns())])
        problems = set(self._comparer.problems.get(kind.name, {}))
        self._comparer.blind(kind.name, problems)
        items = list(found.values())
        take = partial(self._state.take, kind.name, kind.version, items, tuple(problems))
        # Without the note, the baseline is taken again at the next start.
        noted = partial(self._book.attempt, take)
        if self._config.baseline_records and version is None:
            deltas = [Delta(None, item, quiet=not self._wanted(item.path)) for item in items]
            self._teller.baseline(deltas, noted)
        else:
            noted()
        self._book.replace(kind.name, found)

    def _tell_problems(self) -> None:
        merged = {path: why for found in self._comparer.problems.values() for path, why in found.items()}
        self._teller.alone(self._gaps.update(merged))
