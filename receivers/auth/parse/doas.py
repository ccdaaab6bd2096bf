"""doas of OpenBSD and opendoas: `alice ran command /usr/bin/id as root from /home/alice`.

Formats: opendoas 6.8 doas.c and pam.c. The command and the directory are the user's text; name and command begin at
fixed places, and whom the user became is told only when there is one way to read it.
"""

from __future__ import annotations

import re
from typing import Final

from otel_fim.receivers.auth.event import AuthEvent, Entry, Kind
from otel_fim.receivers.auth.parse import build, values

_RAN: Final = re.compile(r"(\S{1,256}) ran command (.+) as (\S{1,256}) from (/.*)", re.S)
_REFUSED: Final = re.compile(r"command not permitted for (\S{1,256}): (.*)", re.S)
_FAILED: Final = re.compile(r"failed (?:auth|password) for (\S{1,256})")


def parse(entry: Entry) -> tuple[AuthEvent, ...]:
    """The event of one line of doas."""
    match = _RAN.fullmatch(entry.message)
    if match is not None:
        sure = len(re.findall(r" as \S+ from /", entry.message)) == 1
        return (
            build.make(
                entry,
                Kind.PRIVILEGE,
                "doas",
                user=match[1],
                effective_user=match[3] if sure else None,
                working_directory=match[4] if sure else None,
                command=match[2] if sure else entry.message.partition(" ran command ")[2],
            ),
        )
    match = _REFUSED.fullmatch(entry.message)
    if match is not None:
        return (_failed(entry, match[1], build.NOT_ALLOWED, match[2]),)
    match = _FAILED.fullmatch(entry.message)
    if match is not None:
        return (_failed(entry, match[1], build.WRONG_CREDENTIALS, None),)
    return ()


def _failed(entry: Entry, name: str, reason: str, command: str | None) -> AuthEvent:
    return build.make(
        entry,
        Kind.PRIVILEGE,
        "doas",
        outcome=build.FAILURE,
        user=values.user(name),
        reason=reason,
        command=command,
    )
