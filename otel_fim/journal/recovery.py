"""What an opening does with the newest segment: count its records and cut what never became durable."""

from __future__ import annotations

import contextlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple

from otel_fim.journal import files
from otel_fim.journal.active import ActiveFile
from otel_fim.journal.commit import UNSYNCED_BYTES
from otel_fim.journal.cursor import Position
from otel_fim.journal.metadata import CleanStop
from otel_fim.journal.notice import JournalNotice, Recovery
from otel_fim.journal.segment import Segment
from otel_fim.journal.source import iter_lines, open_source, records_in

_KEPT_CUTS: Final = 16


@dataclass(slots=True, frozen=True)
class Tail:
    """The newest segment after its inspection: `next_record` comes after its last record, `torn_bytes` were
    cut, and kept in `kept_in` when there was more than a partial line. `damaged` says that there are lines before
    the end that cannot be read."""

    next_record: int
    torn_bytes: int = 0
    kept_in: str | None = None
    damaged: bool = False


class Recovered(NamedTuple):
    """What was found, the file to be written, and the number of the next record."""

    recovery: Recovery
    active: ActiveFile
    next_record: int


def recover(
    directory: Path,
    segments: list[Segment],
    clean: CleanStop | None,
    cursors: list[Position],
    logger: logging.Logger,
    *,
    created: bool,
) -> Recovered:
    """Makes the last of `segments` one that can be written, or adds one. `cursors` are where readers were."""
    previous: Literal["none", "clean", "unclean"] = "unclean"
    if clean is not None and segments and clean.fits(segments[-1]):
        previous = "clean"
    elif created and not segments:
        previous = "none"
    if not segments:
        return Recovered(Recovery(previous), _begin(directory, segments, 1), 1)
    segment = segments[-1]
    ours = [position for position in cursors if position.segment == segment.first]
    # How many records damaged lines had is not known: the numbering then goes on behind any that was used.
    used = max((position.record for position in ours), default=0)
    if segment.compressed:
        next_record = max(count_segment(segment), segment.first + 1, used)
        return Recovered(Recovery(previous), _begin(directory, segments, next_record), next_record)
    durable = max((position.offset for position in ours if position.offset <= segment.length), default=0)
    tail = inspect_tail(segment, clean, durable, logger)
    if tail.damaged:
        next_record = max(tail.next_record, segment.first + 1, used)
        active = _begin(directory, segments, next_record)
    else:
        next_record = tail.next_record
        active = ActiveFile.open(segment)
        # What a crashed process had written is in the kernel's hands only; from here on it counts as durable.
        active.sync()
        files.sync_directory(directory)
    if not tail.torn_bytes:
        return Recovered(Recovery(previous), active, next_record)
    notice = torn_notice(segment, tail)
    found = Recovery(previous, tail.torn_bytes, segment.name, tail.kept_in, (notice,))
    return Recovered(found, active, next_record)


def _begin(directory: Path, segments: list[Segment], first: int) -> ActiveFile:
    active = ActiveFile.create(Segment(directory, first))
    segments.append(active.segment)
    return active


def count_segment(segment: Segment) -> int:
    """The number after the last record of a segment, as far as its lines can be read."""
    source = open_source(segment)
    try:
        return segment.first + sum(records_in(line) or 0 for line in iter_lines(source, 0, segment.length))
    finally:
        source.close()


def inspect_tail(segment: Segment, clean: CleanStop | None, durable: int, logger: logging.Logger) -> Tail:
    """Brings the newest segment, which is not compressed, into order.

    The first `durable` bytes are known to have been on disk (a cursor has passed them). After a power cut, pages
    that had not been synced may hold anything, also in front of pages that made it; they all lie within the last
    `UNSYNCED_BYTES`. So the first thing there that is no line, and all behind it, was never acknowledged and is
    cut. What is damaged further in front was durable once: it stays where it is, for readers to report.
    """
    if clean is not None and clean.fits(segment):
        return Tail(clean.next_record)
    doubtful = max(durable, segment.length - UNSYNCED_BYTES)
    next_record, good, damaged = segment.first, 0, False
    source = open_source(segment)
    try:
        for line in iter_lines(source, 0, segment.length):
            count = records_in(line)
            if count is not None:
                next_record += count
            elif line.start >= doubtful or line.data is None:
                break  # without data it has no line end, and something will be written behind it
            else:
                damaged = True
                logger.error("%s: bytes %d to %d are damaged", segment.path, line.start, line.end)
            good = line.end
    finally:
        source.close()
    if good == segment.length:
        return Tail(next_record, damaged=damaged)
    torn = segment.length - good
    kept = _keep(segment, good)
    active = ActiveFile.open(segment)
    try:
        active.trim(good)
        active.sync()
    finally:
        active.close()
    segment.length = segment.disk_size = good
    return Tail(next_record, torn, kept, damaged)


def torn_notice(segment: Segment, tail: Tail) -> JournalNotice:
    """The notice for what `inspect_tail` cut."""
    kept = f" and are kept in {tail.kept_in}" if tail.kept_in else ""
    return JournalNotice(
        "torn_tail",
        "journal_torn",
        f"the agent was not stopped cleanly: {tail.torn_bytes} bytes behind the last whole line of {segment.name} "
        f"were cut{kept}; they had not been acknowledged, so whoever sent them sends them again",
        start_unix_nano=segment.written_ns,
    )


def _keep(segment: Segment, offset: int) -> str | None:
    """Copies what will be cut, if it holds a line end, so that nobody has to take our word for it."""
    directory = segment.directory / "torn"
    descriptor = files.open_existing(segment.path)
    try:
        data = os.pread(descriptor, segment.length - offset, offset)
    finally:
        os.close(descriptor)
    if b"\n" not in data:
        return None
    path = directory / f"{segment.first:020d}-{offset}.bin"
    try:
        files.make_directory(directory)
        files.replace_file(path, data)
        _forget_old(directory)
    except OSError:
        return None  # no room for a copy must not keep the journal from opening
    return str(path.relative_to(segment.directory))


def _forget_old(directory: Path) -> None:
    kept = sorted(directory.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    for path in kept[:-_KEPT_CUTS]:
        with contextlib.suppress(OSError):
            path.unlink()
