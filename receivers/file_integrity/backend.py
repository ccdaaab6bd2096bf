"""What lies between a backend (which sees that something happened) and the engine (which finds out what)."""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class Change(enum.Flag):
    """What a backend says happened to a path; several may be joined for one path."""

    CREATED = enum.auto()
    DELETED = enum.auto()
    CONTENT = enum.auto()
    """Written to, or closed after being open for writing."""
    ATTRIBUTES = enum.auto()
    MOVED_FROM = enum.auto()
    MOVED_TO = enum.auto()
    DIRECTORY = enum.auto()
    """Joined to the others when the path is a directory."""
    SUBTREE = enum.auto()
    """The path is a directory whose content has to be compared with the baseline (it was moved in or out,
    mounted over, or watched later than it was filled)."""


@dataclass(slots=True, frozen=True)
class Actor:
    """The process behind a change, as read from /proc while it lived.

    Ids are numbers as in /proc; times are nanoseconds since the epoch; texts are decoded with
    backslash escapes for bytes that are not UTF-8. None means unknown. `exited` is True when the process
    was gone before /proc could be read completely: what there is was told by an earlier event of the same
    process or by the kernel's accounting of ended processes, and is only the pid when neither can be proven.
    """

    pid: int
    exited: bool = False
    executable_path: str | None = None
    command: str | None = None
    effective_user_id: int | None = None
    real_user_id: int | None = None
    parent_pid: int | None = None
    parent_executable_path: str | None = None
    parent_command: str | None = None
    creation_time_unix_nano: int | None = None
    login_user_id: int | None = None
    """None also for the kernel's "not set" (4294967295)."""
    session_id: int | None = None


@dataclass(slots=True, frozen=True)
class Hint:
    """Something happened to `path` (absolute, bytes). A rename is one hint: MOVED_TO with `old_path` set when
    both ends are known; otherwise MOVED_FROM or MOVED_TO alone."""

    path: bytes
    change: Change
    time_unix_nano: int
    actor: Actor | None = None
    old_path: bytes | None = None


class Sink(Protocol):
    """Where a backend puts what it sees. Both methods return at once and may be called from any thread."""

    def hints(self, hints: Sequence[Hint]) -> None:
        """Takes hints in the order in which they happened."""

    def lost(self, reason: str, scope: bytes | None, detail: str) -> None:
        """Says that events were lost below `scope` (None: everywhere): a gap is recorded with `reason` (a value
        of `otel_fim.coverage.reason`) and the scope is compared with the baseline at once."""


class Filter(Protocol):
    """Which paths are watched, as the configuration says. Safe to call from any thread."""

    def wants(self, path: bytes, *, directory: bool) -> bool:
        """Whether `path` itself is to be reported."""

    def descends(self, path: bytes) -> bool:
        """Whether something below the directory `path` can be watched."""


class Backend(ABC):
    """A source of hints. `start` returns when every existing directory is covered, so that a scan made after it
    misses nothing; it raises `BackendUnavailableError` when this machine or user cannot use it."""

    name: str

    @abstractmethod
    def start(self, roots: Sequence[bytes], scope: Filter, sink: Sink) -> None: ...

    @abstractmethod
    def stop(self, timeout: float) -> None: ...

    def watch_links(self, path: bytes) -> None:  # noqa: B027 - not every backend can
        """Says that the regular file at `path` has several hard links: from now on a change made through another
        name, watched or not, is reported for `path` too. Returns at once, may be called from any thread and again
        for the same path; a backend that cannot do it does nothing."""

    def describe(self) -> str:
        """One sentence for the log: what is used and what it cannot see."""
        return self.name


class BackendUnavailableError(Exception):
    """This backend cannot be used here; the message says why and what would be needed."""
