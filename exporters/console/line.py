"""The line for people: `[ALERT] MODIFIED /etc/passwd @ 2026-01-13T14:32:15Z (MITRE T1136.001) by root …`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from otel_fim import names
from otel_fim.exporters.console import auth_line, file_line, finding_line, listener_line, persistence_line
from otel_fim.exporters.console.escape import escape, quoted
from otel_fim.exporters.console.parts import (
    Paint,
    actor,
    coloured,
    family,
    label,
    last_word,
    moment,
    plain,
    techniques,
    text,
    with_rest,
)
from otel_fim.names import events
from otel_fim.record import Record

__all__ = ["Paint", "coloured", "format_record", "plain"]


def format_record(record: Record, paint: Paint = plain) -> str:
    """One line without its end. Whatever the record holds, it has no other control characters than `paint`'s."""
    form = _FORMS.get(record.event_name) or _FORMS_OF_FAMILIES.get(family(record.event_name), _other)
    parts = form(record, paint) or _other(record, paint)
    return " ".join(parts)


def _coverage(record: Record, paint: Paint) -> list[str]:
    attributes = record.attributes
    scope = text(attributes, names.OTEL_FIM_COVERAGE_SCOPE) or text(attributes, names.OTEL_FIM_COMPONENT_ID)
    reason = escape(text(attributes, names.OTEL_FIM_COVERAGE_REASON))
    detail = escape(text(attributes, names.OTEL_FIM_COVERAGE_DETAIL))
    why = ", ".join(part for part in (reason, detail) if part)
    parts = [
        label(f"[COVERAGE] {last_word(record.event_name)}", record, paint),
        quoted(scope) if scope else "",
        f"@ {moment(record)}",
    ]
    return with_rest(parts, why)


def _other(record: Record, paint: Paint) -> list[str]:
    body = record.body if isinstance(record.body, str) else ""
    parts = [
        label(f"[EVENT] {quoted(record.event_name)}", record, paint),
        f"@ {moment(record)}",
        techniques(record.attributes),
        actor(record.attributes),
    ]
    return with_rest(parts, escape(body))


Form = Callable[[Record, Paint], list[str]]
"""Gives the parts of the line, or none when the record has not what the form needs."""

_FORMS: Final[dict[str, Form]] = {
    events.AUTH_LOGIN: auth_line.login,
    events.AUTH_LOGOUT: auth_line.logout,
    events.AUTH_PRIVILEGE: auth_line.privilege,
    events.AUTH_ACCOUNT: auth_line.account,
    events.FINDING: finding_line.finding,
    events.LISTENER_OPENED: listener_line.listener,
    events.LISTENER_CLOSED: listener_line.listener,
    events.PERSISTENCE_ADDED: persistence_line.item,
    events.PERSISTENCE_CHANGED: persistence_line.item,
    events.PERSISTENCE_REMOVED: persistence_line.item,
}
_FORMS_OF_FAMILIES: Final[dict[str, Form]] = {
    family(events.COVERAGE_GAP): _coverage,
    family(events.FILE_CREATED): file_line.file,
}
