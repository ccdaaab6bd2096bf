"""The process table: every component asks here who a pid is, or was.

A receiver that is told by the kernel of each start and end feeds it (`put`, `fed`); without one it reads /proc when
it is asked. Two processes with the same pid are never mixed up: a process is found by its pid and either its
creation time or a time at which it must have been alive.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from otel_fim.host import procfs
from otel_fim.host.process import MAX_ANCESTORS, Ancestor, Process
from otel_fim.host.sessions import LoginSessions
from otel_fim.host.shelf import Shelf
from otel_fim.host.snapshot import Snapshot, read_snapshot

DEFAULT_LIMIT: Final = 8192
CREATION_TOLERANCE_NANOSECONDS: Final = 2 * procfs.TICK_NANOSECONDS
"""Two readings of one process's creation time differ by less: they are rounded, and the wall clock is adjusted."""
_FRESH_NANOSECONDS: Final = 1_000_000_000
"""Without a feeder: for how long what was read of a process is taken to be true, as long as its program is the same."""


class ProcessTable:
    """At most `limit` processes, running and ended. Safe to use from any thread.

    `sessions` are the logins behind the kernel's audit sessions.
    """

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self.limit = limit
        self.sessions = LoginSessions()
        self._lock = threading.Lock()
        self._clock = procfs.BootClock()
        # Without a boot id, ids of processes are unique for this run of the agent.
        self._boot = procfs.boot_id().encode() or b"%d" % time.time_ns()
        self._shelf = Shelf(limit)
        self._read_at: dict[str, int] = {}
        self._feeder: Callable[[], None] | None = None
        self._fed_since = 0
        self._fed_until = 0
        self._fed = threading.Condition()

    @property
    def evicted(self) -> int:
        """Processes that had to make room, since the start."""
        return self._shelf.evicted

    def __len__(self) -> int:
        return len(self._shelf)

    # --- Asking --------------------------------------------------------------------------------------------

    def find(
        self,
        pid: int,
        *,
        created_unix_nano: int | None = None,
        at_unix_nano: int | None = None,
        within_nano: int = 0,
    ) -> Process | None:
        """The process with that pid that was created at the one time, or was alive at the other; with neither,
        the one that has the pid now. None when that is not known for sure. Reads /proc when the table does not
        have it and the process may still run.

        `within_nano` is for times that are later than what they stand for: the process is the only one that had the
        pid at any moment of the time that long before `at_unix_nano`, so that one that has just ended is found too.
        """
        if created_unix_nano is not None:
            return self._created(pid, created_unix_nano)
        at = time.time_ns() if at_unix_nano is None else at_unix_nano
        since = at - within_nano
        with self._lock:
            # One after the other they had the pid: of two that may have been alive, as starts are rounded down, it was
            # the one that started first.
            alive = [each for each in self._shelf.of(pid) if _lived(each, since, at)]
            known = min(alive, key=lambda each: each.created_unix_nano, default=None)
            if known is not None:
                if within_nano and len(alive) > 1:
                    return None
                self._shelf.use(known)
                alone = _lived_through(known, since, at) or self._alone(since, at)
                if known.ended_unix_nano is not None:
                    if alone:
                        return known
                elif (
                    alone and at_unix_nano is not None and self._feeder is not None and at <= self._fed_until
                ):
                    return known
        if known is not None and known.ended_unix_nano is not None:
            return None
        now = self._running_now(pid, known)
        if now is None or not (_lived_through(now, since, at) or self._alone(since, at)):
            return None
        return now

    def known(self, pid: int) -> Process | None:
        """The process that has the pid as far as the table has been told, without looking at /proc."""
        with self._lock:
            return self._shelf.running(pid)

    def running(self) -> Sequence[Process]:
        """All processes that run as far as the table has been told."""
        with self._lock:
            return self._shelf.all_running()

    def alive_between(self, since_unix_nano: int, until_unix_nano: int) -> Sequence[Process] | None:
        """Every process that lived at any moment of that time; None when not all of them are known."""
        with self._lock:
            if not self._alone(since_unix_nano, until_unix_nano):
                return None
            return [each for each in self._shelf.all() if _lived(each, since_unix_nano, until_unix_nano)]

    def catch_up(self, until_unix_nano: int, patience: float) -> bool:
        """Waits until the feeder has taken in what happened up to then, at most `patience` seconds. True at once
        when there is no feeder."""
        feeder = self._feeder
        if feeder is None or self._fed_until >= until_unix_nano:
            return True
        feeder()
        with self._fed:
            return self._fed.wait_for(
                lambda: self._feeder is None or self._fed_until >= until_unix_nano, patience
            )

    def is_told(self, at_unix_nano: int) -> bool:
        """Whether the feeder has told of all that happened up to then, and had lost nothing since. True when there is
        no feeder: then what is asked for is read at once."""
        return self._feeder is None or self._fed_since <= at_unix_nano <= self._fed_until

    # --- Feeding -------------------------------------------------------------------------------------------

    def entity_id(self, pid: int, created_unix_nano: int) -> str:
        """The id of a process: made from the boot id, the pid and the start in clock ticks after boot."""
        return self.entity_id_of_ticks(pid, self._clock.ticks(created_unix_nano))

    def entity_id_of_ticks(self, pid: int, start_ticks: int) -> str:
        """The same from what /proc tells."""
        return hashlib.sha256(b"%s %d %d" % (self._boot, pid, start_ticks)).hexdigest()[:16]

    def put(self, process: Process) -> None:
        """Takes a process in, or newer knowledge of it (same `entity_id`)."""
        with self._lock:
            self._put(process)

    def amend(self, process: Process, /, **known: Any) -> Process:
        """Newer knowledge of some fields of a process (see `Process`): what others have put in meanwhile stays. Gives
        the process as the table has it now; one that the table does not have (any more) is put in."""
        with self._lock:
            current = self._shelf.get(process.entity_id) or process
            amended = current.but(**known)
            self._put(amended)
            return amended

    def learn_program(self, process: Process, path: str | None, sha256: str | None) -> None:
        """What was found out later about the program that `process` ran; nothing changes when it runs another now."""
        with self._lock:
            current = self._shelf.get(process.entity_id)
            if current is not None and current.executable_path == process.executable_path:
                self._put(current.but(executable_path=path, executable_sha256=sha256))

    def feed_with(self, poke: Callable[[], None] | None) -> None:
        """Names the feeder (None: it has stopped). `poke` is called from any thread to have it look at once; it
        then calls `fed`. Called again when something was lost: from then on all is known again."""
        with self._fed:
            self._feeder = poke
            self._fed_since = time.time_ns()
            self._fed_until = 0
            self._fed.notify_all()

    def fed(self, until_unix_nano: int) -> None:
        """Called by the feeder: everything that happened before this time is in the table."""
        with self._fed:
            self._fed_until = max(self._fed_until, until_unix_nano)
            self._fed.notify_all()

    def from_snapshot(self, taken: Snapshot) -> Process:
        """What was read of a process that still has its pid, with its ancestors; the table has it from now on."""
        return self._take(taken, MAX_ANCESTORS)

    # --- Inside --------------------------------------------------------------------------------------------

    def _created(self, pid: int, created: int) -> Process | None:
        with self._lock:
            near = [
                (abs(each.created_unix_nano - created), each.ended_unix_nano is not None, each)
                for each in self._shelf.of(pid)
                if abs(each.created_unix_nano - created) <= CREATION_TOLERANCE_NANOSECONDS
            ]
            if near:
                found = min(near, key=lambda each: each[:2])[2]
                if self._feeder is not None or found.ended_unix_nano is not None:
                    self._shelf.use(found)
                    return found
        now = self._running_now(pid, near[0][2] if near else None)
        if now is not None and abs(now.created_unix_nano - created) <= CREATION_TOLERANCE_NANOSECONDS:
            return now
        # Nobody tells of ends: that it is gone does not change who it was.
        return min(near, key=lambda each: each[:2])[2] if near else None

    def _alone(self, since: int, until: int) -> bool:
        """Whether all processes that ran in that time are known, and still in the table."""
        return (
            self._feeder is not None
            and self._fed_since <= since
            and until <= self._fed_until
            and self._shelf.complete_since < since
        )

    def _running_now(self, pid: int, known: Process | None) -> Process | None:
        """The process that has the pid now."""
        if known is not None:
            try:
                stat = procfs.read_stat(pid)
            except (OSError, ValueError):
                return None
            if self._is(known, stat.start_ticks) and (
                self._feeder is not None or self._is_fresh(known, stat)
            ):
                return known
        taken = read_snapshot(pid)
        return None if taken is None else self._take(taken, MAX_ANCESTORS)

    def _is(self, process: Process, start_ticks: int) -> bool:
        """Whether a running process is the one that started then."""
        return (
            self.entity_id_of_ticks(process.pid, start_ticks) == process.entity_id
            or abs(self._clock.epoch_nanoseconds(start_ticks) - process.created_unix_nano)
            <= CREATION_TOLERANCE_NANOSECONDS
        )

    def _is_fresh(self, known: Process, stat: procfs.Stat) -> bool:
        if time.monotonic_ns() - self._read_at.get(known.entity_id, 0) > _FRESH_NANOSECONDS:
            return False
        try:
            executable = procfs.read_executable(known.pid)
        except OSError:
            executable = None
        path = None if executable is None else procfs.text(executable)
        return (path, procfs.text(stat.command)) == (known.executable_path, known.command)

    def _take(self, taken: Snapshot, depth: int) -> Process:
        ancestors = self._ancestors(taken.stat, depth)
        with self._lock:
            same = (each for each in self._shelf.of(taken.stat.pid) if self._is(each, taken.stat.start_ticks))
            known = next(same, None)
            if known is not None:
                if self._feeder is not None or known.ended_unix_nano is not None:
                    # The feeder knows better: it is told of what happens in the order in which it happens.
                    return known
                created, entity = known.created_unix_nano, known.entity_id
                ancestors = known.ancestors or ancestors
            else:
                created = self._clock.epoch_nanoseconds(taken.stat.start_ticks)
                entity = self.entity_id_of_ticks(taken.stat.pid, taken.stat.start_ticks)
            process = taken.process(created, entity, ancestors)
            if known is not None:
                process = process.but(executable_sha256=_still(known, process))
            self._put(process)
            self._note_reading(entity)
            return process

    def _ancestors(self, child: procfs.Stat, depth: int) -> tuple[Ancestor, ...]:
        if child.parent_pid <= 0 or depth <= 0:
            return ()
        known = self.known(child.parent_pid)
        taken: Snapshot | None = None
        try:
            stat = procfs.read_stat(child.parent_pid)
            if stat.start_ticks > child.start_ticks:
                return ()
            if known is None or not self._is(known, stat.start_ticks):
                taken = read_snapshot(child.parent_pid)
            # A parent that ends gives its children away: as long as the child names it, the pid is its own.
            again = procfs.read_stat(child.pid)
        except (OSError, ValueError):
            return ()
        if (again.start_ticks, again.parent_pid) != (child.start_ticks, child.parent_pid):
            return ()
        if taken is not None:
            known = self._take(taken, depth - 1)
        return () if known is None else known.ancestors_of_child()

    def _note_reading(self, entity_id: str) -> None:
        if self._feeder is not None:
            self._read_at.clear()
            return
        if len(self._read_at) >= self.limit:
            self._read_at.clear()
        self._read_at[entity_id] = time.monotonic_ns()

    def _put(self, process: Process) -> None:
        earlier = self._shelf.running(process.pid)
        if earlier is not None and earlier.entity_id != process.entity_id:
            if earlier.created_unix_nano <= process.created_unix_nano:
                # A pid is given again only after the process that had it has ended.
                self._shelf.put(earlier.but(ended_unix_nano=process.created_unix_nano))
            elif process.ended_unix_nano is None:
                # Told late: the one that has the pid now started after it had ended.
                process = process.but(ended_unix_nano=earlier.created_unix_nano)
        self._shelf.put(process)


def _lived(process: Process, since: int, until: int) -> bool:
    """Whether it was alive at any moment of that time; the start is rounded down, the end is exact. The wall clock is
    adjusted a little now and then, so that a start may seem to be later than what the process did first."""
    ended = process.ended_unix_nano
    return process.created_unix_nano - procfs.TICK_NANOSECONDS <= until and (ended is None or ended >= since)


def _lived_through(process: Process, since: int, until: int) -> bool:
    """Whether it was alive all of that time: not known of one whose end nobody told."""
    if process.ended_unix_nano is not None and process.exit_status is None:
        return False
    return process.created_unix_nano <= since and _lived(process, until, until)


def _still(known: Process, now: Process) -> str | None:
    return known.executable_sha256 if known.executable_path == now.executable_path else None
