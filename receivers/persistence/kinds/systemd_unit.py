"""What a unit file says. Syntax: systemd.syntax(7). Nothing here raises, whatever the bytes are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from otel_fim.receivers.persistence.text import text_of

MAX_ASSIGNMENTS: Final = 5000
_TRIGGERS: Final = {
    "timer": (
        "OnCalendar",
        "OnBootSec",
        "OnStartupSec",
        "OnActiveSec",
        "OnUnitActiveSec",
        "OnUnitInactiveSec",
        "OnClockChange",
        "OnTimezoneChange",
    ),
    "socket": (
        "ListenStream",
        "ListenDatagram",
        "ListenSequentialPacket",
        "ListenFIFO",
        "ListenSpecial",
        "ListenNetlink",
        "ListenMessageQueue",
        "ListenUSBFunction",
    ),
    "path": ("PathExists", "PathExistsGlob", "PathChanged", "PathModified", "DirectoryNotEmpty"),
}
_EXECS: Final = (
    "ExecCondition",
    "ExecStartPre",
    "ExecStart",
    "ExecStartPost",
    "ExecReload",
    "ExecStop",
    "ExecStopPre",
    "ExecStopPost",
)
_ACTIVATES: Final = {"timer": "Unit", "path": "Unit", "socket": "Service"}


@dataclass(slots=True, frozen=True)
class Assignment:
    """`key=value` in a section."""

    section: str
    key: str
    value: str


def parse_unit(data: bytes) -> tuple[list[Assignment], int]:
    """The assignments of a unit file in order, and how many lines are neither that nor a section nor a comment.

    A line that ends with a backslash goes on in the next one; comments between them do not end it.
    """
    found: list[Assignment] = []
    rejected = 0
    section = ""
    for line in _logical_lines(data):
        text = text_of(line.strip())
        if text.startswith("[") and text.endswith("]"):
            section = text[1:-1]
            continue
        key, equals, value = text.partition("=")
        if not equals or not key.strip() or not section:
            rejected += 1
        elif len(found) < MAX_ASSIGNMENTS:
            found.append(Assignment(section, key.strip(), value.strip()))
        else:
            rejected += 1
    return found, rejected


def _logical_lines(data: bytes) -> Iterable[bytes]:
    pending: list[bytes] = []
    for raw in data.split(b"\n"):
        line = raw.strip(b" \t\r")
        if line.startswith((b"#", b";")):
            continue
        if raw.endswith(b"\\"):
            pending.append(raw[:-1])
            continue
        if pending:
            yield b" ".join([*pending, raw])
            pending = []
        elif line:
            yield line
    if pending:
        yield b" ".join(pending)


def values(assignments: Iterable[Assignment], key: str) -> list[str]:
    """The values of a list setting in order: an empty assignment takes back those before it."""
    found: list[str] = []
    for each in assignments:
        if each.key == key:
            found = [*found, each.value] if each.value else []
    return found


def last(assignments: Iterable[Assignment], section: str, key: str) -> str:
    """The value of a setting that has one, empty without."""
    found = ""
    for each in assignments:
        if each.key == key and each.section == section:
            found = each.value
    return found


def command_of(assignments: list[Assignment], unit: str) -> str:
    """What the unit starts: its command lines, or the unit that a timer, socket or path starts."""
    stem, _, suffix = unit.rpartition(".")
    commands = [
        value if key == "ExecStart" else f"{key}={value}"
        for key in _EXECS
        for value in values(assignments, key)
    ]
    if suffix in _ACTIVATES:
        named = last(assignments, suffix.capitalize(), _ACTIVATES[suffix])
        commands.append(named or f"{stem}.service")
    return "; ".join(commands)


def trigger_of(assignments: list[Assignment], unit: str) -> str:
    """When a timer, socket or path starts what it starts; empty for a service."""
    suffix = unit.rpartition(".")[2]
    return "; ".join(
        f"{key}={value}" for key in _TRIGGERS.get(suffix, ()) for value in values(assignments, key)
    )


def activates(assignments: list[Assignment], unit: str) -> str:
    """The unit that a timer, socket or path starts; empty for a service."""
    stem, _, suffix = unit.rpartition(".")
    if suffix not in _ACTIVATES:
        return ""
    named = last(assignments, suffix.capitalize(), _ACTIVATES[suffix])
    if named:
        return named
    accepts = suffix == "socket" and last(assignments, "Socket", "Accept").lower() in (
        "yes",
        "true",
        "1",
        "on",
    )
    return f"{stem}@.service" if accepts else f"{stem}.service"


def user_of(assignments: list[Assignment]) -> str:
    """The user that a service runs as, empty when it says nothing of it."""
    named = last(assignments, "Service", "User")
    dynamic = last(assignments, "Service", "DynamicUser").lower() in ("yes", "true", "1", "on")
    return named or ("(dynamic)" if dynamic else "")


def has_install(assignments: Iterable[Assignment]) -> bool:
    """Whether the unit is there to be enabled: its `[Install]` section names something."""
    return any(each.section == "Install" and each.value for each in assignments)


def template_of(unit: str) -> str:
    """`getty@tty1.service` is an instance of `getty@.service`; a unit that is no instance is its own."""
    stem, _, suffix = unit.rpartition(".")
    prefix, at, _ = stem.partition("@")
    return f"{prefix}@.{suffix}" if at else unit
