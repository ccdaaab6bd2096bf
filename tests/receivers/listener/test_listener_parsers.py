"""The kernel's messages: real ones, and whatever else may come. No exception leaves a parser."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_fim.names import metrics
from otel_fim.receivers.listener import proc_net, sock_diag, transitions
from otel_fim.receivers.listener.diag_messages import (
    Answer,
    Destroyed,
    parse_destroyed,
    parse_dump,
    request,
    whose,
)
from otel_fim.receivers.listener.sockets import ListeningSocket
from otel_fim.receivers.listener.transitions import Transition, parse_format, parse_records

_HEADER = struct.Struct("=IHHII")
_MESSAGE = struct.Struct("=BBBB2s2s16s16sIQIIIII")


def message(kind: int, content: bytes, *, flags: int = 0, sequence: int = 1) -> bytes:
    length = _HEADER.size + len(content)
    return _HEADER.pack(length, kind, flags, sequence, 0) + content + bytes(-length % 4)


def diag(
    family: int,
    state: int,
    port: int,
    address: bytes,
    *,
    remote: int = 0,
    cookie: int = 7,
    user: int = 33,
    inode: int = 99,
    attributes: bytes = b"",
) -> bytes:
    body = _MESSAGE.pack(
        family,
        state,
        0,
        0,
        port.to_bytes(2, "big"),
        remote.to_bytes(2, "big"),
        address.ljust(16, b"\0"),
        bytes(16),
        0,
        cookie,
        0,
        0,
        0,
        user,
        inode,
    )
    return message(20, body + attributes)


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


DONE = message(3, struct.pack("=i", 0))


def test_a_dump() -> None:
    buffer = (
        diag(socket.AF_INET, 10, 22, bytes([192, 0, 2, 1]))
        + diag(socket.AF_INET6, 10, 80, bytes(15) + b"\1", attributes=attribute(11, b"\1"))
        + DONE
    )
    answer = parse_dump(buffer, "tcp", 5)
    assert answer == Answer(
        [
            ListeningSocket("tcp", 4, "192.0.2.1", 22, 99, 33, None, 7, 5),
            ListeningSocket("tcp", 6, "::1", 80, 99, 33, True, 7, 5),
        ],
        done=True,
    )
    assert whose(buffer, 1) == (True, True)
    assert whose(buffer, 2) == (False, False)


@pytest.mark.parametrize(
    ("buffer", "field", "value"),
    [
        (message(2, struct.pack("=i", -2)), "error", 2),
        (message(3, struct.pack("=i", -16)), "error", 16),
        (message(3, struct.pack("=i", 0), flags=0x10), "interrupted", True),
        (message(4, b""), "interrupted", True),
        (message(2, b""), "rejected", 1),
        (diag(socket.AF_INET, 1, 22, b""), "rejected", 1),
        (diag(socket.AF_INET, 10, 22, b"", remote=1), "rejected", 1),
        (diag(99, 10, 22, b""), "rejected", 1),
        (diag(socket.AF_INET, 10, 22, b"")[:-1], "rejected", 1),
        (b"\1", "rejected", 1),
        (_HEADER.pack(3, 20, 0, 1, 0), "rejected", 1),
    ],
)
def test_what_else_the_kernel_says(buffer: bytes, field: str, value: object) -> None:
    answer = parse_dump(buffer, "tcp")
    assert getattr(answer, field) == value
    assert not answer.sockets


def test_a_destroyed_socket() -> None:
    told, rejected = parse_destroyed(
        diag(socket.AF_INET, 7, 4444, bytes([127, 0, 0, 1]), attributes=attribute(10, b"\x06"))
        + diag(socket.AF_INET6, 7, 53, bytes(16), cookie=8, attributes=attribute(10, b"\x11"))
        + diag(socket.AF_INET, 7, 53, bytes(4))
    )
    assert told == [
        Destroyed("tcp", 4, "127.0.0.1", 4444, 0, 7),
        Destroyed("udp", 6, "::", 53, 0, 8),
    ]
    assert rejected == 1


def test_the_kernel_understands_the_request() -> None:
    with socket.socket() as made, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as datagram:
        made.bind(("127.0.0.1", 0))
        made.listen()
        datagram.bind(("::1", 0))
        dumper = sock_diag.Dumper(("tcp", "udp"))
        try:
            found, changed = dumper.dump()
            assert changed
            assert dumper.dump() == (found, False)
        finally:
            dumper.close()
        inodes = {os.fstat(each.fileno()).st_ino for each in (made, datagram)}
    assert inodes <= {each.inode for each in found}
    assert dumper.rejected == 0
    assert len(request("tcp", 4, 1)) == 72


@given(st.binary(max_size=400))
def test_no_bytes_make_a_parser_fail(buffer: bytes) -> None:
    parse_dump(buffer, "tcp")
    parse_dump(buffer, "udp")
    parse_destroyed(buffer)
    whose(buffer, 1)
    parse_records(buffer, LAYOUT)
    proc_net.parse_table(b"heading\n" + buffer, "tcp", 4)
    proc_net.parse_table(b"heading\n" + buffer, "udp", 6)


@given(
    st.lists(
        st.tuples(st.sampled_from([0, 2, 3, 4, 20]), st.binary(max_size=120), st.integers(0, 0xFFFF)),
        max_size=6,
    ),
    st.integers(0, 400),
)
def test_no_messages_make_a_parser_fail(parts: list[tuple[int, bytes, int]], cut: int) -> None:
    buffer = b"".join(message(kind, content, flags=flags) for kind, content, flags in parts)
    for each in (buffer, buffer[:cut]):
        answer = parse_dump(each, "udp")
        assert all(0 <= found.port <= 65535 for found in answer.sockets)
        parse_destroyed(each)


@given(st.binary(max_size=72), st.binary(max_size=40), st.integers(0, 112))
def test_any_socket_message_is_a_socket_or_rejected(body: bytes, rest: bytes, cut: int) -> None:
    buffer = message(20, (body + rest)[:cut])
    answer = parse_dump(buffer, "tcp")
    assert len(answer.sockets) + answer.rejected == 1


_PROC = b"""  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0277 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0000000000000000
   1: 0100007F:0277 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0000000000000000
   2: nonsense
   3: 0100007F:0277 00000000:0000 0A 00000000:00000000 00:00000000 00000000  -1        0 4713 1 0000000000000000
"""


@pytest.mark.skipif(sys.byteorder != "little", reason="the sample is from a little-endian host")
def test_a_table_of_proc() -> None:
    found, rejected = proc_net.parse_table(_PROC, "tcp", 4)
    assert found == [ListeningSocket("tcp", 4, "127.0.0.1", 631, 4711, 1000)]
    assert rejected == 2


_FORMAT = """name: inet_sock_set_state
ID: 2287
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

\tfield:const void * skaddr;\toffset:8;\tsize:8;\tsigned:0;
\tfield:int oldstate;\toffset:16;\tsize:4;\tsigned:1;
\tfield:int newstate;\toffset:20;\tsize:4;\tsigned:1;
\tfield:__u16 sport;\toffset:24;\tsize:2;\tsigned:0;
\tfield:__u16 family;\toffset:28;\tsize:2;\tsigned:0;
\tfield:__u16 protocol;\toffset:30;\tsize:2;\tsigned:0;
\tfield:__u8 saddr[4];\toffset:32;\tsize:4;\tsigned:0;
\tfield:__u8 saddr_v6[16];\toffset:40;\tsize:16;\tsigned:0;
"""
LAYOUT = parse_format(_FORMAT)


def sample(old: int, new: int, *, family: int = socket.AF_INET, protocol: int = 6) -> bytes:
    raw = bytearray(76)
    struct.pack_into("=Qii", raw, 8, 0xFFFF888100000000, old, new)
    struct.pack_into("=HHHH", raw, 24, 4444, 0, family, protocol)
    raw[32:36] = bytes([10, 0, 0, 1])
    content = struct.pack("=IIQI", 812, 815, 5_000, len(raw)) + raw
    return struct.pack("=IHH", 9, 0, 8 + len(content)) + content


def test_transitions_of_the_tracepoint() -> None:
    lost = struct.pack("=IHHQQ", 2, 0, 24, 1, 3)
    buffer = sample(7, 10) + lost + sample(10, 7) + sample(1, 7) + sample(7, 10, protocol=132)
    found, missing, rejected = parse_records(buffer + sample(7, 10, family=99), LAYOUT)
    assert found == [
        Transition(True, 0xFFFF888100000000, 4, "10.0.0.1", 4444, 812, 5_000),
        Transition(False, 0xFFFF888100000000, 4, "10.0.0.1", 4444, 812, 5_000),
    ]
    assert (missing, rejected) == (3, 1)


@given(st.binary(max_size=200), st.integers(0, 120))
def test_no_record_of_the_tracepoint_makes_the_parser_fail(noise: bytes, cut: int) -> None:
    parse_records(sample(7, 10) + noise, LAYOUT)
    parse_records(sample(7, 10)[:cut] + noise, LAYOUT)
    content = struct.pack("=IIQI", 1, 1, 1, len(noise)) + noise
    parse_records(struct.pack("=IHH", 9, 0, 8 + len(content)) + content, LAYOUT)


@pytest.mark.parametrize("missing", ["skaddr", "saddr_v6", "sport"])
def test_a_kernel_with_another_layout_is_refused(missing: str) -> None:
    with pytest.raises(ValueError, match=f"has no field {missing}"):
        parse_format(_FORMAT.replace(f" {missing}", " other"))


@given(st.text(max_size=300))
def test_no_text_is_taken_for_a_layout(text: str) -> None:
    with pytest.raises(ValueError, match="has no field"):
        parse_format(text)


def test_the_filter_ends_where_the_kernel_looks() -> None:
    assert transitions.FILTER == b"newstate == 10 || (oldstate == 10 && newstate == 7)"


def test_what_is_rejected_is_counted(host: Any, monkeypatch: pytest.MonkeyPatch, listening: Any) -> None:
    whole = sock_diag.Dumper._exchange

    def exchange(dumper: sock_diag.Dumper, *question: Any) -> tuple[bytes, bool]:
        raw, complete = whole(dumper, *question)
        return raw + message(20, b"too short"), complete

    monkeypatch.setattr(sock_diag.Dumper, "_exchange", exchange)
    host.start(backend="sock_diag")
    key = (metrics.RECEIVER_REJECTED_INPUTS, ("reason", "netlink"), ("receiver", "listener"))
    host.wait(lambda: host.counted.get(key, 0) >= 4)


def test_a_dump_that_is_interrupted_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    dumper = sock_diag.Dumper(("tcp",))
    answers = iter(
        [
            message(3, struct.pack("=i", 0), flags=0x10),
            message(2, struct.pack("=i", -16)),
            diag(socket.AF_INET, 10, 22, b"") + DONE,
            DONE,
        ]
    )
    monkeypatch.setattr(sock_diag.Dumper, "_exchange", lambda self, *question: (next(answers), True))
    found, changed = dumper.dump()
    dumper.close()
    assert ([each.port for each in found], changed) == ([22], True)


def test_a_dump_that_is_always_interrupted_closes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    dumper = sock_diag.Dumper(("tcp",))
    interrupted = message(3, struct.pack("=i", 0), flags=0x10)
    first = diag(socket.AF_INET, 10, 22, b"") + DONE
    answers = iter([first, DONE, *[interrupted] * 8])
    monkeypatch.setattr(sock_diag.Dumper, "_exchange", lambda self, *question: (next(answers), True))
    dumper.dump()
    found, _ = dumper.dump()
    dumper.close()
    assert [each.port for each in found] == [22]
    assert dumper.incomplete == 2


def test_psutil_is_not_imported_where_it_is_not_needed() -> None:
    script = "import sys, otel_fim.receivers.listener; print('psutil' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, timeout=60)
    assert done.stdout.strip() == b"False"
