"""Processes of systems without /proc, through psutil."""

from __future__ import annotations

from typing import Any

from otel_fim.host.procfs import TICK_NANOSECONDS, BootClock, Credentials, Stat
from otel_fim.host.snapshot import Snapshot


def pids() -> list[int]:
    """Every process."""
    import psutil

    return sorted(psutil.pids())


def read_with_psutil(pid: int) -> Snapshot | None:
    """What psutil can tell; None when there is no such process (any more)."""
    import psutil

    try:
        process = psutil.Process(pid)
        created = int(process.create_time() * 1e9)
        ticks = round((created - BootClock().offset()) / TICK_NANOSECONDS)
        name = process.name().encode("utf-8", "surrogateescape")
        state = b"Z" if process.status() == psutil.STATUS_ZOMBIE else b"?"
        taken = Snapshot(Stat(pid, name, state, process.ppid() or 0, 0, ticks))
    except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
        return None
    executable = _ask(psutil, process.exe)
    directory = _ask(psutil, process.cwd)
    taken.executable = executable.encode("utf-8", "surrogateescape") if executable else None
    taken.working_directory = directory.encode("utf-8", "surrogateescape") if directory else None
    # Windows has none of these numbers.
    users = _ask(psutil, getattr(process, "uids", None))
    groups = _ask(psutil, getattr(process, "gids", None))
    if users is not None and groups is not None:
        taken.credentials = Credentials(
            users.real, users.effective, users.saved, groups.real, groups.effective
        )
    return taken


def _ask(library: Any, question: Any) -> Any:
    if question is None:
        return None
    try:
        return question()
    except (library.Error, OSError, NotImplementedError):
        return None
