"""wtmp, btmp and utmp: records, tables, and the sources that follow them."""

from __future__ import annotations

import ctypes
import ipaddress
import os
import platform
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_fim.receivers.auth.sources.utmp_files import RecordFileSource
from otel_fim.receivers.auth.sources.utmp_record import (
    NARROW,
    REJECTED_EMPTY,
    REJECTED_RECORD,
    REJECTED_TIME,
    REJECTED_TYPE,
    TYPES,
    WIDE,
    UtmpRecord,
    layout,
    parse,
)
from otel_fim.receivers.auth.sources.utmp_table import UtmpTableSource, parse_table

FORMS = st.sampled_from((NARROW, WIDE))


def encode(
    kind: int = 7,
    pid: int = 100,
    line: bytes = b"pts/0",
    user: bytes = b"alice",
    host: bytes = b"203.0.113.7",
    seconds: int = 1_700_000_000,
    micros: int = 5,
    address: bytes = bytes((203, 0, 113, 7)),
    form: struct.Struct = NARROW,
    status: tuple[int, int] = (0, 0),
    session: int = 0,
) -> bytes:
    return form.pack(kind, pid, line, b"ts/0", user, host, *status, session, seconds, micros, address)


def test_sizes_are_those_of_glibc() -> None:
    assert (NARROW.size, WIDE.size) == (384, 400)
    assert layout("x86_64") is NARROW
    assert layout("aarch64") is WIDE


@given(
    FORMS,
    st.integers(0, 9),
    st.integers(0, 2**31 - 1),
    st.binary(max_size=32),
    st.binary(max_size=32),
    st.binary(max_size=256),
    st.tuples(st.integers(-(2**15), 2**15 - 1), st.integers(-(2**15), 2**15 - 1)),
    st.integers(-(2**31), 2**31 - 1),
    st.integers(1, 2**32 - 1),
    st.integers(0, 999_999),
    st.binary(min_size=16, max_size=16) | st.binary(min_size=4, max_size=4),
)
def test_what_is_written_is_read(
    form, kind, pid, line, user, host, status, session, seconds, micros, address
) -> None:
    data = encode(kind, pid, line, user, host, seconds, micros, address, form, status, session)
    record = parse(data, form)
    assert isinstance(record, UtmpRecord)

    def text(field: bytes) -> str:
        return field.partition(b"\0")[0].decode("utf-8", "backslashreplace")

    assert (record.kind, record.pid, record.session) == (kind, pid, session)
    assert (record.line, record.user, record.host) == (text(line), text(user), text(host))
    assert (record.exit_termination, record.exit_status) == status
    assert record.time_unix_nano == (seconds * 1_000_000 + micros) * 1000
    if not any(address):
        assert record.address is None
    else:
        assert record.address is not None
        ipaddress.ip_address(record.address)


@given(FORMS, st.binary(max_size=900))
def test_nothing_raises(form: struct.Struct, data: bytes) -> None:
    for start in range(0, len(data), form.size):
        record = parse(data[start : start + form.size], form)
        assert isinstance(record, UtmpRecord | str)
        if isinstance(record, UtmpRecord):
            assert record.fields()["type"] in TYPES
    rows, bad = parse_table(data, form)
    assert len(rows) + len(bad) <= len(data) // form.size + 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (bytes(384), REJECTED_EMPTY),
        (encode(kind=10), REJECTED_TYPE),
        (encode(kind=-1), REJECTED_TYPE),
        (encode(pid=-1), REJECTED_RECORD),
        (encode()[:-1], REJECTED_RECORD),
        (encode(seconds=0), REJECTED_TIME),
        (encode(micros=1_000_000), REJECTED_TIME),
    ],
)
def test_what_is_no_record(data: bytes, reason: str) -> None:
    assert parse(data, NARROW) == reason


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
    ],
)
def test_addresses(address: str, text: str) -> None:
    record = parse(encode(address=ipaddress.ip_address(address).packed), NARROW)
    assert isinstance(record, UtmpRecord)
    assert record.address == text


def test_the_size_is_the_c_librarys(tmp_path: Path) -> None:
    """updwtmp(3) appends a whole struct utmp, and cuts off what is left of a broken one."""
    library = ctypes.CDLL(None)
    if not hasattr(library, "updwtmp") or platform.libc_ver()[0] != "glibc":
        pytest.skip("needs glibc")
    file = tmp_path / "wtmp"
    file.write_bytes(b"torn")
    for user in (b"alice", b"bob"):
        library.updwtmp(os.fsencode(file), encode(user=user, form=layout()) + bytes(64))
    content = file.read_bytes()
    assert len(content) == 2 * layout().size
    record = parse(content[layout().size :], layout())
    assert isinstance(record, UtmpRecord)
    assert record.user == "bob"


@pytest.mark.skipif(layout() is not NARROW, reason="written for the layout of x86-64")
def test_the_same_is_read_by_utmpdump(tmp_path: Path) -> None:
    file = tmp_path / "wtmp"
    file.write_bytes(encode(user=b"mallory", session=3))
    shown = subprocess.run(
        ["utmpdump", str(file)], capture_output=True, text=True, check=True, timeout=30
    ).stdout
    record = parse(file.read_bytes(), layout())
    assert isinstance(record, UtmpRecord)
    for field in (record.user, record.line, record.host, record.address, f"{record.pid:05}"):
        assert field is not None
        assert field in shown


def test_follows_btmp(tmp_path: Path, recorder, new_recorder) -> None:
    path = tmp_path / "btmp"
    path.write_bytes(encode(user=b"before"))
    source = RecordFileSource("btmp", str(path), form=NARROW)
    assert source.available() is None
    source.start(recorder)
    recorder.wait(lambda: recorder.position is not None)
    with path.open("ab") as file:
        # A truncated record is kept until the rest is there.
        file.write(encode(user=b"one") + b"\xff" * 384 + bytes(384) + encode(user=b"two")[:100])
        file.flush()
        recorder.wait(lambda: len(recorder.rejections) == 2)
        file.write(encode(user=b"two")[100:])
    recorder.wait(lambda: len(recorder.got) == 2)
    path.rename(tmp_path / "btmp.1")
    path.write_bytes(encode(user=b"three"))
    recorder.wait(lambda: len(recorder.got) == 3)
    assert source.stop(30)
    assert [entry.fields["user"] for entry in recorder.got] == ["one", "two", "three"]
    assert recorder.rejections == {REJECTED_TYPE: 1, REJECTED_EMPTY: 1}
    assert recorder.gaps == []
    first = recorder.got[0]
    assert (first.source, first.pid, first.trusted, first.identifier) == ("btmp", 100, True, "")
    assert first.fields["address"] == "203.0.113.7"
    assert len({entry.identity for entry in recorder.got}) == 3

    with path.open("ab") as file:
        file.write(encode(user=b"while down"))
    again = RecordFileSource("btmp", str(path), form=NARROW)
    later = new_recorder()
    again.start(later, recorder.position)
    later.wait(lambda: later.got)
    assert again.stop(30)
    assert [entry.fields["user"] for entry in later.got] == ["while down"]
    assert later.gaps == []


def rewrite(path: Path, content: bytes) -> None:
    """In place, as login does."""
    with path.open("r+b") as file:
        file.write(content)


def test_who_is_logged_in(tmp_path: Path, recorder, new_recorder) -> None:
    path = tmp_path / "utmp"
    boot = encode(kind=2, user=b"reboot", line=b"~")
    path.write_bytes(boot + encode())
    source = UtmpTableSource(str(path), form=NARROW)
    source.start(recorder)
    recorder.wait(lambda: recorder.got)
    rewrite(path, boot + encode() + encode(pid=200, line=b"pts/1", user=b"bob"))
    recorder.wait(lambda: len(recorder.got) == 2)
    rewrite(path, boot + encode(kind=8) + encode(pid=200, line=b"pts/1", user=b"bob"))
    recorder.wait(lambda: len(recorder.got) == 3)
    assert source.stop(30)
    told = [(entry.fields["user"], entry.fields["state"], entry.fields["type"]) for entry in recorder.got]
    assert told == [
        ("alice", "present", "USER_PROCESS"),
        ("bob", "added", "USER_PROCESS"),
        ("alice", "removed", "DEAD_PROCESS"),
    ]

    # While the agent is down bob leaves and carol comes.
    path.write_bytes(boot + encode(pid=300, line=b"pts/2", user=b"carol"))
    later = new_recorder()
    again = UtmpTableSource(str(path), form=NARROW)
    again.start(later, recorder.position)
    later.wait(lambda: len(later.got) == 2)
    assert again.stop(30)
    assert {(e.fields["user"], e.fields["state"]) for e in later.got} == {
        ("carol", "added"),
        ("bob", "removed"),
    }

    third = new_recorder()
    last = UtmpTableSource(str(path), form=NARROW)
    last.start(third, later.position)
    third.wait(lambda: third.got)
    assert last.stop(30)
    assert [(e.fields["user"], e.fields["state"]) for e in third.got] == [("carol", "present")]


def test_a_table_that_is_not_there_has_nobody(tmp_path: Path, recorder) -> None:
    path = tmp_path / "utmp"
    source = UtmpTableSource(str(path), form=NARROW)
    assert source.available() == f"{path} does not exist"
    source.start(recorder)
    recorder.wait(lambda: recorder.position is not None)
    path.write_bytes(encode() + b"\1\2\3" + encode()[3:] + b"rest")
    recorder.wait(lambda: recorder.got and recorder.rejections)
    assert source.stop(30)
    assert [entry.fields["state"] for entry in recorder.got] == ["added"]


def test_a_position_of_something_else_is_a_gap(tmp_path: Path, recorder) -> None:
    path = tmp_path / "utmp"
    path.write_bytes(encode())
    source = UtmpTableSource(str(path), form=NARROW)
    source.start(recorder, {"version": 1, "rows": {"x": {"time": "no"}}})
    recorder.wait(lambda: recorder.got)
    assert source.stop(30)
    assert recorder.reasons() == ["io_error"]
