"""What the threads that watch hand to the one that reports."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from otel_fim.host.process import Process
from otel_fim.host.quick import FileIdentity

Action = Literal["exec", "fork", "scan", "exit"]
PROC_CONNECTOR: Final = "proc_connector"
PSUTIL: Final = "psutil"
SCAN: Final = "scan"
AMBIGUOUS_NANOSECONDS: Final = 2_000_000
"""Before an exec is told, the new program has been in place for a moment."""


@dataclass(slots=True, eq=False)
class Image:
    """The program that a process runs, from one exec to the next; a child has its parent's until it starts another.

    The watching thread fills in what it could read before the process went on; the reporting thread completes it
    (`resolved`). `since_ns` and `read_until_ns` are on the monotonic clock: the exec, and the end of the reading.
    `next` is the image that followed so soon after that what was read may already have been of that one.
    `arguments` come from a thread of their own: `asked_at` (monotonic seconds) is when they were asked for, 0 when they
    are not waited for (any more), `arguments_ns` when they were read, `until_ns` when the process started its next
    program (0: not). `doubtful` is what may have been read of the next one. `line` is the command line as it is told,
    once it has been.
    """

    pid: int
    since_ns: int = 0
    executable: str | None = None
    identity: FileIdentity | None = None
    arguments: tuple[str, ...] | None = None
    arguments_ns: int = 0
    asked_at: float = 0.0
    until_ns: int = 0
    read_until_ns: int = 0
    next: Image | None = None
    command: str | None = None
    sha256: str | None = None
    not_hashed: str | None = None
    resolved: bool = False
    doubtful: bool = False
    line: str | None = None

    def certain_arguments(self) -> tuple[str, ...] | None:
        """Its arguments, None when they are not known or may be the next program's."""
        if self.until_ns and self.arguments_ns > self.until_ns - AMBIGUOUS_NANOSECONDS:
            return None
        return self.arguments


@dataclass(slots=True, frozen=True)
class Happening:
    """A start or an end. `time_unix_nano` is when it happened; `process` is what was known of it then;
    `duration_ns` goes with an end, `missing` names fields of `Process` that could not be read. `parent` is the program
    that the parent ran when it made this process, None when that is not known."""

    action: Action
    time_unix_nano: int
    process: Process
    image: Image
    backend: str
    duration_ns: int | None = None
    missing: tuple[str, ...] = field(default=())
    parent: Image | None = None
