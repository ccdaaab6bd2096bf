"""Reading /proc/PID: pure parsers over bytes, and small readers that raise `OSError` when the process is gone.

Formats: proc(5). A process chooses its own name, so that nothing before the last `)` of `stat` is trusted.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Final

from otel_fim.host.quick import read_small, readlink

UNSET_ID: Final = 0xFFFFFFFF
"""What the kernel writes in `loginuid` and `sessionid` of a process that no login started."""
CLOCK_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")

# include/linux/sched.h; the numbers are what `flags` in proc(5) is made of.
_PF_EXITING: Final = 0x00000004
_DELETED: Final = b" (deleted)"
_STEP_NANOSECONDS: Final = 50_000_000


@dataclass(slots=True, frozen=True)
class Stat:
    """What `/proc/PID/stat` tells. `start_ticks` counts clock ticks from boot to the start of the process."""

    pid: int
    command: bytes
    state: bytes
    parent_pid: int
    flags: int
    start_ticks: int

    @property
    def exiting(self) -> bool:
        """Whether the process has ended, or is past the point where its program was let go."""
        return self.state in (b"Z", b"X") or bool(self.flags & _PF_EXITING)


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
    )


def parse_user_ids(status: bytes) -> UserIds:
    """The user ids in `/proc/PID/status`. Raises `ValueError` when they are not there.

    The kernel escapes newlines in the `Name:` line, so that only its own `Uid:` stands at a line's start.
    """
    start = status.find(b"\nUid:\t")
    if start < 0:
        raise ValueError("/proc/PID/status has no Uid line")
    end = status.find(b"\n", start + 1)
    fields = status[start + 6 : end if end >= 0 else len(status)].split()
    if len(fields) != 4:
        raise ValueError("the Uid line of /proc/PID/status has not four numbers")
    return UserIds(_decimal(fields[0]), _decimal(fields[1]))


def parse_id(content: bytes) -> int | None:
    """`/proc/PID/loginuid` or `sessionid`; None for the kernel's "not set". Raises `ValueError`."""
    value = _decimal(content.strip())
    return None if value == UNSET_ID else value


def _decimal(digits: bytes) -> int:
    # int() also takes signs, underscores and white space, none of which the kernel writes.
    if not digits.isdigit():
        raise ValueError(f"{digits[:32]!r} is not a decimal number")
    return int(digits)


def text(name: bytes) -> str:
    """A name of the kernel's as text: bytes that are not UTF-8 become `\\xNN`, everything else stays."""
    return name.decode("utf-8", "backslashreplace")


def read_stat(pid: int) -> Stat:
    """Raises `OSError` when there is no such process (any more)."""
    return parse_stat(read_small(b"/proc/%d/stat" % pid))


def read_user_ids(pid: int) -> UserIds:
    """Raises `OSError` when there is no such process (any more)."""
    return parse_user_ids(read_small(b"/proc/%d/status" % pid))


def read_login_ids(pid: int) -> tuple[int | None, int | None]:
    """The audit login uid and session; None where not set or where the kernel has no auditing.

    Raises `OSError` when there is no such process (any more).
    """
    return _read_id(b"/proc/%d/loginuid" % pid, pid), _read_id(b"/proc/%d/sessionid" % pid, pid)


def _read_id(path: bytes, pid: int) -> int | None:
    try:
        return parse_id(read_small(path))
    except FileNotFoundError:
        if os.path.lexists(f"/proc/{pid}"):
            return None
        raise


def read_executable(pid: int) -> bytes | None:
    """The path of the program that the process runs; None for kernel threads and for processes that have
    exited but were not waited for. A file that has been unlinked since is given by the name it had.

    Raises `OSError` when there is no such process (any more), `PermissionError` for someone else's.
    """
    link = b"/proc/%d/exe" % pid
    try:
        path = readlink(link)
    except FileNotFoundError:
        if os.path.lexists(f"/proc/{pid}"):
            return None
        raise
    if path.endswith(_DELETED) and _is_unlinked(link):
        return path[: -len(_DELETED)]
    return path


def _is_unlinked(link: bytes) -> bool:
    # A file can have " (deleted)" in its name; one without a link left has been deleted.
    try:
        return os.stat(link).st_nlink == 0
    except OSError:
        return True


class BootClock:
    """Turns times since boot into times since the epoch, the same result for the same process every time.

    The offset is kept until the wall clock has been set (a difference of more than 50 ms).
    """

    __slots__ = ("_offset",)

    def __init__(self) -> None:
        self._offset = self._current()

    @staticmethod
    def _current() -> int:
        return time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def epoch_nanoseconds(self, ticks: int) -> int:
        """Nanoseconds since the epoch, as exact as a clock tick (10 ms on most systems)."""
        current = self._current()
        if abs(current - self._offset) > _STEP_NANOSECONDS:
            self._offset = current
        return self._offset + ticks * (1_000_000_000 // CLOCK_TICKS_PER_SECOND)

    def ticks(self, epoch_nanoseconds: int) -> int:
        """The clock tick after boot that `epoch_nanoseconds` gave this time for."""
        return (epoch_nanoseconds - self._offset) // (1_000_000_000 // CLOCK_TICKS_PER_SECOND)
