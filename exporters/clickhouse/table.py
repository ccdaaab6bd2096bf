"""What the table is like that is really there, and the one insert statement that fits it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from otel_fim.exporters.clickhouse.plan import Insert
from otel_fim.exporters.clickhouse.rows import MAX_TIME, NUMBER_COLUMN, TYPES
from otel_fim.exporters.clickhouse.schema import NUMBER_KEY, STREAM_KEY, HotKey
from otel_fim.exporters.clickhouse.sql import identifier, literal, qualified

_SECOND: Final = 1_000_000_000
_REQUIRED: Final = ("Timestamp", "ServiceName", "Body", "ResourceAttributes", "LogAttributes", "EventName")
_MAPS: Final = ("ResourceAttributes", "ScopeAttributes", "LogAttributes")
_COMPUTED: Final = ("MATERIALIZED", "ALIAS", "EPHEMERAL")


class SchemaError(Exception):
    """The table is not one that records can be written to; the message names the remedy."""


@dataclass(slots=True, frozen=True)
class Column:
    """A column as DESCRIBE TABLE tells it: type, and DEFAULT, MATERIALIZED, ALIAS or nothing."""

    type: str
    default_kind: str


@dataclass(slots=True, frozen=True)
class Table:
    """The table: its columns by name."""

    database: str
    name: str
    columns: Mapping[str, Column]

    def __post_init__(self) -> None:
        absent = [name for name in _REQUIRED if name not in self.written]
        if absent:
            raise SchemaError(
                f"table {self} lacks {', '.join(absent)}; add them or let logs_table_name name another table "
                "(`otel-fim schema` prints the columns)"
            )
        for name in _MAPS:
            column = self.columns.get(name)
            if column and not column.type.startswith("Map("):
                raise SchemaError(
                    f"column {name} of table {self} is of type {column.type}, and this exporter writes maps; "
                    "let logs_table_name name a table of the collector's standard form"
                )

    def __str__(self) -> str:
        return f"{self.database}.{self.name}"

    @property
    def written(self) -> list[str]:
        """The columns that an insert fills, in the order of `TYPES`."""
        return [n for n in TYPES if (c := self.columns.get(n)) and c.default_kind not in _COMPUTED]

    @property
    def unwritten(self) -> list[str]:
        """The collector's columns that this table has not."""
        written = set(self.written)
        return [name for name in TYPES if name not in written]

    def value(self, key: HotKey) -> str:
        """The expression for `key`: its own column where the table has one, else taken from the map."""
        return identifier(key.column) if key.column in self.columns else key.expression

    def lock(self, insert: Insert) -> str | None:
        """The query id of every insert of this stream into this table.

        A server runs one query of an id at a time and refuses the second, which makes the id a lock that
        only the server holds: it is free exactly when no insert of the stream is under way.
        """
        if insert.stream is None:
            return None
        subject = "\0".join((self.database, self.name, insert.stream))
        return f"otel-fim-insert-{hashlib.blake2b(subject.encode(), digest_size=16).hexdigest()}"

    def missing_rows_statement(self, insert: Insert) -> str:
        """INSERT of the rows that are not there yet, to be followed by a block in Native format that has
        `NUMBER_COLUMN`, unless the records are in no stream: then all are inserted.

        The comparison is part of the statement and so is made by the server when it executes it, however long
        the request was on its way. Only rows of the stream, the numbers and the times in question are
        looked at.
        """
        columns = ", ".join(identifier(name) for name in self.written)
        structure = [f"{identifier(name)} {TYPES[name]}" for name in self.written]
        condition = ""
        if insert.stream is not None and insert.numbers is not None:
            structure.append(f"{identifier(NUMBER_COLUMN)} UInt64")
            condition = f"WHERE {identifier(NUMBER_COLUMN)} NOT IN ({self.present_statement(insert)}) "
        target, source = qualified(self.database, self.name), literal(", ".join(structure))
        return (
            f"INSERT INTO {target} ({columns}) SELECT {columns} FROM input({source}) {condition}FORMAT Native"  # noqa: S608 - quoted by sql.py
        )

    def all_rows_statement(self) -> str:
        """INSERT of all rows, to be followed by a block in Native format."""
        columns = ", ".join(identifier(name) for name in self.written)
        return f"INSERT INTO {qualified(self.database, self.name)} ({columns}) FORMAT Native"

    def present_statement(self, insert: Insert) -> str:
        """SELECT of the numbers of those rows of `insert`, which is in a stream, that are there already."""
        numbers = insert.numbers or ()
        number = self.value(NUMBER_KEY)
        # Whole seconds, so that a table whose Timestamp is less precise is searched as well.
        first = min(insert.timestamps) // _SECOND
        last = max(insert.timestamps) // _SECOND + 1
        conditions = [
            f"{self.value(STREAM_KEY)} = {literal(insert.stream or '')}",
            f"{number} BETWEEN {min(numbers)} AND {max(numbers)}",
            f"Timestamp BETWEEN {_time(first)} AND {_time(last)}",
        ]
        second = self.columns.get("TimestampTime")
        if second and second.default_kind != "ALIAS":
            # Tables of collectors up to 0.150 are partitioned and ordered by this column.
            latest = min(last, MAX_TIME // _SECOND)
            conditions.append(
                f"TimestampTime BETWEEN toDateTime({first}, 'UTC') AND toDateTime({latest}, 'UTC')"
            )
        source = qualified(self.database, self.name)
        return f"SELECT {number} FROM {source} WHERE {' AND '.join(conditions)}"  # noqa: S608 - quoted by sql.py

    def arrival_statement(self) -> str:
        """A statement that inserts nothing and fails unless its data, one byte, arrives.

        Something that speaks ClickHouse's protocol and does not know `input()` would take every insert, answer
        that all is well and store nothing.
        """
        arrived = "throwIf(n != 1, 'the data of INSERT SELECT FROM input() does not arrive') = 1"
        return (
            f"INSERT INTO {qualified(self.database, self.name)} (`Body`) SELECT toString(n) "  # noqa: S608 - quoted
            f"FROM (SELECT count() AS n FROM input('b UInt8')) WHERE {arrived} FORMAT RowBinary"
        )


def _time(seconds: int) -> str:
    return f"fromUnixTimestamp64Nano(toInt64({seconds * _SECOND}), 'UTC')"
