"""Rotation and compression, and readers that go on across them."""

from __future__ import annotations

import json
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from otel_fim.journal import compression, files, scan_lines
from otel_fim.journal.zstandard import read_frame, read_table, zstd


def fill(journal: Any, make_records: Any, first: int, count: int) -> None:
    for number in range(first, first + count):
        journal.append(make_records(number, 1))
    assert journal.flush(30)


def test_segments_are_named_by_their_first_record(journals: Any, make_records: Any, drain: Any) -> None:
    journal = journals(segment_size=4096, compression=False)
    fill(journal, make_records, 1, 100)
    names = journals.segments()
    assert len(names) > 3
    for name in names:
        path = journals.directory / name
        assert path.stat().st_size <= 4096
        first = json.loads(path.read_bytes().split(b"\n")[0])
        number = first["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["attributes"][0]["value"][
            "intValue"
        ]
        assert name == f"{int(number):020d}.jsonl"
    assert journal.bytes_on_disk == sum((journals.directory / name).stat().st_size for name in names)
    assert drain(journal.reader("r")) == list(range(1, 101))


def test_a_batch_larger_than_a_segment_stays_together(journals: Any, make_records: Any, drain: Any) -> None:
    journal = journals(segment_size=4096, compression=False)
    journal.append(make_records(1, 1))
    journal.append(make_records(2, 500))
    journal.append(make_records(502, 1))
    journal.flush(10)
    assert journals.segments() == [f"{first:020d}.jsonl" for first in (1, 2, 502)]
    assert drain(journal.reader("r")) == list(range(1, 503))


def test_closed_segments_are_compressed_and_read_on(journals: Any, make_records: Any, drain: Any) -> None:
    journal = journals(segment_size=4096)
    before, across = journal.reader("before"), journal.reader("across")
    with journal._maintenance._pass:  # nothing is compressed before it has been looked at
        fill(journal, make_records, 1, 40)
        batch = across.read(5, 10**6, 0.0)
        plain = {name: (journals.directory / name).read_bytes() for name in journals.segments()}
        written = {name: (journals.directory / name).stat().st_mtime_ns for name in plain}
    across.acknowledge(batch)
    journal.maintain()
    names = journals.segments()
    *closed, active = plain
    assert len(closed) == 3
    assert names == [*(f"{name}.zst" for name in closed), active]
    for name in closed:
        path = journals.directory / f"{name}.zst"
        assert zstd.decompress(path.read_bytes()) == plain[name]
        assert path.stat().st_mtime_ns == written[name]
    assert journal.bytes_on_disk == sum((journals.directory / name).stat().st_size for name in names)
    assert drain(across) == list(range(6, 41)), "the reader was in the middle of a file that is gone"
    assert drain(before) == list(range(1, 41))
    journal.close()
    journal = journals(segment_size=4096)
    assert journal.last_record() == make_records(40, 1)[0]
    assert drain(journal.reader("new")) == list(range(1, 41))
    assert [line.first for line in scan_lines(journals.directory)] == list(range(1, 41))


def test_frames_end_with_lines_and_are_found_without_the_table(tmp_path: Path) -> None:
    lines = [os.urandom(200_000).hex().encode() + b"\n" for _ in range(20)]
    (tmp_path / "plain").write_bytes(b"".join(lines))
    source = files.open_existing(tmp_path / "plain")
    target = files.open_new(tmp_path / "zst")
    from otel_fim.journal.zstandard import compress

    assert compress(source, target, sum(map(len, lines)), lambda: False)
    table = read_table(target)
    assert len(table) > 4
    assert b"".join(read_frame(target, frame) for frame in table) == b"".join(lines)
    assert all(read_frame(target, frame).endswith(b"\n") for frame in table)
    size = os.fstat(target).st_size
    os.ftruncate(target, size - 3)
    assert read_table(target) == table, "without its end the table is of no use, but the frames are there"
    os.pwrite(target, b"\0\0\0\0", table[2].offset)
    found = read_table(target)
    assert [frame.offset for frame in found] == [f.offset for i, f in enumerate(table) if i != 2]
    os.close(source)
    os.close(target)


def test_the_last_record_is_found_in_a_compressed_segment(journals: Any, make_records: Any) -> None:
    journal = journals(segment_size=4096)
    fill(journal, make_records, 1, 40)
    journal._commit.rotate()
    fill(journal, make_records, 41, 0)
    journal.close()
    (journals.directory / journals.segments()[-1]).stat()
    journal = journals(segment_size=4096)
    journal.maintain()
    names = journals.segments()
    assert (journals.directory / names[-1]).stat().st_size == 0
    assert all(name.endswith(".zst") for name in names[:-1])
    journal.close()
    journal = journals(segment_size=4096)
    assert journal.last_record() == make_records(40, 1)[0]
    journal.close()
    (journals.directory / names[-1]).unlink()
    journal = journals(segment_size=4096)
    assert journal.last_record() == make_records(40, 1)[0]
    assert journal.durable_sequence == 40


@pytest.mark.parametrize("whole", [True, False], ids=["whole copy", "damaged copy"])
def test_an_interrupted_compression_leaves_one_copy(
    journals: Any, make_records: Any, drain: Any, tmp_path: Path, whole: bool
) -> None:
    journal = journals(segment_size=4096, compression=False)
    fill(journal, make_records, 1, 40)
    journal.close()
    shutil.copytree(journals.directory, tmp_path / "plain")
    journal = journals(segment_size=4096)
    journal.maintain()
    journal.close()
    names = journals.segments()
    for name in names[:-1]:
        plain = name.removesuffix(".zst")
        shutil.copy(tmp_path / "plain" / plain, journals.directory / plain)
        if not whole:
            content = (journals.directory / name).read_bytes()
            (journals.directory / name).write_bytes(content[: len(content) // 3])
    (journals.directory / (names[0] + ".tmp")).write_bytes(b"half")
    journal = journals(segment_size=4096, compression=False)
    assert journals.segments() == (names if whole else [name.removesuffix(".zst") for name in names])
    assert not list(journals.directory.glob("*.tmp"))
    assert drain(journal.reader("r")) == list(range(1, 41))


def test_compression_that_fails_keeps_the_plain_file(
    journals: Any, make_records: Any, drain: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = journals(segment_size=4096)

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(compression.zstandard, "compress", fail)
    fill(journal, make_records, 1, 40)
    journal.maintain()
    assert all(name.endswith(".jsonl") for name in journals.segments())
    assert not list(journals.directory.glob("*.tmp"))
    assert drain(journal.reader("r")) == list(range(1, 41))


def test_a_copy_that_cannot_be_read_back_is_not_trusted(
    journals: Any, make_records: Any, drain: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = compression.zstandard.compress

    def damaging(source: int, target: int, *rest: Any) -> bool:
        done = real(source, target, *rest)
        os.pwrite(target, b"\0\0\0", os.fstat(target).st_size // 2)
        return done

    monkeypatch.setattr(compression.zstandard, "compress", damaging)
    journal = journals(segment_size=4096)
    fill(journal, make_records, 1, 40)
    journal.maintain()
    assert all(name.endswith(".jsonl") for name in journals.segments())
    assert drain(journal.reader("r")) == list(range(1, 41))


def test_reading_and_compressing_at_the_same_time(journals: Any, make_records: Any, drain: Any) -> None:
    journal = journals(segment_size=4096)
    reader, numbers = journal.reader("r"), []
    done = threading.Event()

    def read() -> None:
        while True:
            finished = done.is_set()
            numbers.extend(drain(reader, 7))
            if finished:
                return

    thread = threading.Thread(target=read)
    thread.start()
    for first in range(1, 1000, 50):
        journal.append(make_records(first, 25))
        journal.append(make_records(first + 25, 25))
        journal.maintain()
    journal.flush(10)
    done.set()
    thread.join(60)
    assert numbers == list(range(1, 1001))
    assert journals.notices == []
