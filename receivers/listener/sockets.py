"""One listening socket, and who can reach it by its address."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, TypeAlias

Transport: TypeAlias = Literal["tcp", "udp"]
Identity: TypeAlias = tuple[int | None, Transport, int, str, int]
"""Network namespace (None: the agent's own), transport, inode (or, without one, the owner's pid), address, port.

The kernel hands out inode numbers in turn, so that the same one at the same address is the same socket, also
after a restart of the agent, until the next boot."""

_CARRIER_GRADE_NAT: Final = ipaddress.ip_network("100.64.0.0/10")


@dataclass(slots=True, frozen=True)
class ListeningSocket:
    """A TCP socket that listens or a UDP socket that is bound and not connected, as a backend saw it.

    `address` is in its shortest form, without a zone; `family` is 4 or 6. None means unknown. `cookie` is the
    kernel's own number of the socket (sock_diag only), `pids` who holds it, when the backend knows.
    """

    transport: Transport
    family: int
    address: str
    port: int
    inode: int = 0
    user_id: int | None = None
    ipv6_only: bool | None = None
    cookie: int | None = None
    namespace: int | None = None
    pids: tuple[int, ...] = ()

    @property
    def identity(self) -> Identity:
        number = self.inode or (self.pids[0] if self.pids else 0)
        return (self.namespace, self.transport, number, self.address, self.port)

    def __str__(self) -> str:
        return place(self.transport, self.address, self.port)


def place(transport: str, address: str, port: int) -> str:
    """`tcp 0.0.0.0:22`, `udp [::1]:53`."""
    return f"{transport} [{address}]:{port}" if ":" in address else f"{transport} {address}:{port}"


@lru_cache(maxsize=512)
def exposure(address: str) -> str:
    """loopback, link_local, private, public or any; for a multicast address, how far it reaches.

    An IPv4 address inside an IPv6 one (`::ffff:192.0.2.1`) counts as the IPv4 address.
    """
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    if parsed.is_unspecified:
        return "any"
    if parsed.is_loopback:
        return "loopback"
    if parsed.is_link_local or _is_link_local_multicast(parsed):
        return "link_local"
    if parsed.is_multicast:
        return "public"
    if parsed.is_private or (parsed.version == 4 and parsed in _CARRIER_GRADE_NAT):
        return "private"
    return "public"


def _is_link_local_multicast(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        return address in ipaddress.ip_network("224.0.0.0/24")
    return address.is_multicast and address.packed[1] & 0x0F <= 2
