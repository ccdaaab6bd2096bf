"""Addresses to listen on."""

from __future__ import annotations

import ipaddress
import socket


class AddressError(ValueError):
    """The text is not an address with a port."""


def parse_listen(text: str) -> tuple[str, int]:
    """IP address and port of `127.0.0.1:8123`, `[::1]:8123` or `localhost:8123`.

    Names other than localhost are not looked up: what a store listens on should not depend on a resolver.
    Raises `AddressError`.
    """
    host, separator, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not separator or not (port.isascii() and port.isdigit()) or (":" in host and not bracketed):
        raise AddressError(
            f"{text!r} is not an address with a port; write it like 127.0.0.1:8123 or [::1]:8123"
        )
    if int(port) > 65535:
        raise AddressError(f"{text!r}: there is no port {port}")
    name = host[1:-1] if bracketed else host
    try:
        return str(ipaddress.ip_address("127.0.0.1" if name == "localhost" else name)), int(port)
    except ValueError:
        raise AddressError(f"{text!r}: {name!r} is not an IP address") from None


def address_text(host: str, port: int) -> str:
    """`host:port`, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    return ipaddress.ip_address(host).is_loopback


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises `OSError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named: asyncio switches Nagle's algorithm off only for such sockets.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
        listener.listen(256)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener
