"""A slow walk over whole file systems, on a thread of its own that takes little and yields to everybody."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

_MOST_WAITING: Final = 500_000
_MOST_FOUND: Final = 50_000
_MOST_PROBLEMS: Final = 100
_FEWEST_AT_ONCE: Final = 200
_HEAD_START: Final = 2_000
# ioprio_set(2): the call's number, IOPRIO_WHO_PROCESS, and the idle class.
_IOPRIO_SET: Final = {"x86_64": 251, "aarch64": 30, "riscv64": 30}
_IDLE: Final = 3 << 13


@dataclass(slots=True)
class Sweep:
    """What one walk has found: paths that `wanted` took, and where it could not look."""

    found: set[bytes] = field(default_factory=set)
    problems: dict[bytes, str] = field(default_factory=dict)
    looked_at: int = 0


def walk(
    roots: Iterable[bytes],
    barriers: frozenset[bytes],
    wanted: Callable[[os.DirEntry[bytes]], bool],
    *,
    per_second: float,
    stopped: Callable[[], bool],
) -> Sweep | None:
    """Every regular file below the roots, without following links and without entering `barriers` (mount points
    and what is left out); None when it was stopped. At most `per_second` entries are looked at in a second, but for
    the first 2,000: a small tree is done at once."""
    sweep = Sweep()
    at_once = max(_FEWEST_AT_ONCE, int(min(per_second, 10_000) / 10))
    pause = at_once / per_second
    waiting = list(roots)
    since_pause = 0
    while waiting:
        directory = waiting.pop()
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    since_pause += 1
                    sweep.looked_at += 1
                    if since_pause >= at_once:
                        since_pause = 0
                        if stopped():
                            return None
                        if sweep.looked_at > _HEAD_START:
                            time.sleep(pause)
                    try:
                        if entry.is_dir(follow_symlinks=False):
                            if entry.path not in barriers:
                                waiting.append(entry.path)
                        elif entry.is_file(follow_symlinks=False) and wanted(entry):
                            if len(sweep.found) < _MOST_FOUND:
                                sweep.found.add(entry.path)
                            else:
                                _note(sweep, directory, "too_many")
                    except FileNotFoundError:
                        continue
        except FileNotFoundError:
            continue
        except PermissionError:
            _note(sweep, directory, "permission_denied")
        except OSError:
            _note(sweep, directory, "io_error")
        if len(waiting) > _MOST_WAITING:
            _note(sweep, directory, "too_many")
            del waiting[_MOST_WAITING:]
    return sweep


def _note(sweep: Sweep, directory: bytes, reason: str) -> None:
    if len(sweep.problems) < _MOST_PROBLEMS:
        sweep.problems[directory] = reason


def in_background(work: Callable[[], None], name: str) -> threading.Thread:
    """Starts a thread that runs only when nobody else wants the processor or the disk."""

    def run() -> None:
        with contextlib.suppress(OSError, AttributeError):
            # On Linux the priority is the thread's own.
            if platform.system() == "Linux":
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
                call = _IOPRIO_SET.get(platform.machine())
                if call is not None:
                    ctypes.CDLL(None).syscall(call, 1, threading.get_native_id(), _IDLE)
        work()

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread
