"""Makes an event of an entry: what every parser takes from the entry itself."""

from __future__ import annotations

from typing import Any, Final

from otel_fim.receivers.auth.event import AuthEvent, Entry, Kind, Weight, changed
from otel_fim.receivers.auth.parse import values

# Reasons of names.OTEL_FIM_AUTH_REASON.
UNKNOWN_USER: Final = "unknown_user"
WRONG_CREDENTIALS: Final = "wrong_credentials"
NOT_ALLOWED: Final = "not_allowed"
ACCOUNT_LOCKED: Final = "account_locked"
ACCOUNT_EXPIRED: Final = "account_expired"
TOO_MANY_ATTEMPTS: Final = "too_many_attempts"

FAILURE: Final = "failure"
SUCCESS: Final = "success"

START: Final = "start"
END: Final = "end"
PAM: Final = "pam"
SESSION: Final = "session"

_NOTHING: Final = AuthEvent(Kind.LOGIN, 0, (), "")


def make(entry: Entry, kind: Kind, action: str, **facts: Any) -> AuthEvent:
    """An event with the entry's time, source, process, session and text."""
    facts.setdefault("service", entry.identifier or None)
    facts.setdefault("pid", entry.pid)
    if entry.trusted:
        facts.setdefault("session_id", values.number(entry.fields.get("_AUDIT_SESSION")))
        facts.setdefault("login_user_id", values.number(entry.fields.get("_AUDIT_LOGINUID")))
    return changed(
        _NOTHING,
        kind=kind,
        time_unix_nano=entry.time_unix_nano,
        sources=(entry.source,),
        action=action,
        trusted=entry.trusted,
        identity=entry.identity,
        identifier=entry.identifier,
        original=entry.message,
        **facts,
    )


def hint(event: AuthEvent, part: str, patience: float | None = None) -> AuthEvent:
    """The event as a hint, which waits `patience` seconds for its decision."""
    return changed(event, part=part, weight=Weight.HINT, patience=patience)


def support(event: AuthEvent, part: str) -> AuthEvent:
    """The event as support."""
    return changed(event, part=part, weight=Weight.SUPPORT)
