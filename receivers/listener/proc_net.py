"""Listening sockets from `/proc/net/{tcp,tcp6,udp,udp6}`, where the kernel has no sock_diag. Format: proc(5)."""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence
from typing import Final

from otel_fim.receivers.listener.diag_messages import STATES
from otel_fim.receivers.listener.sockets import ListeningSocket, Transport

_FIELDS: Final = 10


def parse_table(
    content: bytes, transport: Transport, family: int, namespace: int | None = None
) -> tuple[list[ListeningSocket], int]:
    """The sockets that listen, and the number of malformed lines. Never raises. The first line is a heading."""
    found: list[ListeningSocket] = []
    rejected = 0
    for line in content.split(b"\n")[1:]:
        fields = line.split()
        if not fields:
            continue
        try:
            each = _socket(fields, transport, family, namespace)
        except ValueError:
            rejected += 1
            continue
        if each is not None:
            found.append(each)
    return found, rejected


def _socket(
    fields: list[bytes], transport: Transport, family: int, namespace: int | None
) -> ListeningSocket | None:
    if len(fields) < _FIELDS:
        raise ValueError("a line of /proc/net ends too soon")
    state = _hexadecimal(fields[3], 2)
    if state > 31 or not STATES[transport] >> state & 1:
        return None
    local, _, port = fields[1].partition(b":")
    _, _, remote_port = fields[2].partition(b":")
    if _hexadecimal(remote_port, 4):
        return None
    if not fields[7].isdigit() or not fields[9].isdigit():
        raise ValueError("user or inode in /proc/net is not a number")
    return ListeningSocket(
        transport,
        family,
        _address(local, family),
        _hexadecimal(port, 4),
        int(fields[9]),
        int(fields[7]),
        namespace=namespace,
    )


def _hexadecimal(text: bytes, digits: int) -> int:
    if len(text) != digits or text.strip(b"0123456789abcdefABCDEF"):
        raise ValueError(f"{text[:16]!r} is not a number of {digits} hexadecimal digits")
    return int(text, 16)


def _address(text: bytes, family: int) -> str:
    # Words of 32 bits, each in the processor's byte order.
    words = 1 if family == 4 else 4
    if len(text) != 8 * words:
        raise ValueError(f"{text[:40]!r} is not an address")
    packed = b"".join(
        _hexadecimal(text[at : at + 8], 8).to_bytes(4, sys.byteorder) for at in range(0, len(text), 8)
    )
    return socket.inet_ntop(socket.AF_INET if family == 4 else socket.AF_INET6, packed)


class ProcTables:
    """Reads the tables of one network namespace. `process` is `self`, or a pid in that namespace."""

    name: Final = "proc"

    def __init__(
        self, transports: Sequence[Transport], process: str = "self", namespace: int | None = None
    ) -> None:
        self.namespace = namespace
        self.rejected = 0
        self._tables = [
            (f"/proc/{process}/net/{transport}{'6' if family == 6 else ''}", transport, family)
            for transport in transports
            for family in (4, 6)
        ]
        self._last: dict[str, tuple[bytes, list[ListeningSocket]]] = {}

    def close(self) -> None:
        self._last.clear()

    def dump(self) -> tuple[list[ListeningSocket], bool]:
        """All listening sockets, and whether they may be other than the last time. Raises `OSError`."""
        found: list[ListeningSocket] = []
        changed = False
        for path, transport, family in self._tables:
            try:
                with open(path, "rb") as source:
                    content = source.read()
            except FileNotFoundError:
                if family == 6:
                    # No IPv6 in this kernel.
                    continue
                raise
            last = self._last.get(path)
            if last is None or last[0] != content:
                sockets, rejected = parse_table(content, transport, family, self.namespace)
                self.rejected += rejected
                changed |= last is None or last[1] != sockets
                last = self._last[path] = (content, sockets)
            found += last[1]
        return found, changed
