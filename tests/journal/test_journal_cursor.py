"""Cursor files that are damaged, foreign, or lead nowhere: records come twice rather than never."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_fim.journal import files
from otel_fim.journal.cursor import SLOT_BYTES, CursorFile, CursorState, Position


@pytest.fixture
def half_read(journals: Any, make_records: Any) -> Path:
    """A closed journal of 20 records of which `r` has acknowledged 1 to 5, then 6 to 10; its cursor file."""
    journal = journals(segment_size=4096, compression=False)
    for number in range(1, 21):
        journal.append(make_records(number, 1))
    journal.flush(10)
    reader = journal.reader("r")
    for _ in range(2):
        reader.acknowledge(reader.read(5, 10**6, 0.0))
        reader.sync()
    journal.close()
    return journals.directory / "cursors" / "r.cursor"


def newest_slot(path: Path) -> int:
    slots = [path.read_bytes()[start : start + SLOT_BYTES] for start in (0, SLOT_BYTES)]
    return max((0, 1), key=lambda index: int(slots[index].split(b'"sequence":')[1].split(b",")[0]))


def overwrite(path: Path, slot: int, data: bytes) -> None:
    content = bytearray(path.read_bytes())
    content[slot * SLOT_BYTES : slot * SLOT_BYTES + len(data)] = data
    path.write_bytes(content)


def test_the_cursor_is_one_readable_line_a_slot(half_read: Path) -> None:
    lines = half_read.read_text().splitlines()
    assert [len(line) for line in lines] == [SLOT_BYTES - 1] * 2
    assert '"reader":"r"' in lines[0]


def test_a_damaged_newest_slot_falls_back_to_the_one_before(
    journals: Any, half_read: Path, drain: Any
) -> None:
    overwrite(half_read, newest_slot(half_read), b"\0" * SLOT_BYTES)
    journal = journals()
    assert drain(journal.reader("r")) == list(range(6, 21))
    journal.close()
    (notice,) = journals.notices
    assert (notice.kind, notice.records_lost, notice.reader) == ("cursor_reset", 0, "r")
    assert drain(journals().reader("r")) == []


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 2 * SLOT_BYTES, b"{}", b'{"version":1}\n', b"\xff" * 100, b" " * 2 * SLOT_BYTES],
    ids=["empty", "zeros", "no check", "short", "garbage", "blank"],
)
def test_a_lost_cursor_starts_from_the_oldest_record(
    journals: Any, half_read: Path, drain: Any, content: bytes
) -> None:
    half_read.write_bytes(content)
    journal = journals()
    assert drain(journal.reader("r")) == list(range(1, 21))
    journal.close()
    (notice,) = journals.notices
    assert notice.kind == "cursor_reset"
    assert "empty or damaged" in notice.detail
    assert drain(journals().reader("r")) == []


def test_a_cursor_beyond_the_end_starts_again(
    journals: Any, half_read: Path, make_records: Any, drain: Any
) -> None:
    for name in journals.segments():
        (journals.directory / name).unlink()
    journal = journals()
    journal.append(make_records(1, 3))
    journal.flush(10)
    assert drain(journal.reader("r")) == [1, 2, 3]
    journal.close()
    assert journals.kinds() == ["cursor_reset"]
    assert "beyond the journal's end" in journals.notices[0].detail


def test_a_cursor_of_another_journal_starts_again(
    journals: Any, half_read: Path, make_records: Any, drain: Any, tmp_path: Path
) -> None:
    other = journals(tmp_path / "other")
    other.append(make_records(1, 30))
    other.close()
    shutil.copy(half_read, tmp_path / "other" / "cursors" / "r.cursor")
    other = journals(tmp_path / "other")
    assert drain(other.reader("r")) == list(range(1, 31))
    other.close()
    assert "belongs to another journal" in journals.notices[0].detail
    assert drain(journals(tmp_path / "other").reader("r")) == []


def test_a_cursor_in_the_middle_of_a_line_starts_at_its_segment(
    journals: Any, half_read: Path, drain: Any
) -> None:
    file, _ = CursorFile.open(half_read)
    assert file is not None
    position = file.state.position
    file.store(CursorState(file.state.journal, "r", position._replace(offset=position.offset + 7)))
    file.close()
    journal = journals()
    numbers = drain(journal.reader("r"))
    assert numbers == list(range(position.segment, 21))
    journal.close()
    assert "does not fit the lines" in journals.notices[0].detail


def test_the_slot_that_is_on_disk_is_never_touched(tmp_path: Path) -> None:
    file = CursorFile.create(tmp_path / "c", CursorState("j", "r"))
    for number in range(1, 10):
        before = (tmp_path / "c").read_bytes()
        saved = file.saved
        file.store(CursorState("j", "r", Position(1, number, number)))
        file.store(CursorState("j", "r", Position(1, number, number * 10)))
        after = (tmp_path / "c").read_bytes()
        same = [before[s : s + SLOT_BYTES] == after[s : s + SLOT_BYTES] for s in (0, SLOT_BYTES)]
        assert sorted(same) == [False, True]
        torn = after[:SLOT_BYTES] if same[0] else after[SLOT_BYTES:]
        (tmp_path / "torn").write_bytes(torn + b"\0" * SLOT_BYTES)
        recovered, damaged = CursorFile.open(tmp_path / "torn")
        assert recovered is not None
        assert (recovered.state, damaged) == (saved, True)
        recovered.close()
        file.sync()
    file.close()


def test_a_failed_sync_writes_the_slot_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = CursorFile.create(tmp_path / "c", CursorState("j", "r"))
    state = CursorState("j", "r", Position(1, 2, 3))
    file.store(state)

    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(files, "sync_data", fail)
        with pytest.raises(OSError, match="Input/output error"):
            file.sync()
    assert file.saved != state
    written: list[bytes] = []
    monkeypatch.setattr(files, "write_at", lambda fd, data, offset: written.append(data))
    file.sync()
    assert len(written) == 1, "what a failed fsync left behind is not trusted"
    assert file.saved == state
    file.close()


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_no_damage_to_a_cursor_file_moves_it_forward(data: st.DataObject, tmp_path_factory: Any) -> None:
    path = tmp_path_factory.mktemp("cursor") / "c"
    file = CursorFile.create(path, CursorState("j", "r"))
    for number in (1, 2):
        file.store(CursorState("j", "r", Position(1, number * 100, number)))
        file.sync()
    file.close()
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    opened, damaged = CursorFile.open(path)
    if opened is None:
        assert damaged
        return
    assert opened.state.position in (Position(1, 100, 1), Position(1, 200, 2))
    opened.close()
