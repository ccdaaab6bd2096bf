"""What is read from the table: the findings of a plain rule, and its events for a correlation."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final

from otel_fim import names
from otel_fim.names import auth, events, finding
from otel_fim.sigma.ir import Field, Rule, Source
from otel_fim.sigma.sql.conditions import Conditions
from otel_fim.sigma.sql.layout import Layout, qualified
from otel_fim.sigma.sql.quoting import comment, listed, literal
from otel_fim.sigma.sql.text import Lines, select

NOT_SEEN: Final = (events.FINDING, events.STREAM_STARTED)
"""Events that come into being after the rules have looked, and are in the table all the same."""

ENTITIES: Final = {
    "host": Field(Source.RESOURCE, names.HOST_NAME),
    "user": Field(Source.ATTRIBUTE, names.USER_NAME),
    "executable": Field(Source.ATTRIBUTE, names.PROCESS_EXECUTABLE_PATH),
    "path": Field(Source.ATTRIBUTE, names.FILE_PATH),
    "source": Field(Source.ATTRIBUTE, auth.SOURCE_ADDRESS),
}
"""The columns that say who and what, and where they are in a record."""

NO_IDS: Final = "CAST([], 'Array(Tuple(Int64, String))')"
"""Where evidence is not asked for."""
FIRST: Final = 0
LAST: Final = 4_294_967_295_999_999_999
"""The last time that a row can have (see the exporter's `MAX_TIME`)."""


@dataclass(slots=True, frozen=True)
class EventFields:
    """What a correlation needs of each event of one rule."""

    rule: int
    """The number that stands for the rule in the statement."""
    group: tuple[Field, ...]
    value: Field | None


def time_literal(nanoseconds: int) -> str:
    """A time as a DateTime64(9), readable and exact; times that no row can have become the nearest that one can."""
    seconds, fraction = divmod(min(max(nanoseconds, FIRST), LAST), 1_000_000_000)
    moment = dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%d %H:%M:%S")
    return f"toDateTime64('{moment}.{fraction:09d}', 9, 'UTC')"


class Reader:
    """Reads one table up to one time."""

    def __init__(self, table: str, layout: Layout, conditions: Conditions, until: int | None) -> None:
        self.table = table
        self._from = qualified(table)
        self.layout = layout
        self.conditions = conditions
        self.until = until

    def findings(self, rule: Rule, since: int | None) -> Lines:
        """The statement for a plain rule, as lines."""
        layout, meta = self.layout, rule.meta
        columns = [
            f"toTimeZone({layout.timestamp}, 'UTC') AS time",
            f"{literal(meta.id)} AS rule_id",
            f"{literal(meta.title)} AS title",
            f"{literal(meta.level)} AS level",
            *(f"{self._text(at)} AS {name}" for name, at in ENTITIES.items()),
            f"toString({layout.event_name}) AS event",
            f"{layout.body} AS body",
            "CAST(map(), 'Map(String, String)') AS `group`",
            "toFloat64(1) AS value",
            "toUInt64(1) AS count",
            f"arrayFilter(id -> id != '', [{self._uid()}]) AS evidence",
        ]
        return [
            *select(columns),
            *self._source(rule, since),
            f"ORDER BY {layout.timestamp}",
        ]

    def events(self, rule: Rule, since: int | None, fields: EventFields) -> Lines:
        """A SELECT of the rule's events: `rule` UInt16, `t` Int64, `g` Array(String), `v` String, `ids`
        Array(Tuple(Int64, String)), `records` UInt64. Those that lack a value of `fields` are left out."""
        layout = self.layout
        group = ", ".join(f"toString({layout.text(at)})" for at in fields.group)
        needed = fields.group if fields.value is None else (*fields.group, fields.value)
        columns = [
            f"toUInt16({fields.rule}) AS rule",
            f"toUnixTimestamp64Nano({layout.timestamp}) AS t",
            f"{f'[{group}]' if group else 'emptyArrayString()'} AS g",
            f"{self._text(fields.value) if fields.value else repr('')} AS v",
            f"[(t, {self._uid()})] AS ids",
            "toUInt64(1) AS records",
        ]
        present = [f"  AND {layout.present(at)}" for at in dict.fromkeys(needed)]
        return [comment(rule.meta.title), *select(columns), *self._source(rule, since), *present]

    def _source(self, rule: Rule, since: int | None) -> Lines:
        layout = self.layout
        where: Lines = []
        if since is not None:
            where.append(f"{layout.timestamp} >= {time_literal(since)}")
        if self.until is not None:
            where.append(f"{layout.timestamp} < {time_literal(self.until)}")
        if rule.event_names is None:
            where.append(f"{layout.event_name} NOT IN {listed(NOT_SEEN)}")
        elif rule.event_names:
            where.append(f"{layout.event_name} IN {listed(sorted(rule.event_names))}")
        else:
            where.append("0")
        where += self.conditions.parts(rule.condition)
        source = f" AS {layout.source}" if layout.source else ""
        return [
            f"FROM {self._from}{source}",
            f"WHERE {where[0]}",
            *(f"  AND {each}" for each in where[1:]),
        ]

    def _text(self, at: Field) -> str:
        return f"toString({self.layout.text(at)})"

    def _uid(self) -> str:
        """The record's own id, or its place in its stream, or nothing."""
        attributes = self.layout.attributes
        stream = f"{attributes}[{literal(names.AUDIT_SEQUENCE_STREAM_ID)}]"
        place = f"{attributes}[{literal(names.AUDIT_SEQUENCE_NUMBER)}]"
        uid = f"{attributes}[{literal(finding.LOG_RECORD_UID)}]"
        return f"multiIf({uid} != '', {uid}, {stream} != '', concat({stream}, '/', {place}), '')"
