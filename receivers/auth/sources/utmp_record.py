"""A record of wtmp, btmp and utmp: glibc's `struct utmp` (utmp(5)), in the byte order and layout of the machine.

Most machines have 32-bit session and time fields, so that 32- and 64-bit programs share the files: 384 bytes.
glibc for aarch64 (and loongarch64) does not promise that and uses 64-bit fields: 400 bytes.
"""

from __future__ import annotations

import ipaddress
import os
import struct
from dataclasses import dataclass
from typing import Final

from otel_fim.receivers.auth.event import Entry

REJECTED_EMPTY: Final = "empty_record"
REJECTED_TYPE: Final = "bad_record_type"
REJECTED_TIME: Final = "bad_record_time"
REJECTED_RECORD: Final = "bad_record"

TYPES: Final = (
    "EMPTY",
    "RUN_LVL",
    "BOOT_TIME",
    "NEW_TIME",
    "OLD_TIME",
    "INIT_PROCESS",
    "LOGIN_PROCESS",
    "USER_PROCESS",
    "DEAD_PROCESS",
    "ACCOUNTING",
)
EMPTY: Final = 0
LOGIN_PROCESS: Final = 6
USER_PROCESS: Final = 7
DEAD_PROCESS: Final = 8

NARROW: Final = struct.Struct("=h2xi32s4s32s256shhiIi16s20x")
WIDE: Final = struct.Struct("=h2xi32s4s32s256shhqqq16s20x4x")
"""Type, pid, line, id, user, host, exit's termination and status, session, seconds, microseconds, address."""

_WIDE_MACHINES: Final = ("aarch64", "loongarch64")
_LATEST_SECONDS: Final = 1 << 33


@dataclass(slots=True, frozen=True)
class UtmpRecord:
    """`address` is an IPv4 or IPv6 address as text, None where there is none. `kind` counts as `TYPES` does."""

    kind: int
    pid: int
    line: str
    id: str
    user: str
    host: str
    exit_termination: int
    exit_status: int
    session: int
    time_unix_nano: int
    address: str | None

    def fields(self) -> dict[str, str]:
        """What `Entry.fields` has of it; empty texts, and zero where it says nothing, are left out."""
        fields = {"type": TYPES[self.kind]}
        for name, text in (
            ("line", self.line),
            ("id", self.id),
            ("user", self.user),
            ("host", self.host),
            ("address", self.address),
        ):
            if text:
                fields[name] = text
        if self.session:
            fields["session"] = str(self.session)
        if self.kind == DEAD_PROCESS:
            fields["exit_termination"] = str(self.exit_termination)
            fields["exit_status"] = str(self.exit_status)
        return fields


def layout(machine: str | None = None) -> struct.Struct:
    """The layout on a machine (as `uname -m` names it), this one by default."""
    return WIDE if (machine or os.uname().machine) in _WIDE_MACHINES else NARROW


def parse(data: bytes, form: struct.Struct) -> UtmpRecord | str:
    """The record in exactly `form.size` bytes, or why it is none. Never raises.

    Rejected: nothing but zeros, a type that utmp(5) does not have, a negative pid, a time of 0 or with microseconds
    that are none. Text ends at its first NUL; bytes that are not UTF-8 become `\\xNN`.
    """
    if len(data) != form.size:
        return REJECTED_RECORD
    if not any(data):
        return REJECTED_EMPTY
    kind, pid, line, identifier, user, host, termination, status, session, seconds, micros, address = (
        form.unpack(data)
    )
    if not 0 <= kind < len(TYPES):
        return REJECTED_TYPE
    if pid < 0:
        return REJECTED_RECORD
    if not 0 < seconds < _LATEST_SECONDS or not 0 <= micros < 1_000_000:
        return REJECTED_TIME
    return UtmpRecord(
        kind,
        pid,
        _text(line),
        _text(identifier),
        _text(user),
        _text(host),
        termination,
        status,
        session,
        seconds * 1_000_000_000 + micros * 1000,
        _address(address),
    )


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "backslashreplace")


def _address(field: bytes) -> str | None:
    """`ut_addr_v6`: an IPv4 address has only its first word set."""
    if not any(field):
        return None
    if not any(field[4:]):
        return str(ipaddress.IPv4Address(field[:4]))
    address = ipaddress.IPv6Address(field)
    return str(address.ipv4_mapped or address)


def entry(source: str, record: UtmpRecord, **more: str) -> Entry:
    """The record as an entry of `source`; `more` is added to its fields."""
    fields = {**record.fields(), **more}
    return Entry(source, record.time_unix_nano, "", "", record.pid or None, trusted=True, fields=fields)
