"""From a batch to inserts: one for each stream, and no more days in one than a server takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from otel_fim import names
from otel_fim.exporters.clickhouse.rows import timestamp
from otel_fim.record import Record

DAY: Final = 86_400_000_000_000
MAX_DAYS: Final = 50
"""Days in one insert. The table has a partition for each day and a server refuses more than 100 in one insert;
its days may begin at another hour than UTC's, which adds one."""
_LONGEST_STREAM_ID: Final = 256
_MAX_NUMBER: Final = (1 << 63) - 1


@dataclass(slots=True, frozen=True)
class Insert:
    """Rows that go in one statement.

    `timestamps` are the rows' times in nanoseconds. `stream` and `numbers` say which records these are; both
    are None for records that are in no stream.
    """

    stream: str | None
    records: Sequence[Record]
    timestamps: Sequence[int]
    numbers: Sequence[int] | None

    def part(self, rows: Sequence[int]) -> Insert:
        """Only these rows."""
        return Insert(
            self.stream,
            [self.records[i] for i in rows],
            [self.timestamps[i] for i in rows],
            None if self.numbers is None else [self.numbers[i] for i in rows],
        )

    def halves(self) -> tuple[Insert, Insert]:
        """The first half and the rest."""
        middle = len(self.records) // 2
        return self.part(range(middle)), self.part(range(middle, len(self.records)))


def plan(records: Sequence[Record]) -> list[Insert]:
    """The inserts for `records`: each stream's in the order of the batch, records without a stream last.

    A number that comes twice in a stream is sent once, the first time.
    """
    streams: dict[str, dict[int, Record]] = {}
    others: list[Record] = []
    for record in records:
        attributes = record.attributes
        stream = attributes.get(names.AUDIT_SEQUENCE_STREAM_ID)
        number = attributes.get(names.AUDIT_SEQUENCE_NUMBER)
        if (
            type(stream) is str
            and type(number) is int
            and 0 < number <= _MAX_NUMBER
            and 0 < len(stream) <= _LONGEST_STREAM_ID
        ):
            streams.setdefault(stream, {}).setdefault(number, record)
        else:
            others.append(record)
    inserts: list[Insert] = []
    for stream, by_number in streams.items():
        members = list(by_number.values())
        inserts += _by_days(Insert(stream, members, [timestamp(r) for r in members], list(by_number)))
    if others:
        inserts += _by_days(Insert(None, others, [timestamp(r) for r in others], None))
    return inserts


def _by_days(insert: Insert) -> list[Insert]:
    times = insert.timestamps
    if max(times) // DAY - min(times) // DAY < MAX_DAYS:
        return [insert]
    rows: dict[int, list[int]] = {}
    for row, time in enumerate(times):
        rows.setdefault(time // DAY, []).append(row)
    days = sorted(rows)
    return [
        insert.part(sorted(row for day in days[start : start + MAX_DAYS] for row in rows[day]))
        for start in range(0, len(days), MAX_DAYS)
    ]
