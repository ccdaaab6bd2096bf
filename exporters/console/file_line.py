"""`[ALERT] MODIFIED /etc/passwd @ … by root …: content 2908→2961 bytes`."""

from __future__ import annotations

from typing import Final

from otel_fim import names
from otel_fim.exporters.console.changes import describe_changes
from otel_fim.exporters.console.parts import (
    Paint,
    actor,
    label,
    last_word,
    moment,
    path,
    techniques,
    text,
    with_rest,
)
from otel_fim.names import events
from otel_fim.record import Record

_WORDS: Final = {events.FILE_ATTRIBUTES_CHANGED: "ATTRIBUTES"}


def file(record: Record, paint: Paint) -> list[str]:
    """A change of a file; nothing without a path."""
    attributes = record.attributes
    if not text(attributes, names.FILE_PATH):
        return []
    before = names.before(names.FILE_PATH)
    shown = path(attributes, names.FILE_PATH, names.OTEL_FIM_FILE_PATH_BYTES)
    if record.event_name == events.FILE_RENAMED and text(attributes, before):
        shown = f"{path(attributes, before, names.before(names.OTEL_FIM_FILE_PATH_BYTES))} -> {shown}"
    parts = [
        label(f"[ALERT] {_WORDS.get(record.event_name) or last_word(record.event_name)}", record, paint),
        shown,
        f"@ {moment(record)}",
        "while the agent was down" if attributes.get(names.OTEL_FIM_FILE_WHILE_DOWN) is True else "",
        techniques(attributes),
        actor(attributes),
    ]
    return with_rest(parts, describe_changes(attributes))
