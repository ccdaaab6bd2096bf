"""The proc connector's messages, and the filter in the kernel."""

from __future__ import annotations

import ctypes
import socket
import struct
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_fim.receivers.process import cn_proc

U32 = st.integers(0, 2**32 - 1)
WHAT = st.one_of(
    st.sampled_from([0, 1, 2, 4, 0x40, 0x80, 0x100, 0x200, 0x40000000, 0x80000000]), st.integers(0, 2**32 - 1)
)


def message(what: int, data: bytes, time_ns: int = 7) -> bytes:
    event = struct.pack("=IIQ", what, 0, time_ns) + data.ljust(24, b"\0")
    body = struct.pack("=IIIIHH", 1, 1, 5, 0, len(event), 0) + event
    return struct.pack("=IHHII", 16 + len(body), 3, 0, 0, 0) + body


def numbers(*values: int) -> bytes:
    return struct.pack(f"={len(values)}I", *values)


CASES = [
    (cn_proc.FORK, (10, 10, 11, 11), cn_proc.ProcEvent(cn_proc.FORK, 7, 11, 10)),
    (cn_proc.FORK, (12, 10, 11, 11), cn_proc.ProcEvent(cn_proc.FORK, 7, 11, 10)),
    (cn_proc.FORK, (10, 10, 11, 10), None),
    (cn_proc.EXEC, (11, 11), cn_proc.ProcEvent(cn_proc.EXEC, 7, 11)),
    (cn_proc.EXIT, (11, 11, 9, 17), cn_proc.ProcEvent(cn_proc.EXIT, 7, 11, 9)),
    (cn_proc.EXIT, (12, 11, 0, 17), None),
    (cn_proc.UID, (11, 11, 1000, 0), cn_proc.ProcEvent(cn_proc.UID, 7, 11, 1000, 0)),
    (cn_proc.UID, (12, 11, 1000, 0), None),
    (cn_proc.GID, (11, 11, 5, 6), cn_proc.ProcEvent(cn_proc.GID, 7, 11, 5, 6)),
    (cn_proc.SID, (11, 11), cn_proc.ProcEvent(cn_proc.SID, 7, 11)),
    (0x200, (11, 11), None),
    (0, (0,), None),
]


@pytest.mark.parametrize(("what", "data", "expected"), CASES)
def test_messages(what: int, data: tuple[int, ...], expected: cn_proc.ProcEvent | None) -> None:
    assert cn_proc.parse(message(what, numbers(*data))) == expected


@given(
    st.one_of(
        st.binary(max_size=120),
        st.builds(lambda w, d, cut: message(w, d)[:cut], WHAT, st.binary(max_size=24), st.integers(0, 76)),
    )
)
def test_anything_is_an_event_nothing_or_malformed(content: bytes) -> None:
    try:
        event = cn_proc.parse(content)
    except cn_proc.MalformedError:
        return
    assert event is None or 0 <= event.pid < 2**32


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


@given(WHAT, st.tuples(U32, U32, U32, U32), st.booleans())
def test_the_filter_keeps_what_the_parser_understands(
    what: int, data: tuple[int, int, int, int], same: bool
) -> None:
    """The real filter, in the kernel, on a pair of datagram sockets."""
    one, two, three, four = data
    if same:
        two, four = one, three
    content = message(what, numbers(one, two, three, four))
    sender, receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with sender, receiver:
        program = cn_proc.socket_filter()
        buffer = ctypes.create_string_buffer(program, len(program))
        described = _Program(len(program) // 8, ctypes.addressof(buffer))
        receiver.setsockopt(socket.SOL_SOCKET, 26, bytes(described))
        receiver.setblocking(False)
        sender.send(content)
        try:
            kept = receiver.recv(200) == content
        except BlockingIOError:
            kept = False
    assert kept == (cn_proc.parse(content) is not None or what == 0)


def test_threads_and_answers_are_not_events() -> None:
    assert threading.active_count() >= 1
    assert cn_proc.parse(message(0, b"")) is None
    with pytest.raises(cn_proc.MalformedError):
        cn_proc.parse(message(cn_proc.FORK, b"")[:60])
    with pytest.raises(cn_proc.MalformedError):
        cn_proc.parse(b"\xff" * 76)
