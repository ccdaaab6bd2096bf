"""The kernel's audit: logins, authentication, accounts and sudo's commands, as the programs told the kernel.

The kernel states pid, uid, auid and ses of the sender itself, so entries are trusted; what the sender said of others
stands in fields that begin with `msg.` (see `audit_message`). `Entry.identifier` is the name of the executable that
sent the record (`msg.exe`), `message` is empty, `fields["type"]` the record's type (USER_LOGIN), with the kernel's and
the sender's fields.

The kernel keeps nothing for listeners that are not there: what happens while the agent is down is in the journal or
auth.log, not here. Auditing may be off (`audit_enabled` 0, as on Debian without auditd): then programs' records go
nowhere, which is told as a gap. It is never turned on from here: that is the administrator's decision.
"""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import time
from typing import Final

from otel_fim.receivers.auth.event import Entry
from otel_fim.receivers.auth.sources import audit_socket
from otel_fim.receivers.auth.sources.audit_message import (
    CONFIG_CHANGE,
    INNER,
    TYPES,
    number,
    parse_text,
)
from otel_fim.receivers.auth.sources.file_source import BelledSource
from otel_fim.receivers.auth.sources.source import (
    REASON_DENIED,
    REASON_LIMITED,
    REASON_OVERFLOW,
    Position,
    Sink,
)

REJECTED_MESSAGE: Final = "bad_netlink_message"
OFF: Final = "the kernel's auditing is off: turn it on with auditctl -e 1, or with Audit=yes in journald.conf"
_MOST: Final = 1000
_RETRY_SECONDS: Final = 300.0
_LISTENED: Final = (*TYPES, CONFIG_CHANGE)


def parse_message(kind: int, text: bytes) -> Entry | str | None:
    """The entry in a record, why it is none, or None for a type that is not about logins. Never raises."""
    if kind not in TYPES:
        return None
    parsed = parse_text(text)
    if isinstance(parsed, str):
        return parsed
    fields = {"type": TYPES[kind], "serial": str(parsed.serial), **_without(parsed.fields)}
    executable = fields.get(INNER + "exe", "")
    return Entry(
        "audit",
        parsed.time_unix_nano,
        executable.rpartition("/")[2],
        "",
        number(fields, "pid") or None,
        number(fields, "uid"),
        trusted=True,
        fields=fields,
        identity=f"{parsed.time_unix_nano}:{parsed.serial}:{kind}",
    )


def _without(fields: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in fields.items() if name not in ("type", "serial")}


class AuditSource(BelledSource):
    """Listens on the audit multicast group."""

    def __init__(self) -> None:
        super().__init__("audit")
        self._off = False
        self._listener: socket.socket | None = None

    def available(self) -> str | None:
        try:
            audit_socket.open_group(TYPES).close()
            return OFF if audit_socket.enabled() is False else None
        except OSError as error:
            return audit_socket.why_not(error)

    def start(self, sink: Sink, position: Position = None) -> None:
        # Here, so that nothing from now on is missed; the thread tells what is wrong, and tries again.
        with contextlib.suppress(OSError):
            self._listener = audit_socket.open_group(_LISTENED)
        super().start(sink, position)

    def _session(self, sink: Sink) -> None:
        denied = False
        while not self._stopping.is_set():
            try:
                listener = self._listener or audit_socket.open_group(_LISTENED)
                self._listener = None
            except OSError as error:
                if not denied:
                    denied = True
                    sink.gap(REASON_DENIED, audit_socket.why_not(error), time.time_ns())
                self._stopping.wait(_RETRY_SECONDS)
                continue
            if denied:
                denied = False
                sink.restored(REASON_DENIED, "the kernel's audit can be read again")
            with listener:
                self._ask(sink)
                self._listen(sink, listener)

    def _listen(self, sink: Sink, listener: socket.socket) -> None:
        poll = select.poll()
        poll.register(listener, select.POLLIN)
        assert self._bell is not None
        poll.register(self._bell[1], select.POLLIN)
        seen = time.time_ns()
        while not self._stopping.is_set():
            poll.poll()
            if not self._drain(sink, listener, seen):
                return
            seen = time.time_ns()

    def _drain(self, sink: Sink, listener: socket.socket, seen: int) -> bool:
        """Hands over what there is; False when the socket is of no more use."""
        entries: list[Entry] = []
        going = True
        ask = False
        while len(entries) < _MOST:
            try:
                message = audit_socket.receive(listener)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno == errno.EINTR:
                    continue
                detail = f"audit records were lost: {error.strerror or error}"
                sink.gap(REASON_OVERFLOW, detail, seen, time.time_ns())
                going = error.errno == errno.ENOBUFS
                if going:
                    continue
                break
            if message is None:
                sink.rejected(REJECTED_MESSAGE)
                continue
            ask |= message.type == CONFIG_CHANGE or self._off
            entry = parse_message(message.type, message.text)
            if isinstance(entry, str):
                sink.rejected(entry)
            elif entry is not None:
                entries.append(entry)
        if ask:
            self._ask(sink)
        if entries:
            self._hand(sink, entries, self._place(entries[-1]))
        return going

    def _place(self, entry: Entry) -> Position:
        """Nothing that one could go on from: it tells when the last record came."""
        return {"version": 1, "time": entry.time_unix_nano}

    def _ask(self, sink: Sink) -> None:
        """Tells when auditing is off, and when it is on again."""
        try:
            on = audit_socket.enabled()
        except OSError as error:
            if error.errno != errno.ECONNREFUSED:
                # It can be listened to without the right to ask.
                return
            on, why = False, audit_socket.why_not(error)
        else:
            why = OFF
        if on is False and not self._off:
            self._off = True
            sink.gap(REASON_LIMITED, why, time.time_ns())
        elif on and self._off:
            self._off = False
            sink.restored(REASON_LIMITED, "the kernel's auditing is on")
