"""The paths that wait to be looked at: hints are joined per path until the path has been quiet for a while."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from otel_fim.receivers.file_integrity.backend import Actor, Change, Hint

SCAN: Final = "scan"
"""The name that stands in records for the comparison with the baseline, which no event had announced."""

# Joining enum flags costs more than all the rest of taking a hint; their numbers are joined instead.
NOTHING: Final = 0
CREATED: Final = Change.CREATED.value
CONTENT: Final = Change.CONTENT.value
ATTRIBUTES: Final = Change.ATTRIBUTES.value
MOVED_FROM: Final = Change.MOVED_FROM.value
DIRECTORY: Final = Change.DIRECTORY.value
SUBTREE: Final = Change.SUBTREE.value
APPEARED: Final = CREATED | Change.MOVED_TO.value

_QUIET_FACTOR: Final = 10
_OTHER_ACTORS: Final = 8
_WROTE: Final = APPEARED | CONTENT
_REMOVED: Final = Change.DELETED.value | MOVED_FROM
_CARRIED: Final = CONTENT | ATTRIBUTES | CREATED


class Pending:
    """What is known of one path that waits: joined flags, first and last time (ns since the epoch), who."""

    __slots__ = (
        "actors",
        "backend",
        "change",
        "due",
        "first",
        "first_monotonic",
        "last",
        "moved_to",
        "old_path",
        "other_actors",
        "sequence",
        "while_down",
    )

    def __init__(self, backend: str, first: int, now: int) -> None:
        self.change = NOTHING
        self.backend = backend
        self.first = first
        self.last = first
        self.first_monotonic = now
        self.due = now
        self.sequence = 0
        self.old_path: bytes | None = None
        self.moved_to: bytes | None = None
        self.while_down = False
        # The last one who wrote, touched (attributes) and removed.
        self.actors: tuple[Actor | None, Actor | None, Actor | None] = (None, None, None)
        self.other_actors: tuple[Actor, ...] = ()

    def take_actor(self, actor: Actor, change: int) -> None:
        """Notes who made `change`. The last one counts; what an earlier hint told of the same process is kept."""
        wrote, touched, removed = self.actors
        for known in (wrote, touched, removed, *self.other_actors):
            if known is None:
                continue
            if known.pid == actor.pid and known.exited <= actor.exited:
                actor = known
                break
        others = {other.pid for other in self.other_actors} | {actor.pid}
        for known in (wrote, touched, removed):
            if known is not None and known.pid not in others and len(self.other_actors) < _OTHER_ACTORS:
                others.add(known.pid)
                self.other_actors = (*self.other_actors, known)
        if change & _WROTE:
            wrote = actor
        if change & _REMOVED:
            removed = actor
        if not change & (_WROTE | _REMOVED):
            touched = actor
        self.actors = (wrote, touched, removed)

    def writer(self) -> Actor | None:
        """Who is named for a change of content: the last one who wrote, else who removed what was there."""
        wrote, touched, removed = self.actors
        return wrote or removed or touched

    def toucher(self) -> Actor | None:
        """Who is named for a change of metadata."""
        wrote, touched, removed = self.actors
        return touched or wrote or removed

    def remover(self) -> Actor | None:
        """Who is named for a removal."""
        wrote, touched, removed = self.actors
        return removed or wrote or touched


class PendingPaths:
    """The waiting paths, bounded; safe to use from any thread, and never waits except in `wait_below`.

    A path is due when no hint came for `settle` seconds, ten times that after the first hint at the latest.
    """

    def __init__(self, settle: float, limit: int, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._settle = int(settle * 1e9)
        self._limit = limit
        self._clock = clock
        self._paths: dict[bytes, Pending] = {}
        self._heap: list[tuple[int, bytes]] = []
        self._condition = threading.Condition()
        self._hurry = False
        self._sequence = 0
        self._in_hand = False
        self._woken = False

    def __len__(self) -> int:
        return len(self._paths)

    def add_hints(self, backend: str, hints: Sequence[Hint]) -> bool:
        """Takes hints in order. False when there was no room for some: then everything must be compared."""
        now = self._clock()
        complete = True
        with self._condition:
            was_empty = not self._heap
            for hint in hints:
                item = self._item(hint.path, backend, hint.time_unix_nano, now)
                if item is None:
                    complete = False
                    continue
                change = hint.change.value
                item.change |= change
                if hint.actor is not None:
                    item.take_actor(hint.actor, change)
                if hint.old_path is not None and hint.old_path != hint.path:
                    self._renamed(hint.old_path, hint.path, item, backend, hint, now)
            if was_empty and self._heap:
                self._condition.notify_all()
        return complete

    def _renamed(
        self, old_path: bytes, path: bytes, item: Pending, backend: str, hint: Hint, now: int
    ) -> None:
        old = self._item(old_path, backend, hint.time_unix_nano, now)
        if old is None:
            return
        # a → b → c within one quiet period: c came from a.
        origin = old.old_path if old.old_path is not None else old_path
        if old.old_path is not None and (first := self._paths.get(old.old_path)) is not None:
            first.moved_to = path
        old.old_path = None
        item.old_path = origin if origin != path else None
        old.moved_to = path
        old.change |= MOVED_FROM | (item.change & DIRECTORY)
        # What happened to the file under its old name happened to the file.
        item.change |= old.change & _CARRIED
        for actor in old.actors:
            if actor is not None and item.writer() is None:
                item.take_actor(actor, old.change)
        if hint.actor is not None:
            old.take_actor(hint.actor, MOVED_FROM)

    def add(
        self,
        path: bytes,
        backend: str,
        change: int,
        when: int,
        *,
        while_down: bool = False,
        like: Pending | None = None,
        delay: float = 0.0,
        force: bool = False,
    ) -> bool:
        """Has a path looked at, now or after `delay` seconds; `like` lends its actors. False without room.

        A path that waits already keeps what its events told.
        """
        now = self._clock()
        with self._condition:
            known = path in self._paths
            if not known and not force and len(self._paths) >= self._limit:
                return False
            item = self._paths.get(path)
            if item is None:
                item = self._insert(path, Pending(backend, when, now))
                item.due = now + int(delay * 1e9)
                item.while_down = while_down
                heapq.heappush(self._heap, (item.due, path))
                self._condition.notify_all()
            item.change |= change
            if like is not None and item.writer() is None:
                item.actors = like.actors
                item.other_actors = like.other_actors
        return True

    def _item(self, path: bytes, backend: str, when: int, now: int) -> Pending | None:
        item = self._paths.get(path)
        if item is None:
            if len(self._paths) >= self._limit:
                return None
            item = self._insert(path, Pending(backend, when, now))
            item.due = now + self._settle
            heapq.heappush(self._heap, (item.due, path))
            return item
        if item.backend == SCAN:
            item.backend = backend
            item.while_down = False
            item.first = when
        item.last = when
        # Its place in the heap is corrected when it comes up.
        item.due = min(now + self._settle, item.first_monotonic + self._settle * _QUIET_FACTOR)
        return item

    def _insert(self, path: bytes, item: Pending) -> Pending:
        self._sequence += 1
        item.sequence = self._sequence
        self._paths[path] = item
        return item

    def newest(self) -> int:
        """The sequence number of the path that was last put in."""
        with self._condition:
            return self._sequence

    def is_quiet(self) -> bool:
        """Whether no path waits and none that was taken may still be in hand (until the next `take_due`)."""
        with self._condition:
            return not self._paths and not self._in_hand

    def oldest(self) -> int | None:
        """The sequence number of the path that waits longest, None when none waits."""
        with self._condition:
            # A dictionary keeps the order of insertion.
            for item in self._paths.values():
                return item.sequence
        return None

    def pop(self, path: bytes) -> Pending | None:
        """Takes one path out, whether it is due or not."""
        with self._condition:
            return self._paths.pop(path, None)

    def put_back(self, path: bytes, item: Pending, delay: float) -> None:
        """Has a path that was taken looked at later; what came in meanwhile is joined."""
        now = self._clock()
        with self._condition:
            newer = self._paths.get(path)
            if newer is not None:
                newer.change |= item.change
                newer.first = min(newer.first, item.first)
                newer.while_down &= item.while_down
                if newer.old_path is None and newer.moved_to is None:
                    newer.old_path = item.old_path
                if newer.writer() is None:
                    newer.actors, newer.other_actors = item.actors, item.other_actors
                return
            item.due = now + int(delay * 1e9)
            item.first_monotonic = now
            self._insert(path, item)
            heapq.heappush(self._heap, (item.due, path))
            self._condition.notify_all()

    def take_due(self, limit: int, timeout: float) -> list[tuple[bytes, Pending]]:
        """Up to about `limit` paths that are due, oldest first, waiting up to `timeout` seconds for the first one.

        Both ends of a rename come together.
        """
        deadline = self._clock() + int(timeout * 1e9)
        with self._condition:
            while True:
                now = self._clock()
                taken = self._take(limit, now)
                self._in_hand = bool(taken)
                if taken:
                    self._condition.notify_all()
                    return taken
                following = self._heap[0][0] if self._heap and not self._hurry else deadline
                remaining = min(following, deadline) - now
                if now >= deadline or self._hurry or self._woken:
                    self._woken = False
                    return []
                self._condition.wait(max(remaining, 1_000_000) / 1e9)

    def _take(self, limit: int, now: int) -> list[tuple[bytes, Pending]]:
        taken: list[tuple[bytes, Pending]] = []
        heap, waiting = self._heap, self._paths
        while heap and len(taken) < limit and (heap[0][0] <= now or self._hurry):
            _, path = heapq.heappop(heap)
            item = waiting.get(path)
            if item is None:
                continue
            if item.due > now and not self._hurry:
                heapq.heappush(heap, (item.due, path))
                continue
            del waiting[path]
            taken.append((path, item))
            for partner in (item.moved_to, item.old_path):
                if partner is not None and (other := waiting.pop(partner, None)) is not None:
                    taken.append((partner, other))
        return taken

    def hurry(self) -> None:
        """From now on every path is due at once: the agent is stopping."""
        with self._condition:
            self._hurry = True
            self._condition.notify_all()

    def wake(self) -> None:
        """Makes `take_due` return at once if nothing is due."""
        with self._condition:
            self._woken = True
            self._condition.notify_all()

    def wait_below(self, count: int, timeout: float) -> bool:
        """Waits until fewer than `count` paths wait, up to `timeout` seconds."""
        with self._condition:
            return self._condition.wait_for(lambda: len(self._paths) < count, timeout)

    def below(self, directory: bytes) -> Iterable[bytes]:
        """The waiting paths below a directory, for tests and for closing gaps."""
        prefix = directory if directory == b"/" else directory + b"/"
        with self._condition:
            return [path for path in self._paths if path.startswith(prefix)]
