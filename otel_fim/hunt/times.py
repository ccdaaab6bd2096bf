"""Times on the command line: how long ago, or when."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from otel_fim.config.model import parse_duration
from otel_fim.sigma.values import time_of

_SECOND = 1_000_000_000


def check_zone(name: str) -> None:
    """Raises `ValueError` for a time zone that this host does not know."""
    try:
        ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise ValueError(
            f"{name!r} is no time zone that this host knows: write one such as Europe/Berlin"
        ) from None


def parse_time(text: str, now: int, zone: str = "UTC") -> int:
    """Nanoseconds since the epoch for `7d`, `1h30m` (ago), `now`, or a date or time in ISO 8601; one that names no
    offset is in `zone`. Raises `ValueError` that says what to write."""
    if text == "now":
        return now
    try:
        return now - int(parse_duration(text) * _SECOND)
    except ValueError:
        pass
    exact = time_of(text)
    if exact is not None and text[-1] == "Z":
        return exact
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is no time: write how long ago (7d, 1h30m) or when (2026-01-13, 2026-01-13T14:32:15Z)"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=ZoneInfo(zone))
    since = moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return (since.days * 86_400 + since.seconds) * _SECOND + since.microseconds * 1000
