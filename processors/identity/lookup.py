"""Which process a record means: found only when it is proven, since a pid alone proves nothing.

Proof is the creation time beside the pid, or the record's time when only one process can have had the pid then. A
record's time is later than what it tells of: `_BEFORE` covers the wait for a file to be quiet (ten times the file
integrity receiver's `settle`, or a log daemon that is slow), `_AFTER` clocks that differ, and for logs that they may
have whole seconds.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from otel_fim import names
from otel_fim.host.process import Process
from otel_fim.host.table import ProcessTable
from otel_fim.processors.identity.families import FAMILIES, Family
from otel_fim.record import AnyValue, Record

_SECOND: Final = 1_000_000_000
_CLOCKS: Final = 60_000_000
"""The start of a process is rounded down to a clock tick and follows a clock that is set in steps of 50 ms."""
_LONGEST: Final = 3 * _SECOND
_LATE: Final = 30 * _SECOND
_BEFORE: Final = {Family.FILE: _LONGEST, Family.AUTH: _SECOND // 2, Family.LOGIN: _SECOND // 2}
_AFTER: Final = {Family.AUTH: _SECOND + _CLOCKS, Family.LOGIN: _SECOND + _CLOCKS}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

EXITED: Final = "exited"


def pid_of(record: Record) -> int:
    """The pid that a record names, 0 for none."""
    pid = record.attributes.get(names.PROCESS_PID)
    return pid if isinstance(pid, int) and not isinstance(pid, bool) and pid > 0 else 0


def time_needed(record: Record) -> int:
    """Up to when (ns since the epoch) the table should know everything, so that the process can be found."""
    family = FAMILIES.get(record.event_name, Family.OTHER)
    return (record.time_unix_nano or record.observed_time_unix_nano) + _AFTER.get(family, _CLOCKS)


def window(record: Record, now_unix_nano: int) -> tuple[int, int]:
    """From when to when (ns since the epoch) the process did what a record of a file or a log tells."""
    family, at = FAMILIES[record.event_name], record.time_unix_nano
    until = min(at + _AFTER.get(family, _CLOCKS), max(at, now_unix_nano))
    return at - _BEFORE.get(family, _LONGEST), until


class Lookup:
    """Finds processes for the records of one batch; what was found for one is remembered for the others."""

    def __init__(self, table: ProcessTable) -> None:
        self._table = table
        self._now = 0
        self._found: dict[tuple[int, str], Process | None] = {}

    def begin(self, now_unix_nano: int) -> None:
        """Begins a batch: processes have changed since the last one. Of what happens after `now_unix_nano` the table
        need not know."""
        self._found.clear()
        self._now = now_unix_nano

    def find(self, record: Record, pid: int) -> Process | None:
        """The process that the record means by its pid, None when that is not proven."""
        attributes = record.attributes
        text = attributes.get(names.PROCESS_CREATION_TIME)
        if isinstance(text, str):
            key = (pid, text)
            if key in self._found:
                process = self._found[key]
            else:
                created = parse_time(text)
                process = None if created is None else self._table.find(pid, created_unix_nano=created)
                self._found[key] = process
        else:
            process = self._by_time(record, pid)
        entity = attributes.get(names.PROCESS_ENTITY_ID)
        if process is not None and entity is not None and entity != process.entity_id:
            return None
        return process

    def _by_time(self, record: Record, pid: int) -> Process | None:
        family = FAMILIES.get(record.event_name, Family.OTHER)
        at = record.time_unix_nano
        if at <= 0 or family is Family.OTHER or _has_no_time(record):
            return None
        exited = record.attributes.get(names.OTEL_FIM_ACTOR_STATE) == EXITED
        if family is Family.ACTOR and not exited:
            return self._table.find(pid, at_unix_nano=at)
        since, until = window(record, self._now)
        process = self._table.find(pid, at_unix_nano=until, within_nano=until - since)
        if process is None and family is not Family.AUTH and family is not Family.LOGIN:
            # Late for a receiver that had too much to do: then nobody else may have had the pid for much longer.
            process = self._table.find(pid, at_unix_nano=until, within_nano=until - at + _LATE)
        if process is None or not exited:
            return process
        # It was gone when the receiver looked: one that still ran then is another.
        seen = max(record.observed_time_unix_nano, at) + _CLOCKS
        ended = process.ended_unix_nano
        return process if ended is not None and ended <= seen else None


def _has_no_time(record: Record) -> bool:
    """Whether the record's time is not when the process did it."""
    attributes = record.attributes
    return (
        attributes.get(names.OTEL_FIM_FILE_WHILE_DOWN) is True
        or attributes.get(names.OTEL_FIM_PERSISTENCE_WHILE_DOWN) is True
        or attributes.get(names.OTEL_FIM_LISTENER_WHILE_DOWN) is True
    )


@lru_cache(maxsize=4096)
def parse_time(text: str) -> int | None:
    """Nanoseconds since the epoch of an ISO 8601 time with a zone and up to nine decimals; None for anything else."""
    head, point, tail = text.partition(".")
    digits = len(tail) - len(tail.lstrip("0123456789"))
    fraction, zone = tail[:digits], tail[digits:]
    if point and not (1 <= digits <= 9 and fraction.isascii()):
        return None
    try:
        moment = datetime.fromisoformat(head + zone)
        if moment.tzinfo is None:
            return None
        return _whole_seconds(moment) * _SECOND + int(fraction.ljust(9, "0") or "0")
    except (ValueError, OverflowError):
        return None


def _whole_seconds(moment: datetime) -> int:
    since = moment - _EPOCH
    return since.days * 86400 + since.seconds


def integer(value: AnyValue) -> int | None:
    """An id as a number, whichever way it was written; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else None
