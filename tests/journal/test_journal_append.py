from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from otel_fim.journal import (
    Journal,
    JournalClosedError,
    JournalFormatError,
    JournalLockedError,
    files,
)
from otel_fim.record import Record


def test_appended_records_come_back_after_a_restart(journals: Any, make_records: Any, drain: Any) -> None:
    journal = journals()
    assert journal.last_record() is None
    assert journal.recovery.previous == "none"
    journal.append(make_records(1, 3))
    journal.append(make_records(4, 2))
    assert journal.flush(10)
    assert (journal.appended_records, journal.durable_sequence) == (5, 5)
    journal.close()
    journal = journals()
    assert journal.recovery.previous == "clean"
    assert journal.last_record() == make_records(5, 1)[0]
    assert (journal.appended_records, journal.durable_sequence) == (0, 5)
    assert drain(journal.reader("r")) == [1, 2, 3, 4, 5]
    assert journals.notices == []


def test_callbacks_come_in_order_and_only_after_the_sync(
    journals: Any, make_records: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed = threading.Event()
    real = files.sync_data

    def held(descriptor: int) -> None:
        assert allowed.wait(30)
        real(descriptor)

    journal = journals()
    reader = journal.reader("r")
    monkeypatch.setattr(files, "sync_data", held)
    called: list[int] = []
    done = threading.Event()
    for number in range(50):
        journal.append(make_records(number, 1), on_durable=lambda n=number: called.append(n))
    journal.append([], on_durable=done.set)
    assert not journal.flush(0.05)
    assert called == []
    assert reader.read(10, 1000, 0.0) is None, "what is not durable is not read"
    allowed.set()
    assert done.wait(30)
    assert called == list(range(50))


def test_many_appends_share_one_sync(
    journals: Any, make_records: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = journals(sync_interval=3600.0, sync_records=100)
    syncs: list[int] = []
    real = files.sync_data
    monkeypatch.setattr(files, "sync_data", lambda fd: (syncs.append(fd), real(fd))[1])
    hundred = threading.Event()
    for number in range(99):
        journal.append(make_records(number, 1))
    assert syncs == [], "neither the number nor the time has been reached"
    journal.append(make_records(99, 1), on_durable=hundred.set)
    assert hundred.wait(30)
    assert len(syncs) == 1


def test_a_record_waits_at_most_the_interval(journals: Any, make_records: Any) -> None:
    journal = journals(sync_interval=0.02, sync_records=10**6)
    durable = threading.Event()
    journal.append(make_records(1, 1), on_durable=durable.set)
    assert durable.wait(30)


def test_lines_stay_small(journals: Any, make_records: Any, drain: Any) -> None:
    journal = journals()
    journal.append(make_records(1, 2500))
    journal.append(make_records(2501, 40, body="x" * 100_000))
    journal.append(make_records(2541, 1, body="y" * 3_000_000))
    journal.flush(10)
    reader = journal.reader("r")
    lines = []
    while (batch := reader.read(1, 1, 0.0)) is not None:
        assert len(batch.lines) == 1, "a batch holds at least one line, however small the limits"
        lines.append((batch.record_count, batch.byte_count))
        reader.acknowledge(batch)
    assert [count for count, _ in lines[:3]] == [1000, 1000, 500]
    assert all(size <= 2**20 for count, size in lines if count > 1)
    assert lines[-1][0] == 1
    assert sum(count for count, _ in lines) == 2541
    assert drain(journal.reader("all")) == list(range(1, 2542))


def test_every_line_is_json_and_holds_no_newline(journals: Any, make_records: Any) -> None:
    journal = journals()
    hostile = 'a\nb\r\n"c"\\\x1b[31m\x00\u2028'
    journal.append([*make_records(1, 1, body=hostile), Record(attributes={hostile: hostile})])
    journal.close()
    (name,) = journals.segments()
    lines = (journals.directory / name).read_bytes().split(b"\n")
    assert lines[1:] == [b""]
    logs = json.loads(lines[0])["resourceLogs"]
    assert [len(scope["logRecords"]) for r in logs for scope in r["scopeLogs"]] == [1, 1]


def test_a_record_that_otlp_cannot_carry_is_made_to_fit(journals: Any) -> None:
    journal = journals()
    journal.append([Record(event_name="big", attributes={"n": 2**70, "bad": "\udcff"}), Record(body=1)])
    journal.flush(10)
    batch = journal.reader("r").read(10, 10**6, 0.0)
    assert batch.records[0].attributes == {"n": str(2**70), "bad": "\\xff"}
    assert batch.records[1].body == 1


def test_files_are_private_whatever_the_umask(journals: Any, make_records: Any, tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        journal = journals(segment_size=4096)
        journal.append(make_records(1, 100))
        journal.append(make_records(101, 100))
        journal.reader("r")
        journal.maintain()
        journal.close()
    finally:
        os.umask(previous)
    found = {path: stat.S_IMODE(path.stat().st_mode) for path in journals.directory.rglob("*")}
    assert len(found) > 5
    for path, mode in found.items():
        assert mode == (0o700 if path.is_dir() else 0o600), path
    assert stat.S_IMODE(journals.directory.stat().st_mode) == 0o700


def test_a_second_opening_is_refused_and_told_by_whom(journals: Any) -> None:
    journals()
    with pytest.raises(JournalLockedError, match=rf"pid {os.getpid()}\); stop that one first"):
        journals()
    code = (
        "import sys, logging; from pathlib import Path; from otel_fim.journal import Journal;"
        "from otel_fim.journal.config import JournalConfig;"
        "Journal.open(Path(sys.argv[1]), JournalConfig(), logger=logging.getLogger())"
    )
    other = subprocess.run(
        [sys.executable, "-c", code, journals.directory], capture_output=True, text=True, timeout=60
    )
    assert other.returncode == 1
    assert (
        f"JournalLockedError: {journals.directory}: the journal is in use by another process" in other.stderr
    )
    assert f"(pid {os.getpid()})" in other.stderr


def test_after_close_everything_is_refused(journals: Any, make_records: Any) -> None:
    journal: Journal = journals()
    reader = journal.reader("r")
    journal.append(make_records(1, 1))
    journal.flush(10)
    batch = reader.read(1, 1, 0.0)
    assert batch is not None
    journal.close()
    journal.close()
    with pytest.raises(JournalClosedError):
        journal.append(make_records(2, 1))
    with pytest.raises(JournalClosedError):
        reader.acknowledge(batch)
    assert reader.read(1, 1, 60.0) is None


def test_close_makes_all_durable_and_calls_back(journals: Any, make_records: Any) -> None:
    journal = journals(sync_interval=3600.0)
    called: list[int] = []
    for number in range(20):
        journal.append(make_records(number, 1), on_durable=lambda n=number: called.append(n))
    journal.close()
    assert called == list(range(20))


def test_a_callback_may_append_and_may_fail(journals: Any, make_records: Any) -> None:
    journal = journals(segment_size=4096)
    done = threading.Event()

    def append_more() -> None:
        for number in range(100):
            journal.append(make_records(number, 5))
        done.set()
        raise RuntimeError("a receiver's mistake")

    journal.append(make_records(1, 1), on_durable=append_more)
    assert done.wait(30)
    assert journal.flush(10)
    assert journal.durable_sequence == 501


def test_a_newer_format_is_refused(journals: Any) -> None:
    journals().close()
    path = journals.directory / "journal.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"version": 2}))
    with pytest.raises(
        JournalFormatError, match=r"journal\.json: the journal has format version 2.*newer otel-fim"
    ):
        journals()
    path.write_text('{"something": "else"}')
    with pytest.raises(JournalFormatError, match="not a journal of otel-fim"):
        journals()
    path.write_text("\0\0\0")
    journals().close()
    assert (journals.directory / "journal.json.damaged").read_text() == "\0\0\0"


def test_a_directory_that_cannot_be_used_is_named(journals: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        Exception, match=r"file: the journal cannot be opened \(Not a directory\)|File exists"
    ):
        journals(tmp_path / "file")


def test_threads_may_append_together(journals: Any, make_records: Any, drain: Any) -> None:
    journal = journals(segment_size=20_000, sync_interval=0.001)

    def work(start: int) -> None:
        for number in range(start, start + 200):
            journal.append(make_records(number, 1))

    threads = [threading.Thread(target=work, args=(start,)) for start in (0, 1000, 2000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert journal.flush(10)
    numbers = drain(journal.reader("r"))
    for start in (0, 1000, 2000):
        assert [n for n in numbers if start <= n < start + 1000] == list(range(start, start + 200))
    assert len(numbers) == journal.durable_sequence == 600
