"""The form of the typed views, in which the attributes that questions are asked about are columns."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from otel_fim import names
from otel_fim.exporters.clickhouse.schema import NUMBER_KEY, STREAM_KEY, HotKey
from otel_fim.exporters.clickhouse.sql import identifier, literal, qualified
from otel_fim.exporters.clickhouse.table import Table

VERSION: Final = 3
"""Goes up with every change to a view. It stands in the view's comment, and older views are replaced."""
_COMMENT: Final = re.compile(r"otel-fim schema (\d+)\b")


@dataclass(slots=True, frozen=True)
class ViewColumn:
    """A column of a view: its name, the key it shows, and the function that makes its type."""

    name: str
    key: str
    convert: str = ""
    source: str = "LogAttributes"

    def expression(self, table: Table) -> str:
        """The column's line in the SELECT."""
        value = table.value(HotKey(self.source, self.key, ""))
        return f"{self.convert.replace('*', value) if self.convert else value} AS {identifier(self.name)}"


@dataclass(slots=True, frozen=True)
class View:
    """A view of the records whose event name begins with `prefix` (a family's, with its dot, or a whole name) and,
    where `present` names an attribute, that have it. Its column `event` is what follows the last dot of `prefix`."""

    name: str
    prefix: str
    columns: tuple[ViewColumn, ...]
    present: str = ""

    @property
    def comment(self) -> str:
        """What marks the view as this project's."""
        return f"otel-fim schema {VERSION}"

    def is_older(self, comment: str) -> bool:
        """Whether a view with this comment is to be replaced. Never one that is somebody else's, or newer."""
        match = _COMMENT.match(comment)
        return match is not None and int(match[1]) < VERSION

    def statement(self, table: Table) -> str:
        """CREATE OR REPLACE VIEW, without a semicolon."""
        lines = [
            "`Timestamp` AS `time`",
            ViewColumn("host", names.HOST_NAME, source="ResourceAttributes").expression(table),
            f"substring(`EventName`, {len(self.prefix.rpartition('.')[0]) + 2}) AS `event`",
            *(column.expression(table) for column in self.columns),
            f"{_or_empty(table, 'SeverityText')} AS `severity`",
            f"{table.value(STREAM_KEY)} AS `stream_id`",
            f"{table.value(NUMBER_KEY)} AS `sequence`",
            "`Body` AS `body`",
            "`LogAttributes` AS `attributes`",
            "`ResourceAttributes` AS `resource`",
        ]
        body = ",\n".join(f"    {line}" for line in lines)
        where = f"startsWith(`EventName`, {literal(self.prefix)})"
        if self.present:
            where += f" AND {table.value(HotKey('LogAttributes', self.present, ''))} != ''"
        return (
            f"CREATE OR REPLACE VIEW {qualified(table.database, self.name)} AS SELECT\n{body}\n"
            f"FROM {qualified(table.database, table.name)}\n"
            f"WHERE {where}\n"
            f"COMMENT {literal(self.comment)}"
        )


def _or_empty(table: Table, column: str) -> str:
    return identifier(column) if column in table.columns else "''"
