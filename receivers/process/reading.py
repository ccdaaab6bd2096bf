"""What /proc tells of a process at the moment in which its event arrives. It may be gone half-way through."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Final

from otel_fim.host import procfs, quick
from otel_fim.host.cgroup import parse_cgroup
from otel_fim.host.snapshot import Snapshot, terminal_name
from otel_fim.receivers.process.command_lines import CommandLines
from otel_fim.receivers.process.happening import Image
from otel_fim.receivers.process.logins import Login, read_login

_TRUSTED_NANOSECONDS: Final = 3_000_000
"""No kernel hands out all its pids in this time (32768 of them, 300 ns each, half of them in use: 4.9 ms)."""


@dataclass(slots=True)
class Reading:
    """`known`: fields of `Process` with what was read; `missing`: those that could not be. `login` is as far as known
    before, then as read."""

    known: dict[str, Any] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    gone: bool = False
    login: Login | None = None


class Reader:
    """Reads the quickest to disappear first. For one thread. `lines` reads command lines, None for none."""

    def __init__(self, lines: CommandLines | None = None) -> None:
        self._lines = lines

    def program(self, image: Image, start_ticks: int | None, event_ns: int, login: Login | None) -> Reading:
        """After an exec: fills `image`, and gives the rest. Nothing of it counts when the pid is someone else's by now
        (`start_ticks`, unknown with None, says whose it was)."""
        pid, found = image.pid, Reading(login=login)
        link = b"/proc/%d/exe" % pid
        descriptor = -1
        try:
            path = procfs.read_executable(pid)
            if path is not None:
                image.executable = procfs.text(path)
                image.identity = quick.file_identity(link)
                if self._lines is not None:
                    descriptor = quick.open_small(b"/proc/%d/cmdline" % pid)
        except (OSError, ValueError) as error:
            found.gone = not isinstance(error, PermissionError)
        proven = self._surroundings(pid, start_ticks, found)
        if proven is False or (proven is None and time.monotonic_ns() - event_ns > _TRUSTED_NANOSECONDS):
            image.executable = image.identity = None
            found = Reading(gone=True, login=login)
            if descriptor >= 0:
                quick.close(descriptor)
        elif descriptor >= 0 and self._lines is not None:
            self._lines.ask(image, descriptor)
        image.read_until_ns = time.monotonic_ns()
        found.known["executable_path"] = image.executable
        image.command = found.known.get("command")
        return found

    def found(self, taken: Snapshot) -> Image:
        """The program of a process that was found running."""
        image = Image(taken.stat.pid, command=procfs.text(taken.stat.command))
        if taken.executable is None:
            return image
        image.executable = procfs.text(taken.executable)
        try:
            image.identity = quick.file_identity(b"/proc/%d/exe" % image.pid)
            if self._lines is not None:
                self._lines.ask(image, quick.open_small(b"/proc/%d/cmdline" % image.pid))
        except OSError:
            pass
        return image

    def running(self, pid: int, start_ticks: int | None, login: Login | None) -> Reading:
        """Some time after a fork: what may have changed since."""
        found = Reading(login=login)
        if self._surroundings(pid, start_ticks, found) is not True:
            return Reading(gone=True, login=login)
        return found

    def credentials(self, pid: int) -> dict[str, Any]:
        """User and group ids."""
        found = Reading()
        try:
            _credentials(pid, found)
        except (OSError, ValueError):
            return {}
        return found.known

    @staticmethod
    def _surroundings(pid: int, start_ticks: int | None, found: Reading) -> bool | None:
        """Whether the pid is still the process's; None when nobody has it."""
        try:
            stat = procfs.read_stat(pid)
        except (OSError, ValueError):
            found.gone = True
            return None
        if start_ticks is not None and stat.start_ticks > start_ticks + 1:
            # Whoever has a pid next has started later.
            return False
        found.known["command"] = procfs.text(stat.command)
        # 0 is known too: the leader has no pid here.
        if stat.session_leader_pid >= 0:
            found.known["terminal"] = terminal_name(stat.terminal)
            found.known["session_leader_pid"] = stat.session_leader_pid
            found.known["group_leader_pid"] = stat.group_leader_pid
        for read, name in _READS:
            try:
                read(pid, found)
            except PermissionError:
                found.missing.append(name)
            except (OSError, ValueError):
                found.gone = True
                break
        return True


def _login(pid: int, found: Reading) -> None:
    found.login = read_login(pid, found.login)
    found.known["login_user_id"], found.known["session_id"] = found.login[:2]


def _directory(pid: int, found: Reading) -> None:
    path = procfs.read_working_directory(pid)
    if path is None:
        raise ProcessLookupError
    found.known["working_directory"] = procfs.text(path)


def _cgroup(pid: int, found: Reading) -> None:
    group = parse_cgroup(quick.read_small(b"/proc/%d/cgroup" % pid))
    if group.line:
        found.known["cgroup"] = group.line
        found.known["container_id"] = group.container_id
        found.known["systemd_unit"] = group.systemd_unit


def _credentials(pid: int, found: Reading) -> None:
    ids = procfs.read_credentials(pid)
    found.known.update(
        real_user_id=ids.real_user,
        effective_user_id=ids.effective_user,
        saved_user_id=ids.saved_user,
        real_group_id=ids.real_group,
        effective_group_id=ids.effective_group,
    )


_READS: Final = ((_login, "login_user_id"), (_directory, "working_directory"), (_cgroup, "cgroup"))
