"""Records to lines and what can be said of a line without decoding its records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import orjson

from otel_fim.otlp import clean_record, encode_logs_data_json
from otel_fim.record import Record

MAX_LINE_RECORDS: Final = 1000
MAX_LINE_BYTES: Final = 2**20
"""A line is made smaller when it is larger than this and holds more than one record."""


def encode_lines(records: Sequence[Record]) -> bytes:
    """The records as lines, each of at most 1000 records and about 1 MiB, each ended by a newline.

    A record that OTLP cannot carry (an integer beyond 64 bits, say) is written as `clean_record` makes it fit.
    """
    return b"".join(
        line
        for start in range(0, len(records), MAX_LINE_RECORDS)
        for line in _encode(records[start : start + MAX_LINE_RECORDS])
    )


def _encode(records: Sequence[Record]) -> Iterator[bytes]:
    try:
        line = encode_logs_data_json(records)
    except ValueError:
        line = encode_logs_data_json([_fitting(record) for record in records])
    if len(line) <= MAX_LINE_BYTES or len(records) == 1:
        yield line + b"\n"
        return
    # Records differ in size: halves are tried rather than a size computed.
    middle = len(records) // 2
    yield from _encode(records[:middle])
    yield from _encode(records[middle:])


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
