"""What a statement may do, decided from the engine's own reading of it.

Three walls, each enough for most cases: this module (statements are parsed by the engine, written back in its
canonical form, and every name that they call is looked at), the grants of the engine's only user
(`directory._GRANTS`), and where the kernel has it, Landlock (`sandbox`). Readers also run with `readonly = 2`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from otel_fim.store.engine import Session, parameter
from otel_fim.store.errors import (
    ACCESS_DENIED,
    NOT_IMPLEMENTED,
    READONLY,
    SYNTAX_ERROR,
    StoreError,
)
from otel_fim.store.insert import split_insert
from otel_fim.store.sql import called_names, read_canonical

ALLOWED_TABLE_FUNCTIONS: Final = frozenset(
    {
        *("numbers", "numbers_mt", "zeros", "zeros_mt", "primes", "generate_series", "generateseries"),
        *("generaterandom", "values", "sqlstandardvalues", "null", "format", "merge", "loop", "dictionary"),
        *("view", "viewexplain", "viewifpermitted", "mergetreeindex", "mergetreeprojection"),
        *("mergetreetextindex", "mergetreeanalyzeindexes", "mergetreecodecblockcounts"),
    }
)
"""Table functions that stay inside the store. One that a newer engine adds is refused until it is listed."""

_DENIED: Final = frozenset(
    # The scalar function file() reads any file; the others are sources of dictionaries, disks and engines.
    {"file", "catboostevaluate", "disk", "executable", "executablepool", "http", "cassandra", "kafka", "nats"}
    | {"rabbitmq", "s3queue", "azurequeue", "materializedpostgresql", "filelog", "library", "buffers"}
)

_PARAMETER: Final = "__otel_fim_statement"


@dataclass(slots=True, frozen=True)
class Statement:
    """A statement that may run. `format` is what its FORMAT clause names, or None; `words` are its words outside
    of quotes, in upper case."""

    text: bytes
    format: str | None
    words: frozenset[str]
    reads_only: bool


class Guard:
    """Checks statements. `table_functions` are the engine's, in lower case."""

    def __init__(self, table_functions: frozenset[str]) -> None:
        self._denied = _DENIED | (table_functions - ALLOWED_TABLE_FUNCTIONS)
        # A name in quotes can be spelled with escapes, so any quoted name counts.
        names = "|".join(sorted(map(re.escape, self._denied)))
        self._mention = re.compile(rf"[`\"\xe2]|\b(?:{names}|ai[a-z]+)\b".encode("latin-1"), re.IGNORECASE)

    def check(self, session: Session, text: bytes, *, readonly: bool) -> Statement:
        """The statement in `text`, for a session whose settings are still the defaults.

        Raises `StoreError`: SYNTAX_ERROR as the engine words it, READONLY, ACCESS_DENIED, NOT_IMPLEMENTED.
        """
        kind, count = session.classify(text)
        canonical = canonical_text(session, text)
        if count > 1:
            raise StoreError(SYNTAX_ERROR, "Syntax error (Multi-statements are not allowed)")
        if not canonical.strip() or count == 0 or kind == "UNKNOWN":
            raise StoreError(SYNTAX_ERROR, "Syntax error: the statement cannot be understood")
        found = read_canonical(canonical)
        if found.files:
            raise StoreError(
                NOT_IMPLEMENTED, "INTO OUTFILE and FROM INFILE are not available in the embedded store"
            )
        self._refuse(found.called)
        if split_insert(canonical, complete=True) is not None:
            # Its data would be found by the engine's own rules, under which a blank line ends it.
            raise StoreError(SYNTAX_ERROR, "Syntax error: the data of the INSERT cannot be found")
        if readonly and kind != "READ_ONLY":
            raise StoreError(READONLY, "Cannot execute query in readonly mode")
        if found.first[:1] == ("CREATE",) and "TEMPORARY" in found.first:
            raise StoreError(
                NOT_IMPLEMENTED,
                "the embedded store has no sessions: a temporary table would be gone with this request",
            )
        return Statement(text, found.format, found.words, kind == "READ_ONLY")

    def check_names(self, text: bytes) -> None:
        """Refuse a text that calls what reaches outside the store. Raises `StoreError` (ACCESS_DENIED)."""
        self._refuse(called_names(text))

    def _refuse(self, called: Iterable[str]) -> None:
        for name in sorted(called):
            if name in self._denied or (name.startswith("ai") and len(name) > 4):
                raise StoreError(
                    ACCESS_DENIED,
                    f"'{name}' is not available in the embedded store: it reaches outside of it",
                )

    def mentions_denied(self, data: bytes) -> bool:
        """Whether the bytes of a VALUES list need a closer look: a cheap test without false negatives."""
        return self._mention.search(data) is not None


def canonical_text(session: Session, text: bytes) -> bytes:
    """The statement as the engine writes it: no comments, plain quoting, one line."""
    session.set([(f"param_{_PARAMETER}", parameter(text))])
    query = f"SELECT formatQuerySingleLine({{{_PARAMETER}:String}})".encode()
    try:
        return session.execute(query, "RawBLOB")
    except StoreError as error:
        # The engine adds the whole statement to its message as the place of the error.
        message = error.message.partition(": In scope SELECT formatQuery")[0]
        raise StoreError((error.code, error.name), message) from None
