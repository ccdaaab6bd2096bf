"""Reading a journal without a cursor: for verification, for reports, for its newest record and those since a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from otel_fim.journal.segment import Segment, list_segments
from otel_fim.journal.source import iter_lines, open_source, records_in
from otel_fim.otlp import OtlpDecodeError, decode_logs_data_json
from otel_fim.record import Record

_TAIL_BYTES: Final = 64 * 1024
_FILE_TIME_NANO: Final = 2_000_000_000
"""File systems note times late and in steps: FAT's are two seconds."""


@dataclass(slots=True, frozen=True)
class ScannedLine:
    """A line of a segment, or, with `data` None, bytes that cannot be read; `first` is its first record's number."""

    segment: str
    start: int
    end: int
    first: int
    data: bytes | None


def scan_lines(directory: Path) -> Iterator[ScannedLine]:
    """All lines of a journal, oldest first, from its files as they are; takes no lock and changes nothing.

    Of a journal that is being written, the newest lines may not be durable yet and the last may be partial.
    """
    segments = list_segments(directory)
    for index, segment in enumerate(segments):
        end = segments[index + 1].first if index + 1 < len(segments) else None
        record = segment.first
        try:
            source = open_source(segment)
        except FileNotFoundError:
            continue  # retention took it while we were reading
        try:
            for line in iter_lines(source, 0, segment.length):
                if end is not None and record >= end:
                    break  # written again to the next segment after a failed fsync
                count = records_in(line)
                yield ScannedLine(
                    segment.name, line.start, line.end, record, line.data if count is not None else None
                )
                record += count or 0
        finally:
            source.close()


def records_since(segments: Sequence[Segment], active_length: int, since: int) -> Iterator[Record]:
    """The records that were observed at `since` (nanoseconds since the epoch) or later, in the order in which they
    were appended, of segments whose last is active, `active_length` bytes long.

    Segments that were written last before `since` are not opened. Lines that cannot be read are left out.
    """
    for index, segment in enumerate(segments):
        active = index + 1 == len(segments)
        if not active and segment.written_ns + _FILE_TIME_NANO < since:
            continue
        try:
            source = open_source(segment)
        except FileNotFoundError:
            continue
        end = None if active else segments[index + 1].first
        record = segment.first
        try:
            for line in iter_lines(source, 0, active_length if active else segment.length):
                if end is not None and record >= end:
                    break  # written again to the next segment after a failed fsync
                record += records_in(line) or 0
                yield from _observed_since(line.data, since)
        finally:
            source.close()


def _observed_since(data: bytes | None, since: int) -> Iterator[Record]:
    if data is None:
        return
    try:
        records = decode_logs_data_json(data)
    except OtlpDecodeError:
        return
    for record in records:
        if record.observed_time_unix_nano >= since:
            yield record


def newest_record(segments: Sequence[Segment], active_length: int, next_record: int) -> Record | None:
    """The newest record of segments whose last is active, `active_length` bytes long."""
    end = next_record
    for index, segment in enumerate(reversed(segments)):
        record = _from_end(segment, active_length) if index == 0 else _from_start(segment, end)
        if record is not None:
            return record
        end = segment.first
    return None


def oldest_time(segment: Segment) -> int:
    """When the segment was begun, nanoseconds since the epoch: its first record's observed time, or else the
    time of its last write."""
    source = open_source(segment)
    try:
        line = next(iter_lines(source, 0, segment.length), None)
        records = decode_logs_data_json(line.data) if line is not None and line.data is not None else []
    except OtlpDecodeError:
        records = []
    finally:
        source.close()
    observed = records[0].observed_time_unix_nano if records else 0
    return observed or segment.written_ns


def _from_end(segment: Segment, length: int) -> Record | None:
    source = open_source(segment)
    try:
        size = _TAIL_BYTES
        while True:
            start = max(0, length - size)
            lines = [line.data for line in iter_lines(source, start, length)]
            # The first one may be the end of a longer line.
            for data in reversed(lines if start == 0 else lines[1:]):
                record = _last_of(data)
                if record is not None:
                    return record
            if start == 0:
                return None
            size *= 8
    finally:
        source.close()


def _from_start(segment: Segment, end: int) -> Record | None:
    """A closed segment is read from its start, since lines that were written again elsewhere may follow its end."""
    source = open_source(segment)
    newest: bytes | None = None
    record = segment.first
    try:
        for line in iter_lines(source, 0, segment.length):
            if record >= end:
                break
            count = records_in(line)
            if count:
                newest = line.data
                record += count
    finally:
        source.close()
    return _last_of(newest)


def _last_of(data: bytes | None) -> Record | None:
    if data is None:
        return None
    try:
        records = decode_logs_data_json(data)
    except OtlpDecodeError:
        return None
    return records[-1] if records else None
