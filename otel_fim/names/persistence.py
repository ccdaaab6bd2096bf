"""Attribute names of what starts by itself."""

from __future__ import annotations

from typing import Final

from otel_fim.names.attributes import before
from otel_fim.names.registry import attribute

OTEL_FIM_PERSISTENCE_KIND: Final = attribute(
    "otel_fim.persistence.kind",
    "string",
    "Which way of starting by itself: cron, at, systemd_service, authorized_key, sudoers, … (listed on the "
    "receiver's page).",
    "cron",
)
OTEL_FIM_PERSISTENCE_ID: Final = attribute(
    "otel_fim.persistence.id",
    "string",
    "The item within its kind; stays the same when the item changes.",
    "/etc/cron.d/backup:3",
)
OTEL_FIM_PERSISTENCE_COMMAND: Final = attribute(
    "otel_fim.persistence.command",
    "string",
    "What is started, without what looks like a secret.",
    "/usr/local/bin/backup --quiet",
)
OTEL_FIM_PERSISTENCE_USER: Final = attribute(
    "otel_fim.persistence.user", "string", "The user it runs as, or whose it is.", "root"
)
OTEL_FIM_PERSISTENCE_TRIGGER: Final = attribute(
    "otel_fim.persistence.trigger",
    "string",
    "When it starts: a schedule, an event, a login.",
    "17 * * * *",
)
OTEL_FIM_PERSISTENCE_ENABLED: Final = attribute(
    "otel_fim.persistence.enabled", "boolean", "False for what is there and switched off.", "true"
)
OTEL_FIM_PERSISTENCE_HASH: Final = attribute(
    "otel_fim.persistence.hash",
    "string",
    "SHA-256 of the item's own content (a line, an entry, a file), hex.",
    "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9",
)
OTEL_FIM_PERSISTENCE_CHANGED_ATTRIBUTES: Final = attribute(
    "otel_fim.persistence.changed_attributes",
    "string[]",
    "Names of the attributes that differ from the state before.",
    "otel_fim.persistence.command",
)
OTEL_FIM_PERSISTENCE_BACKEND: Final = attribute(
    "otel_fim.persistence.backend",
    "string",
    "What led to it: file_event (a record of the file integrity receiver) or scan.",
    "file_event",
)
OTEL_FIM_PERSISTENCE_WHILE_DOWN: Final = attribute(
    "otel_fim.persistence.while_down",
    "boolean",
    "True when the change was made while the agent was not running.",
    "true",
)
OTEL_FIM_PERSISTENCE_MAY_REPEAT: Final = attribute(
    "otel_fim.persistence.may_repeat",
    "boolean",
    "True when the agent was killed while a record of this item was on its way: the same change (same id, same hash) "
    "may have been told before.",
    "true",
)

for _name in (
    OTEL_FIM_PERSISTENCE_ID,
    OTEL_FIM_PERSISTENCE_COMMAND,
    OTEL_FIM_PERSISTENCE_USER,
    OTEL_FIM_PERSISTENCE_TRIGGER,
    OTEL_FIM_PERSISTENCE_ENABLED,
    OTEL_FIM_PERSISTENCE_HASH,
):
    attribute(before(_name), "as the attribute", f"`{_name}` before the change.", "as the attribute")
