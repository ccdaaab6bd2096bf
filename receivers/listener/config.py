"""`receivers.listener`: which sockets are told of, and how they are seen."""

from __future__ import annotations

import fnmatch
import ipaddress
import re
from typing import Final, Literal

from pydantic import Field, field_validator

from otel_fim.config.model import ComponentConfig, ConfigModel, Duration
from otel_fim.receivers.listener.sockets import ListeningSocket

_PORTS: Final = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")


class Selector(ConfigModel):
    """Sockets that have all of what is given; what is not given is any."""

    transport: Literal["tcp", "udp"] | None = None
    """tcp or udp."""
    port: int | str | None = None
    """A port (`22`) or a range (`8000-8999`)."""
    address: str | None = None
    """An address or a network: `127.0.0.0/8`, `::1`. `0.0.0.0` is the socket bound to all addresses."""
    executable: str | None = None
    """A shell pattern: with a slash for the full path of the program that holds the socket, without one for its
    name. A socket of which nobody knows who holds it does not match."""

    @field_validator("port")
    @classmethod
    def _port_is_understood(cls, port: int | str | None) -> int | str | None:
        if port is not None:
            _ports(port)
        return port

    @field_validator("address")
    @classmethod
    def _address_is_understood(cls, address: str | None) -> str | None:
        if address is not None:
            try:
                ipaddress.ip_network(address, strict=False)
            except ValueError as error:
                raise ValueError(
                    f"{address!r} is not an address or a network; write it like 127.0.0.0/8 or ::1"
                ) from error
        return address

    def matches(self, socket: ListeningSocket, executable: str | None) -> bool:
        """Whether a socket, held by that program, has all of what is given."""
        if self.transport is not None and socket.transport != self.transport:
            return False
        if self.port is not None and socket.port not in _ports(self.port):
            return False
        if self.address is not None:
            network = ipaddress.ip_network(self.address, strict=False)
            if ipaddress.ip_address(socket.address) not in network:
                return False
        if self.executable is None:
            return True
        if executable is None:
            return False
        name = executable if "/" in self.executable else executable.rsplit("/", 1)[-1]
        return fnmatch.fnmatchcase(name, self.executable)


def _ports(text: int | str) -> range:
    match = _PORTS.fullmatch(str(text))
    if match is not None:
        first, last = int(match[1]), int(match[2] or match[1])
        if 0 < first <= last <= 65535:
            return range(first, last + 1)
    raise ValueError(f"{text!r} is not a port or a range of ports; write it like 22 or '8000-8999'")


class ListenerConfig(ComponentConfig):
    """The settings of the listener receiver."""

    interval: Duration = Field(default=2.0, ge=0.1)
    """Time between two looks at all sockets. What the kernel tells by itself (see `real_time`) does not wait for
    it; everything else is seen when it is there for longer than this."""
    backend: Literal["auto", "sock_diag", "proc", "psutil"] = "auto"
    """What lists the sockets. `auto` takes the first that works: the kernel's sock_diag, `/proc/net`, psutil."""
    real_time: bool = True
    """On Linux as root: have the kernel tell at once when a TCP socket begins to listen (and by which process), and
    when a socket is gone. Without it, or without the rights, sockets that live shorter than `interval` are missed,
    and a coverage gap says so."""
    udp: Literal["all", "server", "none"] = "server"
    """UDP sockets count as listening when they are bound to a port and not connected. `server` takes those whose
    port lies outside the range that the system gives to clients (`net.ipv4.ip_local_port_range`) at once, and the
    others when they have been there for `interval`; `all` takes all at once; `none` leaves UDP out."""
    network_namespaces: Literal["own", "all"] = "own"
    """`all` looks into every network namespace of the host (containers); it needs root. Records from another
    namespace than the agent's carry its number."""
    namespace_interval: Duration = Field(default=10.0, ge=1)
    """`network_namespaces: all` only: time between two searches for new namespaces. A program that begins to listen
    in a new one is noticed at once with `real_time`."""
    include: list[Selector] = []
    """When given, only sockets that match one of these are told of."""
    exclude: list[Selector] = []
    """Sockets that match one of these are left out."""

    def takes(self, socket: ListeningSocket, executable: str | None) -> bool:
        """Whether a socket, held by that program, is told of."""
        if self.include and not any(each.matches(socket, executable) for each in self.include):
            return False
        return not any(each.matches(socket, executable) for each in self.exclude)
