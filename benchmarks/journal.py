"""Appending to the journal and reading it, against what one would use instead: `python -m benchmarks.journal`.

Every way of writing takes the same records (twelve attributes), makes OTLP/JSON of them and has them on disk in
the end, with one fsync for about a thousand records. The peers: a table in SQLite (WAL, synchronous=FULL, one
row for each record, a commit for each thousand), and Python's `logging.FileHandler` with an fsync for each
thousand. One thread writes; the best of three rounds is shown. The files are below the system's temporary
directory: set TMPDIR to measure another disk.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.codec import make_records
from otel_fim.journal import Journal
from otel_fim.journal.config import JournalConfig
from otel_fim.otlp import encode_logs_data_json
from otel_fim.record import Record

_COUNT: Final = 40_000
_ROUNDS: Final = 3
_GROUP: Final = 1000
_LOGGER: Final = logging.getLogger("benchmark.journal")


@dataclass(slots=True, frozen=True)
class Row:
    """One line of the table: records per second, and how many times as fast as the peers."""

    name: str
    per_second: float
    against_sqlite: float | None = None
    against_file_handler: float | None = None


@contextlib.contextmanager
def _directory() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="otel-fim-benchmark-"))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def _best(work: Callable[[Path], float]) -> float:
    """The shortest of the times that `work` says it took."""
    times = []
    for _ in range(_ROUNDS):
        with _directory() as directory:
            times.append(work(directory))
    return min(times)


def _open(directory: Path, **settings: object) -> Journal:
    return Journal.open(directory, JournalConfig.model_validate(settings), logger=_LOGGER)


def _append(directory: Path, records: Sequence[Record], batch: int) -> float:
    with _open(directory / "journal") as journal:
        begin = time.perf_counter()
        for start in range(0, len(records), batch):
            journal.append(records[start : start + batch])
        if not journal.flush(60):
            raise RuntimeError("the journal was not durable after a minute")
        return time.perf_counter() - begin


def _sqlite(directory: Path, records: Sequence[Record]) -> float:
    database = sqlite3.connect(directory / "queue.db", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE queue (id INTEGER PRIMARY KEY, line BLOB)")
    begin = time.perf_counter()
    for start in range(0, len(records), _GROUP):
        database.execute("BEGIN")
        for record in records[start : start + _GROUP]:
            database.execute("INSERT INTO queue (line) VALUES (?)", (encode_logs_data_json([record]),))
        database.execute("COMMIT")
    taken = time.perf_counter() - begin
    database.close()
    return taken


def _file_handler(directory: Path, records: Sequence[Record]) -> float:
    handler = logging.FileHandler(directory / "log.jsonl", encoding="utf-8")
    logger = logging.getLogger("benchmark.file")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    begin = time.perf_counter()
    for start in range(0, len(records), _GROUP):
        for record in records[start : start + _GROUP]:
            logger.info(encode_logs_data_json([record]).decode())
        os.fsync(handler.stream.fileno())
    taken = time.perf_counter() - begin
    logger.removeHandler(handler)
    handler.close()
    return taken


def _read(directory: Path, records: Sequence[Record], decode: bool, compressed: bool) -> float:
    settings = {"segment_size": "4MiB", "compression": compressed, "sync_interval": 0.05}
    with _open(directory / "journal", **settings) as journal:
        for start in range(0, len(records), _GROUP):
            journal.append(records[start : start + _GROUP])
        journal.flush(60)
        journal.maintain()
        reader = journal.reader("benchmark")
        seen = 0
        begin = time.perf_counter()
        while (batch := reader.read(10_000, 16 * 2**20, 0.0)) is not None:
            seen += len(batch.records) if decode else batch.record_count
            reader.acknowledge(batch)
        taken = time.perf_counter() - begin
    if seen != len(records):
        raise RuntimeError(f"{seen} of {len(records)} records were read")
    return taken


def _reopen(directory: Path, records: Sequence[Record]) -> float:
    """Opening after a crash: the newest segment is read through."""
    with _open(directory / "journal") as journal:
        for start in range(0, len(records), _GROUP):
            journal.append(records[start : start + _GROUP])
    (directory / "journal" / "clean.json").unlink()
    begin = time.perf_counter()
    journal = _open(directory / "journal")
    taken = time.perf_counter() - begin
    journal.close()
    return taken


def run() -> list[Row]:
    """All measurements."""
    records = make_records(_COUNT)
    sqlite = _COUNT / _best(lambda directory: _sqlite(directory, records))
    handler = _COUNT / _best(lambda directory: _file_handler(directory, records))
    rows = [Row("SQLite, WAL, a row for each record", sqlite), Row("logging.FileHandler + fsync", handler)]
    for batch in (1, 10, 100, 1000):
        rate = _COUNT / _best(lambda directory, batch=batch: _append(directory, records, batch))  # type: ignore[misc]
        rows.append(Row(f"journal, {batch} records an append", rate, rate / sqlite, rate / handler))
    for name, decode, compressed in (
        ("read lines", False, False),
        ("read and decode", True, False),
        ("read and decode, compressed segments", True, True),
    ):
        taken = _best(lambda directory, d=decode, c=compressed: _read(directory, records, d, c))  # type: ignore[misc]
        rows.append(Row(f"journal, {name}", _COUNT / taken))
    rows.append(
        Row("journal, opening after a crash", _COUNT / _best(lambda directory: _reopen(directory, records)))
    )
    return rows


def main() -> None:
    """Prints the table."""
    print(f"{'':<46}{'records/s':>12}{'SQLite':>9}{'FileHandler':>13}")
    for row in run():
        ratios = [
            f"{ratio:.1f}×" if ratio else "" for ratio in (row.against_sqlite, row.against_file_handler)
        ]
        print(f"{row.name:<46}{row.per_second:>12,.0f}{ratios[0]:>9}{ratios[1]:>13}")


if __name__ == "__main__":
    main()
