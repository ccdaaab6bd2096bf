"""login on a console, and systemd-logind.

Formats: shadow src/login.c, util-linux login-utils/login.c, systemd src/login/logind-session.c (219 to
257). The name in a failure is what somebody typed; terminal and host stand before it.
"""

from __future__ import annotations

import re
from typing import Final

from otel_fim.receivers.auth.event import AuthEvent, Entry, Kind
from otel_fim.receivers.auth.parse import build, values

_SHADOW_FAILED: Final = re.compile(
    r"(?:FAILED LOGIN|TOO MANY LOGIN TRIES) \([0-9]+\) on '([^']{1,64})'(?: from '([^']{0,255})')? FOR '(.*)'"
    r"(?:, ([^']{0,200}))?",
    re.S,
)
_UTIL_LINUX_FAILED: Final = re.compile(
    r"(?:FAILED LOGIN|TOO MANY LOGIN TRIES) (?:SESSION|\([0-9]+\)|[0-9]+) (?:FROM|ON) (\S{1,255}) "
    r"FOR (.*), ([^,]{1,200})",
    re.S,
)
_SHADOW_LOGIN: Final = re.compile(
    r"(?:ROOT LOGIN|'(.{1,256})' logged in)  ?on '([^']{1,64})'(?: from '([^']{0,255})')?", re.S
)
_UTIL_LINUX_LOGIN: Final = re.compile(
    r"(?:(ROOT )?LOGIN ON|DIALUP AT) (\S{1,64})(?: BY (.{1,256}?))?(?: FROM (\S{1,255}))?", re.S
)
_NEW: Final = re.compile(
    r"New session '?([A-Za-z0-9]{1,20})'? of user '?([^' ]{1,256}?)'?(?: with class '[^']*' and type '[^']*')?\."
)
_ENDED: Final = re.compile(
    r"(?:Removed session|Session) '?([A-Za-z0-9]{1,20})'?(?:\.| logged out\. .*)", re.S
)


def parse(entry: Entry) -> tuple[AuthEvent, ...]:
    """The event of one line of login."""
    message = entry.message
    if message.startswith(("FAILED LOGIN", "TOO MANY LOGIN TRIES")):
        return _failed(entry)
    match = _SHADOW_LOGIN.fullmatch(message)
    if match is not None:
        return (_login(entry, match[1] or "root", match[2], match[3]),)
    match = _UTIL_LINUX_LOGIN.fullmatch(message)
    if match is not None and (match[1] or match[3]):
        return (_login(entry, match[3] or "root", match[2], match[4]),)
    return ()


def _login(entry: Entry, name: str, tty: str, where: str | None) -> AuthEvent:
    return build.make(
        entry,
        Kind.LOGIN,
        "login",
        service="login",
        user=name,
        user_known=True,
        terminal=values.terminal(tty),
        source_address=values.host(where),
    )


def _failed(entry: Entry) -> tuple[AuthEvent, ...]:
    match = _SHADOW_FAILED.fullmatch(entry.message)
    if match is not None:
        tty, where, name, cause = match.groups()
    else:
        match = _UTIL_LINUX_FAILED.fullmatch(entry.message)
        if match is None:
            return ()
        place, name, cause = match.groups()
        on_terminal = re.fullmatch(r"(?:/dev/)?(?:tty|pts/|console|hvc|vc/)\S*", place) is not None
        tty, where = (place, None) if on_terminal else (None, place)
    unknown = name == "UNKNOWN" or (cause or "").startswith("User not known")
    many = entry.message.startswith("TOO MANY")
    return (
        build.make(
            entry,
            Kind.LOGIN,
            "login",
            outcome=build.FAILURE,
            service="login",
            # login writes UNKNOWN for a name without an account: people type passwords there.
            user=None if name == "UNKNOWN" else values.user(name),
            user_known=False if unknown else None,
            terminal=values.terminal(tty),
            source_address=values.host(where),
            reason=build.TOO_MANY_ATTEMPTS
            if many
            else build.UNKNOWN_USER
            if unknown
            else build.WRONG_CREDENTIALS,
        ),
    )


def parse_logind(entry: Entry) -> tuple[AuthEvent, ...]:
    """The event of one line of systemd-logind: it adds the session's name, and tells when a session ends."""
    match = _NEW.fullmatch(entry.message)
    if match is not None:
        event = build.make(
            entry, Kind.LOGIN, "login", service=None, pid=None, user=match[2], host_session=match[1],
            session_id=None, login_user_id=None,
        )  # fmt: skip
        return (build.support(event, "logind"),)
    match = _ENDED.fullmatch(entry.message)
    if match is not None:
        event = build.make(
            entry, Kind.LOGOUT, "logout", service=None, pid=None, host_session=match[1],
            session_id=None, login_user_id=None,
        )  # fmt: skip
        return (build.support(event, "logind"),)
    return ()
