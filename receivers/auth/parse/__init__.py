"""From an entry to the events that it tells of: one module for each program.

`Parser.parse` gives no events for what is not about logins, and raises `RejectedError` for what looks like it and
cannot be what it says. Nothing else leaves it, whatever the entry holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from otel_fim.receivers.auth.event import AuthEvent, Entry, changed
from otel_fim.receivers.auth.parse import (
    audit,
    doas,
    login,
    macos,
    pam,
    polkit,
    shadow,
    sshd,
    su,
    sudo,
    trust,
    utmp,
    windows,
)
from otel_fim.receivers.auth.parse.values import MAX_TEXT, RejectedError

__all__ = ["Parser", "RejectedError"]

_PROGRAMS: Final[dict[str, Callable[[Entry], tuple[AuthEvent, ...]]]] = {
    "sshd": sshd.parse,
    "sshd-session": sshd.parse,
    "sshd-auth": sshd.parse,
    "sudo": sudo.parse,
    "su": su.parse,
    "doas": doas.parse,
    "pkexec": polkit.parse_pkexec,
    "polkitd": polkit.parse_polkitd,
    "login": login.parse,
    "systemd-logind": login.parse_logind,
    **dict.fromkeys(shadow.TOOLS, shadow.parse),
}
_STRUCTURED: Final = {
    "wtmp": utmp.parse,
    "btmp": utmp.parse,
    "utmp": utmp.parse,
    "windows_security": windows.parse,
}
_MACOS: Final = {"login": macos.parse_login, "loginwindow": macos.parse_login, "authd": macos.parse_authd}
_REPEATED: Final = re.compile(r"message repeated ([0-9]{1,6}) times: \[ ?(.*)\]", re.S)
_LAST_REPEATED: Final = re.compile(r"(?:--- )?last message repeated ([0-9]{1,6}) times?(?: ---)?")
_GDM: Final = re.compile(r"(gdm-[a-z]{1,20})\]\[([0-9]{1,9})\]: (.*)", re.S)
"""GDM names itself `gdm-password]` to syslog, which no reader takes for a program's name."""
_MAX_REPEATED: Final = 100_000


class Parser:
    """Understands entries. `user_name` gives the name of a user id, or None; sources may be mixed, in any order."""

    def __init__(self, user_name: Callable[[int], str | None]) -> None:
        self._user_name = user_name
        self._last: dict[str, Entry] = {}

    def parse(self, entry: Entry) -> tuple[AuthEvent, ...]:
        """The events of one entry. Raises `RejectedError`."""
        try:
            return self._parse(entry)
        except RejectedError:
            raise
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError) as error:
            # What no form foresaw is bad input, not a reason to stop.
            raise RejectedError("malformed") from error

    def _parse(self, entry: Entry) -> tuple[AuthEvent, ...]:
        if entry.source in _STRUCTURED:
            return _STRUCTURED[entry.source](entry)
        if entry.source == "audit" or entry.fields.get("_TRANSPORT") == "audit":
            return audit.parse(entry)
        if len(entry.message) > MAX_TEXT:
            entry = replace(entry, message=entry.message[:MAX_TEXT])
        count = 1
        repeated = _REPEATED.fullmatch(entry.message)
        if repeated is not None:
            count, entry = _count(repeated[1]), replace(entry, message=repeated[2])
        else:
            last = _LAST_REPEATED.fullmatch(entry.message)
            before = self._last.get(entry.source)
            if last is not None and before is not None:
                count = _count(last[1])
                entry = replace(before, time_unix_nano=entry.time_unix_nano, identity=entry.identity)
            elif last is None:
                self._last[entry.source] = entry
        events = self._events(entry)
        if any(trust.is_own_goodbye(entry, event) for event in events):
            return ()
        for event in events:
            if not trust.believable(entry, event, self._user_name):
                raise RejectedError("forged")
        return tuple(changed(event, count=count) for event in events) if count > 1 else events

    def _events(self, entry: Entry) -> tuple[AuthEvent, ...]:
        gdm = None if entry.identifier else _GDM.fullmatch(entry.message)
        if gdm is not None:
            entry = replace(entry, identifier=gdm[1], pid=entry.pid or int(gdm[2]), message=gdm[3])
        found = pam.parse(entry)
        if found is not None:
            return found
        program = _PROGRAMS.get(entry.identifier)
        if entry.source == "macos_unified_log":
            program = _MACOS.get(entry.identifier, program)
        return () if program is None else program(entry)


def _count(digits: str) -> int:
    return max(1, min(int(digits), _MAX_REPEATED))
