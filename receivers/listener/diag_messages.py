"""sock_diag on the wire: what is asked, and what the kernel answers, as pure functions over bytes.

Formats: sock_diag(7), netlink(7), linux/inet_diag.h.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass, field
from typing import Final

from otel_fim.receivers.listener.sockets import ListeningSocket, Transport

SOCK_DIAG_BY_FAMILY: Final = 20
TCP_ESTABLISHED: Final = 1
TCP_CLOSE: Final = 7
TCP_LISTEN: Final = 10
STATES: Final[dict[Transport, int]] = {"tcp": 1 << TCP_LISTEN, "udp": 1 << TCP_CLOSE}
"""As a mask. A UDP socket has the state CLOSE for as long as it is not connected."""

_PROTOCOLS: Final[dict[Transport, int]] = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP}
_TRANSPORTS: Final[dict[int, Transport]] = {number: name for name, number in _PROTOCOLS.items()}
_FAMILIES: Final = {int(socket.AF_INET): 4, int(socket.AF_INET6): 6}

_NLM_F_REQUEST: Final = 0x1
_NLM_F_DUMP: Final = 0x300
_NLM_F_DUMP_INTR: Final = 0x10
_NLMSG_ERROR: Final = 2
_NLMSG_DONE: Final = 3
_NLMSG_OVERRUN: Final = 4
_INET_DIAG_SKV6ONLY: Final = 11
_INET_DIAG_PROTOCOL: Final = 10
_TYPE_MASK: Final = 0x3FFF

_HEADER: Final = struct.Struct("=IHHII")
_ATTRIBUTE: Final = struct.Struct("=HH")
_ERROR: Final = struct.Struct("=i")
_REQUEST: Final = struct.Struct("=BBBxI48x")
"""struct inet_diag_req_v2: family, protocol, extensions, states, and a socket id that a dump does not look at."""
# struct inet_diag_msg: family, state, timer, retransmissions; then struct inet_diag_sockid: ports in network order,
# addresses, interface, cookie; then expires, queues, user id, inode.
_MESSAGE: Final = struct.Struct("=BBBB2s2s16s16sIQIIIII")


@dataclass(slots=True)
class Answer:
    """What one or more received buffers hold.

    `interrupted`: sockets came or went while the kernel wrote, and some may be missing. `error` is an errno.
    `rejected` counts messages that do not have the form they should.
    """

    sockets: list[ListeningSocket] = field(default_factory=list)
    done: bool = False
    interrupted: bool = False
    error: int = 0
    rejected: int = 0


@dataclass(slots=True, frozen=True)
class Destroyed:
    """A socket that is no more, as the kernel tells it: no inode, no user."""

    transport: Transport
    family: int
    address: str
    port: int
    remote_port: int
    cookie: int


def request(transport: Transport, family: int, sequence: int) -> bytes:
    """Asks for all sockets of a transport and a family (4, 6) that listen."""
    number = socket.AF_INET if family == 4 else socket.AF_INET6
    body = _REQUEST.pack(number, _PROTOCOLS[transport], 0, STATES[transport])
    flags = _NLM_F_REQUEST | _NLM_F_DUMP
    return _HEADER.pack(_HEADER.size + len(body), SOCK_DIAG_BY_FAMILY, flags, sequence, 0) + body


def parse_dump(buffer: bytes, transport: Transport, namespace: int | None = None) -> Answer:
    """The answer to `request`, or a part of it. Never raises."""
    answer = Answer()
    for kind, flags, _, start, end in _messages(buffer, answer):
        answer.interrupted |= bool(flags & _NLM_F_DUMP_INTR)
        if kind == _NLMSG_DONE:
            answer.done = True
            if end - start >= _ERROR.size:
                answer.error = answer.error or max(0, -_ERROR.unpack_from(buffer, start)[0])
        elif kind == _NLMSG_ERROR:
            if end - start < _ERROR.size:
                answer.rejected += 1
                continue
            answer.error = max(0, -_ERROR.unpack_from(buffer, start)[0])
            answer.done = True
        elif kind == _NLMSG_OVERRUN:
            answer.interrupted = True
        elif kind == SOCK_DIAG_BY_FAMILY:
            found = _socket(buffer, start, end, transport, namespace)
            if found is None:
                answer.rejected += 1
            else:
                answer.sockets.append(found)
    return answer


def whose(buffer: bytes, sequence: int) -> tuple[bool, bool]:
    """Whether the buffer is a part of the answer with that number, and whether the answer ends in it. Never raises."""
    mine = False
    for kind, _, number, _, _ in _messages(buffer, Answer()):
        if number == sequence:
            mine = True
            if kind in (_NLMSG_DONE, _NLMSG_ERROR):
                return True, True
    return mine, False


def parse_destroyed(buffer: bytes) -> tuple[list[Destroyed], int]:
    """The sockets that a buffer of the destroy groups tells of, and the number of malformed messages. Never raises."""
    answer = Answer()
    found: list[Destroyed] = []
    for kind, _, _, start, end in _messages(buffer, answer):
        if kind != SOCK_DIAG_BY_FAMILY:
            continue
        transport = None
        if end - start >= _MESSAGE.size:
            for number, at, stop in _attributes(buffer, start + _MESSAGE.size, end):
                if number == _INET_DIAG_PROTOCOL and stop > at:
                    transport = _TRANSPORTS.get(buffer[at])
        if transport is None:
            answer.rejected += 1
            continue
        family, _, _, _, port, remote, source, _, _, cookie, *_ = _MESSAGE.unpack_from(buffer, start)
        if family not in _FAMILIES:
            answer.rejected += 1
            continue
        found.append(
            Destroyed(
                transport,
                _FAMILIES[family],
                _address(family, source),
                int.from_bytes(port, "big"),
                int.from_bytes(remote, "big"),
                cookie,
            )
        )
    return found, answer.rejected


def _messages(buffer: bytes, answer: Answer) -> list[tuple[int, int, int, int, int]]:
    """Type, flags, sequence, start and end of each message's content; what is cut off counts as rejected."""
    found = []
    at = 0
    while at < len(buffer):
        if at + _HEADER.size > len(buffer):
            answer.rejected += 1
            break
        length, kind, flags, sequence, _ = _HEADER.unpack_from(buffer, at)
        if length < _HEADER.size or at + length > len(buffer):
            answer.rejected += 1
            break
        found.append((kind, flags, sequence, at + _HEADER.size, at + length))
        at += length + (-length % 4)
    return found


def _attributes(buffer: bytes, at: int, end: int) -> list[tuple[int, int, int]]:
    """Type, start and end of each attribute's value; ends at the first malformed one."""
    found = []
    while at + _ATTRIBUTE.size <= end:
        length, kind = _ATTRIBUTE.unpack_from(buffer, at)
        if length < _ATTRIBUTE.size or at + length > end:
            break
        found.append((kind & _TYPE_MASK, at + _ATTRIBUTE.size, at + length))
        at += length + (-length % 4)
    return found


def _socket(
    buffer: bytes, start: int, end: int, transport: Transport, namespace: int | None
) -> ListeningSocket | None:
    if end - start < _MESSAGE.size:
        return None
    family, state, _, _, port, remote, source, _, _, cookie, _, _, _, user, inode = _MESSAGE.unpack_from(
        buffer, start
    )
    if family not in _FAMILIES or not STATES[transport] >> state & 1 or remote != b"\0\0":
        return None
    ipv6_only = None
    if family == socket.AF_INET6:
        for kind, at, stop in _attributes(buffer, start + _MESSAGE.size, end):
            if kind == _INET_DIAG_SKV6ONLY and stop > at:
                ipv6_only = buffer[at] != 0
    return ListeningSocket(
        transport,
        _FAMILIES[family],
        _address(family, source),
        int.from_bytes(port, "big"),
        inode,
        user,
        ipv6_only,
        cookie,
        namespace,
    )


def _address(family: int, source: bytes) -> str:
    if family == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, source[:4])
    return socket.inet_ntop(socket.AF_INET6, source)
