"""/var/log/auth.log and /var/log/secure.

What a line says of its sender is the sender's word: any local user may send a line with any name and pid to
/dev/log (`logger -t sshd …`), and rsyslog writes it beside the real ones. The text of a log holds nothing by which
the two could be told apart. Where it matters, read the journal or the kernel's audit, which state the sender
themselves, and take from a text log what they do not have.

A line without a zone is read in this process's zone, one without a year in the latest year that does not lie in the
future of its file. Of the hour that comes twice when summer time ends, the one that fits the lines before is taken.
"""

from __future__ import annotations

import os
from datetime import tzinfo
from typing import Final

from otel_fim.receivers.auth.event import Entry
from otel_fim.receivers.auth.sources.file_source import FileSource
from otel_fim.receivers.auth.sources.framing import LINES
from otel_fim.receivers.auth.sources.source import StartAt
from otel_fim.receivers.auth.sources.syslog_line import parse_line
from otel_fim.receivers.auth.sources.syslog_time import Clock
from otel_fim.receivers.auth.sources.tail import LINGER_SECONDS, MISSING_SECONDS

TEXT_LOGS: Final = ("/var/log/auth.log", "/var/log/secure")


class TextLogSource(FileSource):
    """Follows a syslog file. `name` is its path. `zone` None is the zone of this process."""

    def __init__(
        self,
        path: str = TEXT_LOGS[0],
        *,
        start_at: StartAt = "end",
        zone: tzinfo | None = None,
        linger: float = LINGER_SECONDS,
        missing: float = MISSING_SECONDS,
    ) -> None:
        super().__init__(
            os.path.abspath(path), path, LINES, start_at=start_at, linger=linger, missing=missing
        )
        self._clock = Clock(zone)

    def _parse(self, frame: bytes, modified: int) -> Entry | str:
        return parse_line(frame, self.name, self._clock, modified)
