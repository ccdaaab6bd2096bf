"""Values of the risk processor's configuration: moments, times of day, lists of patterns."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from ipaddress import ip_network
from typing import Annotated, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, PlainSerializer

_TIME_OF_DAY: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_DAY_MINUTES: Final = 24 * 60


def parse_moment(value: object) -> datetime:
    """A time from ISO 8601 text: without a zone it is UTC, and a date is the beginning of that day. Raises
    `ValueError`."""
    if isinstance(value, datetime):
        return value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime.combine(value, time(), UTC)
    if isinstance(value, str):
        try:
            return parse_moment(datetime.fromisoformat(value.strip()))
        except ValueError:
            pass
    raise ValueError("a date or a time is needed, such as '2026-12-31' or '2026-12-31T18:00:00Z'")


def show_moment(value: datetime) -> str:
    """ISO 8601, with Z for UTC."""
    return value.isoformat().replace("+00:00", "Z")


def minute_of_day(value: str) -> int:
    """Minutes since midnight of `HH:MM`; `24:00` is the end of the day. Raises `ValueError`."""
    if value == "24:00":
        return _DAY_MINUTES
    match = _TIME_OF_DAY.fullmatch(value)
    if match is None:
        raise ValueError(f"{value!r} is not a time of day; write it like '08:00' or '17:30', in quotes")
    return int(match[1]) * 60 + int(match[2])


def _time_of_day(value: str) -> str:
    minute_of_day(value)
    return value


def zone_of(value: str) -> ZoneInfo | None:
    """The time zone of an IANA name; None, the host's own, for `local`. Raises `ValueError`."""
    if value == "local":
        return None
    try:
        return ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"{value!r} is no time zone that this host knows; write it like 'local', 'UTC' or 'Europe/Zurich', and "
            "install tzdata if it is missing"
        ) from None


def _zone(value: str) -> str:
    zone_of(value)
    return value


def _filled(value: str) -> str:
    if not value.strip():
        raise ValueError("it must not be empty")
    return value.strip()


def _list(value: object) -> object:
    if not isinstance(value, str | list):
        raise ValueError("text or a list of texts is needed; put numbers in quotes")
    return [value] if isinstance(value, str) else value


def _sources(patterns: list[str]) -> list[str]:
    for pattern in patterns:
        if "/" in pattern and not fits_some(pattern):
            try:
                ip_network(pattern, strict=False)
            except ValueError:
                raise ValueError(
                    f"{pattern!r} is no network; write it like '192.0.2.0/24' or '2001:db8::/32'"
                ) from None
    return patterns


def _path_start(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError(f"{value!r} is no beginning of a path; it must begin with a slash")
    return value


def _program_name(value: str) -> str:
    if "/" in value:
        raise ValueError(
            f"{value!r} must be the name alone, {value.rpartition('/')[2]!r}; which directories count is fixed"
        )
    return value


def fits_some(pattern: str) -> bool:
    """Whether it is a pattern, and not just a text."""
    return any(character in pattern for character in "*?[")


def fits_anything(pattern: str) -> bool:
    """Whether there is no text, or next to none, that it does not fit: `*`, `?*`, and each network of all addresses."""
    if "*" in pattern and not pattern.strip("*?"):
        return True
    try:
        return ip_network(pattern, strict=False).prefixlen == 0
    except ValueError:
        return False


Moment = Annotated[
    datetime, BeforeValidator(parse_moment), PlainSerializer(show_moment, return_type=str, when_used="json")
]
TimeOfDay = Annotated[str, AfterValidator(_time_of_day)]
Zone = Annotated[str, AfterValidator(_zone)]
Filled = Annotated[str, AfterValidator(_filled)]
Patterns = Annotated[list[Filled], BeforeValidator(_list)]
"""One pattern or several, any of which may fit: `*` is any text (also with a slash), `?` a character, `[ab]` one of
these."""
SourcePatterns = Annotated[Patterns, AfterValidator(_sources)]
"""The same, or networks."""
PathStart = Annotated[Filled, AfterValidator(_path_start)]
ProgramName = Annotated[Filled, AfterValidator(_program_name)]
