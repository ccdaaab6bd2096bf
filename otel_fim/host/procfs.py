"""Reading /proc/PID: pure parsers over bytes, and small readers that raise `OSError` when the process is gone.

Formats: proc(5). A process chooses its own name, so that nothing before the last `)` of `stat` is trusted.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import ClassVar, Final

from otel_fim.host import quick
from otel_fim.host.quick import read_small, readlink

UNSET_ID: Final = 0xFFFFFFFF
"""What the kernel writes in `loginuid` and `sessionid` of a process that no login started."""
CLOCK_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
TICK_NANOSECONDS: Final = 1_000_000_000 // CLOCK_TICKS_PER_SECOND

# include/linux/sched.h; the numbers are what `flags` in proc(5) is made of.
_PF_EXITING: Final = 0x00000004
_PF_KTHREAD: Final = 0x00200000
_DELETED: Final = b" (deleted)"
_STEP_NANOSECONDS: Final = 4_000_000
_CLOSE_NANOSECONDS: Final = 100_000
_BOOT_CLOCK: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


@dataclass(slots=True, frozen=True)
class Stat:
    """What `/proc/PID/stat` tells. `start_ticks` counts clock ticks from boot to the start of the process; the pids of
    the leaders are -1 for a process that is past them and 0 for leaders without one in this pid namespace, `terminal`
    is the kernel's device number (0: none)."""

    pid: int
    command: bytes
    state: bytes
    parent_pid: int
    flags: int
    start_ticks: int
    group_leader_pid: int = -1
    session_leader_pid: int = -1
    terminal: int = 0
    threads: int = 1

    @property
    def kernel_thread(self) -> bool:
        """Whether it is a thread of the kernel's, not a process."""
        return bool(self.flags & _PF_KTHREAD)

    @property
    def exiting(self) -> bool:
        """Whether the process has ended, or is past the point where its program was let go."""
        return self.state in (b"Z", b"X") or bool(self.flags & _PF_EXITING)


@dataclass(slots=True, frozen=True)
class Credentials:
    """The `Uid:` and `Gid:` lines of `/proc/PID/status`."""

    real_user: int
    effective_user: int
    saved_user: int
    real_group: int
    effective_group: int


@dataclass(slots=True, frozen=True)
class UserIds:
    """The `Uid:` line of `/proc/PID/status`."""

    real: int
    effective: int


def parse_stat(content: bytes) -> Stat:
    """`/proc/PID/stat`. Raises `ValueError` when it has not that form."""
    opening, closing = content.find(b" ("), content.rfind(b") ")
    if opening < 0 or closing < opening:
        raise ValueError("/proc/PID/stat has no command name in parentheses")
    fields = content[closing + 2 :].split()
    # Fields are numbered from 1 in proc(5); the first one behind the command name is number 3.
    if len(fields) < 20:
        raise ValueError("/proc/PID/stat ends before field 22")
    return Stat(
        _decimal(content[:opening]),
        content[opening + 2 : closing],
        fields[0],
        _decimal(fields[1]),
        _decimal(fields[6]),
        _decimal(fields[19]),
        _signed(fields[2]),
        _signed(fields[3]),
        _signed(fields[4]),
        _decimal(fields[17]),
    )


def parse_user_ids(status: bytes) -> UserIds:
    """The user ids in `/proc/PID/status`. Raises `ValueError` when they are not there.

    The kernel escapes newlines in the `Name:` line, so that only its own `Uid:` stands at a line's start.
    """
    real, effective, *_ = _ids(status, "Uid")
    return UserIds(real, effective)


def parse_credentials(status: bytes) -> Credentials:
    """The user and group ids in `/proc/PID/status`. Raises `ValueError` when they are not there."""
    users, groups = _ids(status, "Uid"), _ids(status, "Gid")
    return Credentials(users[0], users[1], users[2], groups[0], groups[1])


def _ids(status: bytes, kind: str) -> list[int]:
    start = status.find(b"\n%s:\t" % kind.encode())
    if start < 0:
        raise ValueError(f"/proc/PID/status has no {kind} line")
    end = status.find(b"\n", start + 1)
    fields = status[start + 6 : end if end >= 0 else len(status)].split()
    if len(fields) != 4:
        raise ValueError(f"the {kind} line of /proc/PID/status has not four numbers")
    return [_decimal(field) for field in fields]


def parse_id(content: bytes) -> int | None:
    """`/proc/PID/loginuid` or `sessionid`; None for the kernel's "not set". Raises `ValueError`."""
    value = _decimal(content.strip())
    return None if value == UNSET_ID else value


def _decimal(digits: bytes) -> int:
    # int() also takes signs, underscores and white space, none of which the kernel writes.
    if not digits.isdigit():
        raise ValueError(f"{digits[:32]!r} is not a decimal number")
    return int(digits)


def _signed(digits: bytes) -> int:
    return -_decimal(digits[1:]) if digits.startswith(b"-") else _decimal(digits)


def text(name: bytes) -> str:
    """A name of the kernel's as text: bytes that are not UTF-8 become `\\xNN`, everything else stays."""
    return name.decode("utf-8", "backslashreplace")


def boot_id() -> str:
    """The kernel's id of this boot, empty where there is none."""
    try:
        # As bytes: reading text looks for a codec, which may be out of reach.
        with open("/proc/sys/kernel/random/boot_id", "rb") as source:
            return text(source.read().strip())
    except OSError:
        return ""


def read_stat(pid: int) -> Stat:
    """Raises `OSError` when there is no such process (any more)."""
    return parse_stat(read_small(b"/proc/%d/stat" % pid))


def read_user_ids(pid: int) -> UserIds:
    """Raises `OSError` when there is no such process (any more)."""
    return parse_user_ids(read_small(b"/proc/%d/status" % pid))


def read_credentials(pid: int) -> Credentials:
    """Raises `OSError` when there is no such process (any more)."""
    return parse_credentials(read_small(b"/proc/%d/status" % pid))


def read_login_ids(pid: int) -> tuple[int | None, int | None]:
    """The audit login uid and session; None where not set or where the kernel has no auditing.

    Raises `OSError` when there is no such process (any more).
    """
    return _read_id(b"/proc/%d/loginuid" % pid, pid), _read_id(b"/proc/%d/sessionid" % pid, pid)


def read_session_id(pid: int) -> int | None:
    """The audit session alone: as long as it is the same, so is the login uid.

    Raises `OSError` when there is no such process (any more).
    """
    return _read_id(b"/proc/%d/sessionid" % pid, pid)


def _read_id(path: bytes, pid: int) -> int | None:
    try:
        return parse_id(read_small(path))
    except FileNotFoundError:
        if quick.exists(b"/proc/%d" % pid):
            return None
        raise


def read_executable(pid: int) -> bytes | None:
    """The path of the program that the process runs; None for kernel threads and for processes that have
    exited but were not waited for. A file that has been unlinked since is given by the name it had.

    Raises `OSError` when there is no such process (any more), `PermissionError` for someone else's.
    """
    return _read_link(pid, b"/proc/%d/exe" % pid)


def read_working_directory(pid: int) -> bytes | None:
    """The working directory; None for processes that have exited but were not waited for. One that has been removed
    since is given by the name it had.

    Raises `OSError` when there is no such process (any more), `PermissionError` for someone else's.
    """
    return _read_link(pid, b"/proc/%d/cwd" % pid)


def _read_link(pid: int, link: bytes) -> bytes | None:
    try:
        path = readlink(link)
    except FileNotFoundError:
        if quick.exists(b"/proc/%d" % pid):
            return None
        raise
    if path.endswith(_DELETED) and _is_unlinked(link):
        return path[: -len(_DELETED)]
    return path


def _is_unlinked(link: bytes) -> bool:
    # A file can have " (deleted)" in its name; one without a link left has been deleted.
    try:
        return quick.link_count(link) == 0
    except OSError:
        return True


class BootClock:
    """Turns times since boot into times since the epoch, the same result for the same process every time, whichever
    of the clocks is asked.

    The offset is kept until the wall clock has been set (a difference of more than 4 ms, less than half a tick).
    """

    __slots__ = ()
    _offset: ClassVar[int | None] = None

    def __init__(self) -> None:
        if BootClock._offset is None:
            BootClock._offset = self._current()

    @staticmethod
    def _current() -> int:
        # Between two clocks the thread may have to wait: of several readings the quickest one counts.
        quickest, offset = None, 0
        for _ in range(8):
            before = time.clock_gettime_ns(_BOOT_CLOCK)
            wall = time.time_ns()
            took = time.clock_gettime_ns(_BOOT_CLOCK) - before
            if quickest is None or took < quickest:
                quickest, offset = took, wall - before - took // 2
            if quickest < _CLOSE_NANOSECONDS:
                break
        return offset

    @classmethod
    def offset(cls) -> int:
        """Nanoseconds from the epoch to boot."""
        current = cls._current()
        if cls._offset is None or abs(current - cls._offset) > _STEP_NANOSECONDS:
            cls._offset = current
        return cls._offset

    def epoch_nanoseconds(self, ticks: int) -> int:
        """Nanoseconds since the epoch, as exact as a clock tick (10 ms on most systems)."""
        return self.offset() + ticks * TICK_NANOSECONDS

    def ticks(self, epoch_nanoseconds: int) -> int:
        """The clock tick after boot that `epoch_nanoseconds` gave this time for."""
        offset = BootClock._offset
        since_boot = epoch_nanoseconds - (self.offset() if offset is None else offset)
        return (since_boot + TICK_NANOSECONDS // 2) // TICK_NANOSECONDS
