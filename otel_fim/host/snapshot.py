"""All that /proc tells of one process, read so that it is all of the same process."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from otel_fim.host import procfs
from otel_fim.host.cgroup import CGroup, parse_cgroup
from otel_fim.host.process import Ancestor, Process
from otel_fim.host.quick import read_small

_PTS_MAJORS: Final = range(136, 144)
_CACHE_SIZE: Final = 256


@dataclass(slots=True)
class Snapshot:
    """What was read; None is what could not be (someone else's process, or one that was ending)."""

    stat: procfs.Stat
    executable: bytes | None = None
    credentials: procfs.Credentials | None = None
    login_user_id: int | None = None
    session_id: int | None = None
    working_directory: bytes | None = None
    cgroup: CGroup | None = None

    def process(self, created_unix_nano: int, entity_id: str, ancestors: tuple[Ancestor, ...]) -> Process:
        """The process, with what only its place among the others tells."""
        stat, ids, cgroup = self.stat, self.credentials, self.cgroup
        return Process(
            stat.pid,
            created_unix_nano,
            entity_id,
            parent_pid=stat.parent_pid or None,
            ancestors=ancestors,
            executable_path=_text(self.executable),
            command=procfs.text(stat.command),
            real_user_id=ids.real_user if ids else None,
            effective_user_id=ids.effective_user if ids else None,
            saved_user_id=ids.saved_user if ids else None,
            real_group_id=ids.real_group if ids else None,
            effective_group_id=ids.effective_group if ids else None,
            login_user_id=self.login_user_id,
            session_id=self.session_id,
            working_directory=_text(self.working_directory),
            terminal=terminal_name(stat.terminal),
            session_leader_pid=stat.session_leader_pid if stat.session_leader_pid >= 0 else None,
            group_leader_pid=stat.group_leader_pid if stat.group_leader_pid >= 0 else None,
            cgroup=cgroup.line if cgroup else None,
            container_id=cgroup.container_id if cgroup else None,
            systemd_unit=cgroup.systemd_unit if cgroup else None,
        )


def read_snapshot(pid: int) -> Snapshot | None:
    """The process that has the pid now; None when there is none (any more)."""
    try:
        first = procfs.read_stat(pid)
    except (OSError, ValueError):
        return None
    taken = Snapshot(first)
    fill(taken)
    try:
        # The pid was the same process's all the while when it is still its own.
        if procfs.read_stat(pid).start_ticks != first.start_ticks:
            return None
    except (OSError, ValueError):
        return None
    return taken


def fill(taken: Snapshot) -> None:
    """Reads what `stat` does not tell. What cannot be read stays None."""
    pid = taken.stat.pid
    for read in (_executable, _login, _credentials, _directory, _cgroup):
        try:
            read(taken, pid)
        except (OSError, ValueError):
            continue


def _executable(taken: Snapshot, pid: int) -> None:
    taken.executable = procfs.read_executable(pid)


def _login(taken: Snapshot, pid: int) -> None:
    taken.login_user_id, taken.session_id = procfs.read_login_ids(pid)


def _credentials(taken: Snapshot, pid: int) -> None:
    taken.credentials = procfs.read_credentials(pid)


def _directory(taken: Snapshot, pid: int) -> None:
    taken.working_directory = procfs.read_working_directory(pid)


def _cgroup(taken: Snapshot, pid: int) -> None:
    taken.cgroup = parse_cgroup(read_small(b"/proc/%d/cgroup" % pid))


def _text(path: bytes | None) -> str | None:
    return None if path is None else procfs.text(path)


@lru_cache(maxsize=_CACHE_SIZE)
def terminal_name(number: int) -> str | None:
    """The terminal's path from `tty_nr` in proc(5); None for none or an unknown one."""
    number &= 0xFFFFFFFF
    if number == 0:
        return None
    major = number >> 8 & 0xFFF
    minor = (number & 0xFF) | (number >> 12 & 0xFFF00)
    if major in _PTS_MAJORS:
        return f"/dev/pts/{(major - _PTS_MAJORS.start) * 256 + minor}"
    try:
        with open(f"/sys/dev/char/{major}:{minor}/uevent", "rb") as source:
            for line in source:
                if line.startswith(b"DEVNAME="):
                    return "/dev/" + os.fsdecode(line[8:].strip())
    except OSError:
        pass
    return None
