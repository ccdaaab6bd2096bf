"""Segments that somebody, or a dying disk, has changed: readers report, count, and go on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from otel_fim.journal import scan_lines


@pytest.fixture
def damaged(journals: Any, make_records: Any) -> Any:
    """A closed journal of several segments, one record a line; gives the segments' paths."""

    def build(**settings: Any) -> list[Path]:
        journal = journals(segment_size=4096, **settings)
        for number in range(1, 101):
            journal.append(make_records(number, 1))
        journal.flush(10)
        journal.maintain()
        journal.close()
        return [journals.directory / name for name in journals.segments()]

    return build


def first_of(path: Path) -> int:
    return int(path.name[:20])


def test_a_damaged_line_is_skipped_and_counted_once(journals: Any, damaged: Any, drain: Any) -> None:
    paths = damaged(compression=False)
    lines = paths[1].read_bytes().splitlines(keepends=True)
    lines[2] = b"x" * (len(lines[2]) - 1) + b"\n"
    lines[4] = b"{}garbage" + lines[4][9:]
    paths[1].write_bytes(b"".join(lines))
    first = first_of(paths[1])
    journal = journals(compression=False)
    assert drain(journal.reader("r"), 3) == [n for n in range(1, 101) if n not in (first + 2, first + 4)]
    journal.close()
    (notice,) = journals.notices
    assert (notice.kind, notice.reason, notice.reader, notice.records_lost) == (
        "damaged",
        "journal_torn",
        "r",
        2,
    )
    assert paths[1].name in notice.detail
    holes = [line.start for line in scan_lines(journals.directory) if line.data is None]
    assert holes == [sum(map(len, lines[:2])), sum(map(len, lines[:4]))]
    assert drain(journals().reader("r")) == []
    assert len(journals.notices) == 1, "what the cursor has passed is not told again"


def test_an_unconfirmed_loss_is_told_again_a_confirmed_one_is_not(
    journals: Any, damaged: Any, drain: Any, eventually: Any
) -> None:
    paths = damaged(compression=False)
    content = paths[0].read_bytes()
    paths[0].write_bytes(b"#" * (len(content) - 1) + b"\n")
    lost = first_of(paths[1]) - 1
    for confirm in (False, True):
        journal = journals(compression=False)
        assert drain(journal.reader("r"), 1, acknowledge=False) == [lost + 1]
        journal.flush(10)
        told = 2 if confirm else 1
        eventually(lambda told=told: len(journals.notices) == told)
        notice = journals.notices[-1]
        assert notice.records_lost == lost
        if confirm:
            notice.confirm()
        journal.close()
    journal = journals(compression=False)
    assert drain(journal.reader("r")) == list(range(lost + 1, 101))
    journal.close()
    assert len(journals.notices) == 2


def test_a_line_that_is_json_but_not_otlp_is_left_out(journals: Any, damaged: Any) -> None:
    paths = damaged(compression=False)
    content = paths[0].read_bytes()
    paths[0].write_bytes(content.replace(b'"timeUnixNano":"', b'"timeUnixNano":"x', 1))
    journal = journals(compression=False)
    batch = journal.reader("r").read(5, 10**6, 0.0)
    assert batch.record_count == 5
    assert [record.attributes["number"] for record in batch.records] == [2, 3, 4, 5]
    journal.close()
    (notice,) = journals.notices
    assert (notice.kind, notice.records_lost) == ("damaged", 1)


@pytest.mark.parametrize("compression", [False, True], ids=["plain", "zstd"])
def test_a_cut_a_zeroed_and_a_missing_segment_are_counted(
    journals: Any, damaged: Any, drain: Any, compression: bool
) -> None:
    paths = damaged(compression=compression)
    assert len(paths) >= 6
    cut, zeroed, missing, emptied = paths[0], paths[1], paths[2], paths[3]
    os.truncate(cut, cut.stat().st_size // 2)
    zeroed.write_bytes(b"\0" * zeroed.stat().st_size)
    missing.unlink()
    emptied.write_bytes(b"")
    journal = journals(compression=False)
    numbers = drain(journal.reader("r"))
    journal.close()
    assert numbers[-1] == 100
    assert numbers == sorted(set(numbers))
    assert set(range(first_of(paths[4]), 101)) <= set(numbers)
    assert {notice.kind for notice in journals.notices} == {"damaged"}
    assert sum(notice.records_lost or 0 for notice in journals.notices) == 100 - len(numbers)


def test_a_flipped_bit_in_a_compressed_segment_is_found(journals: Any, damaged: Any, drain: Any) -> None:
    paths = damaged(compression=True)
    content = bytearray(paths[1].read_bytes())
    content[len(content) // 3] ^= 4
    paths[1].write_bytes(content)
    journal = journals()
    numbers = drain(journal.reader("r"))
    journal.close()
    lost = range(first_of(paths[1]), first_of(paths[2]))
    assert numbers == [n for n in range(1, 101) if n not in lost]
    assert [notice.records_lost for notice in journals.notices] == [len(lost)]


def test_a_segment_that_vanishes_while_it_is_needed(journals: Any, make_records: Any, drain: Any) -> None:
    journal = journals(segment_size=4096, compression=False)
    for number in range(1, 101):
        journal.append(make_records(number, 1))
    journal.flush(10)
    paths = [journals.directory / name for name in journals.segments()]
    paths[1].unlink()
    lost = range(first_of(paths[1]), first_of(paths[2]))
    assert drain(journal.reader("r")) == [n for n in range(1, 101) if n not in lost]
    journal.close()
    assert [notice.records_lost for notice in journals.notices] == [len(lost)]
