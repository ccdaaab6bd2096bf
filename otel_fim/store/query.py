"""One request's work in the engine, as blocking calls for a worker thread."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import IO, Final

from otel_fim.store.encoding import Encoder
from otel_fim.store.engine import Engine, Progress, Session, quote
from otel_fim.store.errors import BAD_ARGUMENTS, QUERY_IS_TOO_LARGE, READONLY, SYNTAX_ERROR, StoreError
from otel_fim.store.guard import Guard, Statement, canonical_text
from otel_fim.store.insert import INPUT_TABLE, Insert
from otel_fim.store.native import reframe
from otel_fim.store.request import Options
from otel_fim.store.staging import Staging, read_target

DEFAULT_FORMAT: Final = "TabSeparated"
READER_SECONDS: Final = 300
"""A reader's query ends after this time unless the reader asks for another (`max_execution_time`)."""
MAX_WHOLE_RESULT: Final = 128 * 2**20
"""A result in a format that cannot be sent in pieces may have this many bytes (`max_result_bytes`)."""
MAX_VALUES: Final = 4 * 2**20
"""A VALUES list may have this many bytes: it can hold expressions and is looked at before it runs."""
PIECE: Final = 2**20

# Formats in which blocks one after the other are again the format: no header, no footer, no brackets.
_IN_PIECES: Final = frozenset(
    {"tabseparated", "tsv", "tabseparatedraw", "tsvraw", "raw", "csv", "jsoneachrow", "jsonlines", "ndjson"}
    | {"jsoncompacteachrow", "jsonstringseachrow", "jsoncompactstringseachrow", "rowbinary", "native"}
    | {"rawblob", "lineasstring", "null", "tskv", "msgpack"}
)
_AS_A_WHOLE: Final = frozenset({"TOTALS", "EXTREMES", "OUTPUT_FORMAT_JSON_ARRAY_OF_ROWS", "ROLLUP", "CUBE"})


class Work:
    """A session for one request: opened on a worker thread, closed when the request ends, however it ends."""

    def __init__(
        self, engine: Engine, guard: Guard, options: Options, *, reader: bool, readonly: bool
    ) -> None:
        self._engine = engine
        self._guard = guard
        self._options = options
        self._reader = reader
        self._readonly = readonly
        self._session: Session | None = None
        self._pieces: Iterator[bytes] = iter(())
        self._staging: Staging | None = None
        self.format = options.default_format or DEFAULT_FORMAT
        self.tag = f"otel-fim:{options.query_id}"

    @property
    def session(self) -> Session:
        """The open session."""
        if self._session is None:
            raise RuntimeError("the session is not open")
        return self._session

    def open(self) -> None:
        """Connect. The tag is what `cancel` finds the query by."""
        self._session = self._engine.connect()
        first = [("log_comment", self.tag.encode())]
        if self._reader:
            first.append(("max_execution_time", str(READER_SECONDS).encode()))
        if self._readonly:
            first.append(("readonly", b"2"))
        self._session.set(first)

    def close(self) -> None:
        """Give the connection back; what was not finished is cancelled."""
        if self._staging is not None:
            self._staging.cancel()
            self._staging = None
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def start(self, text: bytes, encoder: Encoder, limit: int | None) -> tuple[IO[bytes], bool]:
        """Run a statement and give the encoded beginning of its result, and whether that is all of it.

        At most about `limit` bytes are gathered; None gathers everything. `more` gives the rest.
        """
        self.open()
        statement = self._guard.check(self.session, text, readonly=self._readonly)
        self._apply_options()
        self.session.progress = Progress()  # without what the check has read
        if statement.format is not None:
            self.format = statement.format
        self._pieces = self._encoded(self._result(statement), encoder)
        gathered = tempfile.SpooledTemporaryFile(max_size=8 * PIECE)  # noqa: SIM115 - the caller closes it
        while limit is None or gathered.tell() <= limit:
            piece = self.more()
            if piece is None:
                gathered.seek(0)
                return gathered, True
            gathered.write(piece)
        gathered.seek(0)
        return gathered, False

    def more(self) -> bytes | None:
        """The next piece of the result, or None at its end."""
        return next(self._pieces, None)

    def begin_insert(self, insert: Insert, *, large: bool) -> None:
        """Begin an INSERT whose data follows through `append`; `large` if it may not fit into memory."""
        self.open()
        if self._readonly:
            raise StoreError(READONLY, "Cannot execute query in readonly mode")
        whole = insert.statement + b"\nFORMAT " + insert.format.encode()
        kind, count = self.session.classify(whole)
        if count != 1 or kind not in {"MUTATING", "CONTROL"}:
            self._guard.check(self.session, whole, readonly=False)
            raise StoreError(SYNTAX_ERROR, "Syntax error: the INSERT cannot be understood")
        if not insert.format.isalnum():
            raise StoreError(BAD_ARGUMENTS, f"unknown format {insert.format!r}")
        self._staging = Staging(self.session, on_disk=large)
        if insert.structure is None:
            target = read_target(canonical_text(self.session, whole))
            self._apply_options()
            self._staging.for_target(target, insert.format, self._engine.type_settings)
            return
        # chDB cannot feed input(): the SELECT reads the staging table instead.
        create = b"CREATE TEMPORARY TABLE %s (%s) ENGINE = Memory" % (INPUT_TABLE.encode(), insert.structure)
        self._guard.check_names(create)
        select = self._guard.check(self.session, insert.statement, readonly=False)
        self._apply_options()
        self._staging.for_input(insert.structure, select.text, insert.format)

    def append(self, data: bytes) -> None:
        """Data of the INSERT."""
        if self._staging is not None:
            for start in range(0, len(data), PIECE):
                self._staging.append(data[start : start + PIECE])

    def finish_insert(self) -> None:
        """Commit the INSERT: when this returns, its rows are on disk."""
        if self._staging is not None:
            self._staging.finish()

    def check_values(self, data: bytes) -> None:
        """Look at a whole VALUES list before it runs. Raises `StoreError`."""
        if len(data) > MAX_VALUES:
            raise StoreError(
                QUERY_IS_TOO_LARGE,
                f"a VALUES list of more than {MAX_VALUES} bytes: send smaller ones, or use a format such as "
                "Native, RowBinary, JSONEachRow or CSV, which have no limit",
            )
        if self._guard.mentions_denied(data):
            self._guard.check_names(data)

    def _apply_options(self) -> None:
        if self._options.database and self._options.database != "default":
            self.session.use(self._options.database)
        self.session.set(self._options.settings)

    def _result(self, statement: Statement) -> Iterator[bytes]:
        extra = {name.upper() for name, value in self._options.settings if value not in {b"", b"0"}}
        in_pieces = self.format.lower() in _IN_PIECES and not (statement.words | extra) & _AS_A_WHOLE
        if in_pieces:
            return self.session.stream(statement.text, self.format)
        if statement.reads_only and self._options.setting("max_result_bytes") is None:
            self.session.set([("max_result_bytes", str(MAX_WHOLE_RESULT).encode())])
        return iter((self.session.execute(statement.text, self.format),))

    def _encoded(self, pieces: Iterator[bytes], encoder: Encoder) -> Iterator[bytes]:
        reframed = self._options.protocol > 0 and self.format.lower() == "native"
        for piece in pieces:
            encoded = encoder.feed(b"".join(reframe(piece, self._options.protocol)) if reframed else piece)
            if encoded:
                yield encoded
        rest = encoder.finish()
        if rest:
            yield rest


def cancel(engine: Engine, tag: str) -> None:
    """Stop the query with this tag, from another connection."""
    with engine.session() as session:
        session.execute(
            b"KILL QUERY WHERE Settings['log_comment'] = " + quote(tag.encode()) + b" ASYNC", "Null"
        )
