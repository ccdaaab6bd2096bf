"""One connection to the server, with what was learnt about the table when it was made."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import clickhouse_connect
from clickhouse_connect.driver.client import Client

from otel_fim.exporters.clickhouse.columns import BlockBuilder
from otel_fim.exporters.clickhouse.compression import compressor
from otel_fim.exporters.clickhouse.config import ClickHouseConfig
from otel_fim.exporters.clickhouse.errors import (
    ALREADY_RUNNING,
    DATA_LOST,
    NO_INPUT,
    UNKNOWN_DATABASE,
    UNKNOWN_TABLE,
    absent,
    cause,
)
from otel_fim.exporters.clickhouse.plan import Insert
from otel_fim.exporters.clickhouse.schema import add_event_name, create_database, create_table
from otel_fim.exporters.clickhouse.sql import literal, qualified
from otel_fim.exporters.clickhouse.table import Column, SchemaError, Table
from otel_fim.exporters.clickhouse.view_list import VIEWS
from otel_fim.exporters.clickhouse.views import View
from otel_fim.otlp import clean_record
from otel_fim.version import __version__

T = TypeVar("T")

_CONNECT_TIMEOUT: Final = 10
_LOCK_WAITS: Final = (0.005, 0.02, 0.05, 0.1, 0.2, 0.4)
"""Seconds between attempts while an insert of the same stream is under way. Then the agent's own waits follow."""
# It writes a line of its own for each failure, beside the exception that says the same.
logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)


class CredentialError(Exception):
    """The password cannot be read; the message names the file."""


class Session:
    """A connection. Raises clickhouse-connect's errors, `SchemaError` and `CredentialError`."""

    def __init__(self, config: ClickHouseConfig, directory: Path, logger: logging.Logger) -> None:
        self._config = config
        self._logger = logger
        self._compress = compressor(config.compress)
        self._client = _connect(config, directory)
        try:
            self._settings = self._synchronous()
            self.table = self._ready_table()
            self._atomic = self._can_compare()
        except BaseException:
            self.close()
            raise
        self._builder = BlockBuilder(self.table.written)

    @property
    def server_version(self) -> str:
        """What the server says it is."""
        return str(self._client.server_version)

    def insert(self, insert: Insert) -> None:
        """Makes the rows of `insert` be in the table, each once; returns when they are."""
        settings: dict[str, Any] = dict(self._settings)
        lock = self.table.lock(insert)
        if lock is not None:
            settings["query_id"] = lock
        if self._atomic:
            self._send(self.table.missing_rows_statement(insert), self._block(insert), settings)
            return
        if insert.numbers is not None:
            # Under the lock as well, so that no earlier attempt is under way while this looks.
            statement = self.table.present_statement(insert)
            rows = self._locked(lambda: self._client.query(statement, settings=settings).result_rows)
            present = {row[0] for row in rows}
            insert = insert.part([i for i, number in enumerate(insert.numbers) if number not in present])
        if insert.records:
            unnumbered = Insert(insert.stream, insert.records, insert.timestamps, None)
            self._send(self.table.all_rows_statement(), self._block(unnumbered), settings)

    def close(self) -> None:
        """Closes the connections. An insert that is under way in another thread fails."""
        self._client.close()

    def _send(self, statement: str, data: bytes, settings: dict[str, Any]) -> None:
        self._locked(lambda: self._send_once(statement, data, settings))

    def _locked(self, call: Callable[[], T]) -> T:
        """What `call` gives. A server answers an insert a moment before it forgets the insert's query id."""
        for wait in _LOCK_WAITS:
            try:
                return call()
            except clickhouse_connect.driver.exceptions.Error as error:
                if error.code != ALREADY_RUNNING:
                    raise
            time.sleep(wait)
        return call()

    def _send_once(self, statement: str, data: bytes, settings: dict[str, Any]) -> None:
        headers: dict[str, str] = {}
        if self._compress is not None:
            data = self._compress(data)
            headers["Content-Encoding"] = self._config.compress
        self._client.command(statement, data=data, settings=settings, transport_settings=headers)

    def _can_compare(self) -> bool:
        """Whether the server can compare and insert in one statement.

        Where it cannot, asking comes first and inserting second. That holds as long as no attempt arrives late
        (a proxy that delays or repeats requests) and no second agent writes the same stream.
        """
        try:
            self._client.command(self.table.arrival_statement(), data=b"\1", settings=dict(self._settings))
        except clickhouse_connect.driver.exceptions.Error as error:
            if error.code == DATA_LOST:
                raise SchemaError(
                    "the server takes INSERT SELECT FROM input() and drops the data: it is not a ClickHouse that "
                    "records can be trusted to"
                ) from error
            if error.code not in NO_INPUT:
                raise
            self._logger.warning(
                "%s: INSERT SELECT FROM input() is not possible (%s); rows are looked up before each insert "
                "instead. Before ClickHouse 26.5 it needs the right CREATE TEMPORARY TABLE",
                self._config.endpoint,
                cause(str(error)),
            )
            return False
        return True

    def _block(self, insert: Insert) -> bytes:
        try:
            return self._builder.build(insert.records, insert.timestamps, insert.numbers)
        except (ValueError, TypeError, AttributeError, OverflowError):
            # A record that OTLP cannot carry: the journal lets none in, another source of batches might.
            copies = [record.copy() for record in insert.records]
            for copy in copies:
                clean_record(copy)
            return self._builder.build(copies, insert.timestamps, insert.numbers)

    def _synchronous(self) -> dict[str, str]:
        """An answer must mean that the rows are in the table. A profile that fixes the setting is obeyed."""
        setting = self._client.server_settings.get("async_insert")
        return {"async_insert": "0"} if setting is not None and not setting.readonly else {}

    def _ready_table(self) -> Table:
        config = self._config
        columns = self._columns()
        if columns is None:
            if not config.create_schema:
                raise SchemaError(absent(f"{config.database}.{config.logs_table_name}", config))
            columns = self._create()
        if "EventName" not in columns and config.create_schema and "LogAttributes" in columns:
            # What the collector's documentation says to do with a table older than the column.
            self._client.command(add_event_name(config.database, config.logs_table_name))
            columns = self._columns() or columns
        table = Table(config.database, config.logs_table_name, columns)
        if table.unwritten:
            self._logger.warning(
                "table %s has no column %s: that part of each record is not stored",
                table,
                ", ".join(table.unwritten),
            )
        if config.create_schema:
            for view in VIEWS:
                self._ready_view(view, table)
        return table

    def _create(self) -> dict[str, Column]:
        config = self._config
        statement = create_table(
            config.database, config.logs_table_name, ttl=config.ttl, indexes=config.indexes
        )
        try:
            self._client.command(statement)
        except clickhouse_connect.driver.exceptions.Error as error:
            if error.code != UNKNOWN_DATABASE:
                raise
            self._client.command(create_database(config.database))
            self._client.command(statement)
        self._logger.info("created table %s.%s", config.database, config.logs_table_name)
        return self._columns() or {}

    def _columns(self) -> dict[str, Column] | None:
        """The table's columns, or None when there is no such table."""
        name = qualified(self._config.database, self._config.logs_table_name)
        try:
            rows = self._client.query(f"DESCRIBE TABLE {name}").result_rows
        except clickhouse_connect.driver.exceptions.Error as error:
            if error.code in (UNKNOWN_TABLE, UNKNOWN_DATABASE):
                return None
            raise
        return {row[0]: Column(row[1], row[2]) for row in rows}

    def _ready_view(self, view: View, table: Table) -> None:
        """Creates or renews a view. Records flow without it, so that failing here is only said."""
        database = self._config.database
        try:
            rows = self._client.query(
                f"SELECT comment FROM system.tables WHERE database = {literal(database)} "  # noqa: S608 - quoted
                f"AND name = {literal(view.name)}"
            ).result_rows
            if not rows or view.is_older(rows[0][0]):
                self._client.command(view.statement(table))
        except clickhouse_connect.driver.exceptions.Error as error:
            self._logger.warning("cannot create view %s.%s: %s", database, view.name, cause(str(error)))


def _connect(config: ClickHouseConfig, directory: Path) -> Client:
    url = config.url
    timeout = max(1, -int(-config.timeout // 1))
    tls = config.tls
    password = _password(config, directory)
    certificate: dict[str, Any] = {}
    if tls.cert_file:
        # "strict" sends the certificate and the password; without a password the certificate is the user.
        certificate = {
            "client_cert": tls.cert_file,
            "client_cert_key": tls.key_file or tls.cert_file,
            "tls_mode": "strict" if password else "mutual",
        }
    return clickhouse_connect.get_client(
        interface=url.scheme,
        host=url.hostname,
        port=config.port,
        proxy_path=url.path,
        username=config.username or "default",
        password=password,
        compress=False,
        connect_timeout=min(_CONNECT_TIMEOUT, timeout),
        send_receive_timeout=timeout,
        verify=not tls.insecure_skip_verify,
        ca_cert=tls.ca_file or None,
        client_name=f"otel-fim/{__version__}",
        # Records of one agent come one after the other; a session would only forbid two connections.
        autogenerate_session_id=False,
        autogenerate_query_id=False,
        dedicated_pool=True,
        **certificate,
    )


def _password(config: ClickHouseConfig, directory: Path) -> str:
    if not config.password_file:
        return config.password.get_secret_value()
    path = directory / config.password_file
    try:
        return path.read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise CredentialError(f"password_file {path} cannot be read: {reason}") from error
