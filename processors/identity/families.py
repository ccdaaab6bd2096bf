"""What kinds of records there are, as far as it matters who is behind them."""

from __future__ import annotations

import enum
from typing import Final

from otel_fim import names
from otel_fim.names import events
from otel_fim.names.registry import EVENTS


class Family(enum.Enum):
    """How a record's process is to be understood."""

    FILE = enum.auto()
    """Its time is when the last change was seen, a little later than when the process made it."""
    ACTOR = enum.auto()
    """A process was looked at, at the record's time."""
    LOGIN = enum.auto()
    """The process decided about somebody else: its own login is not the record's."""
    AUTH = enum.auto()
    """The process did it, told by a log whose times may be whole seconds."""
    OTHER = enum.auto()
    """Nothing is known of its time: only a process that is named with its start is taken."""


def _all(first: str) -> list[str]:
    prefix = first.rpartition(".")[0] + "."
    return [name for name in EVENTS if name.startswith(prefix)]


FAMILIES: Final[dict[str, Family]] = {
    **dict.fromkeys(_all(events.FILE_CREATED), Family.FILE),
    **dict.fromkeys(_all(events.PERSISTENCE_ADDED), Family.FILE),
    **dict.fromkeys(_all(events.PROCESS_STARTED), Family.ACTOR),
    **dict.fromkeys(_all(events.LISTENER_OPENED), Family.ACTOR),
    # Whoever held the socket may have ended long before somebody noticed.
    events.LISTENER_CLOSED: Family.OTHER,
    events.AUTH_LOGIN: Family.LOGIN,
    events.AUTH_LOGOUT: Family.LOGIN,
    events.AUTH_PRIVILEGE: Family.AUTH,
    events.AUTH_ACCOUNT: Family.AUTH,
}
"""By event name; every other event is `OTHER`."""

ACTING: Final = frozenset(
    name
    for name, definition in EVENTS.items()
    if names.USER_ID in definition.attributes and FAMILIES.get(name) not in (Family.LOGIN, Family.AUTH)
)
"""The events in which `user.id` is the process's user."""
WITH_DIRECTORY: Final = frozenset(
    name
    for name, definition in EVENTS.items()
    if names.PROCESS_WORKING_DIRECTORY in definition.attributes
    and FAMILIES.get(name) not in (Family.LOGIN, Family.AUTH)
)
"""The events in which the working directory is the process's; for sudo it is that of the one who called it."""
