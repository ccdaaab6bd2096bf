"""What happens to processes, event by event: feeds the process table and says what is to be reported.

A child has everything from its parent at first; what it changes itself (program, directory, login) is read from /proc
when it starts a program. When it is gone by then, what it had from its parent still holds.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from typing import Any, Final

from otel_fim.host import procfs
from otel_fim.host.process import Process
from otel_fim.host.snapshot import Snapshot, read_snapshot
from otel_fim.host.table import ProcessTable
from otel_fim.receivers.process import cn_proc
from otel_fim.receivers.process.command_lines import CommandLines
from otel_fim.receivers.process.happening import (
    AMBIGUOUS_NANOSECONDS,
    PROC_CONNECTOR,
    SCAN,
    Action,
    Happening,
    Image,
)
from otel_fim.receivers.process.kernel_clock import KernelClock
from otel_fim.receivers.process.life import (
    Left,
    Live,
    directory_at_start,
    has_ended,
    running_since,
    what_is_left,
)
from otel_fim.receivers.process.logins import Login, login_at_start
from otel_fim.receivers.process.reading import Reader, Reading

FORK_PATIENCE_NANOSECONDS: Final = 1_000_000_000
_LEADERLESS_NANOSECONDS: Final = 1_000_000_000
_CLOCK_NANOSECONDS: Final = 50_000_000
_KTHREADD: Final = 2


class Tracker:
    """For one thread. `put` takes what is to be reported; `own_pid` and what it starts is not."""

    def __init__(
        self,
        table: ProcessTable,
        put: Callable[[Happening], None],
        *,
        lines: CommandLines | None = None,
        own_pid: int | None = None,
        backend: str = PROC_CONNECTOR,
        read: Callable[[int], Snapshot | None] = read_snapshot,
    ) -> None:
        self._table = table
        self._put = put
        self._backend = backend
        self._own_pid = os.getpid() if own_pid is None else own_pid
        self._clock = KernelClock()
        self._clock_read_ns = time.monotonic_ns()
        self._reader = Reader(lines)
        self._read = read
        self._limit = max(table.limit, 256)
        self._lives: OrderedDict[int, Live] = OrderedDict()
        self._forks: deque[tuple[int, Live]] = deque()
        self._leaderless: dict[int, tuple[int, Live]] = {}
        self._compared_ns = 0
        self._handlers = {
            cn_proc.FORK: self._fork,
            cn_proc.EXEC: self._exec,
            cn_proc.EXIT: self._exit,
            cn_proc.UID: self._ids,
            cn_proc.GID: self._ids,
            cn_proc.SID: self._session,
        }

    def __len__(self) -> int:
        return len(self._lives)

    def handle(self, event: cn_proc.ProcEvent) -> None:
        """Takes in an event; the events of one process come in their order."""
        self._handlers[event.what](event)

    def refresh_clock(self) -> None:
        """To be called before a batch of events."""
        now = time.monotonic_ns()
        if now - self._clock_read_ns >= _CLOCK_NANOSECONDS:
            self._clock_read_ns = now
            self._clock.refresh()

    def epoch(self, monotonic_ns: int) -> int:
        """An event's time in nanoseconds since the epoch."""
        return self._clock.epoch(monotonic_ns)

    # --- Events --------------------------------------------------------------------------------------------

    def _fork(self, event: cn_proc.ProcEvent) -> None:
        pid, now = event.pid, event.time_ns
        ticks = self._clock.ticks(now)
        earlier = self._lives.get(pid)
        if earlier is not None:
            if (
                earlier.ticks is not None
                and earlier.started_ns is None
                and min(running_since(pid, ticks) or ticks, ticks) <= earlier.ticks + 1
            ):
                # It was found by a scan before its event was read.
                earlier.started_ns = now
                return
            self._finish(earlier, self._clock.epoch(now), None, now)
        parent = self._life_of(event.first, now)
        found = running_since(pid, ticks)
        if found is not None:
            ticks = min(found, ticks)
        created = self._clock.created(ticks)
        entity = self._table.entity_id_of_ticks(pid, ticks)
        known = self._table.known(pid)
        if known is not None and abs(known.created_unix_nano - created) <= 2 * procfs.TICK_NANOSECONDS:
            # Somebody asked for it before its event was read.
            created, entity = known.created_unix_nano, known.entity_id
        login = self._login_at_start(pid if found is not None else None, parent, now)
        if parent is None:
            process = Process(pid, created, entity, parent_pid=event.first or None)
            if login is not None:
                process = process.but(login_user_id=login.user_id, session_id=login.session_id)
            image = Image(pid, now, resolved=True)
        else:
            process = parent.process.but(
                pid=pid,
                created_unix_nano=created,
                entity_id=entity,
                parent_pid=parent.process.pid,
                ancestors=parent.process.ancestors_of_child(),
                login_user_id=login.user_id if login else None,
                session_id=login.session_id if login else None,
                working_directory=directory_at_start(pid if found is not None else None, event.first),
                ended_unix_nano=None,
                exit_status=None,
            )
            image = parent.image
        live = Live(process, image, now, ticks, login=login, missing=() if login else ("login_user_id",))
        live.parent = None if parent is None else parent.image
        live.own = event.first == self._own_pid or (parent is not None and parent.own)
        live.kernel = event.first in (0, _KTHREADD) or (parent is not None and parent.kernel)
        self._table.put(process)
        self._keep(live)
        if not live.kernel:
            self._forks.append((now + FORK_PATIENCE_NANOSECONDS, live))

    def _exec(self, event: cn_proc.ProcEvent) -> None:
        self._leaderless.pop(event.pid, None)
        live = self._life_of(event.pid, event.time_ns, told=False)
        image = Image(event.pid, event.time_ns)
        if live is None:
            live = self._unknown(event.pid, image)
        live.kernel = False
        reading = self._reader.program(image, live.ticks, event.time_ns, live.login)
        before = live.image
        if before.pid == event.pid:
            before.until_ns = event.time_ns
        if before.pid == event.pid and event.time_ns - before.read_until_ns < AMBIGUOUS_NANOSECONDS:
            before.next = image
        reading.known.setdefault("command", None)
        reading.known["executable_sha256"] = None
        reading.known["program_unix_nano"] = self._clock.epoch(event.time_ns)
        self._complete(live, reading)
        live.image = image
        live.told = True
        self._tell("exec", live, self._clock.epoch(event.time_ns))

    def _exit(self, event: cn_proc.ProcEvent) -> None:
        live = self._life_of(event.pid, event.time_ns)
        if live is None:
            if event.time_ns < self._compared_ns:
                return
            live = self._unknown(event.pid, Image(event.pid, event.time_ns))
            live.told = True
        if live.kernel:
            self._forget(live)
        elif (left := what_is_left(event.pid, live.ticks)) is Left.THREADS:
            # Only its first thread has ended.
            self._leaderless[event.pid] = (event.time_ns + _LEADERLESS_NANOSECONDS, live)
        elif left is Left.PROCESS:
            # Another thread starts a program, which ends the first one and takes its place.
            return
        else:
            self._finish(live, self._clock.epoch(event.time_ns), event.first, event.time_ns)

    def _ids(self, event: cn_proc.ProcEvent) -> None:
        live = self._life_of(event.pid, event.time_ns)
        if live is None:
            return
        known = self._reader.credentials(event.pid)
        if event.what == cn_proc.UID:
            known.update(real_user_id=event.first, effective_user_id=event.second)
            known.setdefault("saved_user_id", None)
        else:
            known.update(real_group_id=event.first, effective_group_id=event.second)
        self._amend(live, known)

    def _session(self, event: cn_proc.ProcEvent) -> None:
        live = self._life_of(event.pid, event.time_ns)
        if live is not None:
            self._amend(
                live, {"session_leader_pid": event.pid, "group_leader_pid": event.pid, "terminal": None}
            )

    # --- Time ----------------------------------------------------------------------------------------------

    def due(self) -> int | None:
        """Does what is due; gives the monotonic time (ns) at which something will be next, None for never."""
        now = time.monotonic_ns()
        while self._forks and (self._forks[0][0] <= now or self._is_settled(self._forks[0][1])):
            live = self._forks.popleft()[1]
            if not self._is_settled(live):
                self._tell_fork(live)
        for pid, (at, live) in list(self._leaderless.items()):
            if at <= now:
                left = what_is_left(pid, live.ticks)
                if left is Left.THREADS:
                    self._leaderless[pid] = (now + _LEADERLESS_NANOSECONDS, live)
                elif left is Left.PROCESS:
                    del self._leaderless[pid]
                else:
                    # How the last thread ended is not told.
                    self._finish(live, time.time_ns(), None, now)
        deadlines = [at for at, _ in self._leaderless.values()]
        if self._forks:
            deadlines.append(self._forks[0][0])
        return min(deadlines, default=None)

    def _is_settled(self, live: Live) -> bool:
        return live.told or self._lives.get(live.process.pid) is not live

    def _tell_fork(self, live: Live) -> None:
        reading = self._reader.running(live.process.pid, live.ticks, live.login)
        # The program is the parent's; the name may be its own.
        self._complete(live, reading)
        live.told = True
        self._tell("fork", live, self._clock.epoch(live.started_ns or 0))

    # --- Looking at all processes --------------------------------------------------------------------------

    def compare(self, pids: Iterable[int], action: Action | None, since_unix_nano: int = 0) -> None:
        """Finds what started and ended without having been told: `action` is how starts are reported, None for not
        at all. With `exec` it says fork of a process that runs its parent's program. What started before
        `since_unix_nano` has been reported, and was only forgotten to make room."""
        since = since_unix_nano - 2 * procfs.TICK_NANOSECONDS
        found: set[int] = set()
        for pid in pids:
            if self._look_at(pid, action, since):
                found.add(pid)
        now, monotonic = time.time_ns(), time.monotonic_ns()
        for pid in [pid for pid in self._lives if pid not in found]:
            self._finish(self._lives[pid], now, None, monotonic)
        for process in self._table.running():
            if process.pid not in self._lives and process.pid not in found:
                self._table.amend(process, ended_unix_nano=now)
        self._compared_ns = monotonic

    def _look_at(self, pid: int, action: Action | None, since: int) -> bool:
        live = self._lives.get(pid)
        if live is not None and self._is_unchanged(live):
            return True
        taken = self._read(pid)
        if taken is None or has_ended(taken.stat):
            return False
        if taken.stat.kernel_thread:
            return True
        if live is not None and live.ticks is not None and taken.stat.start_ticks > live.ticks + 1:
            self._finish(live, time.time_ns(), None, time.monotonic_ns())
            live = None
        if live is None:
            live = self._adopt(taken)
            started = action
            if live.process.created_unix_nano < since:
                started = None
            elif action == "exec" and self._runs_parents_program(live):
                started = "fork"
            when = live.process.created_unix_nano
        else:
            self._renew(live, taken)
            started, when = action, time.time_ns()
        if started is not None and not live.own:
            self._tell(started, live, when, SCAN if started == "scan" else None)
        return True

    def _is_unchanged(self, live: Live) -> bool:
        try:
            stat = procfs.read_stat(live.process.pid)
            if live.ticks is not None and stat.start_ticks > live.ticks + 1:
                return False
            if has_ended(stat):
                return False
            executable = procfs.read_executable(live.process.pid)
        except PermissionError:
            return procfs.text(stat.command) == live.process.command
        except (OSError, ValueError):
            return False
        return executable is None or procfs.text(executable) == live.process.executable_path

    def _runs_parents_program(self, live: Live) -> bool:
        path = live.process.executable_path
        return bool(path and live.process.ancestors and live.process.ancestors[0].executable_path == path)

    def _renew(self, live: Live, taken: Snapshot) -> None:
        now = taken.process(live.process.created_unix_nano, live.process.entity_id, live.process.ancestors)
        live.image = self._reader.found(taken)
        live.process = now
        live.login = Login(now.login_user_id, now.session_id, time.monotonic_ns())
        self._table.put(now)

    def _adopt(self, taken: Snapshot) -> Live:
        """A process whose start was not seen."""
        process = self._table.from_snapshot(taken)
        parent = self._lives.get(taken.stat.parent_pid)
        if not process.ancestors and parent is not None:
            process = self._table.amend(process, ancestors=parent.process.ancestors_of_child())
        login = Login(process.login_user_id, process.session_id, time.monotonic_ns())
        live = Live(process, self._reader.found(taken), ticks=taken.stat.start_ticks, told=True, login=login)
        live.parent = None if parent is None else parent.image
        live.kernel = taken.stat.kernel_thread
        live.own = process.pid == self._own_pid or any(
            each.pid == self._own_pid for each in process.ancestors
        )
        live.missing = tuple(
            name
            for name, value in (
                ("working_directory", taken.working_directory),
                ("cgroup", taken.cgroup),
                ("effective_user_id", taken.credentials),
            )
            if value is None
        )
        self._keep(live)
        return live

    # --- Inside --------------------------------------------------------------------------------------------

    def _life_of(self, pid: int, at_ns: int, *, told: bool = True) -> Live | None:
        live = self._lives.get(pid)
        if live is not None or pid <= 0:
            return live
        taken = self._read(pid)
        if taken is None or taken.stat.start_ticks > self._clock.ticks(at_ns) + 1:
            return None
        live = self._adopt(taken)
        live.told = told
        return live

    def _unknown(self, pid: int, image: Image) -> Live:
        """A process that is gone, and of which nothing but its pid is known; its start was lost."""
        known = self._table.known(pid)
        process = known or Process(pid, 0, "")
        live = Live(process, image, missing=() if known else ("created_unix_nano",))
        if known is not None:
            self._keep(live)
        return live

    def _login_at_start(self, pid: int | None, parent: Live | None, forked_ns: int) -> Login | None:
        if parent is None:
            return login_at_start(pid, None, forked_ns)[0]
        before = parent.login
        login, now = login_at_start(pid, (parent.process.pid, before), forked_ns)
        if now is not None and now is not before:
            parent.login = now
            self._amend(parent, {"login_user_id": now.user_id, "session_id": now.session_id})
        return login

    def _complete(self, live: Live, reading: Reading) -> None:
        if reading.gone:
            # A shell gives its child a process group of its own, which no event tells.
            reading.known.setdefault("group_leader_pid", None)
        live.login = reading.login
        live.missing = tuple(reading.missing) if live.login else (*reading.missing, "login_user_id")
        self._amend(live, reading.known)

    def _amend(self, live: Live, known: dict[str, Any]) -> None:
        if not live.process.entity_id:
            live.process = live.process.but(**known)
        else:
            live.process = self._table.amend(live.process, **known)

    def _finish(self, live: Live, at: int, status: int | None, monotonic_ns: int) -> None:
        if not live.told and not live.kernel:
            live.told = True
            self._tell("fork", live, self._clock.epoch(live.started_ns or 0))
        self._forget(live)
        if live.kernel:
            return
        at = max(at, live.process.created_unix_nano)
        if live.process.entity_id:
            live.process = self._table.amend(live.process, ended_unix_nano=at, exit_status=status)
        else:
            live.process = live.process.but(ended_unix_nano=at, exit_status=status)
        duration = None
        if live.started_ns is not None:
            duration = max(0, monotonic_ns - live.started_ns)
        elif live.process.created_unix_nano:
            duration = at - live.process.created_unix_nano
        if not live.own:
            self._put(
                Happening(
                    "exit",
                    at,
                    live.process,
                    live.image,
                    self._backend,
                    duration,
                    live.missing,
                    live.parent,
                )
            )

    def _tell(self, action: Action, live: Live, at: int, backend: str | None = None) -> None:
        if not live.own:
            self._put(
                Happening(
                    action,
                    at,
                    live.process,
                    live.image,
                    backend or self._backend,
                    None,
                    live.missing,
                    live.parent,
                )
            )

    def _keep(self, live: Live) -> None:
        self._lives[live.process.pid] = live
        while len(self._lives) > self._limit:
            self._lives.popitem(last=False)

    def _forget(self, live: Live) -> None:
        pid = live.process.pid
        if self._lives.get(pid) is live:
            del self._lives[pid]
        self._leaderless.pop(pid, None)
