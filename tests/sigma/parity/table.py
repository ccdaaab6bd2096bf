"""A real table: rows as the exporter makes them, in an embedded store of its own."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from otel_fim.exporters.clickhouse.columns import BlockBuilder
from otel_fim.exporters.clickhouse.rows import TYPES, timestamp
from otel_fim.otlp import clean_record
from otel_fim.record import Record

_START_SECONDS = 60.0
_KEPT_SECONDS = 1.0
_COLUMNS = ", ".join(f"`{name}` {kind}" for name, kind in TYPES.items())


class Table:
    """`otel_logs` in memory, emptied for each set of records."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._log = directory.with_suffix(".log")
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "otel_fim.store", "--data", str(directory), "--listen", "127.0.0.1:0"],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + _START_SECONDS
        address = directory / "address"
        while not address.exists() or not address.read_text().strip():
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, "the store did not start"
            time.sleep(0.02)
        self.host, _, port = address.read_text().strip().rpartition(":")
        self.port = int(port)
        self._connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        self._used = 0.0
        self._builder = BlockBuilder(list(TYPES))
        self.run(f"CREATE TABLE otel_logs ({_COLUMNS}) ENGINE = Memory")

    def stop(self) -> None:
        self._connection.close()
        self._process.terminate()
        assert self._process.wait(30) == 0, self._log.read_text()

    def password(self, user: str) -> str:
        return (self.directory / f"{user}.password").read_text().strip()

    def run(self, sql: str, data: bytes | None = None, user: str = "writer") -> bytes:
        """The answer. With `data`, the statement is an INSERT that ends in its format."""
        headers = {"X-ClickHouse-User": user, "X-ClickHouse-Key": self.password(user)}
        url = "/" if data is None else f"/?{urlencode({'query': sql})}"
        if time.monotonic() - self._used > _KEPT_SECONDS:
            self._connection.close()  # the store gives up a connection that is not used; it opens again by itself
        self._connection.request("POST", url, body=sql.encode() if data is None else data, headers=headers)
        answer = self._connection.getresponse()
        body = answer.read()
        self._used = time.monotonic()
        assert answer.status == 200, f"{body.decode('utf-8', 'replace')}\n{sql}"
        return body

    def fill(self, records: Sequence[Record], table: str = "otel_logs") -> None:
        """Makes the table hold just these records."""
        self.run(f"TRUNCATE TABLE {table}")
        self.insert(records, table)

    def insert(self, records: Sequence[Record], table: str = "otel_logs") -> None:
        if records:
            copies = [record.copy() for record in records]
            for copy in copies:
                clean_record(copy)
            block = self._builder.build(copies, [timestamp(record) for record in copies], None)
            names = ", ".join(TYPES)
            self.run(f"INSERT INTO {table} ({names}) FORMAT Native", block)

    def rows(self, sql: str, user: str = "reader") -> list[dict[str, Any]]:
        """The rows of a SELECT; 64-bit integers as numbers."""
        settings = "output_format_json_quote_64bit_integers = 0"
        joined = f"{sql}, {settings}" if "SETTINGS" in sql.splitlines()[-1] else f"{sql}\nSETTINGS {settings}"
        answer = self.run(f"{joined}\nFORMAT JSONEachRow", user=user)
        return [json.loads(line) for line in answer.splitlines()]
