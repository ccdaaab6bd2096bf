"""Records since a time, read without a cursor."""

from __future__ import annotations

import os
import tracemalloc
from typing import Any

from otel_fim.journal import files
from otel_fim.record import Record

SECOND = 10**9
START = 1_700_000_000 * SECOND


def observed(first: int, count: int, body: str = "") -> list[Record]:
    """Record n was observed n seconds after the start."""
    return [
        Record(observed_time_unix_nano=START + number * SECOND, body=body, attributes={"number": number})
        for number in range(first, first + count)
    ]


def numbers(journal: Any, since: int) -> list[int]:
    return [int(record.attributes["number"]) for record in journal.recorded(START + since * SECOND)]


def write(journal: Any, first: int, count: int) -> None:
    for number in range(first, first + count):
        journal.append(observed(number, 1))
    assert journal.flush(30)


def test_an_empty_journal_has_none(journals: Any) -> None:
    assert list(journals().recorded(0)) == []


def test_records_come_from_plain_and_compressed_segments_and_the_one_being_written(journals: Any) -> None:
    journal = journals(segment_size=4096)
    write(journal, 0, 60)
    journal.maintain()
    write(journal, 60, 40)
    kinds = {name.partition(".")[2] for name in journals.segments()}
    assert "jsonl.zst" in kinds
    assert numbers(journal, 0) == list(range(100))
    assert numbers(journal, 73) == list(range(73, 100))
    assert numbers(journal, 100) == []
    journal.close()
    assert numbers(journals(segment_size=4096), 20) == list(range(20, 100)), "after a restart"


def test_records_come_in_the_journals_order_whatever_their_times(journals: Any) -> None:
    journal = journals()
    journal.append([*observed(5, 1), *observed(3, 1), *observed(4, 1), *observed(1, 1)])
    journal.flush(10)
    assert numbers(journal, 3) == [5, 3, 4]


def test_no_cursor_is_made_and_none_moves(journals: Any, drain: Any) -> None:
    journal = journals()
    write(journal, 0, 5)
    reader = journal.reader("r")
    assert numbers(journal, 0) == [0, 1, 2, 3, 4]
    assert journal.cursor_names() == ["r"]
    assert drain(reader) == [0, 1, 2, 3, 4]


def test_segments_that_are_older_are_not_opened(journals: Any) -> None:
    journal = journals(segment_size=4096, compression=False)
    write(journal, 0, 100)
    names = journals.segments()
    journal.close()
    for name in names[:-2]:
        os.utime(journals.directory / name, ns=(START - SECOND, START - SECOND))
    journal = journals(segment_size=4096, compression=False)
    opened: list[str] = []
    real = files.open_existing
    files.open_existing = lambda path, **more: (opened.append(path.name), real(path, **more))[1]
    try:
        found = numbers(journal, 2)
    finally:
        files.open_existing = real
    assert opened == names[-2:]
    assert found[-1] == 99
    assert found == list(range(found[0], 100))
    assert int(names[-2].partition(".")[0]) == found[0] + 1


def test_what_cannot_be_read_is_left_out(journals: Any) -> None:
    journal = journals(segment_size=4096, compression=False)
    write(journal, 0, 60)
    journal.close()
    first = journals.directory / journals.segments()[0]
    data = first.read_bytes()
    end = data.index(b"\n")
    first.write_bytes(b"x" * end + data[end:])
    assert numbers(journals(segment_size=4096, compression=False), 0) == list(range(1, 60))


def test_a_segment_that_retention_took_is_passed_over(journals: Any) -> None:
    journal = journals(segment_size=4096, compression=False)
    write(journal, 0, 60)
    names = journals.segments()
    (journals.directory / names[1]).unlink()
    gone = range(int(names[1][:20]) - 1, int(names[2][:20]) - 1)
    assert numbers(journal, 0) == [number for number in range(60) if number not in gone]


def test_one_line_at_a_time_is_in_memory(journals: Any) -> None:
    journal = journals(compression=False)
    for first in range(0, 20_000, 100):
        journal.append(observed(first, 100, body="x" * 400))
    journal.flush(60)
    assert journal.bytes_on_disk > 8 * 2**20
    tracemalloc.start()
    try:
        count = sum(1 for _ in journal.recorded(START))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 20_000
    assert peak < 3 * 2**20
