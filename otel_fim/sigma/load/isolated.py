"""Reading rules in a child process: neither pySigma's memory nor a rule made to harm reaches the agent."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

import orjson

from otel_fim.sigma import ir_json
from otel_fim.sigma.ir import Rejected, RuleSet
from otel_fim.sigma.load.limits import LoadLimits

CHILD: Final = "otel_fim.sigma.load.child"
_NONE: Final[Mapping[str, Sequence[str]]] = MappingProxyType({})
_LIMITS: Final = LoadLimits()
_LOOK_SECONDS: Final = 0.25
"""So often it is asked, while a child reads, whether to go on."""
_CHUNK: Final = 1 << 16
_MAX_ANSWER: Final = 1 << 30
_KEPT: Final = ("PATH", "LD_LIBRARY_PATH", "LANG", "MALLOC_ARENA_MAX", "PYTHONHOME", "VIRTUAL_ENV")


class IsolationError(RuntimeError):
    """The child process cannot be started at all, or was told to stop; the message says why."""


def _never() -> bool:
    return False


def load_isolated(
    paths: Sequence[str | Path],
    *,
    placeholders: Mapping[str, Sequence[str]] = _NONE,
    limits: LoadLimits = _LIMITS,
    stopping: Callable[[], bool] = _never,
) -> RuleSet:
    """As `load_rules`, in a child process with bounded memory and time.

    A file that ends the child is rejected with that reason, and the others are read by another child. Raises
    `IsolationError` when no child can be started, and soon after `stopping` says that nobody wants the rules any more.
    """
    deadline = time.monotonic() + limits.seconds
    without: dict[str, str] = {}
    while True:
        outcome = _run(paths, placeholders, limits, without, deadline, stopping)
        if isinstance(outcome, RuleSet):
            return outcome
        path, reason = outcome
        if not path or path in without:
            return _given_up(paths, f"the rules cannot be read: {reason}")
        without[path] = f"not read: {reason}"
        if time.monotonic() > deadline:
            return _given_up(paths, f"the rules cannot be read within {limits.seconds:g} s; last was {path}")
        if len(without) > limits.restarts:
            return _given_up(
                paths, f"more than {limits.restarts} files cannot be read; last was {path}: {reason}"
            )


def _given_up(paths: Sequence[str | Path], reason: str) -> RuleSet:
    return RuleSet(
        rejected=tuple(Rejected(os.fspath(path), "", f"{os.fspath(path)}: {reason}") for path in paths)
    )


def _run(
    paths: Sequence[str | Path],
    placeholders: Mapping[str, Sequence[str]],
    limits: LoadLimits,
    without: Mapping[str, str],
    deadline: float,
    stopping: Callable[[], bool],
) -> RuleSet | tuple[str, str]:
    """The rule set, or the file that was being read when the child ended, and how it ended."""
    request = orjson.dumps(
        {
            # The child has another working directory.
            "paths": [os.path.abspath(os.fsencode(path)).hex() for path in paths],
            "placeholders": {name: list(values) for name, values in placeholders.items()},
            "limits": [limits.file_bytes, limits.files, limits.nesting, limits.nodes, limits.memory_bytes],
            "without": {os.fsencode(path).hex(): reason for path, reason in without.items()},
            "seconds": limits.seconds,
        }
    )
    try:
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=_environment(),
            start_new_session=True,
        )
    except OSError as error:
        raise IsolationError(f"{sys.executable} cannot be started to read the rules: {error}") from error
    with child:
        try:
            return _talk(child, request, limits, deadline, stopping)
        finally:
            child.kill()


def _environment() -> dict[str, str]:
    """Nothing of the agent's own settings, which may hold secrets; the same modules as here."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    search = os.pathsep.join(each for each in sys.path if each and os.path.isabs(each))
    return {**kept, "PYTHONPATH": search, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1"}


def _talk(
    child: subprocess.Popen[bytes],
    request: bytes,
    limits: LoadLimits,
    deadline: float,
    stopping: Callable[[], bool],
) -> RuleSet | tuple[str, str]:
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdin.write(request)
        child.stdin.close()
    except OSError:
        child.kill()  # told below by its status
    reader = _Reader(child.stdout.fileno(), deadline, limits.file_seconds, stopping)
    reason = reader.read()
    if reason:
        child.kill()
        return reader.file, reason
    status = child.wait()
    if reader.answer is not None:
        return ir_json.load(reader.answer)
    if status < 0:
        return reader.file, f"the process that reads rules was ended by signal {-status}"
    return (
        reader.file,
        f"the process that reads rules ended with status {status}; it may take {limits.memory_bytes} bytes",
    )


class _Reader:
    """What the child tells: lines `F<path, hex>` before each file, then `R` and the rule set up to the end."""

    def __init__(
        self, descriptor: int, deadline: float, file_seconds: float, stopping: Callable[[], bool]
    ) -> None:
        self.file = ""
        self.answer: bytes | None = None
        self._descriptor = descriptor
        self._deadline = deadline
        self._file_seconds = file_seconds
        self._stopping = stopping
        self._pending = bytearray()
        self._answering = False

    def read(self) -> str:
        """Reads to the end; gives the reason when it is not reached in time.

        Raises `IsolationError` when told to stop.
        """
        began = time.monotonic()
        # select(2) takes no descriptors beyond 1023, and the agent may have more.
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        while True:
            now = time.monotonic()
            # Time that this machine gives to others is not the file's: the limit is wide, the deadline is firm.
            left = min(
                self._deadline - now, began + self._file_seconds - now if self.file else self._deadline - now
            )
            if left <= 0:
                return "it takes too long" if self._deadline > now else "the time for all of it is over"
            if self._stopping():
                raise IsolationError("told to stop while the rules were read")
            if not poll.poll(min(left, _LOOK_SECONDS) * 1000):
                continue
            data = os.read(self._descriptor, _CHUNK)
            if not data:
                if self._answering:
                    self.answer = bytes(self._pending)
                return ""
            if self._take(data):
                began = time.monotonic()
            if len(self._pending) > _MAX_ANSWER:
                return "its answer is too large"

    def _take(self, data: bytes) -> bool:
        self._pending += data
        moved = False
        while not self._answering:
            line, found, rest = bytes(self._pending).partition(b"\n")
            if not found:
                break
            moved = True
            self._pending = bytearray(rest)
            if line == b"R":
                self._answering = True
            else:
                self.file = os.fsdecode(bytes.fromhex(line[1:].decode("ascii")))
        return moved or self._answering
