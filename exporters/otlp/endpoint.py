"""The forms that an endpoint may have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

LOGS_PATH: Final = "/v1/logs"
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@dataclass(slots=True, frozen=True)
class Endpoint:
    """Where to connect. `plain` is True for no TLS, False for TLS, None when the endpoint does not say (gRPC's
    `host:port`). `path` is the HTTP request's path with its query. `socket_path` is set for a unix socket."""

    text: str
    """As configured, without a password, for messages."""
    host: str
    port: int
    plain: bool | None
    path: str = ""
    socket_path: str | None = None

    @property
    def address(self) -> str:
        """`host:port`, with brackets around an IPv6 address."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_endpoint(text: str, protocol: str, *, whole: bool = False) -> Endpoint:
    """Reads an endpoint for a protocol (`grpc`, `http/…`). With `whole` the URL is used as it is, otherwise
    `/v1/logs` is added to its path. Raises `ValueError` saying what is wrong."""
    grpc = protocol == "grpc"
    if text.startswith("unix:"):
        return _unix(text)
    if grpc and "://" not in text:
        # urlsplit reads host:port only behind two slashes.
        parts, plain = urlsplit(f"//{text}"), None
    else:
        parts = urlsplit(text)
        if parts.scheme not in _DEFAULT_PORTS:
            raise ValueError(
                f"{text!r} is not an endpoint; write http://host:port, https://host:port or unix:///path"
            )
        plain = parts.scheme == "http"
    if not parts.hostname:
        raise ValueError(f"{text!r} names no host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("an endpoint holds no password; use 'headers' with authorization")
    try:
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme) or 443
    except ValueError:
        raise ValueError(f"{text!r} has a port that is no number from 1 to 65535") from None
    if grpc and parts.path not in ("", "/"):
        raise ValueError(f"{text!r}: gRPC takes a host and a port, no path")
    path = parts.path if whole else parts.path.rstrip("/") + LOGS_PATH
    if parts.query:
        path += f"?{parts.query}"
    return Endpoint(text, parts.hostname, port, plain, path=path or "/")


def _unix(text: str) -> Endpoint:
    path = text.removeprefix("unix:")
    path = "/" + path.lstrip("/") if path.startswith("//") else path
    if not path.startswith("/"):
        raise ValueError(f"{text!r}: write the socket's full path, as in unix:///run/otel.sock")
    return Endpoint(text, "localhost", 80, plain=True, path=LOGS_PATH, socket_path=path)
