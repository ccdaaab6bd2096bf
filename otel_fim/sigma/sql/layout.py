"""Where the parts of a record stand in what a statement reads: the table, or one of the typed views."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from otel_fim import names
from otel_fim.chain import CHAIN_KEYS
from otel_fim.names import events, finding
from otel_fim.sigma.ir import Field, Source
from otel_fim.sigma.sql.quoting import identifier, literal

ADDED_LATER: Final = (
    *sorted(CHAIN_KEYS),
    names.OTEL_FIM_TIME_UNIX_NANO,
    finding.LOG_RECORD_UID,
)
"""Attributes that a row has and the rules on the stream have not seen: keywords are not looked for in them."""


class SqlError(ValueError):
    """What is asked for cannot be said in SQL; the message says what and why."""


@dataclass(slots=True, frozen=True)
class Layout:
    """Names of columns (quoted where needed, or expressions), and `columns`: attributes that have a column of their
    own, by source and name, as quoted identifiers. Such a column is empty where the attribute is missing."""

    source: str = ""
    """What the table is called in the statement, where the columns' names need that before them."""
    timestamp: str = "Timestamp"
    event_name: str = "EventName"
    body: str = "Body"
    severity_text: str = "SeverityText"
    severity_number: str = "SeverityNumber"
    attributes: str = "LogAttributes"
    resource: str = "ResourceAttributes"
    columns: Mapping[tuple[Source, str], str] = field(default_factory=dict)

    def map_of(self, at: Field) -> str:
        """The map that an attribute is in."""
        return self.attributes if at.source is Source.ATTRIBUTE else self.resource

    def text(self, at: Field) -> str:
        """The text of a value, empty where it is missing. Raises `SqlError`."""
        match at.source:
            case Source.ATTRIBUTE | Source.RESOURCE:
                own = self.columns.get((at.source, at.name))
                return own or f"{self.map_of(at)}[{literal(at.name)}]"
            case Source.EVENT_NAME:
                return self.event_name
            case Source.BODY:
                return self.body
            case Source.SEVERITY_TEXT:
                return self._known(self.severity_text, "severity text")
            case Source.SEVERITY_NUMBER:
                return f"toString({self._known(self.severity_number, 'severity number')})"
            case Source.TIME:
                return f"toString(toUnixTimestamp64Nano({self.timestamp}))"

    def present(self, at: Field) -> str:
        """Whether the record has the value."""
        match at.source:
            case Source.ATTRIBUTE | Source.RESOURCE:
                return f"mapContains({self.map_of(at)}, {literal(at.name)})"
            case Source.SEVERITY_NUMBER:
                return f"{self._known(self.severity_number, 'severity number')} != 0"
            case Source.TIME:
                return "1"
            case _:
                return f"{self.text(at)} != ''"

    def guard(self, at: Field, *, matches_empty: bool) -> str:
        """What has to hold beside a test of `text`, so that a missing value matches nothing; empty for nothing."""
        if at.source in (Source.ATTRIBUTE, Source.RESOURCE):
            own = (at.source, at.name) in self.columns
            return "" if own and not matches_empty else self.present(at)
        if at.source is Source.TIME:
            return ""
        return self.present(at) if matches_empty or at.source is Source.SEVERITY_NUMBER else ""

    @staticmethod
    def _known(column: str, what: str) -> str:
        if not column:
            raise SqlError(f"the view has no {what}; run the rule on the table")
        return column


TABLE: Final = Layout()
"""`otel_logs`, whichever program made it."""


def view_layout(prefix: str) -> Layout:
    """A typed view of the events whose names begin with `prefix` (`otel_fim.file.`)."""
    return Layout(
        source="r",
        timestamp="r.time",
        event_name=f"concat({literal(prefix)}, r.event)",
        body="r.body",
        severity_text="r.severity",
        severity_number="",
        attributes="r.attributes",
        resource="r.resource",
    )


VIEW_PREFIXES: Final[Mapping[str, str]] = {
    "otel_fim_files": events.FILE_CREATED.removesuffix("created"),
    "otel_fim_processes": events.PROCESS_STARTED.removesuffix("started"),
    "otel_fim_auth": events.AUTH_LOGIN.removesuffix("login"),
    "otel_fim_listeners": events.LISTENER_OPENED.removesuffix("opened"),
    "otel_fim_persistence": events.PERSISTENCE_ADDED.removesuffix("added"),
    "otel_fim_sessions": events.FILE_CREATED.removesuffix("file.created"),
}
"""The views that a rule can be run on, and what their `event` column leaves out of the event's name."""


def layout_of(table: str) -> Layout:
    """The layout of a table or view by its name (the last part where it is qualified)."""
    prefix = VIEW_PREFIXES.get(table.rpartition(".")[2].strip("`"))
    return TABLE if prefix is None else view_layout(prefix)


def qualified(table: str) -> str:
    """`database.table` or `table`, quoted."""
    return ".".join(identifier(part.strip("`")) for part in table.split("."))
