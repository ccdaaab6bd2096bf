"""Techniques that show in what changed, wherever the file lies."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final

from otel_fim import names
from otel_fim.attack import TECHNIQUES
from otel_fim.processors.attack.change import Change, Effect, special_bits
from otel_fim.processors.attack.mapping import HIGH, LOW, MEDIUM, Confidence, Match, describe
from otel_fim.record import AnyValue

_RIGHT_TO_LEFT_OVERRIDE: Final = "\u202e"
_SYSTEM_DIRECTORIES: Final = (
    "/bin/", "/boot/", "/dev/", "/etc/", "/lib/", "/lib32/", "/lib64/", "/run/", "/sbin/", "/usr/", "/var/",
    "/tmp/",  # noqa: S108 - looked at, not written to
)  # fmt: skip
_ORDINARY_HIDDEN_NAMES: Final = frozenset({
    ".ICE-unix", ".Test-unix", ".X11-unix", ".XIM-unix", ".font-unix", ".build-id", ".cache", ".config",
    ".gitignore", ".gitkeep", ".java", ".keep", ".legacy-bootordering", ".local", ".placeholder", ".pwd.lock",
    ".updated", ".well-known", ".htaccess",
})  # fmt: skip
_ORDINARY_HIDDEN_PREFIXES: Final = (
    ".#",
    ".~",
    ".X",
    ".nfs",
    ".fuse_hidden",
    ".goutputstream-",
    ".dpkg-",
    ".git",
)
_ORDINARY_HIDDEN_SUFFIXES: Final = (".swp", ".swo", ".swx", ".tmp", "~", ".lock", ".hmac")
_TEMPORARY_DIRECTORIES: Final = ("/tmp/", "/var/tmp/", "/dev/shm/")  # noqa: S108 - looked at, not written to


def find(change: Change) -> Iterator[Match]:
    """Every behaviour that the change shows."""
    for behaviour in _BEHAVIOURS:
        found = behaviour(change)
        if found is not None:
            yield found


def permissions(change: Change) -> Match | None:
    """Other permission bits or another owner: the fallback for a change of attributes that fits nothing else."""
    if change.effect is not Effect.ATTRIBUTES or change.is_link:
        return None
    mode, before = change.mode, change.mode_before
    if mode is not None and before is not None and mode != before:
        if mode & stat.S_IWOTH and not before & stat.S_IWOTH and not mode & stat.S_ISVTX:
            return _match("T1222.002", MEDIUM, change, f"anyone may write now, {before:04o} to {mode:04o}")
        return _match("T1222.002", LOW, change, f"the permissions went from {before:04o} to {mode:04o}")
    for key in (names.FILE_OWNER_ID, names.FILE_GROUP_ID):
        now, then = change.attributes.get(key), change.attributes.get(names.before(key))
        if now is not None and then is not None and now != then:
            return _match("T1222.002", LOW, change, f"{key} went from {then} to {now}")
    return None


def _setuid(change: Change) -> Match | None:
    mode = change.mode
    if mode is None or not mode & (stat.S_ISUID | stat.S_ISGID) or not change.is_regular:
        return None
    bits = special_bits(mode)
    if change.effect is Effect.ATTRIBUTES or change.effect is Effect.CHANGED:
        before = change.mode_before
        if before is None or not bits & ~special_bits(before):
            return None
        return _match("T1548.001", HIGH, change, f"the mode went from {before:04o} to {mode:04o}")
    if bits and change.effect is Effect.ARRIVED and not change.origin:
        return _match("T1548.001", MEDIUM, change, f"a new file has mode {mode:04o}")
    return None


def _timestomp(change: Change) -> Match | None:
    if not change.effect & (Effect.ATTRIBUTES | Effect.CHANGED) or change.is_replaced or change.is_directory:
        return None
    now = change.attributes.get(names.FILE_MODIFIED)
    before = change.attributes.get(names.before(names.FILE_MODIFIED))
    if not isinstance(now, str) or not isinstance(before, str) or now == before or not _earlier(now, before):
        return None
    # Copying with the times kept also writes and then sets the time back; nothing but a wish to hide does
    # so without writing.
    confidence = MEDIUM if change.effect is Effect.ATTRIBUTES else LOW
    return _match("T1070.006", confidence, change, f"the modification time went back from {before} to {now}")


def _name_tricks(change: Change) -> Match | None:
    if change.effect is not Effect.ARRIVED:
        return None
    name = change.name
    if _RIGHT_TO_LEFT_OVERRIDE in name:
        return _match("T1036.002", HIGH, change, "the name turns its own direction")
    if name.endswith((" ", "\u00a0")):
        return _match("T1036.006", MEDIUM, change, "the name ends with a space")
    return None


def _hidden(change: Change) -> Match | None:
    if change.effect is not Effect.ARRIVED or not change.path.startswith(_SYSTEM_DIRECTORIES):
        return None
    name = change.name
    if (
        not name.startswith(".")
        or name in _ORDINARY_HIDDEN_NAMES
        or name.startswith(_ORDINARY_HIDDEN_PREFIXES)
        or name.endswith(_ORDINARY_HIDDEN_SUFFIXES)
    ):
        return None
    confidence = MEDIUM if change.path.startswith("/dev/") or set(name) == {"."} else LOW
    return _match("T1564.001", confidence, change, "a hidden name in a system directory")


def _removed_tool(change: Change) -> Match | None:
    if change.effect is not Effect.LEFT or change.destination or not change.is_regular:
        return None
    mode = change.mode_before if change.mode_before is not None else change.mode
    if mode is None or not mode & 0o111 or not change.path.startswith(_TEMPORARY_DIRECTORIES):
        return None
    return _match("T1070.004", LOW, change, "a program in a temporary directory was removed")


def _earlier(one: str, other: str) -> bool:
    """Whether one ISO 8601 time is before another. The same length means the same form, which sorts."""
    if len(one) == len(other):
        return one < other
    try:
        return datetime.fromisoformat(one) < datetime.fromisoformat(other)
    except (ValueError, TypeError):
        return False


def _match(technique: str, confidence: Confidence, change: Change, reason: AnyValue) -> Match:
    return Match(TECHNIQUES[technique], confidence, describe(change, str(reason)))


_BEHAVIOURS: Final[tuple[Callable[[Change], Match | None], ...]] = (
    _setuid,
    _timestomp,
    _name_tricks,
    _hidden,
    _removed_tool,
)
