"""sshd_config(5) and authorized_keys(5): the lines of the one, the keys of the other."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_ARGUMENT: Final = re.compile(rb'"((?:[^"\\]|\\.)*+)(?:"|\\?\Z)|(#)|[^\s"#][^\s"]*', re.DOTALL)
_KEYWORD: Final = re.compile(rb'\s*+"?([A-Za-z0-9]+)"?(?:\s*+=\s*+|\s++)(.*)', re.DOTALL)
# One option: a name, and a value in double quotes in which \" is a quote (or an unquoted one, which sshd refuses
# but which must not hide the key behind it).
_OPTION: Final = re.compile(rb'([A-Za-z0-9_-]++)(?:=(?:"((?:\\"|[^"])*+)"|([^\s,"]*)))?', re.DOTALL)
_KEY_TYPE: Final = re.compile(rb"(?:ssh|ecdsa|sk-ssh|sk-ecdsa|webauthn-sk)-[A-Za-z0-9@._-]{1,80}")


def directives(data: bytes) -> Iterator[tuple[bytes, bytes, list[bytes], bytes]]:
    """Match criteria (empty outside), keyword in lower case, arguments and line of every directive."""
    criteria = b""
    for raw in data.split(b"\n"):
        line = raw.strip()
        if not line or line[:1] == b"#":
            continue
        found = _KEYWORD.fullmatch(line)
        if found is None:
            continue
        keyword = found[1].lower()
        arguments: list[bytes] = []
        for match in _ARGUMENT.finditer(found[2]):
            if match[2] is not None:
                break
            arguments.append(match[0] if match[1] is None else match[1].replace(b'\\"', b'"'))
        if keyword == b"match":
            criteria = b" ".join(arguments)
            if criteria.lower() == b"all":
                criteria = b""
            continue
        yield criteria, keyword, arguments, line


@dataclass(slots=True, frozen=True)
class Key:
    """A key line. `options` holds name (lower case) and value, None for a flag, in the order in which they stand."""

    type: bytes
    fingerprint: str
    comment: bytes
    options: tuple[tuple[bytes, bytes | None], ...]

    def option(self, name: bytes) -> bytes | None:
        """The value of the first option with this name."""
        return next((value for key, value in self.options if key == name), None)


def parse_key(line: bytes) -> Key | None:
    """A line of authorized_keys; None when it is no key that sshd would take.

    As sshd does it, a key is tried for first, then options and a key.
    """
    line = line.strip()
    key = _bare_key(line)
    if key is not None:
        return Key(*key, ())
    found = _options(line)
    if found is None:
        return None
    options, end = found
    key = _bare_key(line[end:].lstrip(b" \t"))
    return None if key is None else Key(*key, options)


def _options(line: bytes) -> tuple[tuple[tuple[bytes, bytes | None], ...], int] | None:
    options: list[tuple[bytes, bytes | None]] = []
    at = 0
    while match := _OPTION.match(line, at):
        value = match[3] if match[2] is None else match[2].replace(b'\\"', b'"')
        options.append((match[1].lower(), value))
        at = match.end()
        following = line[at : at + 1]
        if following in (b" ", b"\t"):
            return tuple(options), at
        if following != b",":
            return None
        at += 1
    return None


def _bare_key(line: bytes) -> tuple[bytes, str, bytes] | None:
    parts = line.split(None, 2)
    if len(parts) < 2 or _KEY_TYPE.fullmatch(parts[0]) is None:
        return None
    try:
        blob = base64.b64decode(parts[1], validate=True)
    except (binascii.Error, ValueError):
        return None
    # The blob begins with its type (RFC 4253, 6.6): sshd refuses a key that calls itself something else.
    length = int.from_bytes(blob[:4], "big")
    if len(blob) < 5 or blob[4 : 4 + length] != parts[0]:
        return None
    digest = base64.b64encode(hashlib.sha256(blob).digest()).rstrip(b"=").decode("ascii")
    return parts[0], f"SHA256:{digest}", parts[2].strip() if len(parts) > 2 else b""
