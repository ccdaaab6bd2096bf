"""What the receiver says at its start: what it reads, what not, and what cannot be seen therefore."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

_OF_PROGRAMS: Final = frozenset({"journald", "audit", "windows_security", "macos_unified_log"})
_MISSING: Final = " does not exist"
_NEEDS_ROOT: Final = "without root"


def tells_of_programs(name: str) -> bool:
    """Whether a source tells of privilege and accounts too, and not of logins only."""
    return name in _OF_PROGRAMS or name.startswith("/")


def absent(reasons: Mapping[str, str | None]) -> list[str]:
    """The sources that are not read, each with its reason (`Source.available`).

    A log file that this system calls by another name is nobody's loss, when that one is there.
    """
    has_log = any(name.startswith("/") and reason is None for name, reason in reasons.items())
    return [
        f"{name} ({reason.removeprefix(f'{name} ')})"
        for name, reason in reasons.items()
        if reason is not None and not (has_log and reason == name + _MISSING)
    ]


def limits(reading: Sequence[str], reasons: Mapping[str, str | None], *, is_root: bool) -> str | None:
    """What cannot be seen with the sources that are read, in one sentence; None when nothing is missing."""
    denied = [name for name, reason in reasons.items() if reason is not None and _NEEDS_ROOT in reason]
    remedy = f"; run as root to read {_listed(denied)}" if denied else ""
    if not reading:
        return f"no login can be seen: none of the sources is here{remedy}"
    if not any(tells_of_programs(name) for name in reading):
        return (
            f"only logins can be seen ({_listed(reading)}), not how, nor sudo and account changes: no journal, no log "
            f"file and no audit is read{remedy}"
        )
    if not is_root and denied:
        return f"not all that tells of logins can be read{remedy}"
    return None


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
