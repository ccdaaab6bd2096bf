"""Decides what happened: the state on disk against the state that was last reported.

Hints only say where to look. A record is made from what is found, so an event that is lost, doubled or late cannot
lead to a wrong one. One thread decides; only looking (lstat, hashing) is spread over several.
"""

from __future__ import annotations

import stat
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from otel_fim import names
from otel_fim.names import events
from otel_fim.receivers.file_integrity import paths
from otel_fim.receivers.file_integrity.backend import Actor
from otel_fim.receivers.file_integrity.hasher import GoneError, UnreadableError, observe
from otel_fim.receivers.file_integrity.metadata import (
    Difference,
    FileState,
    Unhashed,
    compare,
    is_directory,
    is_regular,
    same_metadata,
)
from otel_fim.receivers.file_integrity.pending import (
    APPEARED,
    CREATED,
    DIRECTORY,
    NOTHING,
    SCAN,
    SUBTREE,
    Pending,
    PendingPaths,
)
from otel_fim.receivers.file_integrity.records import RecordBuilder
from otel_fim.receivers.file_integrity.scope import Scope
from otel_fim.receivers.file_integrity.view import Move, View
from otel_fim.record import Record

Seen = FileState | UnreadableError | None
"""What a look at a path gave; None: it does not exist."""

_FLUSH: Final = 256
# The kernel sets ctime when a write begins and copies the data after that, and its clock has ticks: a hash that is
# taken this soon after ctime may be that of a mixture, with nothing to show for it.
_RECENT_NS: Final = 2_000_000_000
# What compares has no event's time.
_WITHOUT_TIME: Final = (SCAN, "polling")
_DEFER_SECONDS: Final = 0.25


class Evaluator:
    """Looks at paths and makes records.

    `emit(records, moves)` hands records on and may wait. `walk(directory, like, deep)` has a directory compared with
    the baseline, and what lies below it if `deep`. `unreadable(directory, reason)` is told what cannot be looked at,
    and `closed(directory)` says whether it was. `linked(path)` is told of files with several hard links. `listing()`
    says whether a first baseline is still being taken.
    """

    def __init__(
        self,
        *,
        view: View,
        scope: Scope,
        pending: PendingPaths,
        builder: RecordBuilder,
        hash_max_size: int,
        threads: int,
        one_file_system: bool,
        emit: Callable[[list[Record], list[Move]], None],
        walk: Callable[[bytes, Pending, bool], None],
        unreadable: Callable[[bytes, Unhashed], None],
        closed: Callable[[bytes], bool],
        linked: Callable[[bytes], None],
        listing: Callable[[], bool],
    ) -> None:
        self._view = view
        self._scope = scope
        self._pending = pending
        self._builder = builder
        self._hash_max_size = hash_max_size
        self._threads = threads
        self._one_file_system = one_file_system
        self._emit = emit
        self._walk = walk
        self._unreadable = unreadable
        self._closed = closed
        self._linked = linked
        self._listing = listing
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="file_integrity-hash")
        self._records: list[Record] = []
        self._moves: list[Move] = []
        self._last_moves: list[Move] = []
        self._batch: dict[bytes, Pending] = {}
        self._seen: dict[bytes, Seen] = {}
        self._now = 0

    def close(self) -> None:
        """Ends the hashing threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def evaluate(self, batch: list[tuple[bytes, Pending]]) -> None:
        """Looks at the paths of a batch and hands on what changed. When `emit` raises, nothing of what it was
        given counts as reported."""
        self._batch = dict(batch)
        self._now = time.time_ns()
        order = sorted(self._batch, key=lambda path: (self._batch[path].first, path))
        try:
            self._seen = self._observe_all(order)
            for path in order:
                self._decide_once(path)
            self._flush()
        except BaseException:
            self._view.discard([*self._moves, *self._last_moves])
            self._records, self._moves, self._last_moves = [], [], []
            raise
        finally:
            self._batch, self._seen = {}, {}

    # --- looking ---

    def _observe_all(self, order: list[bytes]) -> dict[bytes, Seen]:
        if len(order) < 8:
            return {path: self._observe(path) for path in order}
        # A few slices for each thread, so that one large file does not keep the others waiting for long.
        slices = [order[start :: self._threads * 4] for start in range(self._threads * 4)]
        found: dict[bytes, Seen] = {}
        for part in self._pool.map(self._observe_slice, slices):
            found.update(part)
        return found

    def _observe_slice(self, some: Sequence[bytes]) -> list[tuple[bytes, Seen]]:
        return [(path, self._observe(path)) for path in some]

    def _observe(self, path: bytes) -> Seen:
        try:
            before = self._view.lookup(path)[1]
            if before is not None and before.unhashed is None and before.ctime_ns < self._now - _RECENT_NS:
                found = paths.lstat(path)
                if same_metadata(before, found):
                    # Nothing moved since it was hashed: closing after writing nothing ends here.
                    return before
            return observe(path, self._hash_max_size)
        except GoneError:
            return None
        except UnreadableError as error:
            return error
        except OSError:
            return self._observe_again(path)

    def _observe_again(self, path: bytes) -> Seen:
        try:
            return observe(path, self._hash_max_size)
        except GoneError:
            return None
        except UnreadableError as error:
            return error

    # --- deciding ---

    def _decide_once(self, path: bytes) -> None:
        item = self._batch.pop(path, None)
        if item is None:
            return
        # The new name of a rename goes first: it takes the state of the old one with it.
        if item.moved_to is not None and item.moved_to in self._batch:
            self._decide_once(item.moved_to)
        self._decide(path, item, self._seen.get(path))
        if len(self._records) >= _FLUSH:
            self._flush()

    def _decide(self, path: bytes, item: Pending, now: Seen) -> None:
        scope = self._scope
        root = scope.is_root(path)
        if not root and not scope.wants_entry(path):
            return
        if isinstance(now, UnreadableError):
            self._unreadable(path if root else paths.split(path)[0], now.reason)
            return
        if now is not None and self._one_file_system and self._is_elsewhere(path, now):
            return
        listed, before = self._view.lookup(path)
        if before is None and not root and listed != 1:
            if not self._is_known(path, item, listed):
                return
            # The first listing may have been stored since.
            before = self._view.lookup(path)[1]
        moved = item.old_path is not None and now is not None and before is None
        if moved and now is not None and self._renamed(path, item, now):
            return
        if now is not None and item.backend in _WITHOUT_TIME:
            self._look_again(path, item, now)
        if before is None:
            if now is not None:
                self._created(path, item, now)
            elif self._was_there(item):
                self._came_and_went(path, item)
        elif now is None:
            if is_directory(before):
                self._delete_below(path, item)
            self._deleted(path, item, before)
        else:
            self._changed(path, item, before, now)

    def _is_known(self, path: bytes, item: Pending, listed: int | None) -> bool:
        """Whether it is known that `path` was not there before. If not, it is looked at again when the directory
        has been listed for the first time, or the directory is listed now."""
        if listed == 1:
            return True
        directory = paths.split(path)[0]
        # Up to the first directory that something is known of.
        while listed is None:
            listed, state = self._view.lookup(directory)
            if state is not None:
                # Without a row of its own it is new and has just been told.
                listed = self._view.baseline.listed(directory)
                if listed != 0:
                    return True
            elif listed == 1 or self._scope.is_root(directory):
                # It is new, and its own event is missing or late.
                self._pending.add(
                    directory, item.backend, CREATED | DIRECTORY, item.first, like=item, force=True
                )
                return True
            elif directory == b"/":
                return True
            else:
                # Either its parent is still to be listed, or nothing is known of that one either.
                directory = paths.split(directory)[0]
        if self._listing():
            self._pending.put_back(path, item, _DEFER_SECONDS)
        else:
            # It could not be listed when the baseline was taken.
            self._walk(directory, item, False)
        return False

    def _is_elsewhere(self, path: bytes, now: FileState) -> bool:
        roots = self._scope.roots_above(path)
        if not roots:
            return False
        try:
            return paths.lstat(roots[0]).st_dev != now.dev
        except OSError:
            return False

    def _look_again(self, path: bytes, item: Pending, now: FileState) -> None:
        """Has a file that may still be written to looked at once more. An event would do that by itself."""
        if is_regular(now) and self._now - _RECENT_NS < now.ctime_ns <= self._now:
            self._pending.add(
                path,
                item.backend,
                NOTHING,
                self._now,
                while_down=item.while_down,
                delay=_RECENT_NS / 1e9,
                force=True,
            )

    def _created(self, path: bytes, item: Pending, now: FileState) -> None:
        self._record(events.FILE_CREATED, path, item, now, None, item.writer(), first=True)
        self._hold(path, now, new=True)
        if is_directory(now) and self._scope.descends(path):
            # New directories in it are told, and looked into, in their turn.
            self._walk(path, item, False)

    def _was_there(self, item: Pending) -> bool:
        """Whether events tell of something that no record has told of: it appeared here, was not moved on to
        another name, and did not come from a name under which it was known."""
        if not item.change & APPEARED or item.moved_to is not None or item.backend == SCAN:
            return False
        return item.old_path is None or self._view.lookup(item.old_path)[1] is None

    def _came_and_went(self, path: bytes, item: Pending) -> None:
        """It was there and is gone before it could be looked at: both are told."""
        directory = bool(item.change & DIRECTORY)
        self._record(
            events.FILE_CREATED,
            path,
            item,
            None,
            None,
            item.writer(),
            unhashed=None if directory else Unhashed.DELETED,
            directory=directory,
            first=True,
        )
        self._record(events.FILE_DELETED, path, item, None, None, item.remover(), directory=directory)
        # No row to move, but a crash may come between the two records.
        self._hold(path, None, new=False)

    def _deleted(self, path: bytes, item: Pending, before: FileState) -> None:
        self._record(events.FILE_DELETED, path, item, None, before, item.remover())
        self._hold(path, None, new=False)

    def _delete_below(self, directory: bytes, item: Pending) -> None:
        """Tells of all that was below a directory that is gone, the deepest first: a crash in between leaves the
        directory's own row, and with it the knowledge that the rest is to be told."""
        # (directory, name in its parent, state); visited twice: before and after what is below it.
        stack: list[tuple[bytes, FileState | None]] = [(directory, None)]
        while stack:
            path, state = stack.pop()
            if state is not None:
                self._delete_one(path, item, state)
                continue
            for name, child in self._view.children(path).items():
                child_path = paths.join(path, name)
                stack.append((child_path, child))
                if is_directory(child):
                    stack.append((child_path, None))

    def _delete_one(self, path: bytes, item: Pending, state: FileState) -> None:
        # What waits for the child itself tells better who removed it.
        own = self._batch.pop(path, None) or self._pending.pop(path) or item
        self._deleted(path, own, state)
        if len(self._records) >= _FLUSH:
            self._flush()

    def _changed(self, path: bytes, item: Pending, before: FileState, now: FileState) -> None:
        difference = compare(before, now)
        directory = is_directory(now)
        if difference.attributes and self._only_hash(difference, before, now):
            if now.sha256 is not None and not self._view.is_held(path):
                # A hash that could not be had before: nothing happened to the file.
                self._silent(path, now)
        elif difference.attributes:
            if is_directory(before) and not directory:
                self._delete_below(path, item)
            event = events.FILE_MODIFIED if difference.content else events.FILE_ATTRIBUTES_CHANGED
            self._record(
                event,
                path,
                item,
                now,
                before,
                item.writer() if difference.content or difference.replaced else item.toucher(),
                difference=difference,
                source=item.old_path,
            )
            self._hold(path, now, new=directory and not is_directory(before))
        doubtful = bool(item.change & (SUBTREE | APPEARED)) or difference.replaced or self._closed(path)
        if directory and doubtful and self._scope.descends(path):
            self._walk(path, item, True)

    @staticmethod
    def _only_hash(difference: Difference, before: FileState, now: FileState) -> bool:
        """Whether nothing differs but that the content could be read then and not now, or the other way round."""
        hash_names = {names.FILE_HASH_SHA256, names.OTEL_FIM_FILE_NOT_HASHED}
        return set(difference.attributes) <= hash_names and (before.unhashed or now.unhashed) is not None

    # --- renames ---

    def _renamed(self, path: bytes, item: Pending, now: FileState) -> bool:
        """Tells of a rename when the file under the new name is the one that was known under the old name."""
        old_path = item.old_path
        assert old_path is not None
        before = self._view.lookup(old_path)[1]
        if before is None or not _is_same_file(before, now) or not self._has_left(old_path, before):
            return False
        self._tell_rename(path, old_path, item, before, now)
        if not is_directory(now):
            self._hold(old_path, None, new=False)
            self._hold(path, now, new=True)
            return True
        # The directory's own rows move last, see `_delete_below`.
        self._hold_last(old_path, path, now)
        self._rename_below(old_path, path, item)
        self._moves += reversed(self._last_moves)
        self._last_moves = []
        self._walk(path, item, True)
        return True

    def _tell_rename(
        self, path: bytes, old_path: bytes, item: Pending, before: FileState, now: FileState
    ) -> None:
        actor = item.writer()
        self._record(events.FILE_RENAMED, path, item, now, None, actor, source=old_path)
        difference = compare(before, now)
        # A rename moves ctime. Anything else is a change of its own.
        if set(difference.attributes) - {names.FILE_CHANGED}:
            event = events.FILE_MODIFIED if difference.content else events.FILE_ATTRIBUTES_CHANGED
            self._record(event, path, item, now, before, actor, difference=difference)

    def _has_left(self, old_path: bytes, before: FileState) -> bool:
        try:
            found = paths.lstat(old_path)
        except OSError:
            return True
        return found.st_ino != before.ino

    def _hold_last(self, old_path: bytes, path: bytes, now: FileState) -> None:
        self._last_moves.append(self._view.hold(old_path, None, new=False))
        self._last_moves.append(self._view.hold(path, now, new=True))

    def _rename_below(self, old_top: bytes, new_top: bytes, item: Pending) -> None:
        """Tells of what a renamed directory holds: one record for each, so that every path's history is whole."""
        stack = [(old_top, new_top)]
        while stack:
            old_directory, new_directory = stack.pop()
            for name, before in self._view.children(old_directory).items():
                old_path, path = paths.join(old_directory, name), paths.join(new_directory, name)
                now = self._moved_state(path, before)
                if now is None or not self._scope.wants_entry(path):
                    # Changed meanwhile, or not watched under its new name.
                    for some in (old_path, path):
                        self._pending.add(some, item.backend, NOTHING, item.last, like=item, force=True)
                    continue
                if self._view.lookup(path)[1] is not None:
                    continue
                self._tell_rename(path, old_path, item, before, now)
                if is_directory(now):
                    self._hold_last(old_path, path, now)
                    stack.append((old_path, path))
                else:
                    self._hold(old_path, None, new=False)
                    self._hold(path, now, new=True)
                if len(self._records) >= _FLUSH:
                    self._flush()

    def _moved_state(self, path: bytes, before: FileState) -> FileState | None:
        """The state under the new name, or None when another file is there or none."""
        try:
            found = paths.lstat(path)
            if same_metadata(before, found):
                return before
            now = observe(path, self._hash_max_size)
        except (OSError, GoneError, UnreadableError):
            return None
        return now if _is_same_file(before, now) else None

    # --- handing on ---

    def _record(
        self,
        event: str,
        path: bytes,
        item: Pending,
        now: FileState | None,
        before: FileState | None,
        actor: Actor | None,
        *,
        difference: Difference | None = None,
        source: bytes | None = None,
        unhashed: Unhashed | None = None,
        directory: bool = False,
        first: bool = False,
    ) -> None:
        kind = now or before
        if kind is not None:
            directory = is_directory(kind)
        if not self._scope.wants(path, directory=directory):
            return
        when = item.first if first else item.last
        if item.backend in _WITHOUT_TIME and now is not None:
            # No event tells when it was; the inode tells since when it has been as it is.
            when = min(now.ctime_ns, self._now)
        self._records.append(
            self._builder.build(
                event,
                path,
                now,
                before,
                backend=item.backend,
                time_unix_nano=when,
                observed_unix_nano=self._now,
                difference=difference,
                old_path=source,
                actor=actor,
                others=item.other_actors,
                while_down=item.while_down,
                unhashed=unhashed,
                directory=directory,
            )
        )

    def _hold(self, path: bytes, state: FileState | None, *, new: bool) -> None:
        if state is not None and state.nlink > 1 and is_regular(state):
            self._linked(path)
        self._moves.append(self._view.hold(path, state, new=new))

    def _silent(self, path: bytes, state: FileState) -> None:
        move = self._view.hold(path, state, new=False)
        self._view.expect()
        self._view.durable([move])

    def _flush(self) -> None:
        if not self._records and not self._moves:
            return
        records, moves = self._records, self._moves
        self._emit(records, moves)
        self._records, self._moves = [], []


def _is_same_file(before: FileState, now: FileState) -> bool:
    return before.ino == now.ino and stat.S_IFMT(before.mode) == stat.S_IFMT(now.mode)
