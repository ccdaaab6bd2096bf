"""`[PERSISTENCE] ADDED cron /etc/cron.d/x:3 @ … (MITRE T1053.003) by root …: "17 * * * *", as root, /usr/bin/x`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from otel_fim import names
from otel_fim.exporters.console.escape import quoted
from otel_fim.exporters.console.parts import (
    Paint,
    actor,
    label,
    last_word,
    moment,
    strings,
    techniques,
    text,
    with_rest,
)
from otel_fim.names import events
from otel_fim.record import AnyValue, Record

_LONGEST: Final = 200
_LABELS: Final = {
    names.OTEL_FIM_PERSISTENCE_TRIGGER: "trigger",
    names.OTEL_FIM_PERSISTENCE_USER: "user",
    names.OTEL_FIM_PERSISTENCE_COMMAND: "command",
    names.OTEL_FIM_PERSISTENCE_ENABLED: "enabled",
    names.FILE_MODE: "mode",
    names.FILE_OWNER_ID: "owner",
    names.FILE_GROUP_ID: "group",
}
"""In the order in which changes are shown; a change of the content alone is shown as that."""


def item(record: Record, paint: Paint) -> list[str]:
    """Something that starts by itself is new, different or gone; nothing without its name."""
    attributes = record.attributes
    name = text(attributes, names.OTEL_FIM_PERSISTENCE_ID)
    if not name:
        return []
    kind = text(attributes, names.OTEL_FIM_PERSISTENCE_KIND)
    parts = [
        label(f"[PERSISTENCE] {last_word(record.event_name)}", record, paint),
        quoted(kind) if kind else "",
        _short(name),
        f"@ {moment(record)}",
        "while the agent was down" if attributes.get(names.OTEL_FIM_PERSISTENCE_WHILE_DOWN) is True else "",
        techniques(attributes),
        actor(attributes),
    ]
    if record.event_name == events.PERSISTENCE_CHANGED:
        said = _changes(attributes)
    elif record.event_name == events.PERSISTENCE_REMOVED:
        said = _what(attributes, names.before)
    else:
        said = _what(attributes, _now)
    return with_rest(parts, said)


def _now(name: str) -> str:
    return name


def _what(attributes: Mapping[str, AnyValue], named: Callable[[str], str]) -> str:
    trigger = text(attributes, named(names.OTEL_FIM_PERSISTENCE_TRIGGER))
    user = text(attributes, named(names.OTEL_FIM_PERSISTENCE_USER))
    command = text(attributes, named(names.OTEL_FIM_PERSISTENCE_COMMAND))
    said = [
        _short(trigger) if trigger else "",
        f"as {quoted(user)}" if user else "",
        _short(command) if command else "",
        "switched off" if attributes.get(named(names.OTEL_FIM_PERSISTENCE_ENABLED)) is False else "",
    ]
    return ", ".join(part for part in said if part)


def _changes(attributes: Mapping[str, AnyValue]) -> str:
    changed = strings(attributes.get(names.OTEL_FIM_PERSISTENCE_CHANGED_ATTRIBUTES))
    said = [
        f"{word} {_value(attributes.get(names.before(key)))}→{_value(attributes.get(key))}"
        for key, word in _LABELS.items()
        if key in changed
    ]
    return ", ".join(said) or ("content" if changed else "")


def _value(value: AnyValue) -> str:
    return "none" if value is None else _short(value if isinstance(value, str) else str(value))


def _short(value: str) -> str:
    return quoted(value if len(value) <= _LONGEST else value[: _LONGEST - 1] + "…")
