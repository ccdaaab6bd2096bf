"""The data component that an event of this project is: what ATT&CK's detections are written in terms of."""

from __future__ import annotations

from typing import Final

from otel_fim.names import events

_BY_EVENT: Final[dict[str, tuple[str, ...]]] = {
    events.FILE_CREATED: ("DC0039",),
    events.FILE_MODIFIED: ("DC0061",),
    events.FILE_RENAMED: ("DC0061",),
    events.FILE_DELETED: ("DC0040",),
    events.FILE_ATTRIBUTES_CHANGED: ("DC0059",),
    # A process that starts is told with its command line.
    events.PROCESS_STARTED: ("DC0032", "DC0064"),
    events.PROCESS_EXITED: ("DC0033",),
    events.AUTH_LOGIN: ("DC0002", "DC0067"),
    events.AUTH_LOGOUT: ("DC0088",),
    events.AUTH_PRIVILEGE: ("DC0002", "DC0064"),
    events.AUTH_ACCOUNT: ("DC0010",),
}


def data_components_for(event_name: str) -> tuple[str, ...]:
    """Ids of the data components (`DC0039`) that an event is; none for events that ATT&CK has no word for."""
    return _BY_EVENT.get(event_name, ())
