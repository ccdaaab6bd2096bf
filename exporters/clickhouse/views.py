"""Typed views: the attributes that questions are asked about, as columns."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from otel_fim import names
from otel_fim.exporters.clickhouse.schema import NUMBER_KEY, STREAM_KEY, HotKey
from otel_fim.exporters.clickhouse.sql import identifier, literal, qualified
from otel_fim.exporters.clickhouse.table import Table
from otel_fim.names import events

VERSION: Final = 1
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
    """A view of the records whose event name begins with `prefix`."""

    name: str
    prefix: str
    columns: tuple[ViewColumn, ...]

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
            f"substring(`EventName`, {len(self.prefix) + 1}) AS `event`",
            *(column.expression(table) for column in self.columns),
            f"{_or_empty(table, 'SeverityText')} AS `severity`",
            f"{table.value(STREAM_KEY)} AS `stream_id`",
            f"{table.value(NUMBER_KEY)} AS `sequence`",
            "`Body` AS `body`",
            "`LogAttributes` AS `attributes`",
            "`ResourceAttributes` AS `resource`",
        ]
        body = ",\n".join(f"    {line}" for line in lines)
        return (
            f"CREATE OR REPLACE VIEW {qualified(table.database, self.name)} AS SELECT\n{body}\n"
            f"FROM {qualified(table.database, table.name)}\n"
            f"WHERE startsWith(`EventName`, {literal(self.prefix)})\n"
            f"COMMENT {literal(self.comment)}"
        )


def _or_empty(table: Table, column: str) -> str:
    return identifier(column) if column in table.columns else "''"


_NUMBER: Final = "toInt64OrNull(*)"
_LIST: Final = "JSONExtract(*, 'Array(String)')"
_TRUE: Final = "(* = 'true')"
_TIME: Final = "parseDateTime64BestEffortOrNull(*, 9, 'UTC')"


def _both(name: str, key: str, convert: str = "") -> tuple[ViewColumn, ViewColumn]:
    """The value, and the one before the change."""
    return ViewColumn(name, key, convert), ViewColumn(f"{name}_before", names.before(key), convert)


FILES: Final = View(
    "otel_fim_files",
    events.FILE_CREATED.removesuffix("created"),
    (
        *_both("path", names.FILE_PATH),
        ViewColumn("type", names.FILE_TYPE),
        *_both("sha256", names.FILE_HASH_SHA256),
        *_both("size", names.FILE_SIZE, _NUMBER),
        *_both("mode", names.FILE_MODE),
        *_both("owner", names.FILE_OWNER_NAME),
        *_both("group", names.FILE_GROUP_NAME),
        *_both("link_target", names.FILE_SYMBOLIC_LINK_TARGET_PATH),
        ViewColumn("changed", names.OTEL_FIM_FILE_CHANGED_ATTRIBUTES, _LIST),
        ViewColumn("user", names.USER_NAME),
        ViewColumn("login_user", names.OTEL_FIM_LOGIN_USER_NAME),
        ViewColumn("executable", names.PROCESS_EXECUTABLE_PATH),
        ViewColumn("command", names.PROCESS_COMMAND),
        ViewColumn("pid", names.PROCESS_PID, _NUMBER),
        ViewColumn("parent_executable", names.PROCESS_PARENT_EXECUTABLE_PATH),
        ViewColumn("tactics", names.THREAT_TACTIC_NAME, _LIST),
        ViewColumn("techniques", names.THREAT_TECHNIQUE_ID, _LIST),
        ViewColumn("subtechniques", names.THREAT_TECHNIQUE_SUBTECHNIQUE_ID, _LIST),
        ViewColumn("confidence", names.OTEL_FIM_THREAT_CONFIDENCE),
        ViewColumn("backend", names.OTEL_FIM_FILE_BACKEND),
        ViewColumn("while_down", names.OTEL_FIM_FILE_WHILE_DOWN, _TRUE),
    ),
)

COVERAGE: Final = View(
    "otel_fim_coverage",
    events.COVERAGE_GAP.removesuffix("gap"),
    (
        ViewColumn("component", names.OTEL_FIM_COMPONENT_ID),
        ViewColumn("reason", names.OTEL_FIM_COVERAGE_REASON),
        ViewColumn("scope", names.OTEL_FIM_COVERAGE_SCOPE),
        ViewColumn("start", names.OTEL_FIM_COVERAGE_START, _TIME),
        ViewColumn("end", names.OTEL_FIM_COVERAGE_END, _TIME),
        ViewColumn("detail", names.OTEL_FIM_COVERAGE_DETAIL),
        ViewColumn("records_lost", names.OTEL_FIM_COVERAGE_RECORDS_LOST, _NUMBER),
    ),
)

VIEWS: Final = (FILES, COVERAGE)
