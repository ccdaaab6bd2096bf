"""`host:port` texts, as the collector's endpoints write them."""

from __future__ import annotations


def split_address(text: str) -> tuple[str, int]:
    """Host and port of `localhost:13133`, `[::1]:8123` or `:8888` (every address).

    Raises `ValueError` when there is no valid port.
    """
    host, separator, port = text.rpartition(":")
    if not separator or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{text!r} is not an address; write it like 'localhost:13133'")
    return host.strip("[]"), int(port)
