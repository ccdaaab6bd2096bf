"""An INSERT's rows on their way: first into a temporary table, then by INSERT … SELECT into their own.

What chDB's streaming insert answers says nothing of the table: a violated constraint, too many partitions and
a full disk all count as success. An INSERT … SELECT reports them. So the data is streamed only into a table
without rules of its own, its rows are counted there, and the SELECT does the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from otel_fim.store.engine import Inserter, Session
from otel_fim.store.errors import NOT_ENOUGH_SPACE, SYNTAX_ERROR, StoreError
from otel_fim.store.insert import INPUT_TABLE
from otel_fim.store.sql import Kind, tokens

TABLE: Final = INPUT_TABLE.encode()
# Settings of a request that would make a SELECT leave out rows.
_ALL_ROWS: Final = (
    b" SETTINGS limit = 0, offset = 0, additional_table_filters = {}, additional_result_filter = '', "
    b"max_rows_to_read = 0, max_bytes_to_read = 0, max_rows_to_read_leaf = 0, max_bytes_to_read_leaf = 0, "
    b"max_result_rows = 0, max_result_bytes = 0, use_query_cache = 0"
)
_DESCRIBE: Final = (
    b" SETTINGS describe_compact_output = 0, describe_include_subcolumns = 0, limit = 0, offset = 0"
)
_DESCRIBED: Final = 7
"""Columns of DESCRIBE TABLE: name, type, kind of default, default, comment, codec, TTL."""


@dataclass(slots=True, frozen=True)
class Target:
    """An INSERT's parts as they are written: table, `(columns)` or nothing, `SETTINGS …` or nothing."""

    table: bytes
    columns: bytes
    settings: bytes

    @property
    def named(self) -> bool:
        """Whether the columns are names, as against `*` and `COLUMNS(…)`, which mean what the table has."""
        return bool(self.columns) and not any(
            token.value == b"*" or (token.kind is Kind.OPEN and token.depth > 0)
            for token in tokens(self.columns)
        )


def read_target(canonical: bytes) -> Target:
    """The parts of an INSERT … FORMAT as the engine writes it. Raises `StoreError` (SYNTAX_ERROR)."""
    found = [token for token in tokens(canonical) if token.depth == 0]
    at = 2  # past INSERT INTO
    while at < len(found):
        at += 2 if found[at].value == b"{" else 1  # a name, or a parameter: {name:Identifier}
        if at >= len(found) or found[at].value != b".":
            break
        at += 1
    if at >= len(found) or at < 3:
        raise StoreError(SYNTAX_ERROR, "Syntax error: the table of the INSERT cannot be found")
    table = canonical[found[2].start : found[at - 1].end]
    columns = b""
    if found[at].value == b"(" and at + 1 < len(found):
        columns = canonical[found[at].start : found[at + 1].end]
        at += 2
    end = found[-2].start if len(found) - 2 >= at else len(canonical)  # FORMAT and its name
    settings = canonical[found[at].start : end].strip() if at < len(found) else b""
    return Target(table, columns, settings)


class Staging:
    """The temporary table of one INSERT in `session`; `on_disk` for one that may not fit into memory."""

    def __init__(self, session: Session, *, on_disk: bool) -> None:
        self._session = session
        self._engine = b"StripeLog" if on_disk else b"Memory"
        self._inserter: Inserter | None = None
        self._finish = b""

    def for_target(self, target: Target, data_format: str, loose: tuple[str, ...]) -> None:
        """Begin an INSERT into `target`. `loose` are the settings that allow every type of column."""
        described = _described(
            self._session.execute(b"DESCRIBE TABLE " + target.table + _DESCRIBE, "RowBinary")
        )
        columns = []
        plain = []
        for name, kind, default, expression in described:
            quoted = _identifier(name)
            if default in {b"", b"DEFAULT"}:
                plain.append(quoted)
            if default == b"EPHEMERAL" and target.named:
                default = b"DEFAULT"  # to be read again, which an ephemeral column cannot
            definition = b" ".join((quoted, kind, default, expression)) if default else quoted + b" " + kind
            columns.append(definition)
        names = target.columns[1:-1] if target.columns else b", ".join(plain)
        listed = target.columns or b"(" + names + b")"
        self._session.set((name, b"1") for name in loose)
        self._create(b", ".join(columns))
        parts = (b"INSERT INTO", TABLE, listed, target.settings)
        self._inserter = self._session.insert(b" ".join(part for part in parts if part), data_format)
        self._finish = b" ".join(
            (b"INSERT INTO", target.table, listed, target.settings, b"SELECT", names, b"FROM", TABLE)
        )
        self._finish += _ALL_ROWS

    def for_input(self, structure: bytes, statement: bytes, data_format: str) -> None:
        """Begin an INSERT … SELECT … FROM input(structure); `statement` reads from `TABLE`."""
        self._create(structure)
        self._inserter = self._session.insert(b"INSERT INTO " + TABLE, data_format)
        self._finish = statement

    def _create(self, structure: bytes) -> None:
        self._session.execute(
            b"CREATE TEMPORARY TABLE " + TABLE + b" (" + structure + b") ENGINE = " + self._engine, "Null"
        )

    def append(self, data: bytes) -> None:
        """Data of the INSERT."""
        if self._inserter is not None:
            self._inserter.append(data)

    def finish(self) -> None:
        """Move the rows: when this returns, they are in the table. Raises `StoreError`."""
        inserter, self._inserter = self._inserter, None
        if inserter is None:
            return
        received = inserter.finish()
        count = self._session.execute(b"SELECT count() FROM " + TABLE + _ALL_ROWS, "RowBinary")
        staged = int.from_bytes(count, "little")
        if staged != received:
            raise StoreError(
                NOT_ENOUGH_SPACE,
                f"only {staged} of {received} rows could be held until their insert, and none was inserted: "
                "memory or the disk is full; make room, or send smaller inserts",
            )
        self._session.reset_progress()
        self._session.execute(self._finish, "Null")

    def cancel(self) -> None:
        """Give up. Does nothing after `finish`."""
        inserter, self._inserter = self._inserter, None
        if inserter is not None:
            inserter.cancel()


def _identifier(name: bytes) -> bytes:
    return b"`" + name.replace(b"\\", b"\\\\").replace(b"`", b"\\`") + b"`"


def _described(data: bytes) -> Iterator[tuple[bytes, bytes, bytes, bytes]]:
    """Name, type, kind of default and default of each column, from DESCRIBE TABLE in RowBinary."""
    offset = 0
    while offset < len(data):
        row = []
        for _ in range(_DESCRIBED):
            size, shift = 0, 0
            while True:
                byte = data[offset]
                offset += 1
                size |= (byte & 0x7F) << shift
                shift += 7
                if byte < 0x80:
                    break
            row.append(data[offset : offset + size])
            offset += size
        yield row[0], row[1], row[2], row[3]
