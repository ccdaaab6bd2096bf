from __future__ import annotations

import threading
from typing import Any

import pytest

from otel_fim.journal import files


def test_readers_are_independent(journals: Any, make_records: Any, drain: Any) -> None:
    journal = journals()
    fast, slow = journal.reader("fast"), journal.reader("slow")
    for number in range(10):
        journal.append(make_records(number, 1))
    journal.flush(10)
    assert drain(fast) == list(range(10))
    assert (fast.pending_records, slow.pending_records) == (0, 10)
    assert fast.pending_bytes == 0 < slow.pending_bytes == journal.bytes_on_disk
    assert drain(slow, 3, acknowledge=False) == [0, 1, 2]
    assert slow.pending_records == 10, "not acknowledged"


def test_what_is_not_acknowledged_comes_again(journals: Any, make_records: Any, drain: Any) -> None:
    journal = journals()
    reader = journal.reader("r")
    for number in range(6):
        journal.append(make_records(number, 1))
    journal.flush(10)
    first = reader.read(2, 10**6, 0.0)
    again = reader.read(4, 10**6, 0.0)
    assert (first.record_count, again.record_count) == (2, 4)
    assert again.lines[:2] == first.lines
    reader.acknowledge(again)
    reader.acknowledge(first)  # older than the cursor: nothing happens
    assert drain(reader, acknowledge=False) == [4, 5]
    journal.close()
    assert drain(journals().reader("r")) == [4, 5]


def test_limits_of_a_batch(journals: Any, make_records: Any) -> None:
    journal = journals()
    for number in range(0, 100, 10):
        journal.append(make_records(number, 10))
    journal.flush(10)
    reader = journal.reader("r")
    assert reader.read(35, 10**6, 0.0).record_count == 30
    line = len(reader.read(1, 10**6, 0.0).lines[0])
    assert reader.read(1000, 2 * line + 100, 0.0).record_count == 20
    assert reader.read(5, 10**6, 0.0).record_count == 10


def test_read_waits_for_records_and_can_be_woken(journals: Any, make_records: Any) -> None:
    journal = journals()
    reader = journal.reader("r")
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(reader.read(10, 1000, 60.0)))
    thread.start()
    journal.append(make_records(1, 1))
    thread.join(30)
    assert results[0].record_count == 1
    reader.acknowledge(results[0])
    for stop in (reader.wake, reader.close):
        thread = threading.Thread(target=lambda: results.append(reader.read(10, 1000, 60.0)))
        thread.start()
        stop()
        thread.join(30)
        assert not thread.is_alive()
        assert results[-1] is None
    assert reader.read(10, 1000, 60.0) is None
    assert journal.reader("r").read(10, 1000, 0.0) is None, "the name can be opened again"


def test_a_new_reader_begins_with_the_oldest_record(journals: Any, make_records: Any, drain: Any) -> None:
    journal = journals(segment_size=4096)
    for number in range(0, 300, 10):
        journal.append(make_records(number, 10))
    journal.flush(10)
    assert drain(journal.reader("late")) == list(range(300))
    assert journals.notices == []


def test_hostile_reader_names_get_files_of_their_own(journals: Any, make_records: Any, drain: Any) -> None:
    names = ["otlp", "otlp/2", "../../etc/passwd", ".", "a" * 500, "a" * 501, "name with\nnewline", "ü"]
    journal = journals()
    journal.append(make_records(1, 1))
    journal.flush(10)
    for name in names[:-1]:
        assert drain(journal.reader(name)) == [1]
    assert drain(journal.reader(names[-1]), acknowledge=False) == [1]
    assert len(list((journals.directory / "cursors").iterdir())) == len(names)
    journal.close()
    journal = journals()
    assert journal.cursor_names() == sorted(names)
    assert [drain(journal.reader(name)) for name in names] == [[]] * 7 + [[1]]
    with pytest.raises(ValueError, match="too long"):
        journal.reader("a" * 5000)


def test_cursors_are_synced_together_and_at_the_end(
    journals: Any, make_records: Any, monkeypatch: Any
) -> None:
    journal = journals(sync_interval=3600.0)
    reader = journal.reader("r")
    for number in range(100):
        journal.append(make_records(number, 1))
    journal.flush(10)
    journal.maintain()
    syncs: list[int] = []
    real = files.sync_data
    monkeypatch.setattr(files, "sync_data", lambda fd: (syncs.append(fd), real(fd))[1])
    while (batch := reader.read(1, 10**6, 0.0)) is not None:
        reader.acknowledge(batch)
    journal.maintain()
    assert reader.saved_record == 101
    assert 1 <= len(syncs) <= 100
    journal.close()
    assert journals().reader("r").pending_records == 0


def test_a_reader_with_a_full_disk_goes_on(
    journals: Any, make_records: Any, drain: Any, monkeypatch: Any
) -> None:
    journal = journals()
    reader = journal.reader("r")
    for number in range(10):
        journal.append(make_records(number, 1))
    journal.flush(10)

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_at", fail)
        assert drain(reader, 1) == list(range(10)), "each once, although the cursor cannot be written"
    journal.maintain()
    assert reader.saved_record == 11
