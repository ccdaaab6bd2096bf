"""How a value is looked at: its text form, its folded form, its number, its time. Both engines keep to this."""

from __future__ import annotations

import datetime as dt
import ipaddress
import math
import operator
import re
from collections.abc import Callable, Sequence
from typing import Final

from otel_fim.otlp.anyvalue import to_text
from otel_fim.record import AnyValue
from otel_fim.sigma.ir import Operator

COMPARE: Final[dict[Operator, Callable[[float, float], bool]]] = {
    Operator.EQ: operator.eq,
    Operator.NEQ: operator.ne,
    Operator.LT: operator.lt,
    Operator.LTE: operator.le,
    Operator.GT: operator.gt,
    Operator.GTE: operator.ge,
}

# Both expressions mean the same in Python, in RE2 and in ClickHouse's match(): the table's side uses them too.
NUMBER_PATTERN: Final = r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
TIME_PATTERN: Final = (
    r"(?:19[7-9][0-9]|2[01][0-9][0-9])-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
    r"[T ](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9})?"
    r"(?:Z|[+-](?:0[0-9]|1[0-4]):[0-5][0-9])?"
)

_NUMBER: Final = re.compile(NUMBER_PATTERN, re.ASCII)
_TIME: Final = re.compile(TIME_PATTERN, re.ASCII)
_SECOND: Final = 1_000_000_000
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def text_of(value: AnyValue) -> str:
    """OpenTelemetry's string form of a value: what the collector's ClickHouse table holds for it."""
    return value if isinstance(value, str) else to_text(value)


def elements_of(value: AnyValue) -> Sequence[str]:
    """The elements of a list as text; anything else is a list of one."""
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [text_of(each) for each in value]
    return (text_of(value),)


class _Folding(dict[int, int]):
    """Code points in lower case, looked up when first seen."""

    def __missing__(self, code: int) -> int:
        lower = chr(code).lower()
        folded = ord(lower) if len(lower) == 1 and (code < 128 or not lower.isascii()) else code
        self[code] = folded
        return folded


_FOLDING: Final = _Folding()


def fold(text: str) -> str:
    """The form in which texts are compared without regard to case: each character by itself in lower case.

    Character by character, so that a part of a text folds as the whole does (`str.lower` looks at what stands around
    a sigma) and no text becomes longer; and nothing that is not ASCII becomes ASCII (the Kelvin sign stays), so that
    ClickHouse's `lower()`, which changes A to Z only, gives the same answer for every literal that is ASCII.
    """
    return text.lower() if text.isascii() else text.translate(_FOLDING)


def fold_character(character: str) -> str:
    """`fold` of one character."""
    return chr(_FOLDING[ord(character)])


def is_unicode(text: str) -> bool:
    """Whether the text has no lone surrogate: no text of a record has one, so that a literal with one fits none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def number_of(text: str) -> float | None:
    """The decimal number that a text is, or None: `-12`, `0.5`, `1e3`; no spaces, no hexadecimal, no infinity."""
    if _NUMBER.fullmatch(text) is None:
        return None
    number = float(text)
    return number if math.isfinite(number) else None


def time_of(text: str) -> int | None:
    """The time that a text is, in nanoseconds since the epoch, or None: ISO 8601 with a date and a time to the second
    or finer, such as `2026-01-13T14:32:15.123456789Z` or with an offset such as `+02:00`; UTC when it names none. Years
    from 1970 to 2199."""
    if _TIME.fullmatch(text) is None:
        return None
    whole, tail = text[:19], text[19:]
    digits = ""
    if tail.startswith("."):
        after = tail[1:].lstrip("0123456789")
        digits, tail = tail[1 : len(tail) - len(after)], after
    try:
        moment = dt.datetime.fromisoformat(whole + ("+00:00" if tail in ("", "Z") else tail))
    except ValueError:  # the 31st of a month that has 30 days
        return None
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * _SECOND + int(digits.ljust(9, "0") or "0")


def address_of(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that a text is, or None. An IPv4-mapped IPv6 address is given as the IPv4 address; one with a scope
    (`fe80::1%eth0`) is none."""
    if "%" in text:
        return None
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
