"""From new sockets to those who hold them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from otel_fim.host.process import Process
from otel_fim.host.table import ProcessTable
from otel_fim.receivers.listener.book import Owner
from otel_fim.receivers.listener.holders import Holders, find_holders, owner_of
from otel_fim.receivers.listener.sockets import Identity, ListeningSocket

_MAX_OTHERS: Final = 8
_CATCH_UP_SECONDS: Final = 0.5


@dataclass(slots=True)
class Found:
    """The pids that hold each socket, and whether some processes could not be looked at."""

    pids: dict[Identity, set[int]]
    denied: bool = False


def holders(sockets: Iterable[ListeningSocket], likely: Iterable[int]) -> Found:
    """Who holds these sockets. Never raises."""
    wanted: dict[int, int | None] = {
        each.inode: each.user_id for each in sockets if each.inode and not each.pids
    }
    found = find_holders(wanted, likely) if wanted else Holders()
    return Found(
        {each.identity: set(each.pids) or found.pids.get(each.inode, set()) for each in sockets},
        found.denied and any(inode not in found.pids for inode in wanted),
    )


class Owners:
    """Describes processes through the agent's process table; where there is no /proc, through psutil."""

    def __init__(self, table: ProcessTable, *, use_psutil: bool = False) -> None:
        self._table = table
        self._use_psutil = use_psutil

    def owner(self, pids: set[int]) -> Owner | None:
        """The owner of a socket that these processes hold."""
        pid = owner_of(pids)
        if pid is None:
            return None
        others = [self._named(each) for each in sorted(pids) if each != pid] if len(pids) > 1 else []
        process = self._find(pid)
        if others:
            others = [_named(pid, process), *others][:_MAX_OTHERS]
        return Owner(pid, process, tuple(others))

    def at(self, pid: int, unix_nano: int) -> Process | None:
        """The process that had the pid at that time, as far as that is known now."""
        return self._table.find(pid, at_unix_nano=unix_nano)

    def catch_up(self, unix_nano: int) -> None:
        """Waits a moment for those who are told of processes, so that what has ended by then is known."""
        self._table.catch_up(unix_nano, _CATCH_UP_SECONDS)

    def is_running(self, owner: Owner | None) -> bool:
        """Whether the owner still runs."""
        if owner is None or owner.process is None:
            return False
        now = self._find(owner.pid)
        return now is not None and now.entity_id == owner.process.entity_id and now.ended_unix_nano is None

    def _find(self, pid: int) -> Process | None:
        if self._use_psutil:
            return _from_psutil(pid, self._table)
        return self._table.find(pid)

    def _named(self, pid: int) -> str:
        return _named(pid, self._find(pid))


def _named(pid: int, process: Process | None) -> str:
    return f"{pid} {(process and (process.executable_path or process.command)) or '?'}"


def _from_psutil(pid: int, table: ProcessTable) -> Process | None:
    import psutil

    def told(ask: Any) -> Any:
        try:
            return ask()
        except (psutil.Error, OSError, NotImplementedError):
            return None

    try:
        process = psutil.Process(pid)
        created = int(process.create_time() * 1e9)
    except (psutil.Error, OSError):
        return None
    users: Any = told(getattr(process, "uids", lambda: None))
    return Process(
        pid,
        created,
        table.entity_id(pid, created),
        parent_pid=told(process.ppid),
        executable_path=told(process.exe) or None,
        command=told(process.name),
        real_user_id=users.real if users else None,
        effective_user_id=users.effective if users else None,
    )
