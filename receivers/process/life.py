"""What is kept of a running process, and small questions about it to /proc."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from otel_fim.host import procfs
from otel_fim.host.process import Process
from otel_fim.receivers.process.happening import Image
from otel_fim.receivers.process.logins import Login


@dataclass(slots=True, eq=False)
class Live:
    """A running process. `started_ns` and `ticks` are None when its start was not seen; `told` is whether its start
    has been reported, or need not be; `own` and `kernel` ones are never reported. `login` is None when unknown, and so
    is `parent`, the program that the parent ran when it made this process."""

    process: Process
    image: Image
    started_ns: int | None = None
    ticks: int | None = None
    told: bool = False
    own: bool = False
    kernel: bool = False
    missing: tuple[str, ...] = ()
    login: Login | None = None
    parent: Image | None = None


def running_since(pid: int, latest_ticks: int) -> int | None:
    """The start time that /proc has for the process, None when it is gone. The kernel notes it some time before it
    tells of the start, a long time when the machine is busy; whoever has the pid next starts later."""
    try:
        found = procfs.read_stat(pid).start_ticks
    except (OSError, ValueError):
        return None
    return found if found <= latest_ticks + 1 else None


def directory_at_start(pid: int | None, parent_pid: int) -> str | None:
    """The working directory of a process that was just made, its parent's when it is gone (`pid` None) already."""
    for each in (pid, parent_pid):
        if each:
            try:
                path = procfs.read_working_directory(each)
            except (OSError, ValueError):
                continue
            if path is not None:
                return procfs.text(path)
    return None


def has_ended(stat: procfs.Stat) -> bool:
    """Whether a process has ended and waits to be waited for."""
    return stat.state in (b"Z", b"X") and stat.threads <= 1


class Left(Enum):
    """What there is of a process whose first thread has ended."""

    NOTHING = auto()
    THREADS = auto()
    PROCESS = auto()
    """With a first thread: another one has taken its place."""


def what_is_left(pid: int, start_ticks: int | None) -> Left:
    """After an exit: of the process that started then (None: not known)."""
    try:
        stat = procfs.read_stat(pid)
    except (OSError, ValueError):
        return Left.NOTHING
    if start_ticks is None or stat.start_ticks > start_ticks + 1:
        return Left.NOTHING
    if stat.state == b"Z" and stat.threads > 1:
        return Left.THREADS
    return Left.NOTHING if stat.exiting else Left.PROCESS
