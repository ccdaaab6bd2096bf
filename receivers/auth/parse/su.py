"""su: util-linux' form `(to root) alice on pts/0`, shadow's `Successful su for root by alice`, and that of the BSDs.

Formats: util-linux login-utils/su-common.c (log_syslog), shadow src/su.c. A name of the target is given by the caller,
but su tells of a failure only for accounts that exist; terminal and caller stand last.
"""

from __future__ import annotations

import re
from typing import Final

from otel_fim.receivers.auth.event import AuthEvent, Entry, Kind
from otel_fim.receivers.auth.parse import build, values

_UTIL_LINUX: Final = re.compile(r"(FAILED SU )?\(to (.{1,256})\) (.{1,256}) on (\S{1,64})", re.S)
_SHADOW: Final = re.compile(r"(Successful|FAILED) su for (.{1,256}) by (.{1,256})", re.S)
_BSD: Final = re.compile(r"(BAD SU )?(\S{1,256}) to (\S{1,256}) on (/dev/\S{1,64})")
_SIGNED: Final = re.compile(r"([+-]) (\S{1,64}) ([^:]{1,256})[:-]([^:]{1,256})")


def parse(entry: Entry) -> tuple[AuthEvent, ...]:
    """The event of one line of su's own."""
    message = entry.message
    match = _UTIL_LINUX.fullmatch(message)
    if match is not None:
        return (_event(entry, match[1] is None, match[3], match[2], match[4]),)
    match = _SHADOW.fullmatch(message)
    if match is not None:
        return (_event(entry, match[1] == "Successful", match[3], match[2], None),)
    match = _BSD.fullmatch(message)
    if match is not None:
        return (_event(entry, match[1] is None, match[2], match[3], match[4]),)
    match = _SIGNED.fullmatch(message)
    if match is not None:
        # Old shadow writes this line beside the other one.
        event = _event(entry, match[1] == "+", match[3], match[4], match[2])
        return (build.hint(event, "signed"),)
    return ()


def _event(entry: Entry, success: bool, by: str, to: str, tty: str | None) -> AuthEvent:
    return build.make(
        entry,
        Kind.PRIVILEGE,
        "su",
        service="su",
        outcome=build.SUCCESS if success else build.FAILURE,
        user=values.user(by),
        effective_user=values.user(to),
        terminal=values.terminal(tty),
        reason=None if success else build.WRONG_CREDENTIALS,
    )
