"""Builds the records: attributes, a sentence for people, severity."""

from __future__ import annotations

import re
from typing import Final, Literal

from otel_fim import names
from otel_fim.component import Context
from otel_fim.host.identities import Identities
from otel_fim.host.redaction import redact_line
from otel_fim.names import events
from otel_fim.pipeline.coverage import timestamp
from otel_fim.receivers.auth.event import AuthEvent, Kind
from otel_fim.record import AnyValue, Attributes, Record, Severity

_EVENTS: Final = {
    Kind.LOGIN: events.AUTH_LOGIN,
    Kind.LOGOUT: events.AUTH_LOGOUT,
    Kind.PRIVILEGE: events.AUTH_PRIVILEGE,
    Kind.ACCOUNT: events.AUTH_ACCOUNT,
}
_ACCOUNT_WORDS: Final = {
    "user_created": "user {user} was created",
    "user_changed": "user {user} was changed",
    "user_deleted": "user {user} was deleted",
    "group_created": "group {group} was created",
    "group_changed": "group {group} was changed",
    "group_deleted": "group {group} was deleted",
    "group_member_added": "{user} was added to group {group}",
    "group_member_removed": "{user} was removed from group {group}",
    "password_changed": "the password of {user} was changed",
    "locked": "{user} was locked",
    "unlocked": "{user} was unlocked",
}
_MORE_WORDS: Final = re.compile(r"[\s:'\"()]")
_REASONS: Final = {
    "unknown_user": "there is no such user",
    "wrong_credentials": "wrong credentials",
    "not_allowed": "not allowed",
    "account_locked": "the account is locked",
    "account_expired": "the account has expired",
    "too_many_attempts": "too many attempts",
}


class RecordBuilder:
    """Makes the records of one receiver."""

    def __init__(
        self,
        context: Context,
        identities: Identities,
        command_line: Literal["none", "redacted", "full"],
        original: bool,
    ) -> None:
        self._context = context
        self._identities = identities
        self._command_line = command_line
        self._original = original

    def build(self, event: AuthEvent, observed_unix_nano: int) -> Record:
        """The record of a merged event."""
        command = self._command(event)
        found: dict[str, AnyValue] = {
            names.EVENT_ACTION: event.action,
            names.EVENT_OUTCOME: event.outcome,
            names.USER_NAME: event.user,
            names.USER_ID: _text(event.user_id),
            names.OTEL_FIM_AUTH_USER_KNOWN: event.user_known,
            names.USER_EFFECTIVE_NAME: event.effective_user,
            names.USER_EFFECTIVE_ID: _text(event.effective_user_id),
            names.USER_TARGET_NAME: event.target_user,
            names.USER_TARGET_ID: _text(event.target_user_id),
            names.GROUP_NAME: event.group,
            names.GROUP_ID: _text(event.group_id),
            names.SOURCE_ADDRESS: event.source_address,
            names.SOURCE_PORT: event.source_port,
            names.OTEL_FIM_AUTH_SERVICE: event.service,
            names.OTEL_FIM_AUTH_METHOD: event.method,
            names.OTEL_FIM_AUTH_TERMINAL: event.terminal,
            names.OTEL_FIM_AUTH_REASON: event.reason,
            names.OTEL_FIM_AUTH_KEY_TYPE: event.key_type,
            names.OTEL_FIM_AUTH_KEY_FINGERPRINT: event.key_fingerprint,
            names.OTEL_FIM_AUTH_CHANGES: list(event.changes) or None,
            names.PROCESS_COMMAND_LINE: command,
            names.PROCESS_WORKING_DIRECTORY: event.working_directory,
            names.PROCESS_PID: event.pid,
            names.EVENT_DURATION: event.duration_nanoseconds,
            names.OTEL_FIM_AUTH_COUNT: event.count if event.count > 1 else None,
            names.OTEL_FIM_AUTH_SOURCES: list(event.sources),
            names.LOG_RECORD_ORIGINAL: event.original if self._original else None,
        }
        attributes: Attributes = {name: value for name, value in found.items() if value is not None}
        self._put_login(attributes, event)
        severity = Severity.INFO
        if event.outcome != "success" or event.kind is Kind.ACCOUNT:
            severity = Severity.WARN
        return Record(
            event.time_unix_nano,
            observed_unix_nano,
            _EVENTS[event.kind],
            int(severity),
            severity.name,
            sentence(event, command),
            attributes,
            self._context.resource,
            self._context.scope,
        )

    def _command(self, event: AuthEvent) -> str | None:
        if event.command is None or self._command_line == "none":
            return None
        return event.command if self._command_line == "full" else redact_line(event.command)

    def _put_login(self, attributes: Attributes, event: AuthEvent) -> None:
        """The login behind the event: the kernel's word, and what is known of that session."""
        found: dict[str, AnyValue] = {
            names.OTEL_FIM_LOGIN_SESSION_ID: event.session_id,
            names.OTEL_FIM_LOGIN_USER_ID: event.login_user_id,
            names.OTEL_FIM_LOGIN_USER_NAME: self._identities.user(event.login_user_id),
        }
        session = None if event.session_id is None else self._context.processes.sessions.get(event.session_id)
        if session is not None:
            found |= {
                names.OTEL_FIM_LOGIN_USER_ID: session.user_id
                if event.login_user_id is None
                else event.login_user_id,
                names.OTEL_FIM_LOGIN_USER_NAME: session.user_name or found[names.OTEL_FIM_LOGIN_USER_NAME],
                names.OTEL_FIM_LOGIN_SOURCE_ADDRESS: session.source_address,
                names.OTEL_FIM_LOGIN_SOURCE_PORT: session.source_port,
                names.OTEL_FIM_LOGIN_METHOD: session.method,
                names.OTEL_FIM_LOGIN_SERVICE: session.service,
                names.OTEL_FIM_LOGIN_TERMINAL: session.terminal,
                names.OTEL_FIM_LOGIN_TIME: None
                if session.time_unix_nano is None
                else timestamp(session.time_unix_nano),
            }
        attributes.update((name, value) for name, value in found.items() if value is not None)


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)


def sentence(event: AuthEvent, command: str | None) -> str:
    """The event in one line, whatever characters the names have."""
    who = _name(event.user) or (f"user id {event.user_id}" if event.user_id is not None else "someone")
    text = {
        Kind.LOGIN: _login,
        Kind.LOGOUT: _logout,
        Kind.PRIVILEGE: _privilege,
        Kind.ACCOUNT: _account,
    }[event.kind](event, who)
    if event.outcome != "success" and event.reason is not None:
        text += f": {_REASONS.get(event.reason) or _shown(event.reason)}"
    if event.kind is Kind.PRIVILEGE and command is not None:
        text += f": {_shown(command)}" if event.outcome == "success" else f" ({_shown(command)})"
    if event.count > 1:
        text += f", {event.count} times"
    return text


def _shown(text: str | None) -> str | None:
    if text is None:
        return None
    return text if text.isprintable() and text else ascii(text)


def _name(text: str | None) -> str | None:
    """A name that holds more than one word could read as a part of the sentence: it stands in quotes."""
    shown = _shown(text)
    return repr(text) if text is not None and shown == text and _MORE_WORDS.search(text) else shown


def _origin(event: AuthEvent) -> str:
    text = ""
    if event.source_address is not None:
        text += f" from {event.source_address}"
        if event.source_port is not None:
            text += f" port {event.source_port}"
    elif event.terminal is not None:
        text += f" on {event.terminal}"
    if event.service is not None:
        text += f" through {event.service}"
    return text


def _login(event: AuthEvent, who: str) -> str:
    how = f" with {event.method}" if event.method is not None else ""
    if event.outcome == "success":
        return f"{who} logged in{_origin(event)}{how}"
    return f"{who} failed to log in{_origin(event)}{how}"


def _logout(event: AuthEvent, who: str) -> str:
    text = f"{who} logged out{_origin(event)}"
    if event.duration_nanoseconds is not None:
        text += f" after {event.duration_nanoseconds / 1e9:.0f} s"
    return text


def _privilege(event: AuthEvent, who: str) -> str:
    if event.action == "special_privileges":
        return f"{who} logged in with an administrator's privileges"
    if event.action == "authorization":
        return f"{who} was refused a right"
    whom = _name(event.effective_user) or "another user"
    if event.outcome == "success":
        return f"{who} became {whom} through {event.action}"
    return f"{who} was refused to become {whom} through {event.action}"


def _account(event: AuthEvent, who: str) -> str:
    user = _name(event.target_user) or f"user id {event.target_user_id}"
    group = _name(event.group) or f"group id {event.group_id}"
    text = _ACCOUNT_WORDS.get(event.action, f"{event.action} of {{user}}").format(user=user, group=group)
    if event.outcome != "success":
        text = f"failed: {text}"
    if event.changes and event.action.endswith("_changed"):
        text += f" ({', '.join(_shown(each) or '' for each in event.changes)})"
    return text if event.user is None and event.user_id is None else f"{text} by {who}"
