"""The event parser: right on well-formed buffers, never raising on others."""

from __future__ import annotations

import struct
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from otel_fim.receivers.file_integrity.backends import fanotify_api as api
from otel_fim.receivers.file_integrity.backends.fanotify_events import Event, pair_moves, parse, pidfds

KEYS = st.builds(
    lambda fsid, kind, handle: fsid + struct.pack("=Ii", len(handle), kind) + handle,
    st.binary(min_size=8, max_size=8),
    st.integers(-(2**31), 2**31 - 1),
    st.binary(max_size=128),
)
NAMES = st.binary(min_size=1, max_size=255).filter(lambda name: b"\0" not in name)
EVENTS = st.builds(
    Event,
    mask=st.integers(0, 2**64 - 1),
    pid=st.integers(0, 2**31 - 1),
    pidfd=st.none() | st.integers(-2, 2**31 - 1),
    directory=st.just(b"") | KEYS,
    name=NAMES,
    file=st.just(b"") | KEYS,
    new_directory=st.just(b"") | KEYS,
    new_name=NAMES,
).map(
    lambda event: event._replace(
        name=event.name if event.directory else b"", new_name=event.new_name if event.new_directory else b""
    )
)


def record(kind: int, payload: bytes) -> bytes:
    payload += bytes(-len(payload) % 4)
    return struct.pack("=BxH", kind, 4 + len(payload)) + payload


def encode(event: Event, unknown: bytes = b"") -> bytes:
    """The buffer that the kernel would write, with records of a kind that does not exist yet in between."""
    records = record(99, unknown) if unknown else b""
    if event.directory:
        kind = api.INFO_OLD_DFID_NAME if event.new_directory else api.INFO_DFID_NAME
        records += record(kind, event.directory + event.name + b"\0")
    if event.new_directory:
        records += record(api.INFO_NEW_DFID_NAME, event.new_directory + event.new_name + b"\0")
    if event.file:
        records += record(api.INFO_FID, event.file)
    if event.pidfd is not None:
        records += record(api.INFO_PIDFD, struct.pack("=i", event.pidfd))
    return struct.pack("=IBxHQii", 24 + len(records), 3, 24, event.mask, -1, event.pid) + records


@given(st.lists(EVENTS, max_size=8), st.binary(max_size=9))
def test_well_formed_buffers_come_back(events: list[Event], unknown: bytes) -> None:
    parsed = parse(b"".join(encode(event, unknown) for event in events))
    assert parsed.events == events
    assert parsed.error is None
    assert pidfds(parsed.events) == [
        event.pidfd for event in events if (event.pidfd or 0) > -1 and event.pidfd is not None
    ]


@given(st.binary(max_size=400))
def test_noise_never_raises(noise: bytes) -> None:
    parsed = parse(noise)
    assert noise == b"" or parsed.error is not None or parsed.events


@given(st.lists(EVENTS, min_size=1, max_size=4), st.data())
def test_damaged_buffers_keep_what_stands_before_the_damage(events: list[Event], data: Any) -> None:
    whole = [encode(event) for event in events]
    buffer = bytearray(b"".join(whole))
    at = data.draw(st.integers(0, len(buffer) - 1))
    buffer[at] = data.draw(st.integers(0, 255))
    kept = 0
    while sum(len(each) for each in whole[: kept + 1]) <= at:
        kept += 1
    assert parse(bytes(buffer)).events[:kept] == events[:kept]


@given(st.lists(EVENTS, min_size=1, max_size=4), st.data())
def test_cut_buffers_are_errors(events: list[Event], data: Any) -> None:
    buffer = b"".join(encode(event) for event in events)
    boundaries = {sum(len(encode(event)) for event in events[:count]) for count in range(len(events) + 1)}
    cut = data.draw(st.integers(0, len(buffer)).filter(lambda at: at not in boundaries))
    assert parse(buffer[:cut]).error is not None


def test_another_version_is_an_error() -> None:
    parsed = parse(struct.pack("=IBxHQii", 24, 4, 24, 0, -1, 1))
    assert parsed.events == []
    assert parsed.error is not None
    assert "version 4" in parsed.error


def move(mask: int, pid: int, name: bytes) -> Event:
    return Event(mask, pid, None, b"dir-" + name, name, b"", b"", b"")


def test_the_halves_of_a_rename_are_put_together() -> None:
    away, here = api.FAN_MOVED_FROM, api.FAN_MOVED_TO
    paired = pair_moves([move(away, 1, b"a"), move(here, 1, b"b"), move(here, 1, b"c")])
    assert [(event.mask, event.name, event.new_name) for event in paired] == [
        (api.FAN_RENAME, b"a", b"b"),
        (here, b"c", b""),
    ]
    directory = api.FAN_ONDIR
    apart = [move(away, 1, b"a"), move(here, 2, b"b"), move(away | directory, 2, b"c"), move(here, 2, b"d")]
    assert pair_moves(apart) == apart
