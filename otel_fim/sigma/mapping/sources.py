"""Which records a log source of a rule is about. docs/reference/sigma.md is generated from these tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from otel_fim import names
from otel_fim.names import events
from otel_fim.sigma.mapping import fields as f
from otel_fim.sigma.mapping.foreign import DESTINATION_ADDRESS, DESTINATION_PORT

EVENT_NAME: Final = "EventName"
OWN_PRODUCT: Final = "otel_fim"
PLAIN: Final = None
"""The event name of a record that has none: a line of a log that somebody else sent to the same table."""

# A detection as pySigma reads one: a mapping of fields to values, or a list of such mappings, one of which holds.
Detection = dict[str, object] | list[dict[str, object]]

_FILE: Final = (
    *(events.FILE_CREATED, events.FILE_MODIFIED, events.FILE_DELETED, events.FILE_RENAMED),
    events.FILE_ATTRIBUTES_CHANGED,
)
_PROCESS: Final = (events.PROCESS_STARTED, events.PROCESS_EXITED)
_AUTH: Final = (events.AUTH_LOGIN, events.AUTH_LOGOUT, events.AUTH_PRIVILEGE, events.AUTH_ACCOUNT)
_LISTENER: Final = (events.LISTENER_OPENED, events.LISTENER_CLOSED)
_PERSISTENCE: Final = (events.PERSISTENCE_ADDED, events.PERSISTENCE_CHANGED, events.PERSISTENCE_REMOVED)
_HOST: Final = (*_FILE, *_PROCESS, *_AUTH, *_LISTENER, *_PERSISTENCE)
_FILE_FIELDS: Final = f.table_of(f.COMMON)
_PROCESS_FIELDS: Final = f.table_of(f.COMMON, f.BY_PROCESS)
_AUTH_FIELDS: Final = f.table_of(f.COMMON, f.BY_AUTH)


@dataclass(slots=True, frozen=True)
class SourceRow:
    """The records of one log source: those for which `detection` holds. `fields` maps Sigma's fields, `hashes` says
    where the hash of an algorithm is, `note` explains the choice."""

    detection: Detection
    note: str
    fields: Mapping[str, str] = field(default_factory=lambda: _FILE_FIELDS)
    hashes: Mapping[str, str] = field(default_factory=lambda: f.HASHES_OF_FILE)


def _events(*names_: str | None) -> dict[str, object]:
    return {EVENT_NAME: list(names_)}


def _process(detection: dict[str, object], note: str) -> SourceRow:
    return SourceRow(detection, note, _PROCESS_FIELDS, f.HASHES_OF_PROCESS)


CATEGORIES: Final[Mapping[str, SourceRow]] = {
    "process_creation": _process(
        {**_events(events.PROCESS_STARTED), names.EVENT_ACTION: "exec"},
        "A process starts a program. A fork goes on with its parent's program and is none, and what already ran "
        "when the agent started (`scan`) is not new.",
    ),
    "process_termination": _process(_events(events.PROCESS_EXITED), "A process ended."),
    "file_event": SourceRow(
        _events(events.FILE_CREATED, events.FILE_MODIFIED, events.FILE_RENAMED),
        "A file came to be, was written anew or was moved there. Sigma means creation, and its rules are written for "
        "sensors that tell of overwriting as of creation and of a moved file's new name: writing a file under "
        "another name and moving it into place is how most programs write.",
    ),
    "file_change": SourceRow(
        _events(events.FILE_MODIFIED, events.FILE_ATTRIBUTES_CHANGED),
        "Content, times, owner or permissions changed.",
    ),
    "file_delete": SourceRow(_events(events.FILE_DELETED), "A file is gone."),
    "file_rename": SourceRow(
        _events(events.FILE_RENAMED),
        "A file moved: `TargetFilename` is where it is, `SourceFilename` where it was.",
    ),
    "file_access": SourceRow(
        _events(*_FILE), "Whoever changed a file had access to it. That a file is read is not seen."
    ),
    "network_connection": SourceRow(
        [{f"{DESTINATION_ADDRESS}|exists": True}, {f"{DESTINATION_PORT}|exists": True}],
        "Any record that names a destination. The agent itself tells of listening sockets and not of connections "
        "(`product: otel_fim, service: listener`); what other agents send in OpenTelemetry's names matches.",
    ),
}
"""Sigma's categories, of `product: linux` or of none."""

OWN: Final[Mapping[str, SourceRow]] = {
    "file": SourceRow(_events(*_FILE), "Everything about files."),
    "process": _process(_events(*_PROCESS), "Starts and ends of processes, of all kinds (`event.action`)."),
    "auth": SourceRow(_events(*_AUTH), "Logins, logouts, privilege, accounts.", _AUTH_FIELDS),
    "listener": SourceRow(_events(*_LISTENER), "Listening sockets."),
    "persistence": SourceRow(_events(*_PERSISTENCE), "What starts by itself."),
    "coverage": SourceRow(
        _events(events.COVERAGE_GAP, events.COVERAGE_RESTORED),
        "What could not be seen, and since when it can again.",
    ),
    "agent": SourceRow(
        _events(events.AGENT_STARTED, events.AGENT_STOPPED, events.AGENT_HEARTBEAT, events.STREAM_STARTED),
        "The agent itself.",
    ),
    "finding": SourceRow(
        _events(events.FINDING), "Findings of other rules, in the table (not in the stream)."
    ),
}
"""Services of `product: otel_fim`; without one, all of them but findings."""

ALL_OWN: Final = SourceRow(
    _events(
        *_HOST,
        *(events.COVERAGE_GAP, events.COVERAGE_RESTORED),
        *(events.AGENT_STARTED, events.AGENT_STOPPED, events.AGENT_HEARTBEAT, events.STREAM_STARTED),
    ),
    "Every record of this project but findings.",
)
AUTH_SERVICES: Final = (
    *("sshd", "sudo", "su", "doas", "pkexec", "login", "passwd", "chpasswd", "chage", "chfn", "chsh"),
    *("useradd", "usermod", "userdel", "groupadd", "groupmod", "groupdel", "gpasswd"),
)
"""Services of `product: linux` whose records say `otel_fim.auth.service`."""

GENERIC: Final = SourceRow(
    _events(*_HOST, PLAIN),
    "Every record about files, processes, logins, listeners and persistence, and lines of logs (records without an "
    "event name). Keywords are looked for in the body and all attributes, so they find commands too.",
)
AUTH: Final = SourceRow(
    _events(*_AUTH, PLAIN),
    "Logins, privilege and accounts, and lines of logs. Keywords that are sshd's or PAM's own sentences are found with "
    "`original: true` in the auth receiver, in `log.record.original`, and in others' records of the log.",
    _AUTH_FIELDS,
)
_REFUSED: Final[Mapping[str, str]] = {
    "auditd": "raw audit records (`type=SYSCALL` …) are not among this project's records; "
    "write it for process_creation, file_event or product otel_fim",
}


def auth_service(service: str) -> SourceRow:
    """Records of one program that lets users in or changes them."""
    return SourceRow(
        [
            {**_events(*_AUTH), names.OTEL_FIM_AUTH_SERVICE: service},
            {**_events(PLAIN), "|contains": service},
        ],
        "Records with this `otel_fim.auth.service`, and lines of logs that have the service's name in them.",
        _AUTH_FIELDS,
    )


def log_service(service: str) -> SourceRow:
    """Lines of a program's log; nothing of this project's own is like them."""
    if service == "syslog":
        return SourceRow(
            _events(PLAIN), "Lines of logs: records without an event name, which other agents send."
        )
    return SourceRow(
        {**_events(PLAIN), "|contains": service},
        "Lines of logs that have the service's name in them: records without an event name, which other agents send.",
    )


def source_row(category: str | None, product: str | None, service: str | None) -> SourceRow | str:
    """The records of a log source, or the reason why there are none."""
    if product not in (None, "", "linux", OWN_PRODUCT):
        return f"product {product} is not what this project's records are about (linux or {OWN_PRODUCT})"
    if category and service:
        return f"{category} is of all services: leave service {service} out, and put what it means into a selection"
    if category:
        found = CATEGORIES.get(category)
        if found is None:
            return f"no record is a {category} (there are {', '.join(CATEGORIES)})"
        return found
    if product == OWN_PRODUCT:
        if not service:
            return ALL_OWN
        own = OWN.get(service)
        return own or f"{OWN_PRODUCT} has no service {service} (there are {', '.join(OWN)})"
    if not service:
        return GENERIC if product else "it says neither category, product nor service"
    if service in _REFUSED:
        return _REFUSED[service]
    if service == "auth":
        return AUTH
    return auth_service(service) if service in AUTH_SERVICES else log_service(service)
