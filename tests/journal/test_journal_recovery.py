"""What an opening finds after a crash, a power cut, or somebody's hands."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from otel_fim.journal import commit, recovery


def filled(journals: Any, make_records: Any, lines: int = 10, **settings: Any) -> Path:
    """A journal of lines with one record each, as a crash leaves it; gives its only segment."""
    journal = journals(**settings)
    for number in range(1, lines + 1):
        journal.append(make_records(number, 1))
    journal.close()
    (journals.directory / "clean.json").unlink()
    return journals.directory / journals.segments()[-1]


@pytest.mark.parametrize(
    "torn",
    [
        b'{"resourceLogs":[{"scope',
        b"\0" * 5000,
        b"\0" * 5000 + b"\n",
        b"\n",
        b'{"resourceLogs":7}\n',
        b"[]\n",
        b"\xff\xfe garbage \n more \n",
    ],
    ids=["half a line", "zeros", "zeros and newline", "empty line", "wrong type", "no object", "garbage"],
)
def test_a_torn_tail_is_cut_and_reported(journals: Any, make_records: Any, drain: Any, torn: bytes) -> None:
    segment = filled(journals, make_records)
    whole = segment.read_bytes()
    segment.write_bytes(whole + torn)
    journal = journals()
    found = journal.recovery
    assert (found.previous, found.torn_bytes, found.torn_segment) == ("unclean", len(torn), segment.name)
    assert segment.read_bytes() == whole
    (notice,) = journals.notices
    assert found.notices == (notice,)
    assert (notice.kind, notice.reason, notice.records_lost) == ("torn_tail", "journal_torn", None)
    assert f"{len(torn)} bytes behind the last whole line of {segment.name} were cut" in notice.detail
    kept = [path.read_bytes() for path in (journals.directory / "torn").glob("*")]
    assert kept == ([torn] if b"\n" in torn else [])
    assert journal.last_record() == make_records(10, 1)[0]
    journal.append(make_records(11, 1))
    journal.flush(10)
    assert drain(journal.reader("r")) == list(range(1, 12))


def test_whole_lines_behind_garbage_that_was_never_durable_are_cut_too(
    journals: Any, make_records: Any, drain: Any
) -> None:
    """After a power cut a later page may be on disk and an earlier one not."""
    segment = filled(journals, make_records)
    lines = segment.read_bytes().splitlines(keepends=True)
    lost = b"\0" * len(lines[6])
    segment.write_bytes(b"".join([*lines[:6], lost, *lines[7:]]))
    journal = journals()
    cut = lost + b"".join(lines[7:])
    assert journal.recovery.torn_bytes == len(cut)
    assert journal.recovery.kept_in is not None
    assert (journals.directory / journal.recovery.kept_in).read_bytes() == cut
    assert drain(journal.reader("r")) == list(range(1, 7))
    assert journal.durable_sequence == 6


def test_damage_in_front_of_what_a_reader_has_passed_is_left_in_place(
    journals: Any, make_records: Any, drain: Any
) -> None:
    segment = filled(journals, make_records)
    journal = journals()
    assert drain(journal.reader("done")) == list(range(1, 11))
    journal.reader("late")
    journal.close()
    (journals.directory / "clean.json").unlink()
    content = segment.read_bytes()
    lines = content.splitlines(keepends=True)
    lines[3] = b"#" * (len(lines[3]) - 1) + b"\n"
    segment.write_bytes(b"".join(lines))
    journal = journals()
    assert journal.recovery.torn_bytes == 0
    assert segment.read_bytes() == b"".join(lines), "what was durable once is evidence"
    assert journal.last_record() == make_records(10, 1)[0]
    assert journal.durable_sequence == 10, "numbers that a cursor has seen are not given again"
    journal.append(make_records(11, 1))
    journal.flush(10)
    assert drain(journal.reader("late")) == [1, 2, 3, 5, 6, 7, 8, 9, 10, 11]
    assert drain(journal.reader("done")) == [11]
    journal.close()
    (notice,) = journals.notices
    assert (notice.kind, notice.reader, notice.records_lost) == ("damaged", "late", 1)


def test_damage_far_from_the_end_is_left_in_place(
    journals: Any, make_records: Any, drain: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "UNSYNCED_BYTES", 1000)
    assert commit.UNSYNCED_BYTES > 1000
    segment = filled(journals, make_records, 50)
    lines = segment.read_bytes().splitlines(keepends=True)
    lines[3] = b"#" * (len(lines[3]) - 1) + b"\n"
    segment.write_bytes(b"".join(lines) + b"torn")
    journal = journals()
    assert journal.recovery.torn_bytes == 4
    journal.append(make_records(51, 1))
    journal.flush(10)
    assert drain(journal.reader("r")) == [1, 2, 3, *range(5, 52)]


def test_an_empty_and_a_vanished_segment(journals: Any, make_records: Any, drain: Any) -> None:
    segment = filled(journals, make_records)
    segment.write_bytes(b"")
    journal = journals()
    assert journal.last_record() is None
    journal.append(make_records(1, 1))
    journal.close()
    segment.unlink()
    journal = journals()
    assert journal.last_record() is None
    assert drain(journal.reader("r")) == []


def test_a_crash_between_two_openings_is_told(journals: Any, make_records: Any, tmp_path: Path) -> None:
    journal = journals()
    journal.append(make_records(1, 3))
    journal.flush(10)
    shutil.copytree(journals.directory, tmp_path / "copy")
    copied = journals(tmp_path / "copy")
    assert copied.recovery.previous == "unclean"
    assert copied.recovery.torn_bytes == 0
    assert copied.last_record() == make_records(3, 1)[0]
    assert journals.notices == []


def test_a_clean_stop_that_does_not_fit_is_not_believed(journals: Any, make_records: Any, drain: Any) -> None:
    journal = journals()
    journal.append(make_records(1, 3))
    journal.close()
    segment = journals.directory / journals.segments()[0]
    with segment.open("ab") as file:
        file.write(b"torn")
    journal = journals()
    assert (journal.recovery.previous, journal.recovery.torn_bytes) == ("unclean", 4)
    assert journal.durable_sequence == 3
    journal.close()
    (journals.directory / "clean.json").write_bytes(b"\0\0")
    assert journals().recovery.previous == "unclean"


def test_old_cuts_are_forgotten(journals: Any, make_records: Any) -> None:
    segment = filled(journals, make_records, 1)
    for number in range(20):
        with segment.open("ab") as file:
            file.write(b"#\n" * (number + 1))
        journals().append(make_records(2 + number, 1))
        journals.close()
        (journals.directory / "clean.json").unlink(missing_ok=True)
    assert len(os.listdir(journals.directory / "torn")) == 16
