"""Which processes hold a socket: a search of `/proc/PID/fd` that begins where the answer most likely is.

Looking at every descriptor of every process is what makes such a search dear. It is made for new sockets only, asks
first whom the kernel or an earlier answer points to, then the newest processes of the socket's user, and ends when
each socket has been found with one process; from there it goes to parents and children, which is how sockets are
shared.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from otel_fim.host import procfs
from otel_fim.host.quick import read_small, readlink

_SOCKET: Final = re.compile(rb"socket:\[(\d+)\]")


@dataclass(slots=True)
class Holders:
    """The processes of each socket's inode, and whether some could not be looked at."""

    pids: dict[int, set[int]] = field(default_factory=dict)
    denied: bool = False


def find_holders(wanted: Mapping[int, int | None], likely: Iterable[int] = ()) -> Holders:
    """`wanted` maps a socket's inode to its user id, `likely` are pids to ask first. Never raises."""
    search = _Search(set(wanted))
    for pid in likely:
        search.look(pid)
    if search.missing:
        users = set(wanted.values())
        for pid in _processes(users):
            search.look(pid)
            if not search.missing:
                break
    search.follow_relatives()
    return search.found


class _Search:
    def __init__(self, inodes: set[int]) -> None:
        self.found = Holders()
        self.missing = set(inodes)
        self._inodes = inodes
        self._looked: set[int] = set()

    def look(self, pid: int) -> bool:
        """Whether that process holds one of the sockets."""
        self._looked.add(pid)
        directory = b"/proc/%d/fd/" % pid
        try:
            descriptors = os.listdir(directory)
        except PermissionError:
            self.found.denied = True
            return False
        except OSError:
            return False
        holds = False
        for descriptor in descriptors:
            try:
                match = _SOCKET.fullmatch(readlink(directory + descriptor))
            except PermissionError:
                # A process may hide them from its own user's others: other rights, not dumpable.
                self.found.denied = True
                return False
            except OSError:
                continue
            if match is not None and (inode := int(match[1])) in self._inodes:
                self.found.pids.setdefault(inode, set()).add(pid)
                self.missing.discard(inode)
                holds = True
        return holds

    def follow_relatives(self) -> None:
        """Parents and children of the holders, as far as they hold one of the sockets too."""
        waiting = {pid for pids in self.found.pids.values() for pid in pids}
        while waiting:
            pid = waiting.pop()
            waiting.update(each for each in _relatives(pid) if each not in self._looked and self.look(each))


def _relatives(pid: int) -> list[int]:
    found = children(pid)
    try:
        parent = procfs.read_stat(pid).parent_pid
    except (OSError, ValueError):
        return found
    return [parent, *found] if parent else found


def children(pid: int) -> list[int]:
    """The processes that it started and that still run; none where the kernel does not tell (CONFIG_PROC_CHILDREN)."""
    found: list[int] = []
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for task in tasks:
        try:
            with open(f"/proc/{pid}/task/{task}/children", "rb") as source:
                found += [int(word) for word in source.read().split()]
        except (OSError, ValueError):
            continue
    return found


def _processes(users: set[int | None]) -> list[int]:
    """All processes: those of the given users first, the newest first."""
    ranked = []
    try:
        entries = os.listdir("/proc")
    except OSError:
        return []
    for entry in entries:
        if not entry.isdigit():
            continue
        try:
            owner = os.stat(f"/proc/{entry}").st_uid
        except OSError:
            continue
        ranked.append((owner in users, int(entry)))
    ranked.sort(reverse=True)
    return [pid for _, pid in ranked]


def owner_of(pids: Iterable[int]) -> int | None:
    """Of the processes that hold a socket, the one that the others come from; the oldest, when they are strangers."""
    held = set(pids)
    if len(held) < 2:
        return next(iter(held), None)
    oldest: tuple[int, int] | None = None
    for pid in held:
        try:
            stat = procfs.read_stat(pid)
        except (OSError, ValueError):
            continue
        if stat.parent_pid not in held and (oldest is None or (stat.start_ticks, pid) < oldest):
            oldest = (stat.start_ticks, pid)
    return min(held) if oldest is None else oldest[1]


def is_ordinary_user() -> bool:
    """Whether the agent has the rights of its own user only."""
    return hasattr(os, "geteuid") and os.geteuid() != 0 and not _may_look_at_all()


def _may_look_at_all() -> bool:
    """Whether CAP_SYS_PTRACE is effective: bit 19 of `CapEff` in `/proc/self/status`."""
    try:
        status = read_small(b"/proc/self/status")
        return bool(int(status.partition(b"\nCapEff:")[2].split(maxsplit=1)[0], 16) >> 19 & 1)
    except (OSError, ValueError, IndexError):
        return False
