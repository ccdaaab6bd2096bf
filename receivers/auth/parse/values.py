"""Values out of untrusted text: addresses, ports, terminals, names as programs write them."""

from __future__ import annotations

import functools
import ipaddress
import re
from typing import Final

MAX_TEXT: Final = 4096
"""Longer messages are cut: no program writes one, and every parser's work is bounded by it."""
_NO_TERMINAL: Final = frozenset({"", "?", "none", "unknown", "(none)", "(null)", "ssh", "sshd", "cron"})
_NO_VALUE: Final = frozenset({"", "?", "(null)", "(none)", "none", "unknown", "UNKNOWN"})
_ESCAPE: Final = re.compile(r"\\(?:([0-7]{3})|M-?\^?.|(.))", re.DOTALL)
_LETTERS: Final = {"n": 10, "t": 9, "r": 13, "a": 7, "b": 8, "v": 11, "f": 12, "s": 32, "\\": 92}


class RejectedError(ValueError):
    """An entry of a known form that cannot be what it says; the message is the reason as one lower-case word."""


@functools.lru_cache(maxsize=4096)
def address(text: str | None) -> str | None:
    """An IP address in its canonical form, IPv4-mapped ones as IPv4, without a zone; None when it is none."""
    if not text or len(text) > 80:
        return None
    try:
        parsed = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(parsed, "ipv4_mapped", None)
    return str(mapped or parsed)


def host(text: str | None) -> str | None:
    """An address, or a host name's characters; None for everything else and for placeholders."""
    if text is None or text in _NO_VALUE or len(text) > 255:
        return None
    found = address(text)
    if found is not None:
        return found
    return text if re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\.?", text) else None


def port(text: str | None) -> int | None:
    """A TCP port from its digits."""
    if text is None or not re.fullmatch(r"[0-9]{1,5}", text):
        return None
    number = int(text)
    return number if number <= 65535 else None


def number(text: str | None) -> int | None:
    """An id of the kernel's; None for its "not set" and for what is no number."""
    if text is None or not re.fullmatch(r"[0-9]{1,10}", text):
        return None
    value = int(text)
    return value if value < 0xFFFFFFFF else None


def terminal(text: str | None) -> str | None:
    """A terminal without `/dev/`: `pts/0`; None for the words that stand for none."""
    if text is None:
        return None
    name = text.removeprefix("/dev/")
    # sshd writes "ssh:notty" in btmp, and an X display such as ":0" is a terminal to those who log in there.
    if name in _NO_TERMINAL or name.endswith(":notty") or len(name) > 64:
        return None
    return name if name.isprintable() and " " not in name else None


def user(text: str | None) -> str | None:
    """A user's name as it was given, whatever its characters; None for placeholders of "nobody"."""
    if text is None or text in {"", "?", "(unknown)", "(invalid user)", "(unknown user)", "(null)"}:
        return None
    return text[:256]


def unvis(text: str) -> str:
    """OpenSSH's log escapes (strnvis with VIS_CSTYLE, VIS_OCTAL) undone; bytes that are not UTF-8 stay `\\xNN`."""
    if "\\" not in text:
        return text
    out = bytearray()
    end = 0
    for match in _ESCAPE.finditer(text):
        out += text[end : match.start()].encode("utf-8", "surrogatepass")
        octal, letter = match[1], match[2]
        if octal is not None and int(octal, 8) < 256:
            out.append(int(octal, 8))
        elif letter in _LETTERS:
            out.append(_LETTERS[letter])
        else:
            out += match[0].encode("utf-8", "surrogatepass")
        end = match.end()
    out += text[end:].encode("utf-8", "surrogatepass")
    return out.decode("utf-8", "backslashreplace")
