"""Who did it: from an event's pid and pidfd to an `Actor`, without ever taking one process for another.

A pid alone proves nothing: by the time it is looked up it may belong to someone else. What counts as proof:

- The process of the pidfd has not been waited for *after* /proc was read: its pid was its own all the while.
- Two events have the same pidfd inode, which is unique for each process since Linux 6.9 (pidfs); before that,
  the same pid and start time.
- A pid that was seen alive a moment ago has had no time to come round: the kernel hands pids out in turn, and
  handing out all the others takes longer than that moment (`reuse_window`).

Without proof there is only the pid. With a process that has exited, what is still known is told, `exited` set.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from dataclasses import dataclass, replace
from typing import Final, Protocol

from otel_fim.host import procfs, quick
from otel_fim.host.cache import BoundedCache
from otel_fim.host.exits import Exited
from otel_fim.receivers.file_integrity.backend import Actor

PIDFS_MAGIC: Final = 0x50494446
"""`f_type` of the file system that pidfds live on since Linux 6.9, when their inodes became unique."""

NO_PROCESS: Final = -1
"""In place of a pidfd: the process has been waited for already (FAN_NOPIDFD)."""

_CACHE_SIZE: Final = 1024
_FRESH_NANOSECONDS: Final = 1_000_000_000
_PID_ALLOCATION_NANOSECONDS: Final = 300
"""Less than the kernel needs to hand out one pid, under one lock for the whole system."""


class ExitRecords(Protocol):
    """Where to ask for processes that have ended."""

    def learn(self, pid: int, executable: bytes) -> None:
        """Tells of a program that is running."""

    def find(self, pid: int, since: int) -> Exited | None:
        """The one process with this pid that ended after `since` (monotonic ns); None when there was none,
        or more than one."""


@dataclass(slots=True)
class _Known:
    key: object
    pid: int
    actor: Actor
    executable: bytes | None
    read_at: int
    seen_alive_at: int
    checked_in: int


class ActorResolver:
    """Resolves the processes behind events. Used by one thread, the one that reads the events.

    `begin` starts a batch: `queue_empty_at` is a time (monotonic ns) at which no event of the batch had
    happened yet.
    """

    def __init__(self, exits: ExitRecords | None = None, *, unique_inodes: bool | None = None) -> None:
        self._exits = exits
        self._unique_inodes = pidfd_inodes_are_unique() if unique_inodes is None else unique_inodes
        self._clock = procfs.BootClock()
        self._known: BoundedCache[object, _Known] = BoundedCache(_CACHE_SIZE)
        self._by_pid: BoundedCache[int, _Known] = BoundedCache(_CACHE_SIZE)
        self._parents: BoundedCache[tuple[int, int], tuple[int, str | None]] = BoundedCache(_CACHE_SIZE)
        self._window = reuse_window()
        self._batch = 0
        self._gone_in_batch: dict[int, Actor] = {}
        self._queue_empty_at = time.monotonic_ns()

    def begin(self, queue_empty_at: int) -> None:
        self._batch += 1
        self._gone_in_batch.clear()
        self._queue_empty_at = queue_empty_at

    def resolve(self, pid: int, pidfd: int | None) -> Actor | None:
        """The actor of an event, None for a process outside this pid namespace.

        `pidfd` is as in the event: -1 for a process that is gone, less when the kernel could make none (too many
        open files); None when this kernel gives none at all.
        """
        if pid <= 0:
            return None
        if pidfd is None or pidfd < NO_PROCESS:
            return self._resolve_by_pid(pid)
        if pidfd == NO_PROCESS:
            actor = self._gone_in_batch.get(pid)
            if actor is None:
                actor = self._gone_in_batch[pid] = self._gone(pid)
            return actor
        return self._resolve_by_pidfd(pid, pidfd)

    def _resolve_by_pidfd(self, pid: int, pidfd: int) -> Actor:
        key: object
        if self._unique_inodes:
            key = quick.inode(pidfd)
        else:
            # The start time is that of the right process only when the pid was still its own afterwards.
            start = _start_ticks(pid)
            if start is None or not is_unreaped(pidfd):
                return self._gone(pid)
            key = (pid, start)
        known = self._known.get(key)
        if known is None:
            return self._read(key, pid, pidfd)
        if known.checked_in == self._batch:
            return known.actor
        now = time.monotonic_ns()
        if now - known.read_at > _FRESH_NANOSECONDS:
            return self._read(key, pid, pidfd, known)
        try:
            executable = procfs.read_executable(pid)
        except PermissionError:
            executable = None
        except OSError:
            return self._past(known)
        if not is_unreaped(pidfd) or (executable is None and known.executable is not None):
            return self._past(known)
        if executable != known.executable:
            return self._read(key, pid, pidfd, known)
        known.checked_in = self._batch
        known.seen_alive_at = now
        return known.actor

    def _resolve_by_pid(self, pid: int) -> Actor:
        """Without a pidfd from the kernel: the process that has the pid now, if it must be the one."""
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            return self._gone(pid)
        except OSError:
            return Actor(pid)
        try:
            if time.monotonic_ns() - self._queue_empty_at > self._window:
                start = _start_ticks(pid)
                if start is None or self._started_since(start, self._queue_empty_at):
                    return Actor(pid)
            return self._resolve_by_pidfd(pid, pidfd)
        finally:
            os.close(pidfd)

    @staticmethod
    def _started_since(start_ticks: int, monotonic_ns: int) -> bool:
        """Whether a process may have started after the given moment; unsure counts as yes."""
        tick = 1_000_000_000 // procfs.CLOCK_TICKS_PER_SECOND
        age = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - start_ticks * tick
        return age - tick < time.monotonic_ns() - monotonic_ns

    def _past(self, known: _Known) -> Actor:
        """A process that has exited since it was read."""
        if not known.actor.exited:
            known.actor = replace(known.actor, exited=True)
        known.checked_in = self._batch
        return known.actor

    def _gone(self, pid: int) -> Actor:
        """A process that has been waited for already: what is proven about it."""
        known = self._by_pid.get(pid)
        if known is not None and os.path.exists(f"/proc/{pid}"):
            # Whoever has the pid now is not the one that is gone.
            known = None
        if known is not None and self._had_no_time_to_come_round(known):
            return self._past(known)
        since = self._queue_empty_at if known is None else min(known.seen_alive_at, self._queue_empty_at)
        record = self._exits.find(pid, since) if self._exits is not None else None
        if record is None:
            return Actor(pid, exited=True)
        if known is not None:
            # It was alive after `since`, is not any more, and only one has ended: that one.
            return self._past(known)
        return self._add_parent_of_record(_completed(Actor(pid, exited=True), record))

    def _had_no_time_to_come_round(self, known: _Known) -> bool:
        seen = known.seen_alive_at
        return max(time.monotonic_ns() - seen, seen - self._queue_empty_at) < self._window

    def _read(self, key: object, pid: int, pidfd: int, earlier: _Known | None = None) -> Actor:
        """Reads /proc, first what the kernel's accounting cannot tell later. What was read counts only when the
        pid was still the process's own afterwards."""
        now = time.monotonic_ns()
        actor, executable, proven = Actor(pid), None, False
        for read in (self._read_executable, self._read_login, self._read_users, self._read_stat):
            try:
                more = read(actor)
            except (OSError, ValueError):
                more = None
            if not is_unreaped(pidfd):
                actor = replace(actor, exited=True)
                break
            proven = True
            if isinstance(more, bytes):
                executable = more
                more = replace(actor, executable_path=procfs.text(more))
            actor = more or actor
        if actor.exited and earlier is not None:
            return self._past(earlier)
        if not proven:
            return self._gone(pid)
        if actor.exited and self._exits is not None:
            record = self._exits.find(pid, self._queue_empty_at)
            actor = actor if record is None else _completed(actor, record)
        if actor.creation_time_unix_nano is None:
            actor = self._add_parent_of_record(actor)
        else:
            actor = self._add_parent(actor, self._clock.ticks(actor.creation_time_unix_nano))
        if executable is not None and self._exits is not None:
            self._exits.learn(pid, executable)
        known = _Known(key, pid, actor, executable, now, now, self._batch)
        self._known.put(key, known)
        self._by_pid.put(pid, known)
        return actor

    @staticmethod
    def _read_executable(actor: Actor) -> bytes | None:
        return procfs.read_executable(actor.pid)

    @staticmethod
    def _read_login(actor: Actor) -> Actor:
        login, session = procfs.read_login_ids(actor.pid)
        return replace(actor, login_user_id=login, session_id=session)

    @staticmethod
    def _read_users(actor: Actor) -> Actor:
        users = procfs.read_user_ids(actor.pid)
        return replace(actor, effective_user_id=users.effective, real_user_id=users.real)

    def _read_stat(self, actor: Actor) -> Actor:
        stat = procfs.read_stat(actor.pid)
        return replace(
            actor,
            exited=stat.exiting,
            command=procfs.text(stat.command),
            parent_pid=stat.parent_pid or None,
            creation_time_unix_nano=self._clock.epoch_nanoseconds(stat.start_ticks),
        )

    def _add_parent_of_record(self, actor: Actor) -> Actor:
        """The parent was there when its child ended, which was after the queue had been empty."""
        if actor.parent_pid is None:
            return actor
        try:
            parent = procfs.read_stat(actor.parent_pid)
        except (OSError, ValueError):
            return actor
        if self._started_since(parent.start_ticks, self._queue_empty_at):
            return actor
        return self._add_parent(actor, parent.start_ticks)

    def _add_parent(self, actor: Actor, started_by: int) -> Actor:
        """`started_by`: ticks after boot, before which the parent must have started to be the parent."""
        pid = actor.parent_pid
        if pid is None:
            return actor
        executable: bytes | None = None
        try:
            before = procfs.read_stat(pid)
            # A parent is not younger than its child: this pid is not the parent's any more.
            if before.start_ticks > started_by:
                return actor
            key = (pid, before.start_ticks)
            cached = self._parents.get(key)
            if cached is not None and time.monotonic_ns() - cached[0] < _FRESH_NANOSECONDS:
                path = cached[1]
            else:
                with contextlib.suppress(PermissionError):
                    executable = procfs.read_executable(pid)
                if procfs.read_stat(pid).start_ticks != before.start_ticks:
                    return actor
                path = None if executable is None else procfs.text(executable)
                self._parents.put(key, (time.monotonic_ns(), path))
        except (OSError, ValueError):
            return actor
        return replace(actor, parent_executable_path=path, parent_command=procfs.text(before.command))


def _completed(actor: Actor, record: Exited) -> Actor:
    """What was read, and for the rest what the accounting tells of the same process."""
    return replace(
        actor,
        executable_path=actor.executable_path or record.executable_path,
        command=actor.command if actor.command is not None else record.command,
        real_user_id=actor.real_user_id if actor.real_user_id is not None else record.real_user_id,
        parent_pid=actor.parent_pid or record.parent_pid or None,
    )


def is_unreaped(pidfd: int) -> bool:
    """Whether the process of a pidfd runs or waits to be waited for, so that its pid is still its own."""
    try:
        signal.pidfd_send_signal(pidfd, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _start_ticks(pid: int) -> int | None:
    try:
        return procfs.read_stat(pid).start_ticks
    except (OSError, ValueError):
        return None


def pidfd_inodes_are_unique() -> bool:
    """Whether this kernel gives every process a pidfd inode of its own (pidfs, Linux 6.9)."""
    try:
        pidfd = os.pidfd_open(os.getpid())
    except OSError:
        return False
    try:
        buffer = ctypes.create_string_buffer(256)
        if ctypes.CDLL(None, use_errno=True).fstatfs(pidfd, buffer) != 0:
            return False
        return ctypes.c_long.from_buffer(buffer).value == PIDFS_MAGIC
    finally:
        os.close(pidfd)


def reuse_window() -> int:
    """Nanoseconds in which a pid cannot come round again, counted with half of all pids in use."""
    try:
        pid_max = int(quick.read_small(b"/proc/sys/kernel/pid_max"))
    except (OSError, ValueError):
        pid_max = 32768
    return pid_max // 2 * _PID_ALLOCATION_NANOSECONDS
