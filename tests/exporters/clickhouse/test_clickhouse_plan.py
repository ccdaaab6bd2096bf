"""From a batch to inserts."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from otel_fim import names
from otel_fim.exporters.clickhouse.plan import DAY, MAX_DAYS, plan
from otel_fim.exporters.clickhouse.rows import MAX_TIME, timestamp
from otel_fim.record import Record


def _record(stream: object, number: object, time: int = 1) -> Record:
    return Record(
        time_unix_nano=time,
        attributes={names.AUDIT_SEQUENCE_STREAM_ID: stream, names.AUDIT_SEQUENCE_NUMBER: number},  # type: ignore[dict-item]
    )


_places = st.tuples(
    st.one_of(st.sampled_from(["a", "b", ""]), st.none(), st.integers(), st.just("x" * 257)),
    st.one_of(
        st.integers(-1, 6), st.just(1 << 63), st.booleans(), st.none(), st.text(max_size=2), st.floats()
    ),
    st.one_of(st.integers(0, 200).map(lambda day: day * DAY + 5), st.integers(0, 2**64 - 1)),
)


@given(st.lists(_places, max_size=80))
def test_every_record_is_in_one_insert_and_a_place_in_a_stream_comes_once(
    places: list[tuple[object, object, int]],
) -> None:
    records = [_record(*place) for place in places]

    inserts = plan(records)

    sent = [id(record) for insert in inserts for record in insert.records]
    assert len(sent) == len(set(sent))
    chained = [
        (insert.stream, number)
        for insert in inserts
        if insert.numbers is not None
        for number in insert.numbers
    ]
    assert len(chained) == len(set(chained))
    lost = [record for record in records if id(record) not in set(sent)]
    assert all(
        (record.attributes[names.AUDIT_SEQUENCE_STREAM_ID], record.attributes[names.AUDIT_SEQUENCE_NUMBER])
        in set(chained)
        for record in lost
    )
    for insert in inserts:
        assert len(insert.records) == len(insert.timestamps) > 0
        assert list(insert.timestamps) == [timestamp(record) for record in insert.records]
        assert len({time // DAY for time in insert.timestamps}) <= MAX_DAYS
        assert (insert.stream is None) == (insert.numbers is None)
    streams = [insert.stream for insert in inserts]
    assert None not in streams[: len([s for s in streams if s is not None])]


def test_a_normal_batch_is_one_insert_in_the_order_of_the_batch() -> None:
    stream = str(uuid.uuid4())
    records = [_record(stream, number, number * 1000) for number in range(1, 1001)]

    (insert,) = plan(records)

    assert insert.records == records
    assert insert.numbers == list(range(1, 1001))


def test_halves_are_the_whole() -> None:
    (insert,) = plan([_record("a", number) for number in range(1, 8)])

    first, rest = insert.halves()

    assert [*(first.numbers or ()), *(rest.numbers or ())] == list(range(1, 8))
    assert len(first.records) == 3


def test_a_time_is_when_it_happened_or_was_seen_and_never_past_what_clickhouse_holds() -> None:
    assert timestamp(Record(time_unix_nano=5, observed_time_unix_nano=9)) == 5
    assert timestamp(Record(observed_time_unix_nano=9)) == 9
    assert timestamp(Record()) == 0
    assert timestamp(Record(time_unix_nano=2**64 - 1)) == MAX_TIME
