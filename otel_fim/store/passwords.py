"""The writer's and the reader's password: generated once, kept in files that only their owner can read."""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

WRITER: Final = "writer"
READER: Final = "reader"
USERS: Final = (WRITER, READER)


def password_file(directory: str, user: str) -> str:
    """Where the password of `user` is kept."""
    return os.path.join(directory, f"{user}.password")


def ensure_password(directory: str, user: str) -> str:
    """The password of `user`, made on first use.

    The file appears whole or not at all, with mode 0600; of two processes that make it at the same time, one
    wins and both return the winner's. Raises `OSError`, and `ValueError` for a file without a password.
    """
    path = password_file(directory, user)
    try:
        return _read(path)
    except FileNotFoundError:
        pass
    fresh = secrets.token_urlsafe(24)
    temporary = f"{path}.{os.getpid()}.{secrets.token_hex(4)}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(fresh + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        try:
            os.link(temporary, path)  # fails when it is there, unlike a rename
        except FileExistsError:
            return _read(path)
    finally:
        os.unlink(temporary)
    return fresh


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as stream:
        password = stream.readline().strip()
    if not password:
        raise ValueError(f"{path} is empty: remove it to have a new password made")
    return password


@dataclass(slots=True, frozen=True)
class Credentials:
    """What a request says about who sends it."""

    user: str
    password: str


def credentials(headers: Mapping[str, str], parameters: Mapping[str, str]) -> Credentials | None:
    """From basic authentication, the `X-ClickHouse-User`/`-Key` headers, or the `user`/`password` parameters.

    Header names are lower case. None when the request names nobody.
    """
    authorization = headers.get("authorization", "")
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            decoded = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError):
            return Credentials("", "")
        user, _, password = decoded.partition(":")
        return Credentials(user, password)
    if "x-clickhouse-user" in headers or "x-clickhouse-key" in headers:
        return Credentials(headers.get("x-clickhouse-user", ""), headers.get("x-clickhouse-key", ""))
    if "user" in parameters or "password" in parameters:
        return Credentials(parameters.get("user", ""), parameters.get("password", ""))
    return None


class Users:
    """Who may do what. Without passwords everybody is the writer, except who calls themself `reader`."""

    def __init__(self, passwords: Mapping[str, str] | None) -> None:
        self._passwords = passwords

    @property
    def open(self) -> bool:
        """Whether no passwords are asked for."""
        return self._passwords is None

    def authenticate(self, given: Credentials | None) -> str | None:
        """The user's name, or None when the credentials are missing or wrong."""
        if self._passwords is None:
            return READER if given is not None and given.user == READER else WRITER
        if given is None:
            return None
        expected = self._passwords.get(given.user)
        # Compared even for an unknown user, so that the time taken does not tell which users exist.
        matches = hmac.compare_digest(
            given.password.encode("utf-8", "replace"), (expected or secrets.token_hex(16)).encode()
        )
        return given.user if matches and expected is not None else None
