"""Command lines are read out of other processes' memory, which can be made to never answer."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from otel_fim import names
from otel_fim.host import quick
from otel_fim.receivers.process import command_lines
from otel_fim.receivers.process.command_lines import CommandLines, split
from otel_fim.receivers.process.happening import Image

WAIT = 20.0


@pytest.fixture
def lines() -> Iterator[CommandLines]:
    made = CommandLines()
    yield made
    made.close()


@pytest.fixture
def never() -> Iterator[Callable[[], int]]:
    """Makes descriptors that nobody ever writes to: a page that a file system does not deliver is waited for alike."""
    ends: list[int] = []

    def make() -> int:
        reading, writing = os.pipe()
        ends.append(writing)
        return reading

    yield make
    for each in ends:
        os.close(each)


def ask(lines: CommandLines, pid: int) -> Image:
    image = Image(pid)
    lines.ask(image, os.open(f"/proc/{pid}/cmdline", os.O_RDONLY))
    return image


def until(condition: Any) -> None:
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_arguments_as_they_are(lines: CommandLines) -> None:
    hostile = ["sleep", "20", "a b", "", "x\ny", "\udcff"]
    script = ["python", "-c", "import time; time.sleep(60)", *hostile]
    with subprocess.Popen(script, executable=sys.executable) as process:

        def read() -> tuple[str, ...] | None:
            image = ask(lines, process.pid)
            until(lambda: not image.asked_at)
            return image.arguments

        until(lambda: read() == (*script[:-1], "\\xff"))
        process.kill()
    assert split(b"a\0\0") == ("a", "")
    assert split(b"a") == ("a",)


def test_a_process_that_is_gone_has_none(lines: CommandLines) -> None:
    process = subprocess.Popen(["sleep", "60"])
    descriptor = os.open(f"/proc/{process.pid}/cmdline", os.O_RDONLY)
    process.kill()
    process.wait()
    image = Image(process.pid)
    lines.ask(image, descriptor)
    until(lambda: not image.asked_at)
    assert image.arguments is None
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_one_that_never_answers_stops_nobody(lines: CommandLines, never: Callable[[], int]) -> None:
    def stall() -> Image:
        image = Image(1)
        lines.ask(image, never())
        return image

    stuck = [stall() for _ in range(3)]
    until(lambda: lines.stuck >= 2)

    def reads() -> bool:
        image = ask(lines, os.getpid())
        lines.wait(image)
        return image.arguments is not None

    # Two are stuck, a third one is waiting: somebody reads the next one all the same.
    until(reads)
    assert all(image.arguments is None for image in stuck)

    def all_stuck() -> bool:
        stall()
        return lines.stuck == command_lines._MAX_THREADS

    until(all_stuck)
    # Then nothing is read, and nothing piles up.
    before = len(os.listdir("/proc/self/fd"))
    image = ask(lines, os.getpid())
    lines.wait(image)
    assert image.arguments is None
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_the_receiver_goes_on(host: Any, never: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> None:
    """At the start of the agent, and for everything that comes after."""
    really, stalling = quick.open_small, os.getpid()
    monkeypatch.setattr(
        quick, "open_small", lambda path: never() if b"/%d/" % stalling in path else really(path)
    )
    host.start(command_line="full", existing=True)
    host.wait(lambda: bool(host.of(stalling)))
    attributes = host.of(stalling)[0].attributes
    assert names.PROCESS_COMMAND_LINE not in attributes
    assert names.PROCESS_COMMAND_LINE in attributes[names.OTEL_FIM_PROCESS_MISSING]
    with subprocess.Popen(["sleep", "0.3"]) as process:
        process.wait(WAIT)
    assert host.exited(process.pid).attributes[names.PROCESS_COMMAND_LINE] == "sleep 0.3"
