"""Records of wtmp (logins, logouts), btmp (failed logins) and utmp (who is logged in), see utmp(5)."""

from __future__ import annotations

import re
from typing import Final

from otel_fim.receivers.auth.event import AuthEvent, Entry, Kind, changed
from otel_fim.receivers.auth.parse import build, values

PRESENT: Final = "present"
"""The part of a row that was in utmp before anybody looked: no login happens now."""
CUT: Final = 31
"""A name in btmp that is so long may be the beginning of a longer one, and is left out: of 32 bytes sshd uses 31."""
_WINDOW: Final = re.compile(r"(?:tmux|screen|mosh)\b.*|:[0-9]+(?:\.[0-9]+)?(?::S\.[0-9]+)?", re.S)


def parse(entry: Entry) -> tuple[AuthEvent, ...]:
    """The event of one record; none for boots, run levels, time changes and prompts that wait for a name."""
    kind = entry.fields.get("type")
    if entry.source == "btmp":
        return (_failed(entry),) if kind in ("LOGIN_PROCESS", "USER_PROCESS") else ()
    if kind == "USER_PROCESS" and not _is_window(entry):
        event = _login(entry)
        if entry.fields.get("state") == PRESENT:
            event = build.support(event, PRESENT)
        return (event,)
    if kind == "DEAD_PROCESS" and not _is_window(entry):
        event = build.make(
            entry,
            Kind.LOGOUT,
            "logout",
            service=None,
            user=values.user(entry.fields.get("user")),
            terminal=values.terminal(entry.fields.get("line")),
        )
        # The row has no name: it ends a login that is known, or none.
        return (build.support(event, build.END),)
    return ()


def _is_window(entry: Entry) -> bool:
    # A terminal window or a multiplexer's pane within a login that has been told of.
    return entry.fields.get("line", "").startswith("pts/") and bool(
        _WINDOW.fullmatch(entry.fields.get("host", ""))
    )


def _login(entry: Entry) -> AuthEvent:
    return build.make(
        entry,
        Kind.LOGIN,
        "login",
        service=None,
        user=values.user(entry.fields.get("user")),
        user_known=True,
        terminal=values.terminal(entry.fields.get("line")),
        source_address=_address(entry),
    )


def _failed(entry: Entry) -> AuthEvent:
    name = values.user(entry.fields.get("user"))
    event = build.make(
        entry,
        Kind.LOGIN,
        "login",
        outcome=build.FAILURE,
        service="sshd" if entry.fields.get("line") == "ssh:notty" else None,
        user=None if name == "UNKNOWN" else name,
        terminal=values.terminal(entry.fields.get("line")),
        source_address=_address(entry),
        reason=build.WRONG_CREDENTIALS,
    )
    return changed(event, user=None) if event.user is not None and len(event.user) >= CUT else event


def _address(entry: Entry) -> str | None:
    return values.address(entry.fields.get("address")) or values.host(entry.fields.get("host"))
