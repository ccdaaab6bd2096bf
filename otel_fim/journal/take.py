"""Taking the next lines of one segment, as many as a batch may hold."""

from __future__ import annotations

import logging
from typing import Final, NamedTuple

from otel_fim.journal.index import LineSpan
from otel_fim.journal.segment import Segment
from otel_fim.journal.source import Source, fetch_all, iter_lines, records_in

_NEWLINE: Final = ord("\n")


class Taken(NamedTuple):
    """Lines, their number of records, and the byte behind them (and behind what was skipped)."""

    lines: tuple[bytes, ...]
    records: int
    offset: int


def take_indexed(source: Source, offset: int, spans: list[LineSpan]) -> Taken | None:
    """Lines whose places are known; None when that is not what is there."""
    data = fetch_all(source, offset, spans[-1].end - offset)
    if data is None:
        return None
    lines, start = [], 0
    for span in spans:
        end = span.end - offset
        if data[end - 1] != _NEWLINE:
            return None
        lines.append(data[start : end - 1])
        start = end
    return Taken(tuple(lines), sum(span.records for span in spans), spans[-1].end)


def take_parsed(
    segment: Segment,
    source: Source,
    offset: int,
    limit: int,
    left: int,
    max_records: int,
    max_bytes: int,
    logger: logging.Logger,
) -> Taken:
    """Looks for line ends between `offset` and `limit` and counts records; skips and logs what is no line.

    Ends after `left` records, which is all that the segment has. What a failed fsync left behind them has been
    written again to the next segment.
    """
    lines: list[bytes] = []
    records = size = 0
    for line in iter_lines(source, offset, limit):
        if records >= left:
            break
        count = records_in(line)
        if count is None or line.data is None:
            logger.error("%s: bytes %d to %d are no line", segment.path, line.start, line.end)
        elif lines and (records + count > max_records or size + len(line.data) > max_bytes):
            break
        elif count:
            lines.append(line.data)
            records += count
            size += len(line.data)
        offset = line.end
        if records >= max_records or size >= max_bytes:
            break
    return Taken(tuple(lines), records, offset)
