"""Listening sockets from psutil, on systems that are not Linux. It is imported when it is needed and not before."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Iterable, Sequence
from typing import Any, Final

from otel_fim.receivers.listener.sockets import ListeningSocket, Transport


class PsutilSockets:
    """Asks psutil. Where the system tells only of one's own processes, `limited` is set.

    Raises `OSError` when psutil is not installed.
    """

    name: Final = "psutil"

    def __init__(self, transports: Sequence[Transport], namespace: int | None = None) -> None:
        try:
            import psutil
        except ImportError as error:
            raise OSError(
                errno.ENOSYS, "psutil is not installed; install otel-fim again, or psutil"
            ) from error
        self._psutil = psutil
        self._transports = frozenset(transports)
        self._last: frozenset[ListeningSocket] | None = None
        self.namespace = namespace
        self.rejected = 0
        self.limited = False

    def close(self) -> None:
        self._last = None

    def dump(self) -> tuple[list[ListeningSocket], bool]:
        """All listening sockets, and whether they are other than the last time. Raises `OSError`."""
        psutil = self._psutil
        try:
            found = self._sockets((each, each.pid) for each in psutil.net_connections(kind="inet"))
        except psutil.AccessDenied:
            self.limited = True
            found = self._sockets(self._own())
        except psutil.Error as error:
            raise OSError(errno.EIO, f"psutil: {error}") from error
        current = frozenset(found)
        changed = current != self._last
        self._last = current
        return list(current), changed

    def _own(self) -> Iterable[tuple[Any, int]]:
        psutil = self._psutil
        for process in psutil.process_iter():
            try:
                connections = process.net_connections(kind="inet")
            except (psutil.Error, OSError):
                continue
            yield from ((each, process.pid) for each in connections)

    def _sockets(self, connections: Iterable[tuple[Any, int | None]]) -> list[ListeningSocket]:
        found: dict[tuple[Transport, str, int, int | None], ListeningSocket] = {}
        for each, pid in connections:
            transport: Transport = "tcp" if each.type == socket.SOCK_STREAM else "udp"
            listens = each.status == self._psutil.CONN_LISTEN if transport == "tcp" else not each.raddr
            if transport not in self._transports or not listens or not each.laddr or not each.laddr[1]:
                continue
            address = each.laddr[0].partition("%")[0]
            try:
                # What has no address is bound to all of them.
                address = str(ipaddress.ip_address(address)) if address else "::"
            except ValueError:
                self.rejected += 1
                continue
            family = 6 if ":" in address else 4
            found[transport, address, each.laddr[1], pid] = ListeningSocket(
                transport,
                family,
                address,
                each.laddr[1],
                namespace=self.namespace,
                pids=() if pid is None else (pid,),
            )
        return list(found.values())
