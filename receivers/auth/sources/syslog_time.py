"""When a syslog line was written: RFC 3164's time stamp has no year and no zone, ISO 8601's has both."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final

_MONTHS: Final = {
    name: number
    for number, name in enumerate(
        (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"), 1
    )
}
_TRADITIONAL: Final = re.compile(
    rb"([A-Z][a-z]{2}) ([ 0-9]?[0-9]) ([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))? "
)
_ISO: Final = re.compile(
    rb"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:[.,]([0-9]{1,9}))?"
    rb"(?:(Z)|([+-])([0-9]{2}):?([0-9]{2})) "
)
_SECOND: Final = 1_000_000_000
_AHEAD: Final = 86_400 * _SECOND
"""A line may be this much later than its file: the year before is taken only for what is later still."""
_LATEST: Final = (1 << 33) * _SECOND
_CLOSE: Final = 900 * _SECOND
_YEARS_BACK: Final = 8
"""As far as the last 29 February may be."""


class Clock:
    """Reads the time stamps of one log, in its order. `zone` None is the zone of this process."""

    def __init__(self, zone: tzinfo | None = None) -> None:
        self._zone = zone
        self._last: int | None = None

    def read(self, line: bytes, latest: int) -> tuple[int, int] | None:
        """The time in ns since the epoch and the length of the time stamp with the blank after it.

        `latest` is when the line had been written at the latest (the file's time of modification), in ns. None for
        what is no time stamp.
        """
        if (match := _ISO.match(line)) is not None:
            found = _iso(match)
        elif (match := _TRADITIONAL.match(line)) is not None:
            found = self._traditional(match, latest)
        else:
            return None
        if found is None:
            return None
        self._last = found
        return found, match.end()

    def _traditional(self, match: re.Match[bytes], latest: int) -> int | None:
        month = _MONTHS.get(match[1])
        if month is None:
            return None
        latest = min(max(latest, 0), _LATEST)
        day, hour, minute = int(match[2]), int(match[3]), int(match[4])
        second, leap = _second(match[5])
        year = datetime.fromtimestamp(latest // _SECOND, UTC).year + 1
        for candidate in range(year, year - _YEARS_BACK - 2, -1):
            try:
                local = datetime(candidate, month, day, hour, minute, second, tzinfo=self._zone)
                times = {_epoch(local.replace(fold=fold)) for fold in (0, 1)}
            except (ValueError, OverflowError, OSError):
                continue
            if 0 <= min(times) <= latest + _AHEAD:
                return self._choose(sorted(times), latest) + leap * _SECOND + _fraction(match[6])
        return None

    def _choose(self, times: list[int], latest: int) -> int:
        """Of the two hours that have the same name when summer time ends."""
        if len(times) == 1:
            return times[0]
        possible = [time for time in times if time <= latest + _CLOSE] or times[:1]
        for time in possible:
            if latest - time <= _CLOSE:
                return time
        for time in possible:
            if self._last is not None and time >= self._last - _SECOND:
                return time
        return possible[-1]


def _epoch(local: datetime) -> int:
    return int(local.timestamp()) * _SECOND


def _second(text: bytes) -> tuple[int, int]:
    """A leap second is the second after 59."""
    return (59, 1) if text == b"60" else (int(text), 0)


def _fraction(digits: bytes | None) -> int:
    return int(digits.ljust(9, b"0")) if digits else 0


def _iso(match: re.Match[bytes]) -> int | None:
    year, month, day, hour, minute = (int(match[group]) for group in range(1, 6))
    second, leap = _second(match[6])
    try:
        zone = UTC
        if match[8] is None:
            offset = timedelta(hours=int(match[10]), minutes=int(match[11]))
            zone = timezone(-offset if match[9] == b"-" else offset)
        seconds = int(datetime(year, month, day, hour, minute, second, tzinfo=zone).timestamp())
    except (ValueError, OverflowError):
        return None
    time = (seconds + leap) * _SECOND + _fraction(match[7])
    return time if time >= 0 else None
