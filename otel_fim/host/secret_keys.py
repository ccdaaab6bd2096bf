"""Which names stand before a secret: `--db-password`, `PGPASSWORD`, `client_secret`, but not `--token-ttl`."""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache
from typing import Final


class Kind(Enum):
    """What follows a name."""

    HARMLESS = 0
    ENTROPY = 1
    """A secret when it looks random: `--key` may be a path."""
    SECRET = 2
    HEADER = 3
    """A secret to the end of the line: a header of HTTP."""


_WORDS: Final = re.compile(r"[A-Z]++(?![a-z])|[A-Z]?[a-z]++|[0-9]++|[A-Z]")
_SECRET_ENDS: Final = (
    *("password", "passwd", "passphrase", "passcode", "secret", "secrets", "token", "apikey", "authkey"),
    *("secretkey", "accesskey", "privatekey", "accountkey", "sharedkey", "storagekey", "connectionstring"),
)
_SECRET_WORDS: Final = frozenset(
    (
        "pass",
        "pwd",
        "pw",
        "pswd",
        "credentials",
        "credential",
        "creds",
        "cred",
        "psk",
        "passin",
        "passout",
        "auth",
    )
)
_KEYS_OF: Final = frozenset(
    (
        "api",
        "access",
        "account",
        "private",
        "secret",
        "auth",
        "encryption",
        "master",
        "shared",
        "storage",
        "signing",
        "deploy",
        "license",
        "webhook",
        "consumer",
        "app",
        "application",
        "service",
        "subscription",
        "instrumentation",
    )
)
_ENTROPY_WORDS: Final = frozenset(
    (
        "key",
        "session",
        "cookie",
        "salt",
        "seed",
        "license",
        "signature",
        "hmac",
        "otp",
        "pin",
        "sid",
        "hash",
        "pat",
        "sas",
    )
)
_NOT_PASS: Final = (
    "bypass",
    "compass",
    "keepass",
    "encompass",
    "multipass",
    "trespass",
    "underpass",
    "overpass",
)
_QUESTIONS: Final = frozenset(
    (
        "no",
        "ask",
        "prompt",
        "without",
        "disable",
        "enable",
        "require",
        "show",
        "hide",
        "use",
        "allow",
        "skip",
        "check",
    )
)
_HEADERS: Final = frozenset(
    (
        "authorization",
        "proxy-authorization",
        "cookie",
        "set-cookie",
        "private-token",
        "job-token",
        "x-auth",
        "www-authorization",
    )
)
_EXACT: Final = {
    "pwd": Kind.HARMLESS,
    "oldpwd": Kind.HARMLESS,
    "auth": Kind.ENTROPY,
    "secret-key-base": Kind.SECRET,
    "secret-key-base-64": Kind.SECRET,
    "x-amz-signature": Kind.SECRET,
    "x-goog-signature": Kind.SECRET,
    "x-amz-credential": Kind.SECRET,
    "identified-by": Kind.SECRET,
    "sharedaccesssignature": Kind.SECRET,
    "ssh-auth-sock": Kind.HARMLESS,
}
_IN_QUERIES: Final = frozenset(("sig", "signature", "code", "key", "auth", "hash", "sid", "session", "st"))
_LENGTH: Final = 96
_CACHE_SIZE: Final = 2048


@lru_cache(maxsize=_CACHE_SIZE)
def _kind(name: str) -> Kind:
    plain = name.strip("-_.").lower()
    dashed = plain.replace("_", "-")
    if dashed in _HEADERS:
        return Kind.HEADER
    if dashed in _EXACT:
        return _EXACT[dashed]
    words = [word.lower() for word in _WORDS.findall(name)]
    while words and words[-1].isdigit():
        words.pop()
    if not words or words[0] in _QUESTIONS:
        return Kind.HARMLESS
    last = words[-1]
    before = words[-2] if len(words) > 1 else ""
    if last.endswith(_SECRET_ENDS) or (last.endswith("pass") and not last.endswith(_NOT_PASS)):
        return Kind.SECRET
    if last in _SECRET_WORDS or (last.endswith("pwd") and plain != "oldpwd"):
        return Kind.SECRET
    if last == "key" and before in _KEYS_OF:
        return Kind.SECRET
    if (before, last) in (("connection", "string"), ("conn", "string"), ("auth", "header"), ("conn", "str")):
        return Kind.SECRET
    return Kind.ENTROPY if last in _ENTROPY_WORDS else Kind.HARMLESS


def kind_of(name: str, *, query: bool = False) -> Kind:
    """What follows an option, variable, field or parameter (`query`: of a URL) of that name."""
    if len(name) > _LENGTH:
        name = name[-_LENGTH:]
    if query and name.lower() in _IN_QUERIES:
        return Kind.SECRET
    return _kind(name)


_REFERENCE: Final = re.compile(r"\$\{?\w+\}?|\$\(.*|%\w+%|\$\{\{.*\}\}|<[\w -]+>", re.ASCII)
_PLAIN: Final = frozenset(
    (
        "",
        "true",
        "false",
        "yes",
        "no",
        "on",
        "off",
        "none",
        "null",
        "nil",
        "0",
        "1",
        "-",
        "prompt",
        "ask",
        "stdin",
    )
)
_HEX: Final = re.compile(r"(?:0x)?[0-9a-fA-F]{32,}")
_RANDOM: Final = re.compile(r"[A-Za-z0-9+/_.=-]{20,}")


def is_plain(value: str) -> bool:
    """Whether a value says nothing: a switch, or the name of a variable."""
    return value.lower() in _PLAIN or _REFERENCE.fullmatch(value) is not None


def looks_random(value: str) -> bool:
    """Whether a value looks like key material and not like a name, a number or a path."""
    if _HEX.fullmatch(value):
        return True
    if not _RANDOM.fullmatch(value) or value.startswith(("/", "./", "../", "~")):
        return False
    digits = sum(character.isdigit() for character in value)
    upper = any(character.isupper() for character in value)
    lower = any(character.islower() for character in value)
    dots = value.count(".") + value.count("-")
    return digits >= 2 and upper and lower and dots <= len(value) // 8
