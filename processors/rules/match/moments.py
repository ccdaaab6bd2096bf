"""Parts of a time in a time zone."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Final, assert_never
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from otel_fim.sigma.ir import TimePart

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = 1_000_000_000


LOCAL: Final = "local"
"""The time zone that this host is set to."""
_LOCALTIME: Final = Path("/etc/localtime")


def zone_of(name: str) -> tzinfo:
    """The time zone of that name. Raises `ValueError` naming it when this host does not know it."""
    if name == "UTC":
        return UTC
    if name == LOCAL:
        return _local()
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"{name!r} is no time zone that this host knows; write it as Europe/Berlin, or UTC"
        ) from None


def _local() -> tzinfo:
    """As the C library finds it: `TZ`, then /etc/localtime, then UTC."""
    name = os.environ.get("TZ", "").removeprefix(":")
    if name and name != LOCAL:
        return zone_of(name)
    try:
        with _LOCALTIME.open("rb") as file:
            return ZoneInfo.from_file(file, LOCAL)
    except (OSError, ValueError):
        return UTC


def part_of(unix_nano: int, part: TimePart, zone: tzinfo) -> int | None:
    """The part of the time; None for a time that no calendar has."""
    try:
        moment = (_EPOCH + timedelta(seconds=unix_nano // _SECOND)).astimezone(zone)
    except OverflowError:
        return None
    match part:
        case TimePart.MINUTE:
            return moment.minute
        case TimePart.HOUR:
            return moment.hour
        case TimePart.DAY:
            return moment.day
        case TimePart.WEEKDAY:
            return moment.isoweekday()
        case TimePart.WEEK:
            return moment.isocalendar().week
        case TimePart.MONTH:
            return moment.month
        case TimePart.YEAR:
            return moment.year
    assert_never(part)
