"""The agent's own processes, whose changes are not reported."""

from __future__ import annotations

import os
import time
from typing import Final

_LIFETIME: Final = 1.0


class OwnProcesses:
    """Calling it gives the process ids of the agent and of its children, at most a second old."""

    def __init__(self) -> None:
        self._read_at = float("-inf")
        self._pids: frozenset[int] = frozenset((os.getpid(),))

    def __call__(self) -> frozenset[int]:
        now = time.monotonic()
        if now - self._read_at >= _LIFETIME:
            self._read_at = now
            self._pids = frozenset((os.getpid(), *_descendants(os.getpid())))
        return self._pids


def _descendants(pid: int) -> list[int]:
    """Children and their children, from `/proc/PID/task/TID/children` (each thread lists the ones it started)."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        parent = waiting.pop()
        try:
            tasks = os.listdir(f"/proc/{parent}/task")
        except OSError:
            continue
        for task in tasks:
            try:
                with open(f"/proc/{parent}/task/{task}/children", "rb") as source:
                    children = [int(word) for word in source.read().split()]
            except OSError:
                # The thread ended, or the kernel has no such file (CONFIG_PROC_CHILDREN).
                continue
            found += children
            waiting += children
    return found
