"""The journal: append-only OTLP/JSON segments that are audit log, persistent queue and evidence in one.

    journal = Journal.open(directory, config, logger=logger, notify=notify)
    journal.append(records, on_durable=callback)      # written on return, acknowledged by the callback
    reader = journal.reader("clickhouse")
    batch = reader.read(max_records=1000, max_bytes=2**20, timeout=1.0)
    reader.acknowledge(batch)                         # the cursor moves only now

docs/journal.md describes the files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_fim.journal.errors import (
    JournalClosedError,
    JournalError,
    JournalFormatError,
    JournalFullError,
    JournalLockedError,
    JournalWriteError,
)
from otel_fim.journal.notice import JournalNotice, Recovery

if TYPE_CHECKING:
    from otel_fim.journal.batch import JournalBatch
    from otel_fim.journal.journal import Journal
    from otel_fim.journal.reader import JournalReader
    from otel_fim.journal.scan import ScannedLine, scan_lines

__all__ = [
    "Journal",
    "JournalBatch",
    "JournalClosedError",
    "JournalError",
    "JournalFormatError",
    "JournalFullError",
    "JournalLockedError",
    "JournalNotice",
    "JournalReader",
    "JournalWriteError",
    "Recovery",
    "ScannedLine",
    "scan_lines",
]

_HOMES = {
    "Journal": "journal",
    "JournalBatch": "batch",
    "JournalReader": "reader",
    "ScannedLine": "scan",
    "scan_lines": "scan",
}


def __getattr__(name: str) -> Any:
    # Loaded when asked for: the configuration needs only `journal.config`, and not the codec with it.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
