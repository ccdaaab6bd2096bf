"""What macOS' own programs write to the unified log; sshd, sudo, su and PAM write there what they write elsewhere.

Forms: login and loginwindow (`USER_PROCESS: 512 ttys000`), authd (`Failed to authorize right …`), as `log show` gives
them on macOS 12 to 15. Other systems of Apple's change their words too often to be relied on.
"""

from __future__ import annotations

import re
from typing import Final

from otel_fim.receivers.auth.event import AuthEvent, Entry, Kind, changed
from otel_fim.receivers.auth.parse import build, values

_PROCESS: Final = re.compile(r"(USER|DEAD)_PROCESS: ([0-9]{1,9}) (\S{1,32})")
_REFUSED: Final = re.compile(
    r"Failed to authorize right '([^']{1,200})' by client '([^']{1,1000})' \[[0-9]+\].*", re.S
)


def parse_login(entry: Entry) -> tuple[AuthEvent, ...]:
    """login and loginwindow: a terminal or the console is somebody's from now on, or nobody's any more."""
    match = _PROCESS.fullmatch(entry.message)
    if match is None:
        return ()
    begins = match[1] == "USER"
    event = build.make(
        entry,
        Kind.LOGIN if begins else Kind.LOGOUT,
        "login" if begins else "logout",
        service=entry.identifier,
        pid=values.number(match[2]),
        terminal=values.terminal(match[3]),
        part="process",
    )
    # The line has no name; the user id is that of login itself, which runs as root.
    return (changed(event, user_known=True) if begins else build.support(event, build.END),)


def parse_authd(entry: Entry) -> tuple[AuthEvent, ...]:
    """authd: a right that was refused."""
    match = _REFUSED.fullmatch(entry.message)
    if match is None:
        return ()
    event = build.make(
        entry,
        Kind.PRIVILEGE,
        "authorization",
        outcome=build.FAILURE,
        service="authd",
        command=match[1],
        reason=build.NOT_ALLOWED,
    )
    return (event,)
