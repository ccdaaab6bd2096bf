"""Asks the kernel for listening sockets through sock_diag, and hears at once when one is gone.

A dump works for anyone. The groups that tell of destroyed sockets need CAP_NET_ADMIN; a filter inside the kernel
keeps everything that was connected away from them, so that a busy server does not wake the agent.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
import time
from collections.abc import Sequence
from typing import Final

from otel_fim.receivers.listener.diag_messages import (
    Destroyed,
    parse_destroyed,
    parse_dump,
    request,
    whose,
)
from otel_fim.receivers.listener.sockets import ListeningSocket, Transport

_NETLINK_SOCK_DIAG: Final = 4
_SOL_NETLINK: Final = 270
_NETLINK_ADD_MEMBERSHIP: Final = 1
_SO_ATTACH_FILTER: Final = 26
_SO_RCVBUFFORCE: Final = 33
_DESTROY_GROUPS: Final[dict[Transport, tuple[int, ...]]] = {"tcp": (1, 3), "udp": (2, 4)}
_BUFFER_BYTES: Final = 1 << 20
_MESSAGE_BYTES: Final = 1 << 17
_PATIENCE_SECONDS: Final = 5.0
_ATTEMPTS: Final = 4

# Classic BPF: load a half word, load a word, jump when equal, jump when greater or equal, return.
_LOAD: Final = 0x28
_LOAD_WORD: Final = 0x20
_EQUAL: Final = 0x15
_AT_LEAST: Final = 0x35
_RETURN: Final = 0x06
_ALL: Final = 0xFFFFFFFF
# Behind struct nlmsghdr (16) and four bytes of struct inet_diag_msg.
_PORT_AT: Final = 20
_REMOTE_PORT_AT: Final = 22
_REMOTE_ADDRESS_AT: Final = 40


class DiagError(OSError):
    """The kernel does not answer such a question (no sock_diag, or not for this transport)."""


class Dumper:
    """Dumps of one network namespace: that of the thread that makes it. For one thread.

    Raises `OSError` when there is no sock_diag.
    """

    name: Final = "sock_diag"

    def __init__(self, transports: Sequence[Transport], namespace: int | None = None) -> None:
        self.namespace = namespace
        self.rejected = 0
        """Malformed messages since it was made."""
        self.incomplete = 0
        """Dumps that were interrupted each time they were tried."""
        self._questions = [(transport, family) for transport in transports for family in (4, 6)]
        self._last: dict[tuple[Transport, int], tuple[bytes, list[ListeningSocket]]] = {}
        self._sequence = 1
        self._unfinished = False
        self._socket = _diag_socket()

    def close(self) -> None:
        self._socket.close()

    def dump(self) -> tuple[list[ListeningSocket], bool]:
        """All listening sockets, and whether they are other than the last time. Raises `OSError`.

        What the kernel answers in the same bytes as before is not read again: an idle host costs the calls alone.
        """
        found: list[ListeningSocket] = []
        changed = False
        for question in self._questions:
            sockets, other = self._ask(*question)
            found += sockets
            changed |= other
        return found, changed

    def _ask(self, transport: Transport, family: int) -> tuple[list[ListeningSocket], bool]:
        for attempt in range(_ATTEMPTS):
            raw, complete = self._exchange(transport, family)
            last = self._last.get((transport, family))
            if last is not None and last[0] == raw:
                return last[1], False
            answer = parse_dump(raw, transport, self.namespace)
            self.rejected += answer.rejected
            if answer.error and answer.error not in (errno.EBUSY, errno.EINTR):
                raise DiagError(answer.error, os.strerror(answer.error))
            if complete and not answer.interrupted and not answer.error:
                self._last[transport, family] = (raw, answer.sockets)
                return answer.sockets, True
            if attempt == _ATTEMPTS - 1:
                break
        # Sockets come and go faster than they can be listed: what was seen counts, and nothing is called closed.
        self.incomplete += 1
        seen = {each.identity: each for each in (last[1] if last is not None else [])}
        seen.update((each.identity, each) for each in answer.sockets)
        return list(seen.values()), True

    def _exchange(self, transport: Transport, family: int) -> tuple[bytes, bool]:
        """The raw answer, and whether nothing of it is missing."""
        if self._unfinished:
            # An answer that was given up may still be under way; its number tells it apart.
            self._sequence += 1
        self._unfinished = True
        self._socket.send(request(transport, family, self._sequence))
        parts: list[bytes] = []
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            try:
                part, sender = self._socket.recvfrom(_MESSAGE_BYTES)
            except OSError as error:
                if error.errno == errno.ENOBUFS:
                    return b"".join(parts), False
                raise
            if sender[0] != 0:
                continue
            mine, end = whose(part, self._sequence)
            if mine:
                parts.append(part)
            if end:
                self._unfinished = False
                return b"".join(parts), True
        raise TimeoutError(errno.ETIMEDOUT, "the answer of sock_diag did not come to an end")


class Notices:
    """The kernel's word of sockets that are destroyed, of one network namespace (that of the making thread).

    Raises `OSError` without CAP_NET_ADMIN. `client_ports` are the local ports of UDP clients, of which nothing is
    told.
    """

    def __init__(
        self,
        transports: Sequence[Transport],
        client_ports: range | None,
        namespace: int | None = None,
    ) -> None:
        self.namespace = namespace
        self.rejected = 0
        self._sockets: list[socket.socket] = []
        try:
            for transport in transports:
                made = _diag_socket()
                self._sockets.append(made)
                made.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
                _attach(made, _filter(client_ports if transport == "udp" else None))
                made.setblocking(False)
                for group in _DESTROY_GROUPS[transport]:
                    made.setsockopt(_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP, group)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        for each in self._sockets:
            each.close()
        self._sockets.clear()

    def descriptors(self) -> list[int]:
        return [each.fileno() for each in self._sockets]

    def take(self) -> tuple[list[Destroyed], bool]:
        """What has been told since the last call, and whether the kernel had to leave some out."""
        found: list[Destroyed] = []
        lost = False
        for each in self._sockets:
            while True:
                try:
                    buffer, sender = each.recvfrom(_MESSAGE_BYTES)
                except BlockingIOError:
                    break
                except OSError as error:
                    if error.errno != errno.ENOBUFS:
                        raise
                    lost = True
                    continue
                if sender[0] != 0:
                    continue
                destroyed, rejected = parse_destroyed(buffer)
                found += destroyed
                self.rejected += rejected
        return found, lost


def _diag_socket() -> socket.socket:
    made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG)
    try:
        made.bind((0, 0))
        made.settimeout(_PATIENCE_SECONDS)
    except BaseException:
        made.close()
        raise
    return made


def _filter(client_ports: range | None) -> bytes:
    """Lets a message pass whose socket has a port, was not connected, and has none of `client_ports`."""
    program = [
        (_LOAD, 0, 0, _REMOTE_PORT_AT),
        (_EQUAL, 1, 0, 0),
        (_RETURN, 0, 0, 0),
        (_LOAD, 0, 0, _PORT_AT),
        (_EQUAL, 0, 1, 0),
        (_RETURN, 0, 0, 0),
    ]
    # A connection that failed has lost the port, not the address.
    for word in range(4):
        program += [
            (_LOAD_WORD, 0, 0, _REMOTE_ADDRESS_AT + 4 * word),
            (_EQUAL, 1, 0, 0),
            (_RETURN, 0, 0, 0),
        ]
    if client_ports:
        program += [
            (_LOAD, 0, 0, _PORT_AT),
            (_AT_LEAST, 0, 2, client_ports.start),
            (_AT_LEAST, 1, 0, client_ports.stop),
            (_RETURN, 0, 0, 0),
        ]
    program.append((_RETURN, 0, 0, _ALL))
    return b"".join(struct.pack("=HBBI", *step) for step in program)


def _attach(made: socket.socket, program: bytes) -> None:
    steps = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: the number of steps, and where they are.
    fprog = struct.pack("@HP", len(program) // 8, ctypes.addressof(steps))
    made.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, fprog)
