from __future__ import annotations

import os
import time
from typing import Any


def fill(journal: Any, make_records: Any, first: int, count: int) -> None:
    for number in range(first, first + count):
        journal.append(make_records(number, 1))
    assert journal.flush(30)


def small(**retention: Any) -> dict[str, Any]:
    return {"segment_size": 4096, "compression": False, "retention": retention}


def test_only_delivered_segments_go(journals: Any, make_records: Any, drain: Any) -> None:
    journal = journals(**small(max_bytes=20_000))
    fast, slow = journal.reader("fast"), journal.reader("slow")
    fill(journal, make_records, 1, 200)
    assert drain(fast) == list(range(1, 201))
    journal.maintain()
    assert journal.first_sequence == 1, "the slow one needs it"
    assert drain(slow) == list(range(1, 201))
    journal.maintain()
    assert journal.first_sequence > 1
    assert 10_000 < journal.bytes_on_disk <= 20_000
    assert int(journals.segments()[0][:20]) == journal.first_sequence
    journal.close()
    assert journals.notices == [], "nothing was lost"
    journal = journals(**small(max_bytes=20_000))
    assert drain(journal.reader("fast")) == drain(journal.reader("slow")) == []


def test_old_segments_go_by_age(journals: Any, make_records: Any, drain: Any) -> None:
    journal = journals(**small(max_age=3600.0))
    reader = journal.reader("r")
    fill(journal, make_records, 1, 100)
    assert drain(reader) == list(range(1, 101))
    journal.close()
    names = journals.segments()
    two_hours_ago = time.time_ns() - 7200 * 10**9
    for name in names[:2]:
        os.utime(journals.directory / name, ns=(two_hours_ago, two_hours_ago))
    journal = journals(**small(max_age=3600.0))
    journal.maintain()
    assert journals.segments()[0] == names[2]


def test_a_quiet_journal_begins_a_new_segment_in_time(journals: Any, make_records: Any) -> None:
    journal = journals(retention={"max_age": 3600.0}, compression=False)
    records = make_records(1, 1)
    records[0].observed_time_unix_nano = time.time_ns() - 1800 * 10**9
    journal.append(records)
    journal.close()
    journal = journals(retention={"max_age": 3600.0}, compression=False)
    journal.maintain()
    journal.append(make_records(2, 1))
    journal.close()
    assert journals.segments() == [f"{first:020d}.jsonl" for first in (1, 2)]


def test_readers_that_are_no_longer_configured_hold_nothing(
    journals: Any, make_records: Any, drain: Any
) -> None:
    journal = journals(**small(max_bytes=20_000))
    journal.reader("gone")
    fill(journal, make_records, 1, 200)
    journal.close()
    journal = journals(**small(max_bytes=20_000))
    journal.maintain()
    assert journal.first_sequence == 1, "until it is said who counts, all do"
    reader = journal.reader("here")
    journal.active_readers(["here"])
    assert drain(reader) == list(range(1, 201))
    journal.maintain()
    assert journal.first_sequence > 1
    lost = journal.first_sequence - 1
    assert drain(journal.reader("gone")) == list(range(lost + 1, 201)), "it comes back and is told"
    journal.close()
    assert [(n.kind, n.reader, n.records_lost) for n in journals.notices] == [
        ("retention_forced", "gone", lost)
    ]


def test_a_configured_reader_without_a_cursor_holds_everything(
    journals: Any, make_records: Any, drain: Any
) -> None:
    journal = journals(**small(max_bytes=20_000))
    reader = journal.reader("here")
    journal.active_readers(["here", "soon"])
    fill(journal, make_records, 1, 200)
    assert drain(reader) == list(range(1, 201))
    journal.maintain()
    assert journal.first_sequence == 1


def test_removed_cursors_are_forgotten(journals: Any, make_records: Any, drain: Any) -> None:
    journal = journals(**small(max_bytes=20_000))
    journal.reader("open")
    journal.reader("here")
    fill(journal, make_records, 1, 200)
    journal.close()
    journal = journals(**small(max_bytes=20_000))
    journal.reader("open")
    assert drain(journal.reader("here")) == list(range(1, 201))
    for name in ("open", "never there"):
        journal.remove_cursor(name)
    journal.maintain()
    assert journal.cursor_names() == ["here"]
    assert journal.first_sequence > 1
    assert len(os.listdir(journals.directory / "cursors")) == 1


def test_without_readers_the_limits_alone_count(journals: Any, make_records: Any) -> None:
    journal = journals(**small(max_bytes=20_000))
    fill(journal, make_records, 1, 200)
    journal.maintain()
    assert journal.bytes_on_disk <= 20_000


def test_the_segment_with_the_newest_record_stays(journals: Any, make_records: Any) -> None:
    journal = journals(**small(max_bytes=0, max_age=0.0))
    fill(journal, make_records, 1, 100)
    journal.maintain()
    journal.maintain()
    journal.close()
    assert len(journals.segments()) == 2, "the newest record's, and an empty one"
    journal = journals(**small(max_bytes=0, max_age=0.0))
    assert journal.last_record() == make_records(100, 1)[0]
    assert journal.durable_sequence == 100


def test_the_limit_forces_and_counts_exactly(
    journals: Any, make_records: Any, drain: Any, eventually: Any
) -> None:
    journal = journals(limit=20_000, **small())
    dead, half, alive = journal.reader("dead"), journal.reader("half"), journal.reader("alive")
    fill(journal, make_records, 1, 30)
    half.acknowledge(half.read(3, 10**6, 0.0))
    assert drain(alive) == list(range(1, 31))
    for first in range(31, 201, 10):
        fill(journal, make_records, first, 10)
        assert drain(alive) == list(range(first, first + 10))
        journal.maintain()
    assert journal.bytes_on_disk <= 20_000
    first = journal.first_sequence
    lost = {"dead": first - 1, "half": first - 4}

    def told() -> dict[str | None, int]:
        sums: dict[str | None, int] = {}
        for notice in journals.notices:
            assert (notice.kind, notice.reason) == ("retention_forced", "journal_retention")
            sums[notice.reader] = sums.get(notice.reader, 0) + (notice.records_lost or 0)
        return sums

    eventually(lambda: told() == lost)
    assert len(journals.notices) > 4, "told when it happens, not when the reader comes"
    for notice in journals.notices:
        notice.confirm()
    assert dead.pending_records == 201 - first
    journal.close()
    journal = journals(limit=20_000, **small())
    assert drain(journal.reader("dead")) == drain(journal.reader("half")) == list(range(first, 201))
    journal.close()
    assert told() == lost, "what was told and confirmed is not told again after a restart"


def test_a_batch_in_hand_is_not_counted_as_lost(
    journals: Any, make_records: Any, drain: Any, eventually: Any
) -> None:
    journal = journals(limit=20_000, **small())
    reader = journal.reader("slow")
    fill(journal, make_records, 1, 10)
    batch = reader.read(5, 10**6, 0.0)
    fill(journal, make_records, 11, 200)
    journal.maintain()
    first = journal.first_sequence
    assert first > 20
    eventually(lambda: sum(n.records_lost or 0 for n in journals.notices) == first - 6)
    reader.acknowledge(batch)
    assert drain(reader) == list(range(first, 211))
    journal.close()
    assert sum(n.records_lost or 0 for n in journals.notices) == first - 6


def test_a_batch_that_was_given_up_is_counted_after_all(
    journals: Any, make_records: Any, drain: Any, eventually: Any
) -> None:
    journal = journals(limit=20_000, **small())
    reader = journal.reader("slow")
    fill(journal, make_records, 1, 10)
    assert reader.read(5, 10**6, 0.0).record_count == 5
    fill(journal, make_records, 11, 200)
    journal.maintain()
    first = journal.first_sequence
    eventually(lambda: sum(n.records_lost or 0 for n in journals.notices) == first - 6)
    for notice in journals.notices:
        notice.confirm()
    journal.close()
    journal = journals(limit=20_000, **small())
    assert drain(journal.reader("slow")) == list(range(first, 211))
    journal.close()
    assert sum(n.records_lost or 0 for n in journals.notices) == first - 1
