"""Builds the records: an item and its step as attributes and as a sentence."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from otel_fim import names
from otel_fim.component import Context
from otel_fim.host.identities import Identities
from otel_fim.host.redaction import redact_line
from otel_fim.names import events
from otel_fim.names.registry import EVENTS
from otel_fim.receivers.persistence.differ import Delta
from otel_fim.receivers.persistence.hosts import Host
from otel_fim.receivers.persistence.item import Item
from otel_fim.receivers.persistence.text import display, is_utf8, text_of
from otel_fim.record import AnyValue, Attributes, Record, Severity

FILE_EVENT: Final = "file_event"
SCAN: Final = "scan"

_LONGEST_COMMAND: Final = 8192
_LONGEST_IN_BODY: Final = 512
_ACTOR_PREFIXES: Final = (
    "process.",
    "user.",
    "container.",
    "otel_fim.login.",
    "otel_fim.actor.",
    "otel_fim.process.",
)
_ATTRIBUTES_OF_FIELDS: Final = {
    "command": (names.OTEL_FIM_PERSISTENCE_COMMAND,),
    "user": (names.OTEL_FIM_PERSISTENCE_USER,),
    "trigger": (names.OTEL_FIM_PERSISTENCE_TRIGGER,),
    "enabled": (names.OTEL_FIM_PERSISTENCE_ENABLED,),
    "content_hash": (names.OTEL_FIM_PERSISTENCE_HASH,),
    "uid": (names.FILE_OWNER_ID, names.FILE_OWNER_NAME),
    "gid": (names.FILE_GROUP_ID, names.FILE_GROUP_NAME),
    "mode": (names.FILE_MODE,),
}
_WORDS: Final = {"cron": "cron job", "at": "at job", "anacron": "anacron job", "rc_local": "rc.local"}


@dataclass(slots=True, frozen=True)
class Cause:
    """The file event that led to the discovery: when it happened, and who did it as far as is known."""

    time_unix_nano: int
    actor: Attributes = field(default_factory=dict)


def actor_of(record: Record) -> Attributes:
    """The attributes of a record that say who did it."""
    return {
        name: value
        for name, value in record.attributes.items()
        if name.startswith(_ACTOR_PREFIXES) or name == names.OTEL_FIM_SYSTEMD_UNIT
    }


def path_of(attributes: Attributes, *, before: bool = False) -> bytes | None:
    """The path that a file event is about, or the one that it was renamed from; None when it names none."""
    exact, text = names.OTEL_FIM_FILE_PATH_BYTES, names.FILE_PATH
    if before:
        exact, text = names.before(exact), names.before(text)
    path = attributes.get(exact, attributes.get(text))
    if isinstance(path, str):
        path = path.encode("utf-8", "surrogateescape")
    return path if isinstance(path, bytes) and path.startswith(b"/") else None


class RecordBuilder:
    """Makes the records of one receiver. `command_line` is none, redacted or full."""

    def __init__(self, context: Context, host: Host, identities: Identities, command_line: str) -> None:
        self._resource = context.resource
        self._scope = context.scope
        self._host = host
        self._identities = identities
        self._command: Callable[[str], str] | None = {"none": None, "redacted": redact_line, "full": str}[
            command_line
        ]

    def build(
        self, delta: Delta, cause: Cause | None, *, while_down: bool = False, baseline: bool = False
    ) -> Record:
        """One record. `before` is told in full for what is gone, and as far as it differs otherwise."""
        now = time.time_ns()
        baseline = baseline or delta.given
        action = _action(delta)
        item = delta.item
        current = self.describe(item)
        attributes: Attributes = {
            names.EVENT_ACTION: SCAN if baseline else action,
            names.OTEL_FIM_PERSISTENCE_KIND: item.kind,
            names.OTEL_FIM_PERSISTENCE_ID: item.id,
        }
        path = self._host.real(item.path)
        attributes[names.FILE_PATH] = text_of(path)
        if not is_utf8(path):
            attributes[names.OTEL_FIM_FILE_PATH_BYTES] = path
        if delta.after is not None:
            attributes.update(current)
        else:
            attributes.update((names.before(name), value) for name, value in current.items())
        if delta.before is not None and delta.after is not None:
            self._put_difference(attributes, delta.before, delta)
        attributes[names.OTEL_FIM_PERSISTENCE_BACKEND] = SCAN if cause is None else FILE_EVENT
        if while_down:
            attributes[names.OTEL_FIM_PERSISTENCE_WHILE_DOWN] = True
        if delta.may_repeat:
            attributes[names.OTEL_FIM_PERSISTENCE_MAY_REPEAT] = True
        if cause is not None:
            attributes.update(cause.actor)
        event = _EVENTS[action]
        severity = Severity.INFO if baseline else Severity[EVENTS[event].severity]
        return Record(
            now if cause is None else cause.time_unix_nano or now,
            now,
            event,
            int(severity),
            severity.name,
            self._sentence(action, item, current),
            attributes,
            self._resource,
            self._scope,
        )

    def describe(self, item: Item) -> Attributes:
        """An item as attributes."""
        found: dict[str, AnyValue] = {
            names.OTEL_FIM_PERSISTENCE_COMMAND: self._shown(item.command) or None,
            names.OTEL_FIM_PERSISTENCE_USER: item.user or None,
            names.OTEL_FIM_PERSISTENCE_TRIGGER: item.trigger[:_LONGEST_COMMAND] or None,
            names.OTEL_FIM_PERSISTENCE_ENABLED: item.enabled,
            names.OTEL_FIM_PERSISTENCE_HASH: item.content_hash,
            names.FILE_OWNER_ID: None if item.uid is None else str(item.uid),
            names.FILE_OWNER_NAME: self._identities.user(item.uid),
            names.FILE_GROUP_ID: None if item.gid is None else str(item.gid),
            names.FILE_GROUP_NAME: self._identities.group(item.gid),
            names.FILE_MODE: None if item.mode is None else f"{item.mode:04o}",
            names.FILE_HASH_SHA256: item.file_hash,
        }
        return {name: value for name, value in found.items() if value is not None}

    def _put_difference(self, attributes: Attributes, before: Item, delta: Delta) -> None:
        old = self.describe(before)
        changed = [_ATTRIBUTES_OF_FIELDS[name] for name in delta.fields]
        attributes[names.OTEL_FIM_PERSISTENCE_CHANGED_ATTRIBUTES] = [group[0] for group in changed]
        for group in changed:
            for name in group:
                if name in old:
                    attributes[names.before(name)] = old[name]
        if before.id != delta.item.id:
            attributes[names.before(names.OTEL_FIM_PERSISTENCE_ID)] = before.id
        if before.path != delta.item.path:
            attributes[names.before(names.FILE_PATH)] = text_of(self._host.real(before.path))

    def _shown(self, command: str) -> str:
        return "" if self._command is None else self._command(command[:_LONGEST_COMMAND])

    def _sentence(self, action: str, item: Item, described: Attributes) -> str:
        label = _WORDS.get(item.kind, item.kind.replace("_", " "))
        said = " ".join(
            str(described[name])
            for name in (
                names.OTEL_FIM_PERSISTENCE_TRIGGER,
                names.OTEL_FIM_PERSISTENCE_USER,
                names.OTEL_FIM_PERSISTENCE_COMMAND,
            )
            if name in described
        )
        text = f"{action} {label} {item.id}" + (f": {said}" if said else "")
        text = display(text)
        return text if len(text) <= _LONGEST_IN_BODY else text[: _LONGEST_IN_BODY - 1] + "…"


_EVENTS: Final = {
    "added": events.PERSISTENCE_ADDED,
    "changed": events.PERSISTENCE_CHANGED,
    "removed": events.PERSISTENCE_REMOVED,
}


def _action(delta: Delta) -> str:
    return "added" if delta.before is None else "removed" if delta.after is None else "changed"
