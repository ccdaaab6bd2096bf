"""A disk that is full, or that loses what it was given: real file systems, small ones."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from otel_fim.journal import JournalError, JournalFullError, JournalWriteError, files, scan_lines
from otel_fim.journal.active import ActiveFile
from otel_fim.journal.lines import LineEncoder
from otel_fim.record import Record


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of 8 MiB."""
    path = tmp_path / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", path], check=True, timeout=30)
    yield path
    subprocess.run(["umount", "--lazy", path], check=True, timeout=30)


def block_of_records(make_records: Any, first: int) -> list[Record]:
    """Ten records whose line is exactly 20,480 bytes long."""
    records: list[Record] = make_records(first, 10, body="x" * 1000)
    records[0].body = "x" * (1000 + 20_480 - len(LineEncoder().encode(records).data))
    return records


def fill_up(path: Path) -> None:
    """Takes all the room there is."""
    with path.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        _write_for_ever(file.fileno())


def _write_for_ever(descriptor: int) -> None:
    while True:
        os.write(descriptor, b"\0" * 4096)


def append_until_full(journal: Any, make_records: Any, first: int, error: type[Exception]) -> int:
    """Appends lines of ten records until one is refused; gives the number of the next record."""
    while True:
        try:
            journal.append(make_records(first, 10, body="x" * 1000))
        except error:
            return first
        first += 10


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("min_free", [0, 2**20], ids=["to the last byte", "min_free"])
def test_a_full_disk_refuses_whole_batches_and_takes_more_when_there_is_room(
    journals: Any, make_records: Any, drain: Any, small_disk: Path, min_free: int
) -> None:
    settings: dict[str, Any] = {"min_free": min_free, "segment_size": 2**20, "compression": False}
    filler = small_disk / "filler"
    filler.write_bytes(b"\0" * 4 * 2**20)
    journal = journals(small_disk / "journal", **settings)
    reader = journal.reader("r")
    called: list[int] = []
    following = append_until_full(journal, make_records, 1, JournalFullError)
    with pytest.raises(JournalFullError, match="make room"):
        journal.append(make_records(following, 10, body="x" * 1000), on_durable=lambda: called.append(1))
    if min_free:
        assert 2**20 <= files.free_bytes(small_disk) < 2**20 + 20_000
    assert journal.flush(10), "what was taken before is safe"
    assert journal.durable_sequence == following - 1
    assert drain(reader) == list(range(1, following)), "readers and cursors need no room"
    lines = list(scan_lines(small_disk / "journal"))
    assert all(line.data is not None for line in lines)
    assert lines[-1].first == following - 10
    filler.unlink()
    assert journal.has_room()
    journal.append(make_records(following, 10, body="x" * 1000), on_durable=lambda: called.append(2))
    assert journal.flush(10)
    assert drain(reader) == list(range(following, following + 10))
    journal.close()
    assert called == [2]
    journal = journals(small_disk / "journal", **settings)
    assert journal.recovery.previous == "clean"
    assert journal.durable_sequence == following + 9


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_journal_opens_reads_and_closes_on_a_full_disk(
    journals: Any, make_records: Any, drain: Any, small_disk: Path
) -> None:
    directory = small_disk / "journal"
    journal = journals(directory, min_free=0)
    reader = journal.reader("r")
    journal.append(make_records(1, 100))
    assert journal.flush(10)
    reader.acknowledge(reader.read(1, 1, 0.0))
    journal.append(make_records(101, 100))
    fill_up(small_disk / "filler")
    journal.close()
    with next(iter(directory.glob("*.jsonl"))).open("ab") as file, contextlib.suppress(OSError):
        file.write(b"torn\n" * 10)
    journal = journals(directory, min_free=0)
    reader = journal.reader("r")
    assert drain(reader) == list(range(101, 201))
    assert reader.pending_records == 0
    with pytest.raises(JournalError, match="no cursor can be kept for another"):
        journal.reader("another")
    (small_disk / "filler").unlink()
    journal.append(make_records(201, 1))
    assert journal.flush(10)
    assert drain(reader) == [201]


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_full_disk_at_rotation_stops_intake_until_there_is_room(
    journals: Any, make_records: Any, drain: Any, small_disk: Path, eventually: Any
) -> None:
    """No room for a new file, although there is some in the old one: a file system without inodes."""
    subprocess.run(["mount", "-o", "remount,nr_inodes=12", small_disk], check=True, timeout=30)
    journal = journals(small_disk / "journal", min_free=0, segment_size=20_000, compression=False)
    reader = journal.reader("r")
    following = append_until_full(journal, make_records, 1, JournalFullError)
    assert not journal.has_room()
    assert journal.flush(10)
    assert drain(reader) == list(range(1, following))
    subprocess.run(["mount", "-o", "remount,nr_inodes=1000", small_disk], check=True, timeout=30)
    eventually(journal.has_room)
    journal.append(make_records(following, 10, body="x" * 1000))
    assert journal.flush(10)
    assert drain(reader) == list(range(following, following + 10))
    assert journals.notices == [], "nothing had to be written again"


def test_a_file_size_limit_is_no_end(journals: Any, make_records: Any, drain: Any) -> None:
    """EFBIG: this file may not grow, the next one may."""
    journal = journals(compression=False)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
        following = append_until_full(journal, make_records, 1, JournalFullError)
        journal.append(make_records(following, 10, body="x" * 1000))
        assert journal.flush(10)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(journals.segments()) == 2
    assert drain(journal.reader("r")) == list(range(1, following + 10))


@pytest.fixture
def dying_disk(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """An ext4 in a file whose free blocks have no room behind them once the tmpfs below is full: writing works,
    in memory, and the fsync fails. The file system's own blocks have room, so that it stays alive.

    Gives where it is mounted and a place in the tmpfs. (Appends should be whole blocks: Linux' loop device takes
    a write of which only the first block has room for a success.)
    """
    below, disk = tmp_path / "below", tmp_path / "dying"
    below.mkdir()
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", below], check=True, timeout=30)
    image = below / "image"
    image.write_bytes(b"\0" * 16 * 2**20)
    subprocess.run(["mkfs.ext4", "-q", "-b", "4096", "-E", "nodiscard", image], check=True, timeout=60)
    with image.open("r+b") as file:  # fills the holes that mkfs made
        content = file.read()
        file.seek(0)
        file.write(content)
    subprocess.run(["mount", "-o", "loop", image, disk], check=True, timeout=30)
    os.sync()
    subprocess.run(["fstrim", disk], check=True, timeout=30)
    yield disk, below
    subprocess.run(["umount", "--lazy", disk], check=True, timeout=30)
    subprocess.run(["umount", "--lazy", below], check=True, timeout=30)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_what_a_failed_fsync_lost_is_written_again(
    journals: Any, make_records: Any, drain: Any, dying_disk: tuple[Path, Path], eventually: Any
) -> None:
    directory = dying_disk[0] / "journal"
    journal = journals(directory, min_free=0, compression=False, sync_interval=0.01)
    journal.append(block_of_records(make_records, 1))
    assert journal.flush(10)
    filler = dying_disk[1] / "filler"
    fill_up(filler)
    acknowledged: list[int] = []
    appended = 11
    refused: list[Exception] = []
    while not refused and appended < 4000:
        try:
            journal.append(
                block_of_records(make_records, appended),
                on_durable=lambda n=appended: acknowledged.append(n),
            )
        except (JournalFullError, JournalWriteError) as error:
            refused.append(error)
        else:
            appended += 10
            journal.flush(0.05)
    assert refused, "the fsync has failed"
    assert not journal.has_room()
    assert acknowledged == sorted(acknowledged)
    durable = journal.durable_sequence
    assert durable < appended - 1, "some are in memory alone"
    filler.unlink()
    eventually(journal.has_room)
    assert journal.flush(30)
    journal.append(make_records(appended, 10))
    assert journal.flush(30)
    assert drain(journal.reader("r")) == list(range(1, appended + 10))
    journal.close()
    assert acknowledged == list(range(11, appended, 10))
    assert [notice.kind for notice in journals.notices] == ["write_failed"]
    assert f"{appended - 1 - durable} records" in journals.notices[0].detail
    Path("/proc/sys/vm/drop_caches").write_text("3")
    journal = journals(directory, min_free=0)
    assert drain(journal.reader("later")) == list(range(1, appended + 10)), (
        "on the disk, not in the cache alone"
    )
    journal.close()


def failing_sync(code: int, times: int) -> Any:
    """An fsync that fails some times, and then tells the truth."""
    real, left = files.sync_data, [times]

    def sync(descriptor: int) -> None:
        if left[0]:
            left[0] -= 1
            raise OSError(code, os.strerror(code))
        real(descriptor)

    return sync


@pytest.mark.parametrize("trim_fails", [False, True], ids=["", "the old tail stays"])
@pytest.mark.parametrize("durable_before", [0, 5])
@pytest.mark.parametrize("times", [1, 3])
def test_lines_move_to_a_new_segment_after_a_failed_fsync(
    journals: Any,
    make_records: Any,
    drain: Any,
    monkeypatch: pytest.MonkeyPatch,
    times: int,
    durable_before: int,
    trim_fails: bool,
) -> None:
    journal = journals(sync_interval=0.0, compression=False)
    early = journal.reader("early")
    if durable_before:
        journal.append(make_records(1, durable_before))
        assert journal.flush(10)
    if trim_fails:

        def fail(*_: Any) -> None:
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(ActiveFile, "trim", fail)
    monkeypatch.setattr(files, "sync_data", failing_sync(errno.EIO, times))
    called: list[int] = []
    first = durable_before + 1
    journal.append(make_records(first, 3), on_durable=lambda: called.append(1))
    assert journal.flush(30)
    journal.append(make_records(first + 3, 3), on_durable=lambda: called.append(2))
    assert journal.flush(30)
    expected = list(range(1, first + 6))
    assert drain(early) == expected
    journal.close()
    assert called == [1, 2]
    assert [(n.kind, n.reason, n.records_lost) for n in journals.notices] == [("write_failed", "io_error", 0)]
    monkeypatch.undo()
    if durable_before:
        assert journals.segments() == [f"{n:020d}.jsonl" for n in (1, first)]
    else:
        assert journals.segments() == [f"{1:020d}.jsonl"]
    scanned = [line.first for line in scan_lines(journals.directory) if line.data is not None]
    assert len(scanned) == len(set(scanned))
    journal = journals()
    assert journal.last_record() == make_records(first + 5, 1)[0]
    assert drain(journal.reader("later")) == expected, "each once, whatever was left in the old segment"


def test_nothing_is_acknowledged_while_the_disk_fails(
    journals: Any, make_records: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = journals(sync_interval=0.0)
    monkeypatch.setattr(files, "sync_data", failing_sync(errno.EIO, 10**9))
    called: list[int] = []
    journal.append(make_records(1, 3), on_durable=lambda: called.append(1))
    assert not journal.flush(0.2)
    with pytest.raises(JournalWriteError, match=r"jsonl: Input/output error; see the kernel's log"):
        journal.append(make_records(4, 3), on_durable=lambda: called.append(2))
    closed = threading.Thread(target=lambda: journal.close(timeout=0.2))
    closed.start()
    closed.join(60)
    assert not closed.is_alive()
    assert called == []
    monkeypatch.undo()
    assert journals().recovery.previous == "unclean"
