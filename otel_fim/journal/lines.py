"""Records to lines and what can be said of a line without decoding its records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import orjson

from otel_fim.otlp import clean_record, encode_logs_data_json
from otel_fim.record import Record

MAX_LINE_RECORDS: Final = 1000
MAX_LINE_BYTES: Final = 2**20
"""A line is made smaller when it is larger than this and holds more than one record."""


class Lines(NamedTuple):
    """Lines, each ended by a newline; for each its size with the newline and its number of records."""

    data: bytes
    spans: list[tuple[int, int]]
    records: int


class LineEncoder:
    """Turns records into lines of at most 1000 records and about 1 MiB.

    Remembers how large records have been, so that a line is seldom encoded only to be found too large. May be
    used from several threads.
    """

    def __init__(self) -> None:
        self._record_bytes = 1.0

    def encode(self, records: Sequence[Record]) -> Lines:
        """The records as lines.

        A record that OTLP cannot carry (an integer beyond 64 bits, say) is written as `clean_record` makes it
        fit.
        """
        data: list[bytes] = []
        spans: list[tuple[int, int]] = []
        start = 0
        while start < len(records):
            count = min(MAX_LINE_RECORDS, max(1, int(MAX_LINE_BYTES / self._record_bytes)))
            piece = records[start : start + count]
            for line, held in self._pieces(piece):
                data.append(line)
                spans.append((len(line), held))
            start += len(piece)
        return Lines(b"".join(data), spans, len(records))

    def _pieces(self, records: Sequence[Record]) -> Iterator[tuple[bytes, int]]:
        try:
            line = encode_logs_data_json(records)
        except ValueError:
            line = encode_logs_data_json([_fitting(record) for record in records])
        # A little more than what was seen, for the next ones may be larger.
        self._record_bytes = max(1.0, 1.1 * len(line) / len(records))
        if len(line) <= MAX_LINE_BYTES or len(records) == 1:
            yield line + b"\n", len(records)
            return
        # Records differ in size: halves are tried rather than a size computed.
        middle = len(records) // 2
        yield from self._pieces(records[:middle])
        yield from self._pieces(records[middle:])


def _fitting(record: Record) -> Record:
    copy = record.copy()
    clean_record(copy)
    return copy


def count_records(line: bytes) -> int:
    """Number of records in a line. Raises `ValueError` for what is not a `LogsData` object."""
    try:
        total = 0
        for resource_logs in orjson.loads(line).get("resourceLogs") or ():
            for scope_logs in resource_logs.get("scopeLogs") or ():
                total += len(scope_logs.get("logRecords") or ())
        return total
    except (AttributeError, TypeError) as error:
        raise ValueError(f"not a LogsData object: {error}") from error
