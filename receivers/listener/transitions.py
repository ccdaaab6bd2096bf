"""The kernel's tracepoint sock:inet_sock_set_state on the wire: which process made a TCP socket listen, and when.

Formats: `events/sock/inet_sock_set_state/format` in tracefs, perf_event_open(2).
"""

from __future__ import annotations

import re
import socket
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from otel_fim.receivers.listener.diag_messages import TCP_CLOSE, TCP_LISTEN

FILTER: Final = f"newstate == {TCP_LISTEN} || (oldstate == {TCP_LISTEN} && newstate == {TCP_CLOSE})".encode()
"""What the kernel is to tell: the others, every connection's, it keeps to itself."""

_FIELD: Final = re.compile(r"field:[^;]*?(\w+)(?:\[\d+\])?;\s*offset:(\d+);\s*size:(\d+);")
_NEEDED: Final = {
    "skaddr": (8, 4),
    "oldstate": (4,),
    "newstate": (4,),
    "sport": (2,),
    "family": (2,),
    "protocol": (1, 2),
    "saddr": (4,),
    "saddr_v6": (16,),
}

_PERF_RECORD_LOST: Final = 2
_PERF_RECORD_SAMPLE: Final = 9
_RECORD: Final = struct.Struct("=IHH")
_SAMPLE: Final = struct.Struct("=IIQI")
"""PERF_SAMPLE_TID, PERF_SAMPLE_TIME, and the length of PERF_SAMPLE_RAW."""
_LOST: Final = struct.Struct("=QQ")


@dataclass(slots=True, frozen=True)
class Transition:
    """A TCP socket began to listen (`listening`) or ended. `socket` tells sockets apart while they live.

    The port is 0 where the kernel chooses it only after the state has changed. `pid` is the process that called,
    `monotonic_ns` when.
    """

    listening: bool
    socket: int
    family: int
    address: str
    port: int
    pid: int
    monotonic_ns: int


Layout = Mapping[str, tuple[int, int]]


def parse_format(text: str) -> Layout:
    """Offset and size of the fields that are needed. Raises `ValueError` when one is missing or not as it should be."""
    found = {name: (int(offset), int(size)) for name, offset, size in _FIELD.findall(text)}
    for name, sizes in _NEEDED.items():
        if name not in found or found[name][1] not in sizes:
            raise ValueError(f"the tracepoint inet_sock_set_state has no field {name} of {sizes} bytes")
    return {name: found[name] for name in _NEEDED}


def parse_records(buffer: bytes, layout: Layout) -> tuple[list[Transition], int, int]:
    """The transitions of a ring's content, the number of lost and of malformed records. Never raises."""
    found: list[Transition] = []
    lost = rejected = 0
    at = 0
    while at < len(buffer):
        if at + _RECORD.size > len(buffer):
            rejected += 1
            break
        kind, _, size = _RECORD.unpack_from(buffer, at)
        if size < _RECORD.size or at + size > len(buffer):
            rejected += 1
            break
        content = buffer[at + _RECORD.size : at + size]
        if kind == _PERF_RECORD_LOST:
            lost += _LOST.unpack_from(content)[1] if len(content) >= _LOST.size else 1
        elif kind == _PERF_RECORD_SAMPLE:
            transition, good = _transition(content, layout)
            rejected += not good
            if transition is not None:
                found.append(transition)
        at += size
    return found, lost, rejected


def _transition(content: bytes, layout: Layout) -> tuple[Transition | None, bool]:
    if len(content) < _SAMPLE.size:
        return None, False
    pid, _, moment, length = _SAMPLE.unpack_from(content)
    raw = content[_SAMPLE.size : _SAMPLE.size + length]
    if any(offset + size > len(raw) for offset, size in layout.values()):
        return None, False

    def number(name: str) -> int:
        offset, size = layout[name]
        return int.from_bytes(raw[offset : offset + size], sys.byteorder)

    def field(name: str) -> bytes:
        offset, size = layout[name]
        return raw[offset : offset + size]

    family, old, new = number("family"), number("oldstate"), number("newstate")
    if number("protocol") != socket.IPPROTO_TCP or TCP_LISTEN not in (old, new):
        return None, True
    if family == socket.AF_INET:
        address = socket.inet_ntop(socket.AF_INET, field("saddr"))
    elif family == socket.AF_INET6:
        address = socket.inet_ntop(socket.AF_INET6, field("saddr_v6"))
    else:
        return None, False
    family = 4 if family == socket.AF_INET else 6
    return (
        Transition(new == TCP_LISTEN, number("skaddr"), family, address, number("sport"), pid, moment),
        True,
    )
