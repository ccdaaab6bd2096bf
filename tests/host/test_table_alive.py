"""What the table says of a span of time: who lived then, and whether it knows of all."""

from __future__ import annotations

from otel_fim.host.process import Process
from otel_fim.host.table import ProcessTable

BEGIN = 2_000_000_000_000_000_000
SECOND = 1_000_000_000


def put(table: ProcessTable, pid: int, created: float, ended: float | None = None) -> str:
    start = BEGIN + int(created * SECOND)
    end = None if ended is None else BEGIN + int(ended * SECOND)
    entity = table.entity_id(pid, start)
    table.put(Process(pid, start, entity, ended_unix_nano=end))
    return entity


def alive(table: ProcessTable, since: float, until: float) -> set[str] | None:
    found = table.alive_between(BEGIN + int(since * SECOND), BEGIN + int(until * SECOND))
    return None if found is None else {each.entity_id for each in found}


def test_who_lived_at_any_moment_of_a_time() -> None:
    table = ProcessTable()
    table.feed_with(lambda: None)
    before = put(table, 4_200_000, 1, 2)
    across = put(table, 4_200_001, 1, 4)
    within = put(table, 4_200_000, 3.1, 3.2)
    still = put(table, 4_200_002, 3)
    put(table, 4_200_003, 9)
    table.fed(BEGIN + 10 * SECOND)
    assert alive(table, 3, 3.5) == {across, within, still}
    assert alive(table, 1.5, 3.15) == {before, across, within, still}


def test_nothing_is_said_when_not_all_are_known() -> None:
    table = ProcessTable(2)
    put(table, 4_200_000, 1, 2)
    assert alive(table, 1, 3) is None, "without a feeder"
    table.feed_with(lambda: None)
    assert alive(table, 1, 3) is None, "before the feeder has told"
    table.fed(BEGIN + 10 * SECOND)
    assert alive(table, 1, 3) is not None
    put(table, 4_200_001, 3, 4)
    put(table, 4_200_002, 3, 4)
    assert alive(table, 1, 3) is None, "after one has made room"
    assert alive(table, 2.5, 3.5) is not None


def test_a_feeder_has_told_from_its_last_beginning_to_what_it_said_last() -> None:
    table = ProcessTable()
    assert table.is_told(BEGIN), "without a feeder what is asked for is read"
    table.feed_with(lambda: None)
    assert not table.is_told(BEGIN)
    table.fed(BEGIN + SECOND)
    assert table.is_told(BEGIN)
    assert table.is_told(BEGIN + SECOND)
    assert not table.is_told(BEGIN + SECOND + 1)
    assert not table.is_told(1)


def test_an_end_that_nobody_told_proves_nothing_of_the_time_before_it() -> None:
    """Between the last that was heard of it and the time at which it was missed, others can have had its pid."""
    table = ProcessTable()
    table.feed_with(lambda: None)
    told = Process(4_200_000, BEGIN, "told", ended_unix_nano=BEGIN + 9 * SECOND, exit_status=0)
    missed = Process(4_200_001, BEGIN, "missed", ended_unix_nano=BEGIN + 9 * SECOND)
    for process in (told, missed):
        table.put(process)
    # Something was lost after that: what is complete begins anew.
    table.feed_with(lambda: None)
    table._fed_since = BEGIN + 9 * SECOND
    table.fed(BEGIN + 10 * SECOND)
    assert table.find(4_200_000, at_unix_nano=BEGIN + 5 * SECOND, within_nano=SECOND) == told
    assert table.find(4_200_001, at_unix_nano=BEGIN + 5 * SECOND, within_nano=SECOND) is None
    assert table.find(4_200_001, created_unix_nano=BEGIN) == missed
