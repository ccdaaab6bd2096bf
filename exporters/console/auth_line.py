"""`[LOGIN] FAILED alice from 203.0.113.7 by password via sshd @ …` and the other lines about people's access."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from otel_fim import names
from otel_fim.exporters.console.escape import escape, quoted
from otel_fim.exporters.console.parts import Paint, label, moment, number, techniques, text, who, with_rest
from otel_fim.record import AnyValue, Record

_FAILURE: Final = "failure"
_SUCCESS: Final = "success"
_SECOND: Final = 1_000_000_000


def login(record: Record, paint: Paint) -> list[str]:
    """Somebody logged in, or tried to."""
    attributes = record.attributes
    outcome = text(attributes, names.EVENT_OUTCOME)
    word = {_SUCCESS: "SUCCEEDED", _FAILURE: "FAILED"}.get(outcome, "UNKNOWN")
    parts = [label(f"[LOGIN] {word}", record, paint), *_who_and_how(attributes), f"@ {moment(record)}"]
    session = number(attributes, names.OTEL_FIM_LOGIN_SESSION_ID)
    if session is not None:
        parts.append(f"session {session}")
    parts.append(techniques(attributes))
    why = [
        _reason(attributes),
        "no such user" if attributes.get(names.OTEL_FIM_AUTH_USER_KNOWN) is False else "",
    ]
    return with_rest(parts, ", ".join(part for part in (*why, _times(attributes)) if part))


def logout(record: Record, paint: Paint) -> list[str]:
    """A login ended."""
    attributes = record.attributes
    duration = number(attributes, names.EVENT_DURATION)
    parts = [
        label("[LOGOUT]", record, paint),
        *_who_and_how(attributes),
        f"@ {moment(record)}",
        f"after {_span(duration // _SECOND)}" if duration is not None and duration >= 0 else "",
    ]
    return with_rest(parts, "")


def privilege(record: Record, paint: Paint) -> list[str]:
    """Somebody used another user's rights, or tried to: `alice -> root sudo`."""
    attributes = record.attributes
    user = _user(attributes)
    target = who(attributes, (names.USER_EFFECTIVE_NAME,), (names.USER_EFFECTIVE_ID,))
    logged_in = who(attributes, (names.OTEL_FIM_LOGIN_USER_NAME,), (names.OTEL_FIM_LOGIN_USER_ID,))
    service = text(attributes, names.OTEL_FIM_AUTH_SERVICE) or text(attributes, names.EVENT_ACTION)
    terminal = text(attributes, names.OTEL_FIM_AUTH_TERMINAL)
    refused = text(attributes, names.EVENT_OUTCOME) == _FAILURE
    parts = [
        label("[PRIVILEGE]", record, paint),
        f"{user or 'somebody'} -> {target or 'another user'}",
        f"(login {logged_in})" if logged_in and logged_in != user else "",
        quoted(service) if service else "",
        f"on {quoted(terminal)}" if terminal else "",
        f"@ {moment(record)}",
        techniques(attributes),
    ]
    command = text(attributes, names.PROCESS_COMMAND_LINE)
    reason = _reason(attributes)
    said = [
        quoted(command) if command else "",
        f"(refused: {reason})" if refused and reason else "(refused)" if refused else "",
        _times(attributes),
    ]
    return with_rest(parts, " ".join(part for part in said if part))


def account(record: Record, paint: Paint) -> list[str]:
    """An account or a group changed."""
    attributes = record.attributes
    action = text(attributes, names.EVENT_ACTION) or "changed"
    target = who(attributes, (names.USER_TARGET_NAME,), (names.USER_TARGET_ID,))
    group = who(attributes, (names.GROUP_NAME,), (names.GROUP_ID,), "gid")
    user = _user(attributes)
    logged_in = who(attributes, (names.OTEL_FIM_LOGIN_USER_NAME,), (names.OTEL_FIM_LOGIN_USER_ID,))
    by = " ".join(
        part
        for part in (
            user or ("" if not logged_in else "somebody"),
            f"(login {logged_in})" if logged_in and logged_in != user else "",
        )
        if part
    )
    service = text(attributes, names.OTEL_FIM_AUTH_SERVICE)
    parts = [
        label(f"[ACCOUNT] {escape(action.upper().replace('_', ' '))}", record, paint),
        target,
        _in_group(attributes, target, group),
        f"@ {moment(record)}",
        techniques(attributes),
        f"by {by}" if by else "",
        f"via {quoted(service)}" if service else "",
    ]
    failed = text(attributes, names.EVENT_OUTCOME) == _FAILURE
    return with_rest(parts, _reason(attributes) or "failed" if failed else "")


def _in_group(attributes: Mapping[str, AnyValue], target: str, group: str) -> str:
    """`in group sudo`, or `gid 1003` of a group that is known by its number only."""
    if not target or not group:
        return group
    return f"in group {group}" if text(attributes, names.GROUP_NAME) else group


def _who_and_how(attributes: Mapping[str, AnyValue]) -> list[str]:
    address, port = text(attributes, names.SOURCE_ADDRESS), number(attributes, names.SOURCE_PORT)
    parts = [_user(attributes) or "somebody"]
    if address:
        parts.append(f"from {quoted(address)}" + (f" port {port}" if port is not None else ""))
    for word, key in (
        ("by", names.OTEL_FIM_AUTH_METHOD),
        ("via", names.OTEL_FIM_AUTH_SERVICE),
        ("on", names.OTEL_FIM_AUTH_TERMINAL),
    ):
        if value := text(attributes, key):
            parts.append(f"{word} {quoted(value)}")
    return parts


def _user(attributes: Mapping[str, AnyValue]) -> str:
    return who(attributes, (names.USER_NAME,), (names.USER_ID,))


def _reason(attributes: Mapping[str, AnyValue]) -> str:
    reason = text(attributes, names.OTEL_FIM_AUTH_REASON)
    return quoted(reason) if reason else ""


def _times(attributes: Mapping[str, AnyValue]) -> str:
    count = number(attributes, names.OTEL_FIM_AUTH_COUNT)
    return f"{count} times" if count is not None and count > 1 else ""


def _span(seconds: int) -> str:
    """`93` gives `1m33s`."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02d}m{rest:02d}s"
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"
