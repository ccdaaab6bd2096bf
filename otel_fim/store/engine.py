"""chDB as a few plain calls. Only here is chDB imported.

Each request has a connection of its own: it costs under a millisecond, and settings, parameters and the
current database end with it. Calls block and release the interpreter's lock; they belong on worker threads.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from otel_fim.store.directory import CONFIG_FILE, DATA
from otel_fim.store.errors import LOGICAL_ERROR, StoreError

_TYPE_SETTINGS = (
    b"SELECT name FROM system.settings WHERE type = 'Bool' AND alias_for = '' AND "
    b"match(name, '^(allow_suspicious|allow_experimental|enable)_.*types?(_|$)')"
)
_NOT_STREAMABLE = "Streaming query is not supported"


class EngineMissingError(Exception):
    """chDB is not installed."""


def quote(value: bytes) -> bytes:
    """`value` as an SQL string literal."""
    return b"'" + value.replace(b"\\", b"\\\\").replace(b"'", b"\\'").replace(b"\0", b"\\0") + b"'"


def parameter(value: bytes) -> bytes:
    """`value` in the escaped form that query parameters are read in, so that it arrives as it is."""
    return value.replace(b"\\", b"\\\\").replace(b"\t", b"\\t").replace(b"\n", b"\\n").replace(b"\0", b"\\0")


@dataclass(slots=True)
class Progress:
    """What a statement has read and written so far: rows and bytes."""

    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0
    result_bytes: int = 0


class Session:
    """One connection to the engine. Not to be used from two threads at the same time."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._stream: Any = None
        self.progress = Progress()

    def close(self) -> None:
        """End the session. A stream that was not read to its end is cancelled first: the engine hangs, and
        with it the process, when that is tried on a closed connection, as a generator's end would."""
        self._end_stream()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def set(self, values: Iterable[tuple[str, bytes]]) -> None:
        """Apply settings and `param_` values. Names must be identifiers; the engine checks the rest."""
        changes = b", ".join(name.encode() + b" = " + quote(value) for name, value in values)
        if changes:
            self.execute(b"SET " + changes, "Null")

    def use(self, database: str) -> None:
        """Make `database` the current one."""
        self.execute(
            b"USE `" + database.encode().replace(b"\\", b"\\\\").replace(b"`", b"\\`") + b"`", "Null"
        )

    def execute(self, statement: bytes, output_format: str) -> bytes:
        """Run a statement and give its whole result in `output_format` (ClickHouse's format name)."""
        with _engine_errors():
            result = self._connection.query(statement, output_format)
            data: bytes = result.bytes()
        self._account(result, data)
        return data

    def stream(self, statement: bytes, output_format: str) -> Iterator[bytes]:
        """Run a statement and give its result block by block, each block in `output_format` by itself.

        Only a SELECT can be had in pieces; the result of anything else comes as one.
        """
        try:
            handle = self._connection.send_query(statement, output_format)
        except (RuntimeError, UnicodeDecodeError) as error:
            if _NOT_STREAMABLE not in _message(error):
                raise StoreError.from_engine(_message(error)) from None
            data = self.execute(statement, output_format)
            if data:
                yield data
            return
        self._stream = handle
        try:
            while True:
                with _engine_errors():
                    result = self._connection.streaming_fetch_result(handle)
                    data = result.bytes()
                if not data and result.rows_read() == 0:
                    self._stream = None
                    return
                self._account(result, data)
                yield data
        finally:
            self._end_stream()

    def _end_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None and self._connection is not None:
            with contextlib.suppress(RuntimeError, UnicodeDecodeError):
                self._connection.streaming_cancel_query(stream)

    def insert(self, statement: bytes, input_format: str) -> Inserter:
        """Begin an INSERT (without FORMAT and data); the data follows through the `Inserter`."""
        with _engine_errors():
            handle = self._connection.send_insert(statement + b"\n", input_format)
        return Inserter(self._connection, handle, self.progress)

    def reset_progress(self) -> None:
        """Count from here on."""
        self.progress = Progress()

    def classify(self, statement: bytes) -> tuple[str, int]:
        """The engine's own view of a text: READ_ONLY, MUTATING, MUTATING_GLOBAL, CONTROL or UNKNOWN, and how
        many statements it holds (0 when it does not parse)."""
        found = self._connection.classify_query(statement, "default")
        return found["query_class"].name, int(found["statement_count"])

    def _account(self, result: Any, data: bytes) -> None:
        self.progress.read_rows += result.storage_rows_read()
        self.progress.read_bytes += result.storage_bytes_read()
        self.progress.written_rows += result.rows_written()
        self.progress.written_bytes += result.bytes_written()
        self.progress.result_bytes += len(data)


class Inserter:
    """The data side of an INSERT: `append` any number of times, then `finish` or `cancel`."""

    def __init__(self, connection: Any, handle: Any, progress: Progress) -> None:
        self._connection = connection
        self._handle: Any = handle
        self._progress = progress

    def append(self, data: bytes) -> None:
        """Hand over a piece; waits while the engine is behind. An error may show only in `finish`."""
        if data:
            with _engine_errors():
                self._connection.insert_append(self._handle, data)

    def finish(self) -> int:
        """End the data; how many rows it had. Whether the table took them is not known: an error of the table
        is not reported here."""
        handle, self._handle = self._handle, None
        with _engine_errors():
            result = self._connection.insert_done(handle)
        rows = int(result.rows_written())
        self._progress.written_rows += rows
        self._progress.written_bytes += result.bytes_written()
        return rows

    def cancel(self) -> None:
        """Give up what has not been written yet. Does nothing after `finish`."""
        handle, self._handle = self._handle, None
        if handle is not None:
            with contextlib.suppress(RuntimeError, UnicodeDecodeError):
                self._connection.insert_cancel(handle)


class Engine:
    """The engine on one directory: one for each process, one process for each directory."""

    def __init__(self) -> None:
        self._module: Any = None
        self._keeper: Any = None
        self.version = ""
        self.timezone = ""
        self.table_functions: frozenset[str] = frozenset()
        self.type_settings: tuple[str, ...] = ()
        """Settings that allow columns of types that are refused without them."""

    def open(self, directory: str) -> None:
        """Load chDB and the tables under `directory`, which becomes the working directory.

        The engine takes its paths from a connection string that has no escapes; names relative to the working
        directory need none. Raises `EngineMissingError`, `StoreError`.
        """
        os.chdir(directory)
        # HOME as well: the engine looks there for a configuration of ClickHouse's own tools.
        tempfile.tempdir = os.environ["TMPDIR"] = os.environ["HOME"] = os.path.join(os.getcwd(), "tmp")
        try:
            from chdb import _chdb
        except ImportError as error:
            raise EngineMissingError(
                f"the embedded store needs chDB ({error}): pip install 'otel-fim[embedded]'"
            ) from error
        self._module = _chdb
        # The engine looks for `Python(name)` tables in the frames of whoever calls it. There is nothing to
        # see there for somebody who sends SQL.
        inspect.currentframe = lambda: None
        with _engine_errors():
            self._keeper = self._connect()
        with self.session() as session:
            self.version = session.execute(b"SELECT version()", "TSVRaw").decode().strip()
            self.timezone = session.execute(b"SELECT timezone()", "TSVRaw").decode().strip()
            names = session.execute(b"SELECT lower(name) FROM system.table_functions", "TSVRaw")
            self.table_functions = frozenset(names.decode().split())
            names = session.execute(_TYPE_SETTINGS, "TSVRaw")
            self.type_settings = tuple(names.decode().split())

    @property
    def is_open(self) -> bool:
        """Whether sessions can be had."""
        return self._keeper is not None

    def close(self) -> None:
        """Flush and shut down; open sessions must have ended."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.close()

    @contextlib.contextmanager
    def session(self) -> Iterator[Session]:
        """A session for the length of a `with` block."""
        session = self.connect()
        try:
            yield session
        finally:
            session.close()

    def connect(self) -> Session:
        """A session of its own, to be closed by the caller."""
        with _engine_errors():
            return Session(self._connect())

    def _connect(self) -> Any:
        return self._module.connect(f"{DATA}?config-file={CONFIG_FILE}")


@contextlib.contextmanager
def _engine_errors() -> Iterator[None]:
    try:
        yield
    except StoreError:
        raise
    except (RuntimeError, UnicodeDecodeError) as error:
        raise StoreError.from_engine(_message(error)) from None
    except MemoryError:
        raise StoreError(LOGICAL_ERROR, "out of memory") from None


def _message(error: RuntimeError | UnicodeDecodeError) -> str:
    """The engine's message; when it is no UTF-8, the binding fails to make a string of it and has the bytes."""
    if isinstance(error, UnicodeDecodeError):
        return error.object.decode("utf-8", "backslashreplace")
    return str(error)
