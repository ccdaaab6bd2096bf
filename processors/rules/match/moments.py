"""Parts of a time in a time zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, assert_never
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from otel_fim.sigma.ir import TimePart

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = 1_000_000_000


def zone_of(name: str) -> tzinfo:
    """The time zone of that name. Raises `ValueError` naming it when this host does not know it."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"{name!r} is no time zone that this host knows; write it as Europe/Berlin, or UTC"
        ) from None


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
