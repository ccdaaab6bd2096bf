"""What is done after an overflow, with a kernel of the test's own."""

from __future__ import annotations

import logging
import os
import threading
from typing import Any

import pytest

from otel_fim.host.table import ProcessTable
from otel_fim.receivers.process import cn_proc
from otel_fim.receivers.process.connector import BATCH, OverflowedError
from otel_fim.receivers.process.happening import Happening
from otel_fim.receivers.process.tracker import Tracker
from otel_fim.receivers.process.watching import Told

WAIT = 20.0


class Kernel:
    """A full buffer; like netlink's it drops everything until it has been emptied, and says so only once."""

    def __init__(self, waiting: int) -> None:
        self.reading, self.writing = os.pipe()
        self.waiting = waiting
        self.overflowed = False
        self.order: list[str] = []

    def fileno(self) -> int:
        return self.reading

    def close(self) -> None:
        os.close(self.reading)
        os.close(self.writing)

    def receive(self) -> list[bytes]:
        if not self.overflowed:
            self.overflowed = True
            raise OverflowedError
        count = min(BATCH, self.waiting)
        self.waiting -= count
        self.order.append("emptied" if count < BATCH else "read")
        return [cn_proc.listen_message(1, 0)] * count


@pytest.mark.timeout(60)
def test_it_looks_at_all_processes_after_the_buffer_was_emptied() -> None:
    """What starts while the kernel still drops is told to nobody: a look before that would miss it for good."""
    kernel, table = Kernel(BATCH * 200), ProcessTable()
    told = list[Happening]()
    tracker = Tracker(table, told.append, own_pid=-1)
    compare, closed = tracker.compare, threading.Event()
    gaps: list[bool] = []

    def compared(*args: Any) -> None:
        kernel.order.append("compared")
        compare(*args)

    def gap(reason: str, detail: str, start: int, end: int | None = None, *, restored: bool = False) -> None:
        gaps.append(restored)
        if restored:
            closed.set()

    tracker.compare = compared  # type: ignore[method-assign]
    watching = Told(
        kernel,  # type: ignore[arg-type]
        tracker,
        table,
        gap=gap,
        rejected=lambda count: None,
        existing=False,
        logger=logging.getLogger("test"),
    )
    watching.start()
    watching.poke()
    os.write(kernel.writing, b"x")
    assert closed.wait(WAIT)
    watching.stop(WAIT)
    assert gaps == [False, True]
    order = [step for step in kernel.order if step != "read"]
    assert order[:3] == ["compared", "emptied", "compared"]
    assert kernel.order.count("compared") == 2
