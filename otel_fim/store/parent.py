"""A child that does not outlive its parent."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


class OrphanError(Exception):
    """The parent is gone already."""


def follow(parent: int) -> None:
    """Have the kernel send SIGTERM to this process when its parent `parent` dies, however it dies.

    The kernel watches the parent's thread that started this process: that thread must live as long as the
    child is wanted. Raises `OrphanError` when the parent died before the kernel was asked, which is what makes
    this free of a race. prctl(2), PR_SET_PDEATHSIG.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        raise OrphanError(f"the process that started this one ({parent}) is gone")
    # When memory runs out, the kernel shall take the store, which comes back, and not the agent, which sees.
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as stream:
        stream.write("500")
