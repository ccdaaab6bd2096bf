"""Other programs' hands on the files, and disks that cannot be read."""

from __future__ import annotations

import errno
import os
import shutil
from typing import Any

import pytest

from otel_fim.journal import JournalWriteError, scan_lines


def put(journal: Any, make_records: Any, first: int, count: int) -> None:
    for number in range(first, first + count):
        journal.append(make_records(number, 1))
    assert journal.flush(30)


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_the_file_that_is_being_written_is_put_back(
    journals: Any, make_records: Any, drain: Any, eventually: Any, how: str
) -> None:
    journal = journals(compression=False)
    before, after = journal.reader("before"), journal.reader("after")
    put(journal, make_records, 1, 5)
    assert drain(before, 1, acknowledge=False) == [1]
    path = journals.directory / journals.segments()[0]
    path.unlink()
    if how == "replaced":
        path.write_text("forged\n")
    put(journal, make_records, 6, 5)
    journal._maintenance.guard()
    eventually(lambda: len(journals.notices) == 1)
    assert (journals.notices[0].kind, journals.notices[0].records_lost) == ("damaged", 0)
    assert f"was {how} by another program" in journals.notices[0].detail
    put(journal, make_records, 11, 5)
    assert drain(before) == drain(after) == list(range(1, 16))
    journal._maintenance.guard()
    journal.close()
    assert len(journals.notices) == 1
    assert (journals.directory / f"{path.name}.foreign").exists() == (how == "replaced")
    assert [line.first for line in scan_lines(journals.directory)] == list(range(1, 16))
    journal = journals()
    assert journal.recovery.previous == "clean"
    assert drain(journal.reader("later")) == list(range(1, 16))


def test_a_file_that_was_cut_while_it_was_written(
    journals: Any, make_records: Any, drain: Any, eventually: Any
) -> None:
    journal = journals(compression=False)
    reader = journal.reader("r")
    put(journal, make_records, 1, 10)
    path = journals.directory / journals.segments()[0]
    lines = path.read_bytes().splitlines(keepends=True)
    os.truncate(path, len(b"".join(lines[:4])) + 7)
    journal._maintenance.guard()
    eventually(lambda: len(journals.segments()) == 2)
    put(journal, make_records, 11, 5)
    assert drain(reader) == [1, 2, 3, 4, *range(11, 16)]
    journal.close()
    assert [notice.kind for notice in journals.notices] == ["damaged", "damaged"]
    assert journals.notices[-1].records_lost == 6
    assert journals().last_record() == make_records(15, 1)[0]


def test_a_directory_that_is_gone_stops_intake_visibly_and_comes_back(
    journals: Any, make_records: Any, drain: Any, eventually: Any
) -> None:
    journal = journals(compression=False)
    put(journal, make_records, 1, 3)
    shutil.rmtree(journals.directory)
    journals.directory.write_text("in the way")
    journal._maintenance.guard()
    eventually(lambda: not journal.has_room())
    with pytest.raises(JournalWriteError):
        journal.append(make_records(4, 1))
    journals.directory.unlink()
    os.mkdir(journals.directory, 0o700)
    eventually(journal.has_room)
    put(journal, make_records, 4, 3)
    journal._maintenance.guard()
    assert journal.flush(10)
    assert [line.first for line in scan_lines(journals.directory)] == [4, 5, 6]


def test_a_closed_segment_that_was_removed_is_told_at_once(
    journals: Any, make_records: Any, drain: Any, eventually: Any
) -> None:
    journal = journals(segment_size=4096)
    put(journal, make_records, 1, 100)
    assert drain(journal.reader("r")) == list(range(1, 101))
    journal.maintain()
    names = journals.segments()
    (journals.directory / names[1]).unlink()
    size = journal.bytes_on_disk
    for _ in range(2):
        journal._maintenance.guard()
    assert journal.bytes_on_disk < size
    journal.close()
    (notice,) = journals.notices
    records = int(names[2][:20]) - int(names[1][:20])
    assert notice.kind == "damaged"
    assert (
        f"was removed by another program; its {records} records are no longer in the journal" in notice.detail
    )


@pytest.mark.parametrize("compression", [False, True], ids=["plain", "zstd"])
def test_a_block_that_cannot_be_read_is_left_out_in_the_end(
    journals: Any, make_records: Any, drain: Any, monkeypatch: pytest.MonkeyPatch, compression: bool
) -> None:
    journal = journals(segment_size=40_000, compression=compression)
    put(journal, make_records, 1, 300)
    journal.maintain()
    journal.close()
    bad = (journals.directory / journals.segments()[0]).stat().st_ino
    real = os.pread

    def pread(descriptor: int, size: int, offset: int) -> bytes:
        if os.fstat(descriptor).st_ino == bad and offset <= 9000 < offset + size and not compression:
            raise OSError(errno.EIO, "Input/output error")
        if os.fstat(descriptor).st_ino == bad and offset == 0 and compression:
            raise OSError(errno.EIO, "Input/output error")
        return real(descriptor, size, offset)

    journal = journals(segment_size=40_000, compression=False)
    monkeypatch.setattr(os, "pread", pread)
    reader = journal.reader("r")
    failures = 0
    numbers: list[int] = []
    while True:
        try:
            found = drain(reader)
        except OSError:
            failures += 1
            continue
        numbers += found
        if not found:
            break
    monkeypatch.undo()
    journal.close()
    assert failures == 4, "tried again before it is given up"
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == 300
    lost = sum(notice.records_lost or 0 for notice in journals.notices)
    assert 0 < lost == 300 - len(numbers)
    if not compression:
        assert lost < 40, "one block, not the whole segment"


def test_a_lost_journal_json_does_not_send_readers_back(journals: Any, make_records: Any, drain: Any) -> None:
    journal = journals()
    put(journal, make_records, 1, 10)
    assert drain(journal.reader("r")) == list(range(1, 11))
    journal.close()
    (journals.directory / "journal.json").unlink()
    journal = journals()
    put(journal, make_records, 11, 1)
    assert drain(journal.reader("r")) == [11]
    assert journals.notices == []
