"""wtmp (logins, logouts, boots) and btmp (failed logins).

They, and utmp, are written by login, sshd, getty, the display manager and systemd, which run as root or with the
group utmp: a user who has neither cannot write there, so their entries count as trusted. What stands in `user`
(btmp) and `host` is still what somebody typed or what a name server said. Systems without utmp (musl; Debian from 13
on) do not have these files.

`Entry.identifier` and `message` are empty; `fields` are type, line, id, user, host, address, session, and for
DEAD_PROCESS exit_termination and exit_status. Entries of utmp (`utmp_table`) have `state` besides.
"""

from __future__ import annotations

import struct
from typing import Final

from otel_fim.receivers.auth.event import Entry
from otel_fim.receivers.auth.sources.file_source import FileSource
from otel_fim.receivers.auth.sources.framing import records
from otel_fim.receivers.auth.sources.source import StartAt
from otel_fim.receivers.auth.sources.tail import LINGER_SECONDS, MISSING_SECONDS
from otel_fim.receivers.auth.sources.utmp_record import entry, layout, parse

WTMP: Final = "/var/log/wtmp"
BTMP: Final = "/var/log/btmp"


class RecordFileSource(FileSource):
    """Follows wtmp or btmp; `name` is which of them (`Entry.source`)."""

    def __init__(
        self,
        name: str,
        path: str,
        *,
        start_at: StartAt = "end",
        form: struct.Struct | None = None,
        linger: float = LINGER_SECONDS,
        missing: float = MISSING_SECONDS,
    ) -> None:
        self._form = form or layout()
        super().__init__(
            name, path, records(self._form.size), start_at=start_at, linger=linger, missing=missing
        )

    def _parse(self, frame: bytes, modified: int) -> Entry | str:
        del modified
        record = parse(frame, self._form)
        return record if isinstance(record, str) else entry(self.name, record)
