"""The baseline: the last state of every watched file that is known to be reported, in one SQLite database.

Directories are rows of their own so that a path's long part is stored once; a file is a row under its directory.
What a directory row says:

* no row: nothing is known of the directory; whatever is found in it is new;
* `listed` = 0: it is to be listed for the first time, and what is found is taken as given;
* `listed` = 1: every name that it holds has a row; a name without one is new, a row without a name is deleted.

So an unfinished first baseline is never taken for a whole one: it goes on where it stopped.

`announced` holds the paths whose records are on their way and whose rows have not moved yet. After a crash such a
record may or may not be in the journal: see `announced.py`.
"""

# ruff: noqa: S608 - the statements are put together from this module's own column lists

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from otel_fim.receivers.file_integrity.metadata import FileState, Unhashed, is_directory
from otel_fim.receivers.file_integrity.paths import join, split

SCHEMA_VERSION: Final = 1
_APPLICATION_ID: Final = 0x6F66696D  # "ofim"
_SCHEMA: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE root (path BLOB PRIMARY KEY, since INTEGER NOT NULL, completed INTEGER) WITHOUT ROWID;
CREATE TABLE directory (id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE, listed INTEGER NOT NULL);
CREATE INDEX directory_pending ON directory (path) WHERE listed = 0;
CREATE TABLE entry (
  dir INTEGER NOT NULL, name BLOB NOT NULL,
  mode INTEGER NOT NULL, dev INTEGER NOT NULL, ino INTEGER NOT NULL, uid INTEGER NOT NULL, gid INTEGER NOT NULL,
  size INTEGER NOT NULL, nlink INTEGER NOT NULL, mtime INTEGER NOT NULL, ctime INTEGER NOT NULL,
  sha256 BLOB, unhashed INTEGER, target BLOB,
  PRIMARY KEY (dir, name)
) WITHOUT ROWID;
CREATE TABLE announced (path BLOB PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID;
"""
_STATE: Final = "mode, dev, ino, uid, gid, size, nlink, mtime, ctime, sha256, unhashed, target"
_INSERT: Final = f"INTO entry (dir, name, {_STATE}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
_FLUSH_ROWS: Final = 5000

Listing = tuple[bytes, list[tuple[bytes, FileState]], list[bytes]]
"""A directory, the states to store for its names, and the names that are directories to be listed in turn."""


class BaselineError(Exception):
    """The baseline cannot be used; the message says why and what to do."""


class Baseline:
    """The database. Every method may be called from any thread; there is one writer at a time."""

    def __init__(self, path: Path) -> None:
        """Opens or makes the database. Raises `BaselineError` when it is from a newer version of the agent.

        A file that is no database any more is put aside; `set_aside` then has its new place.
        """
        self.path = path
        self.set_aside: Path | None = None
        self._lock = threading.RLock()
        self._buffer_lock = threading.Lock()
        self._buffer: list[Listing] = []
        self._buffered_rows = 0
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._readers_lock = threading.Lock()
        try:
            self._writer = self._open()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise BaselineError(
                    f"{path}: the baseline cannot be opened: {error}; check rights and free space"
                ) from error
            self.set_aside = path.with_name(f"{path.name}.damaged-{int(time.time())}")
            os.replace(path, self.set_aside)
            for suffix in ("-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    os.remove(f"{path}{suffix}")
            self._writer = self._open()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=30, isolation_level=None, check_same_thread=False, cached_statements=32
        )
        connection.execute("PRAGMA cache_size = -1024")
        connection.execute("PRAGMA temp_store = MEMORY")
        return connection

    def _open(self) -> sqlite3.Connection:
        # The baseline holds the names and hashes of files that others may not list.
        os.close(os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        connection = self._connect()
        try:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                raise BaselineError(
                    f"{self.path}: the baseline has version {version}, this agent knows {SCHEMA_VERSION}; "
                    "use the agent that made it, or move the file away to start a new baseline"
                )
            connection.execute("PRAGMA journal_mode = WAL")
            # A power cut may take the last commits, never the order: what is lost is found and reported again.
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA journal_size_limit = 16777216")
            connection.execute("PRAGMA cache_size = -8192")
            if version == 0:
                connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                connection.executescript(f"BEGIN;{_SCHEMA}PRAGMA user_version = {SCHEMA_VERSION};COMMIT;")
            else:
                connection.execute("SELECT count(*) FROM root").fetchone()
                # Damage is found now, when a new baseline can still be taken, rather than in the middle of a scan.
                found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
                if found != "ok":
                    raise sqlite3.DatabaseError(found)
        except BaseException:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        """Writes what is buffered and closes. Nothing may be called afterwards."""
        try:
            self.flush()
        finally:
            with self._readers_lock:
                for reader in self._readers:
                    reader.close()
                self._readers.clear()
            with self._lock:
                self._writer.close()

    def _reader(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._connect()
            connection.execute("PRAGMA query_only = ON")
            self._local.connection = connection
            with self._readers_lock:
                self._readers.append(connection)
        return connection

    def release_reader(self) -> None:
        """Closes the calling thread's connection; for a thread that is about to end."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is not None:
            self._local.connection = None
            with self._readers_lock:
                self._readers.remove(connection)
            connection.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
            except BaseException:
                # A full disk may have ended the transaction already.
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise
            try:
                self._writer.execute("COMMIT")
            except sqlite3.Error:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    # --- reading ---

    def lookup(self, path: bytes) -> tuple[int | None, FileState | None]:
        """The `listed` mark of the directory that `path` is in (None: no row) and the state of `path`."""
        directory, name = split(path)
        row = (
            self._reader()
            .execute(
                f"SELECT d.listed, {_STATE} FROM directory d "
                "LEFT JOIN entry e ON e.dir = d.id AND e.name = ? WHERE d.path = ?",
                (name, directory),
            )
            .fetchone()
        )
        if row is None:
            return None, None
        return row[0], None if row[1] is None else _state(row[1:])

    def listed(self, directory: bytes) -> int | None:
        """The `listed` mark of a directory, None when it has no row."""
        row = self._reader().execute("SELECT listed FROM directory WHERE path = ?", (directory,)).fetchone()
        return None if row is None else row[0]

    def children(self, directory: bytes) -> tuple[int | None, dict[bytes, FileState]]:
        """The `listed` mark of a directory and the states of what it holds."""
        reader = self._reader()
        row = reader.execute("SELECT id, listed FROM directory WHERE path = ?", (directory,)).fetchone()
        if row is None:
            return None, {}
        cursor = reader.execute(f"SELECT name, {_STATE} FROM entry WHERE dir = ?", (row[0],))
        return row[1], {found[0]: _state(found[1:]) for found in cursor}

    def roots(self) -> dict[bytes, int | None]:
        """The roots that were watched when the database was last used, with the time (ns) at which their first
        baseline was whole, or None."""
        return dict(self._reader().execute("SELECT path, completed FROM root"))

    def has_root(self, path: bytes) -> bool:
        """Whether the root has been taken on."""
        return self._reader().execute("SELECT 1 FROM root WHERE path = ?", (path,)).fetchone() is not None

    def without_hash(self, reason: Unhashed, examples: int) -> tuple[int, list[bytes]]:
        """How many files have no hash for that reason, and some of their paths."""
        reader = self._reader()
        count = reader.execute("SELECT count(*) FROM entry WHERE unhashed = ?", (int(reason),)).fetchone()[0]
        if not count:
            return 0, []
        found = reader.execute(
            "SELECT d.path, e.name FROM entry e JOIN directory d ON d.id = e.dir WHERE e.unhashed = ? LIMIT ?",
            (int(reason), examples),
        )
        return count, [join(directory, name) for directory, name in found]

    def pending(self, root: bytes) -> int:
        """How many directories below (and including) `root` are yet to be listed for the first time."""
        low, high = _range(root)
        row = (
            self._reader()
            .execute(
                "SELECT count(*) FROM directory WHERE listed = 0 AND (path = ? OR (path > ? AND path < ?))",
                (root, low, high),
            )
            .fetchone()
        )
        return int(row[0])

    def count(self) -> tuple[int, int]:
        """Numbers of entries and of directories."""
        reader = self._reader()
        return (
            reader.execute("SELECT count(*) FROM entry").fetchone()[0],
            reader.execute("SELECT count(*) FROM directory").fetchone()[0],
        )

    def meta(self, key: str) -> str | None:
        row = self._reader().execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else row[0]

    # --- writing ---

    def set_meta(self, key: str, value: str) -> None:
        with self._transaction() as writer:
            writer.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def add_root(self, path: bytes, state: FileState | None) -> None:
        """Takes a root on as it is: its own state is stored without a report, and a directory is to be listed."""
        with self._transaction() as writer:
            writer.execute("INSERT OR IGNORE INTO root VALUES (?, ?, NULL)", (path, time.time_ns()))
            directory, name = split(path)
            # The directory around a root is not watched itself: it stays to be listed.
            number = self._directory(writer, directory, listed=0)
            if state is None:
                return
            writer.execute(f"INSERT OR IGNORE {_INSERT}", (number, name, *_row(state)))
            if is_directory(state):
                writer.execute("INSERT OR IGNORE INTO directory (path, listed) VALUES (?, 0)", (path,))

    def complete_root(self, path: bytes) -> None:
        """Marks the first baseline of a root as whole."""
        self.flush()
        with self._transaction() as writer:
            writer.execute(
                "UPDATE root SET completed = ? WHERE path = ? AND completed IS NULL", (time.time_ns(), path)
            )

    def remove_root(self, path: bytes, *, keep_content: bool) -> None:
        """Forgets a root that is no longer configured, and what is below it unless another root covers that."""
        with self._transaction() as writer:
            writer.execute("DELETE FROM root WHERE path = ?", (path,))
            if keep_content:
                return
            directory, name = split(path)
            writer.execute(
                "DELETE FROM entry WHERE dir = (SELECT id FROM directory WHERE path = ?) AND name = ?",
                (directory, name),
            )
            low, high = _range(path)
            below = "path = ? OR (path > ? AND path < ?)"
            writer.execute(
                f"DELETE FROM entry WHERE dir IN (SELECT id FROM directory WHERE {below})", (path, low, high)
            )
            writer.execute(f"DELETE FROM directory WHERE {below}", (path, low, high))

    def add_listing(self, listing: Listing) -> None:
        """Stores a directory's first listing without a report. Buffered: `flush` (or enough rows) commits it.

        Rows that exist already are kept: they are what the names are compared with.
        """
        with self._buffer_lock:
            self._buffer.append(listing)
            self._buffered_rows += len(listing[1]) + 1
            if self._buffered_rows < _FLUSH_ROWS:
                return
            listings, self._buffer, self._buffered_rows = self._buffer, [], 0
        self._write_listings(listings)

    def flush(self) -> None:
        """Commits what `add_listing` has buffered."""
        with self._buffer_lock:
            listings, self._buffer, self._buffered_rows = self._buffer, [], 0
        if listings:
            self._write_listings(listings)

    def _write_listings(self, listings: list[Listing]) -> None:
        with self._transaction() as writer:
            for directory, rows, subdirectories in listings:
                number = writer.execute(
                    "INSERT INTO directory (path, listed) VALUES (?, 1) "
                    "ON CONFLICT (path) DO UPDATE SET listed = 1 RETURNING id",
                    (directory,),
                ).fetchone()[0]
                if rows:
                    writer.executemany(
                        f"INSERT OR IGNORE {_INSERT}",
                        [(number, name, *_row(state)) for name, state in rows],
                    )
                if subdirectories:
                    prefix = directory if directory == b"/" else directory + b"/"
                    writer.executemany(
                        "INSERT OR IGNORE INTO directory (path, listed) VALUES (?, 0)",
                        [(prefix + name,) for name in subdirectories],
                    )

    def announce(self, moves: Iterable[tuple[bytes, int]]) -> None:
        """Notes that records of these paths are about to be handed on: path and version of the state."""
        with self._transaction() as writer:
            writer.executemany("INSERT OR REPLACE INTO announced VALUES (?, ?)", moves)

    def announced(self) -> dict[bytes, int]:
        """The paths whose records were on their way when the last run ended, with their versions."""
        return dict(self._reader().execute("SELECT path, version FROM announced"))

    def settle(self, moves: Iterable[tuple[bytes, int]]) -> None:
        """Takes announcements back up to these versions, because nothing is open about them any more."""
        with self._transaction() as writer:
            writer.executemany("DELETE FROM announced WHERE path = ? AND version <= ?", moves)

    def forget(self, directory: bytes, names: Iterable[bytes]) -> None:
        """Takes rows out without a report: names that the configuration no longer watches."""
        with self._transaction() as writer:
            number = self._directory(writer, directory)
            writer.executemany("DELETE FROM entry WHERE dir = ? AND name = ?", [(number, n) for n in names])

    def apply(self, changes: Sequence[tuple[bytes, FileState | None, bool, int]]) -> None:
        """Moves rows to reported states, in order and in one transaction: path, state (None: gone), whether
        the path was new (a new directory counts as listed: everything found in it is new too), and the version
        up to which nothing is open about the path any more."""
        with self._transaction() as writer:
            numbers: dict[bytes, int] = {}
            writer.executemany(
                "DELETE FROM announced WHERE path = ? AND version <= ?",
                [(path, version) for path, _, _, version in changes],
            )
            for path, state, new, _ in changes:
                directory, name = split(path)
                number = numbers.get(directory)
                if number is None:
                    number = numbers[directory] = self._directory(writer, directory)
                if state is None:
                    writer.execute("DELETE FROM entry WHERE dir = ? AND name = ?", (number, name))
                    # What is still recorded below must be reported first; then the row goes.
                    writer.execute(
                        "DELETE FROM directory WHERE path = ? "
                        "AND NOT EXISTS (SELECT 1 FROM entry WHERE dir = directory.id)",
                        (path,),
                    )
                    numbers.pop(path, None)
                    continue
                writer.execute(f"INSERT OR REPLACE {_INSERT}", (number, name, *_row(state)))
                if new and is_directory(state):
                    writer.execute(
                        "INSERT INTO directory (path, listed) VALUES (?, 1) "
                        "ON CONFLICT (path) DO UPDATE SET listed = 1",
                        (path,),
                    )

    def _directory(self, writer: sqlite3.Connection, path: bytes, listed: int = 1) -> int:
        row = writer.execute("SELECT id FROM directory WHERE path = ?", (path,)).fetchone()
        if row is None:
            row = writer.execute(
                "INSERT INTO directory (path, listed) VALUES (?, ?) RETURNING id", (path, listed)
            ).fetchone()
        return int(row[0])


def _range(path: bytes) -> tuple[bytes, bytes]:
    """What lies strictly below a directory sorts strictly between these two."""
    return (b"/", b"0") if path == b"/" else (path + b"/", path + b"0")


def _row(state: FileState) -> tuple[object, ...]:
    # SQLite's integers are signed; inode and device numbers are not.
    if state.ino >= 2**63 or state.dev >= 2**63:
        return state._replace(ino=_signed(state.ino), dev=_signed(state.dev))
    return state


def _signed(number: int) -> int:
    return number - 2**64 if number >= 2**63 else number


def _state(row: tuple[int, ...]) -> FileState:
    state = FileState._make(row)
    if state.ino < 0 or state.dev < 0:
        return state._replace(ino=state.ino % 2**64, dev=state.dev % 2**64)
    return state


def database_size(path: Path) -> int:
    """Bytes on disk, the write-ahead log included."""
    return sum(os.path.getsize(found) for found in (path, Path(f"{path}-wal")) if os.path.exists(found))
