"""One entry of the journal, as `journalctl -o json` writes it (systemd.journal-fields(7)).

Fields that begin with `_` are journald's own statements of the sender, by its socket's credentials; all others,
`SYSLOG_IDENTIFIER` and `MESSAGE` among them, are what the sender wrote. Any user can log as `sshd`: whoever reads
this must look at `user_id` and `_EXE` or `_COMM` before believing an identifier. `_EXE` and `_COMM` are missing
when the sender had ended before journald looked.

What journald has heard of the kernel's audit becomes an entry of the source `audit`.

A value is a string; an array of numbers when it is not UTF-8; an array of such values when the sender wrote the field
several times, of which the first counts; null when journalctl left it out for its length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import orjson

from otel_fim.receivers.auth.event import Entry
from otel_fim.receivers.auth.sources.audit_message import INNER, TYPES, parse_fields

REJECTED_JSON: Final = "bad_journal_json"
REJECTED_CURSOR: Final = "journal_entry_without_cursor"
REJECTED_TIME: Final = "bad_journal_time"

_LONGEST_VALUE: Final = 32_768
_NANOSECONDS: Final = 1000
"""In a microsecond."""
_LARGEST_MICROSECONDS: Final = (1 << 63) // _NANOSECONDS
_OWN: Final = ("_PID", "_UID", "_TRANSPORT", "_SOURCE_REALTIME_TIMESTAMP", "_AUDIT_TYPE", "_AUDIT_ID")
KEPT: Final = (
    "_COMM",
    "_EXE",
    "_CAP_EFFECTIVE",
    "_AUDIT_SESSION",
    "_AUDIT_LOGINUID",
    "_SYSTEMD_UNIT",
    "_HOSTNAME",
    "SYSLOG_FACILITY",
    "SYSLOG_PID",
    "MESSAGE_ID",
    "SESSION_ID",
    "USER_ID",
    "LEADER",
)
"""What `Entry.fields` has, beside `_BOOT_ID` and `_TRANSPORT`; the last four are systemd-logind's own."""
OUTPUT_FIELDS: Final = ("MESSAGE", "SYSLOG_IDENTIFIER", *_OWN, *KEPT)


@dataclass(slots=True, frozen=True)
class JournalEntry:
    """`realtime` is when journald took it, in microseconds."""

    cursor: str
    realtime: int
    entry: Entry


def parse_line(line: bytes) -> JournalEntry | str:
    """The entry in a line, or why there is none. Never raises."""
    try:
        values = orjson.loads(line)
    except ValueError:
        return REJECTED_JSON
    if not isinstance(values, dict):
        return REJECTED_JSON
    cursor = values.get("__CURSOR")
    if not isinstance(cursor, str) or not cursor:
        return REJECTED_CURSOR
    realtime = _number(values.get("__REALTIME_TIMESTAMP"))
    if realtime is None or realtime > _LARGEST_MICROSECONDS:
        return REJECTED_TIME
    sent = _number(values.get("_SOURCE_REALTIME_TIMESTAMP"))
    if sent is None or sent > _LARGEST_MICROSECONDS:
        sent = realtime
    pid = _number(values.get("_PID"))
    fields = {name: text for name in ("_BOOT_ID", "_TRANSPORT", *KEPT) if (text := _text(values.get(name)))}
    identifier, message = _text(values.get("SYSLOG_IDENTIFIER")), _text(values.get("MESSAGE"))
    source, identity = "journald", cursor
    if fields.get("_TRANSPORT") == "audit" and (kind := _number(values.get("_AUDIT_TYPE"))) in TYPES:
        # The same name and identity as when the kernel is heard without journald: told by both, it is told once.
        source, identity = "audit", f"{sent * _NANOSECONDS}:{_text(values.get('_AUDIT_ID'))}:{kind}"
        fields.update(parse_fields(message.partition(" ")[2]))
        fields["type"] = TYPES[kind]
        identifier, message = fields.get(INNER + "exe", "").rpartition("/")[2], ""
    entry = Entry(
        source,
        sent * _NANOSECONDS,
        identifier,
        message,
        pid,
        _number(values.get("_UID")),
        pid is not None,
        fields,
        identity,
    )
    return JournalEntry(cursor, realtime, entry)


def _text(value: object) -> str:
    if isinstance(value, list) and value and not isinstance(value[0], int):
        value = value[0]
    if isinstance(value, list):
        try:
            value = bytes(value[:_LONGEST_VALUE]).decode("utf-8", "backslashreplace")
        except (ValueError, TypeError):
            return ""
    return value[:_LONGEST_VALUE].replace("\0", "") if isinstance(value, str) else ""


def _number(value: object) -> int | None:
    if not isinstance(value, str) or len(value) > 20 or not value.isascii() or not value.isdigit():
        return None
    return int(value)
