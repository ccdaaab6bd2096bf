"""What is known of one process: a value that does not change. Newer knowledge is a new value in the table."""

from __future__ import annotations

from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, Final

MAX_ANCESTORS: Final = 8


@dataclass(slots=True, frozen=True)
class Ancestor:
    """A parent, or its parent, as it was when the child was started."""

    pid: int
    entity_id: str
    executable_path: str | None
    command: str | None

    def __str__(self) -> str:
        return f"{self.pid} {self.executable_path or self.command or '?'}"


@dataclass(slots=True, frozen=True)
class Process:
    """One process from fork to exit. None means unknown.

    `created_unix_nano` is as exact as a clock tick (10 ms on most systems); with the pid it names the process.
    `entity_id` is the same for the same process, whoever asks. `ancestors` has the parent first, at most
    `MAX_ANCESTORS`. Paths and names are text in which bytes that are not UTF-8 are `\\xNN`. Ids are the kernel's
    numbers; `login_user_id` and `session_id` are None when no login started the process. `session_leader_pid` and
    `group_leader_pid` are 0 when there is no leader that has a pid here: it lies outside the pid namespace, or the
    kernel or init started the process without giving it a session.
    `exit_status` is as from wait(2): exit code times 256, or the signal; without one nobody told of the end, and
    `ended_unix_nano` is the latest time at which it can have been. `program_unix_nano` is when it began to run
    its program (the last execve).
    """

    pid: int
    created_unix_nano: int
    entity_id: str
    parent_pid: int | None = None
    ancestors: tuple[Ancestor, ...] = ()
    executable_path: str | None = None
    executable_sha256: str | None = None
    command: str | None = None
    real_user_id: int | None = None
    effective_user_id: int | None = None
    saved_user_id: int | None = None
    real_group_id: int | None = None
    effective_group_id: int | None = None
    login_user_id: int | None = None
    session_id: int | None = None
    working_directory: str | None = None
    terminal: str | None = None
    session_leader_pid: int | None = None
    group_leader_pid: int | None = None
    cgroup: str | None = None
    container_id: str | None = None
    systemd_unit: str | None = None
    ended_unix_nano: int | None = None
    exit_status: int | None = None
    program_unix_nano: int | None = None

    def as_ancestor(self) -> Ancestor:
        """How a child tells of this process."""
        return Ancestor(self.pid, self.entity_id, self.executable_path, self.command)

    def ancestors_of_child(self) -> tuple[Ancestor, ...]:
        """The ancestors of a process that this one starts now."""
        return (self.as_ancestor(), *self.ancestors[: MAX_ANCESTORS - 1])

    def but(self, **known: Any) -> Process:
        """The same with other values; quicker than `dataclasses.replace`, which matters for every start and end of
        a process. Raises `KeyError` for a name that is no field."""
        values = list(_VALUES(self))
        for name, value in known.items():
            values[_PLACES[name]] = value
        return Process(*values)


_PLACES: Final = {field.name: place for place, field in enumerate(fields(Process))}
_VALUES: Final = attrgetter(*_PLACES)
