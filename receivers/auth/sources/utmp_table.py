"""utmp: who is logged in now. A table that is rewritten in place, read at the start and whenever it changes.

It gives the rows of users who are logged in (USER_PROCESS), once each. `fields["state"]` of an entry is

- `present`: was there at the first look of all, or was told before the agent was started again. Nothing happened; it
  tells who is logged in.
- `added`: a login since the last look, possibly while the agent was down.
- `removed`: the row of a login is gone or another's. The type is DEAD_PROCESS; the table does not say when it ended,
  so the time is that of the table's last change.

Logins that came and went between two looks are not seen: wtmp has them.
"""

from __future__ import annotations

import os
import struct
import threading
import time
from typing import Final, TypeAlias

from otel_fim.receivers.auth.event import Entry
from otel_fim.receivers.auth.sources.file_source import ThreadedSource, identified, unreadable
from otel_fim.receivers.auth.sources.rotation import open_regular
from otel_fim.receivers.auth.sources.source import REASON_ERROR, REASON_LIMITED, Position, Sink
from otel_fim.receivers.auth.sources.utmp_record import (
    REJECTED_EMPTY,
    TYPES,
    USER_PROCESS,
    entry,
    layout,
    parse,
)
from otel_fim.receivers.auth.sources.waiter import Waiter

UTMP: Final = "/run/utmp"
_LARGEST_TABLE: Final = 4 << 20
_SETTLE_SECONDS: Final = 0.2
_DEAD: Final = TYPES[8]

Rows: TypeAlias = dict[str, Entry]
"""The rows of users by identity: line, pid and time."""


def parse_table(content: bytes, form: struct.Struct) -> tuple[Rows, dict[bytes, str]]:
    """The rows of users, and what is no row with the reason. Never raises. Rows of zeros are normal in a table."""
    rows: Rows = {}
    bad: dict[bytes, str] = {}
    for at in range(0, len(content), form.size):
        data = content[at : at + form.size]
        record = parse(data, form)
        if isinstance(record, str):
            if record != REJECTED_EMPTY:
                bad[data] = record
        elif record.kind == USER_PROCESS:
            identity = f"{record.line}:{record.pid}:{record.time_unix_nano}"
            rows[identity] = identified(entry("utmp", record), identity)
    return rows, bad


class UtmpTableSource(ThreadedSource):
    """Watches the table."""

    def __init__(self, path: str = UTMP, *, form: struct.Struct | None = None) -> None:
        super().__init__("utmp")
        self.path = os.path.abspath(path)
        self._form = form or layout()
        self._lock = threading.Lock()
        self._waiter: Waiter | None = None
        self._known_bad: set[bytes] = set()
        self._first = True

    def available(self) -> str | None:
        return unreadable(self.path)

    def _wake(self) -> None:
        with self._lock:
            if self._waiter is not None:
                self._waiter.wake()

    def _session(self, sink: Sink) -> None:
        told = self._told(sink)
        with self._lock:
            waiter = self._waiter = Waiter(self.path)
        denied = False
        try:
            waiter.watch(())
            while not self._stopping.is_set():
                try:
                    content, modified, again = self._read(waiter)
                except OSError as error:
                    again = False
                    if not denied:
                        denied = True
                        detail = f"{self.path} cannot be read: {error.strerror or error}"
                        sink.gap(REASON_LIMITED, detail, time.time_ns())
                else:
                    if denied:
                        denied = False
                        sink.restored(REASON_LIMITED, f"{self.path} can be read again")
                    told = self._compare(sink, told, content, modified)
                if not again:
                    waiter.wait()
                    self._stopping.wait(_SETTLE_SECONDS)
        finally:
            with self._lock:
                self._waiter = None
            waiter.close()

    def _read(self, waiter: Waiter) -> tuple[bytes, int, bool]:
        """The table, its time in ns, and whether it may have changed before it was watched."""
        try:
            descriptor = open_regular(self.path)
        except FileNotFoundError:
            # At boot, before anybody has logged in.
            return b"", time.time_ns(), waiter.watch(())
        try:
            again = waiter.watch([descriptor])
            return os.pread(descriptor, _LARGEST_TABLE, 0), os.fstat(descriptor).st_mtime_ns, again
        finally:
            os.close(descriptor)

    def _compare(self, sink: Sink, told: Rows | None, content: bytes, modified: int) -> Rows:
        rows, bad = parse_table(content, self._form)
        for data in bad.keys() - self._known_bad:
            sink.rejected(bad[data])
        self._known_bad = set(bad)
        entries = []
        for identity, row in rows.items():
            if told is None or identity in told:
                if self._first:
                    entries.append(_with_state(row, "present", row.time_unix_nano))
            else:
                entries.append(_with_state(row, "added", row.time_unix_nano))
        if told is not None:
            entries += [
                _with_state(row, "removed", modified)
                for identity, row in told.items()
                if identity not in rows
            ]
        if entries or told is None:
            self._hand(sink, entries, _encode(rows))
        self._first = False
        return rows

    def _told(self, sink: Sink) -> Rows | None:
        if self._position is None:
            return None
        try:
            return _decode(self._position)
        except ValueError as error:
            now = time.time_ns()
            sink.gap(REASON_ERROR, f"{self.path}: {error}; who is logged in is told anew", now, now)
            return None


def _with_state(row: Entry, state: str, time_unix_nano: int) -> Entry:
    fields = {**row.fields, "state": state}
    if state == "removed":
        fields["type"] = _DEAD
    new = Entry("utmp", time_unix_nano, "", "", row.pid, trusted=True, fields=fields)
    return identified(new, f"{row.identity}:{state}")


def _encode(rows: Rows) -> Position:
    return {
        "version": 1,
        "rows": {
            identity: {"time": row.time_unix_nano, "pid": row.pid, "fields": dict(row.fields)}
            for identity, row in rows.items()
        },
    }


def _decode(position: Position) -> Rows:
    """Raises `ValueError` for what `_encode` has not written."""
    if not isinstance(position, dict) or position.get("version") != 1:
        raise ValueError("not a position in utmp")
    stored = position.get("rows")
    if not isinstance(stored, dict):
        raise ValueError("the position lacks its rows")
    rows: Rows = {}
    for identity, row in stored.items():
        match row:
            case {"time": int(moment), "pid": int() | None as pid, "fields": dict(fields)}:
                texts = {name: value for name, value in fields.items() if isinstance(value, str)}
                new = Entry("utmp", moment, "", "", pid, trusted=True, fields=texts)
                rows[identity] = identified(new, identity)
            case _:
                raise ValueError("the position's rows are damaged")
    return rows
