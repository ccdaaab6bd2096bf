"""Whether the sender of a journal entry is who it says it is.

journald takes the sender's pid and user id from the kernel, and its program and capabilities from /proc; the identifier
and the message are the sender's own words. Anybody can write `sshd` there. A text log has nothing but those words.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Final

from otel_fim.receivers.auth.event import AuthEvent, Entry, Kind
from otel_fim.receivers.auth.parse import values

_SETUID: Final = frozenset(
    {"su", "sudo", "doas", "pkexec", "passwd", "chsh", "chfn", "gpasswd", "chage", "newgrp", "login"}
)
"""Programs that ordinary users start and that run with root's rights: the kernel tells their caller's user id."""
_PLACES: Final = (
    "/usr/bin/",
    "/usr/sbin/",
    "/bin/",
    "/sbin/",
    "/usr/local/bin/",
    "/usr/local/sbin/",
    "/run/wrappers/",
    "/usr/lib/cargo/bin/",
)
_MAY_SET_USER: Final = 1 << 7
"""CAP_SETUID: what runs with root's rights has it, whatever a container takes away."""
_FRESH_NANO: Final = 5_000_000_000
"""As long as a pid certainly still stands for the process that wrote."""
_SSHD: Final = frozenset({"sshd", "sshd-session"})


def is_own_goodbye(entry: Entry, event: AuthEvent) -> bool:
    """The part of sshd that runs as the user tells of the end of its connection: it proves nothing, and its parent
    tells of it as root."""
    return (
        entry.trusted
        and entry.user_id not in (0, None)
        and event.kind is Kind.LOGOUT
        and entry.fields.get("_COMM") in _SSHD
    )


def believable(entry: Entry, event: AuthEvent, user_name: Callable[[int], str | None]) -> bool:
    """Whether the kernel's word about the sender allows what the event says."""
    if not entry.trusted:
        return True
    uid = entry.user_id if entry.user_id is not None else values.number(entry.fields.get("_UID"))
    transport = entry.fields.get("_TRANSPORT")
    if uid == 0 or transport in ("audit", "kernel") or entry.source == "audit":
        return True
    if uid is None:
        # Entries without a sender come from the journal itself or were brought in by root.
        return entry.fields.get("_PID") is None and transport is None and entry.pid is None
    program = entry.fields.get("_EXE", "")
    if entry.source == "macos_unified_log":
        # logd has the program from the kernel, and what lies there cannot be changed or given other libraries.
        return program.startswith(("/System/", "/usr/bin/", "/usr/sbin/", "/usr/libexec/"))
    name = program.rpartition("/")[2]
    if name in _SETUID and program.startswith(_PLACES):
        return (
            _has_rights(entry)
            and _may_say(name, event, _own_names(entry, uid, user_name))
            and not _is_of_other_namespace(entry)
        )
    unit = entry.fields.get("_SYSTEMD_UNIT", "")
    if name == "polkitd" and unit == "polkit.service":
        return True
    # The program had ended before journald looked: who cannot be proven to speak may speak of himself.
    return not program and _is_of_own(event, uid, user_name(uid))


def _has_rights(entry: Entry) -> bool:
    """A setuid program that is traced, or run with `no_new_privs`, has no rights, and may be made to say anything."""
    capabilities = entry.fields.get("_CAP_EFFECTIVE")
    if capabilities is None:
        return True
    try:
        return bool(int(capabilities, 16) & _MAY_SET_USER)
    except ValueError:
        return False


def _own_names(entry: Entry, uid: int, user_name: Callable[[int], str | None]) -> set[str]:
    """Who calls, and who logged in: su asks for the latter. Empty when no name is known."""
    login = values.number(entry.fields.get("_AUDIT_LOGINUID"))
    found = {user_name(uid), None if login is None else user_name(login)}
    return {name for name in found if name is not None}


def _may_say(program: str, event: AuthEvent, names: set[str]) -> bool:
    """None of these programs tells of logins, nor of what another user did."""
    if event.kind in (Kind.LOGIN, Kind.LOGOUT):
        return program == "login"
    if event.user is not None:
        return not names or event.user in names
    if event.kind is Kind.ACCOUNT and event.action.endswith(("_created", "_deleted")):
        return False
    if event.kind is Kind.ACCOUNT and event.action in ("password_changed", "user_changed"):
        # su lets somebody change the password of whom they become, when it has expired.
        return program == "su" or not names or event.target_user in names
    return True


def _is_of_other_namespace(entry: Entry) -> bool:
    """Whoever makes a user namespace has all capabilities in it, and may mount a program of their own over sudo."""
    if entry.pid is None or not 0 <= time.time_ns() - entry.time_unix_nano <= _FRESH_NANO:
        return False
    try:
        return os.stat(f"/proc/{entry.pid}/ns/user").st_ino != os.stat("/proc/self/ns/user").st_ino
    except OSError:
        return False


def _is_of_own(event: AuthEvent, uid: int, name: str | None) -> bool:
    if event.kind is Kind.PRIVILEGE:
        return event.user == name if event.user is not None else event.user_id == uid
    if event.kind is Kind.ACCOUNT and event.action in ("password_changed", "user_changed"):
        return name is not None and event.target_user == name and event.user in (None, name)
    return False
