"""The items that are known to be told, in one SQLite database.

A row moves only after the record that tells of the change is on disk. `announced` holds what is on its way: killed in
between, the agent finds there which changes may have been told already, also of what is gone again meanwhile.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Final

from otel_fim.receivers.persistence.differ import Delta, Key, key_of
from otel_fim.receivers.persistence.item import Item

SCHEMA_VERSION: Final = 1
_APPLICATION_ID: Final = 0x6F667065  # "ofpe"
_SCHEMA: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE source (name TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE item (source TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL, content TEXT NOT NULL,
  PRIMARY KEY (source, kind, id)) WITHOUT ROWID;
CREATE TABLE announced (source TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL, content TEXT,
  number INTEGER NOT NULL, PRIMARY KEY (source, kind, id, number)) WITHOUT ROWID;
CREATE TABLE blind (source TEXT NOT NULL, path BLOB NOT NULL, PRIMARY KEY (source, path)) WITHOUT ROWID;
"""


class StateError(Exception):
    """The state cannot be used; the message says why and what to do."""


class State:
    """The database. Every method may be called from any thread.

    `set_aside` is where a damaged one was put, None when there was none. Methods raise `sqlite3.Error` when the disk is
    full or the like.
    """

    def __init__(self, path: Path) -> None:
        """Opens or makes the database. Raises `StateError` when that is not possible."""
        self.path = path
        self.set_aside: Path | None = None
        self._lock = threading.RLock()
        self._number = 0
        try:
            self._connection = self._open()
        except sqlite3.OperationalError as error:
            raise StateError(
                f"{path}: the state cannot be opened: {error}; check rights and free space"
            ) from error
        except (sqlite3.DatabaseError, ValueError, TypeError, IndexError):
            self.set_aside = path.with_name(f"{path.name}.damaged-{time.time_ns()}")
            os.replace(path, self.set_aside)
            for suffix in ("-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    os.remove(f"{path}{suffix}")
            self._connection = self._open()

    def _open(self) -> sqlite3.Connection:
        # Commands may hold secrets that the records do not tell.
        os.close(os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(self.path, timeout=30, isolation_level=None, check_same_thread=False)
        try:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                raise StateError(
                    f"{self.path}: the state has version {version}, this agent knows {SCHEMA_VERSION}; "
                    "use the agent that made it, or move the file away to start anew"
                )
            connection.execute("PRAGMA cache_size = -512")
            connection.execute("PRAGMA journal_mode = WAL")
            # Changes are rare, and a power cut must not take an announcement whose record it leaves.
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA journal_size_limit = 4194304")
            if version == 0:
                connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                connection.executescript(f"BEGIN;{_SCHEMA}PRAGMA user_version = {SCHEMA_VERSION};COMMIT;")
            else:
                found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
                if found != "ok":
                    raise sqlite3.DatabaseError(found)
                for table in ("item", "announced"):
                    for (content,) in connection.execute(f"SELECT content FROM {table}"):  # noqa: S608
                        _item(content)
                self._number = connection.execute(
                    "SELECT coalesce(max(number), 0) FROM announced"
                ).fetchone()[0]
        except BaseException:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            connection = self._connection
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                # A full disk may have ended the transaction already.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    # --- reading ---

    def meta(self, key: str) -> str | None:
        with self._lock:
            row = self._connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else row[0]

    def sources(self) -> dict[str, int]:
        """The kinds whose first baseline is whole, with their version."""
        with self._lock:
            return dict(self._connection.execute("SELECT name, version FROM source"))

    def load(self, source: str) -> dict[Key, Item]:
        """The items of a kind."""
        with self._lock:
            rows = self._connection.execute("SELECT content FROM item WHERE source = ?", (source,)).fetchall()
        items = [item for (content,) in rows if (item := _item(content)) is not None]
        return {key_of(item): item for item in items}

    def announced(self, source: str) -> dict[Key, list[Item | None]]:
        """What was on its way when the last run ended, in its order: the item as it was told, None for one told as
        removed. The last record on disk may be any of these, or none."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT kind, id, content FROM announced WHERE source = ? ORDER BY number", (source,)
            ).fetchall()
        found: dict[Key, list[Item | None]] = {}
        for kind, name, content in rows:
            found.setdefault((kind, name), []).append(_item(content))
        return found

    def blind(self, source: str) -> set[bytes]:
        """The paths that could not be read when the kind's baseline was taken, and not since."""
        with self._lock:
            rows = self._connection.execute("SELECT path FROM blind WHERE source = ?", (source,)).fetchall()
        return {path for (path,) in rows}

    # --- writing ---

    def set_meta(self, key: str, value: str) -> None:
        with self._transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def take(self, source: str, version: int, items: Iterable[Item], blind: Iterable[bytes]) -> None:
        """Takes a kind on as it is, in place of whatever was known of it."""
        with self._transaction() as connection:
            _forget(connection, source)
            connection.execute("INSERT INTO source VALUES (?, ?)", (source, version))
            connection.executemany(
                "INSERT INTO item VALUES (?, ?, ?, ?)", [_row(source, item) for item in items]
            )
            connection.executemany(
                "INSERT OR IGNORE INTO blind VALUES (?, ?)", [(source, path) for path in blind]
            )

    def forget(self, source: str) -> None:
        """Forgets a kind."""
        with self._transaction() as connection:
            _forget(connection, source)

    def seen(self, source: str, paths: Iterable[bytes]) -> None:
        """Paths that were blind have been read."""
        with self._transaction() as connection:
            connection.executemany(
                "DELETE FROM blind WHERE source = ? AND path = ?", [(source, path) for path in paths]
            )

    def announce(self, source: str, deltas: Sequence[Delta]) -> int:
        """Notes what is about to be told. The number that is given back goes to `apply`."""
        with self._transaction() as connection:
            self._number += 1
            for delta in deltas:
                if delta.before is not None and (
                    delta.after is None or key_of(delta.before) != key_of(delta.after)
                ):
                    row = (source, *key_of(delta.before), None, self._number)
                    connection.execute("INSERT OR REPLACE INTO announced VALUES (?, ?, ?, ?, ?)", row)
            for delta in deltas:
                if delta.after is not None:
                    told = (*_row(source, delta.after), self._number)
                    connection.execute("INSERT OR REPLACE INTO announced VALUES (?, ?, ?, ?, ?)", told)
            return self._number

    def settle(self, source: str, keys: Iterable[Key]) -> None:
        """Takes announcements back: nothing is open about these items."""
        with self._transaction() as connection:
            connection.executemany(
                "DELETE FROM announced WHERE source = ? AND kind = ? AND id = ?",
                [(source, *key) for key in keys],
            )

    def apply(self, source: str, deltas: Sequence[Delta], number: int = 0) -> None:
        """Moves rows, in one transaction; announcements up to `number` are settled."""
        with self._transaction() as connection:
            for delta in deltas:
                if delta.before is not None:
                    connection.execute(
                        "DELETE FROM item WHERE source = ? AND kind = ? AND id = ?",
                        (source, *key_of(delta.before)),
                    )
            for delta in deltas:
                if delta.after is not None:
                    connection.execute(
                        "INSERT OR REPLACE INTO item VALUES (?, ?, ?, ?)", _row(source, delta.after)
                    )
            for delta in deltas:
                for item in (delta.before, delta.after):
                    if item is not None:
                        connection.execute(
                            "DELETE FROM announced WHERE source = ? AND kind = ? AND id = ? AND number <= ?",
                            (source, *key_of(item), number),
                        )


def _forget(connection: sqlite3.Connection, source: str) -> None:
    for table, column in (
        ("item", "source"),
        ("announced", "source"),
        ("blind", "source"),
        ("source", "name"),
    ):
        connection.execute(f"DELETE FROM {table} WHERE {column} = ?", (source,))  # noqa: S608


def _row(source: str, item: Item) -> tuple[str, str, str, str]:
    fields = list(astuple(item))
    fields[2] = item.path.hex()
    return source, item.kind, item.id, json.dumps(fields)


def _item(content: str | None) -> Item | None:
    """Raises `ValueError`, `TypeError` or `IndexError` for what `_row` has not written."""
    if content is None:
        return None
    fields = json.loads(content)
    fields[2] = bytes.fromhex(fields[2])
    return Item(*fields)
