"""Whatever happens to a log, every line of it is delivered once, or it is told that some are gone."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from otel_fim.receivers.auth.sources.framing import LINES
from otel_fim.receivers.auth.sources.tail import Frame, Tail

KEPT = 3


class Reader:
    def __init__(self, machine: LogMachine) -> None:
        self._machine = machine

    def frames(self, frames: list[Frame], modified: int) -> None:
        for frame in frames:
            self._machine.delivered.append(frame.data)
        assert self._machine.tail is not None
        # Through JSON, as the receiver keeps it.
        self._machine.position = json.loads(json.dumps(self._machine.tail.position()))

    def rejected(self, reason: str, count: int = 1) -> None:
        self._machine.rejected += count

    def gap(self, reason: str, detail: str, start_ns: int, end_ns: int | None = None) -> None:
        self._machine.gaps.append(detail)

    def restored(self, reason: str, detail: str) -> None:
        raise AssertionError(detail)


class LogMachine(RuleBasedStateMachine):
    """A log, its writer, its rotation and its reader. Every change has a time of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.mkdtemp(prefix="otel-fim-tail-")
        self.path = os.path.join(self.directory, "auth.log")
        self.tail: Tail | None = None
        self.position: Any = None
        self.delivered: list[bytes] = []
        self.written: list[bytes] = []
        self.may_be_lost: set[bytes] = set()
        self.untraced: set[bytes] = set()
        self.gaps: list[str] = []
        self.rejected = 0
        self.durable: tuple[Any, int, int] = (None, 0, 0)
        """Position, lines and gaps that a kill does not take back."""
        self.destroyed = False
        self.unread = False
        self.now = 1_700_000_000
        self.begun = ""
        self.writer = -1

    def teardown(self) -> None:
        if self.tail is not None:
            self.tail.close()
        if self.writer >= 0:
            os.close(self.writer)
        shutil.rmtree(self.directory)

    @initialize(linger=st.sampled_from((0.0, 1e9)))
    def begin(self, linger: float) -> None:
        self.linger = linger
        self.reopen()
        self.start()
        self.pump()
        self.becomes_durable()

    # --- The reader -----------------------------------------------------------------------------------

    def start(self) -> None:
        self.tail = Tail(
            self.path, LINES, Reader(self), start_at="beginning", linger=self.linger, missing=1e9
        )
        if self.position is not None:
            self.tail.restore(self.position)

    def pump(self) -> None:
        assert self.tail is not None
        self.tail.pump()
        self.unread = False

    @precondition(lambda self: self.tail is not None)
    @rule()
    def read(self) -> None:
        self.pump()

    @precondition(lambda self: self.tail is not None)
    @rule()
    def agent_stops(self) -> None:
        assert self.tail is not None
        self.tail.close()
        self.tail = None

    @rule()
    def becomes_durable(self) -> None:
        self.durable = (self.position, len(self.delivered), len(self.gaps))

    @precondition(lambda self: self.tail is not None)
    @rule()
    def agent_is_killed(self) -> None:
        self.agent_stops()
        self.position, lines, gaps = self.durable
        del self.delivered[lines:], self.gaps[gaps:]

    @precondition(lambda self: self.tail is None)
    @rule()
    def agent_starts(self) -> None:
        self.start()
        self.pump()

    # --- The writer -----------------------------------------------------------------------------------

    def reopen(self) -> None:
        if self.writer >= 0:
            os.close(self.writer)
        self.to_be_opened = False
        self.writer = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self.stamp(self.writer)

    def stamp(self, what: int | str) -> None:
        self.now += 1
        os.utime(what, (self.now, self.now))

    def line(self) -> str:
        text = f"line {len(self.written)} {'x' * (len(self.written) * 7 % 40)}"
        self.written.append(text.encode())
        return text

    @rule(count=st.sampled_from((1, 2, 3, 60)))
    def write(self, count: int) -> None:
        if self.to_be_opened:
            self.reopen()
        text = self.begun + "\n" if self.begun else ""
        if self.begun:
            self.written.append(self.begun.encode())
        self.begun = ""
        text = text.removeprefix(self.half) if (self.half and text) else text
        self.half = ""
        text += "".join(f"{self.line()}\n" for _ in range(count))
        os.write(self.writer, text.encode())
        self.stamp(self.writer)

    half = ""
    to_be_opened = False

    @precondition(lambda self: not self.begun)
    @rule()
    def write_half_a_line(self) -> None:
        if self.to_be_opened:
            self.reopen()
        self.begun = f"line in two parts {self.now}"
        self.half = self.begun[:9]
        os.write(self.writer, self.half.encode())
        self.stamp(self.writer)

    # --- Rotation -------------------------------------------------------------------------------------

    def complete(self) -> None:
        """What is rotated ends with a whole line."""
        self.write(1)

    def lose(self, path: str) -> None:
        """The file is about to be gone."""
        self.destroyed = True
        with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:
            lines = set(file.read().split(b"\n")) - {b""} - set(self.delivered[: self.durable[1]])
            self.may_be_lost |= lines
            files = [position["files"] for position in (self.position, self.durable[0])]
            if any(not places or places[-1]["offset"] == 0 for places in files):
                # Of an empty file, filled and copied and its copy removed between two looks, nothing is left to find.
                self.untraced |= lines

    def shift(self) -> None:
        for suffix in ("", ".gz"):
            for number in range(KEPT, 0, -1):
                name = f"{self.path}.{number}{suffix}"
                if not os.path.exists(name):
                    continue
                if number == KEPT:
                    self.lose(name)
                    os.unlink(name)
                else:
                    os.rename(name, f"{self.path}.{number + 1}{suffix}")

    @rule(late=st.booleans(), lazy=st.booleans())
    def rotate_by_renaming(self, late: bool, lazy: bool) -> None:
        self.complete()
        self.shift()
        os.rename(self.path, self.path + ".1")
        if late:
            self.write(1)
        # rsyslog makes the new file when it has something to write.
        self.to_be_opened = lazy
        if not lazy:
            self.reopen()

    @rule()
    def rotate_by_copying(self) -> None:
        self.complete()
        self.shift()
        shutil.copyfile(self.path, self.path + ".1")
        self.stamp(self.path + ".1")
        os.truncate(self.path, 0)
        self.stamp(self.path)

    @precondition(lambda self: os.path.exists(self.path + ".1"))
    @rule()
    def compress(self) -> None:
        self.lose(self.path + ".1")
        status = os.stat(self.path + ".1")
        with open(self.path + ".1.gz", "wb") as file:
            file.write(b"compressed")
        os.utime(self.path + ".1.gz", ns=(status.st_atime_ns, status.st_mtime_ns))
        os.unlink(self.path + ".1")

    # A file that appears and is destroyed between two looks leaves no trace: so one such event between two looks,
    # and only to a file of which something was read.
    @precondition(lambda self: self.tail is not None and not self.unread)
    @rule(stopped=st.booleans(), more=st.booleans())
    def empty(self, stopped: bool, more: bool) -> None:
        self.write(1)
        self.pump()
        if stopped:
            self.agent_stops()
        if more:
            self.write(2)
        self.complete()
        self.lose(self.path)
        os.truncate(self.path, 0)
        self.stamp(self.path)
        self.unread = True

    @precondition(lambda self: self.tail is not None and not self.unread)
    @rule(stopped=st.booleans())
    def remove(self, stopped: bool) -> None:
        self.write(1)
        self.pump()
        if stopped:
            self.agent_stops()
        self.complete()
        self.lose(self.path)
        os.unlink(self.path)
        self.reopen()
        self.unread = True

    # --- What must hold -------------------------------------------------------------------------------

    @invariant()
    def once(self) -> None:
        assert len(self.delivered) == len(set(self.delivered))
        assert set(self.delivered) <= set(self.written)
        assert self.rejected == 0

    @precondition(lambda self: self.tail is not None)
    @rule()
    def all_or_a_gap(self) -> None:
        self.pump()
        missing = set(self.written) - set(self.delivered)
        assert missing <= self.may_be_lost
        if missing - self.untraced:
            assert self.gaps
        if not self.destroyed:
            assert not self.gaps


LogMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)
test_log_machine = LogMachine.TestCase
