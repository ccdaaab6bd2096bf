"""Windows' Security log, live: `wevtutil qe` asked again and again for what is newer than the last record."""

from __future__ import annotations

import shutil
import subprocess
import time
from typing import Final

from otel_fim.receivers.auth.event import Entry
from otel_fim.receivers.auth.platforms.security_xml import SOURCE, parse_event, split
from otel_fim.receivers.auth.sources.file_source import ThreadedSource
from otel_fim.receivers.auth.sources.source import REASON_DENIED, REASON_DESTROYED, Sink

_NUMBERS: Final = (
    *(4624, 4625, 4634, 4647, 4648, 4672, 4720, 4722, 4723, 4724, 4725, 4726),
    *(4727, 4728, 4729, 4730, 4731, 4732, 4733, 4734, 4735, 4737, 4738, 4740),
    *(4754, 4755, 4756, 4757, 4758, 4767),
)
_MOST: Final = 500
_TIMEOUT: Final = 60


class WindowsSecuritySource(ThreadedSource):
    """Runs `program` (wevtutil). The position is the newest EventRecordID."""

    def __init__(self, program: str = "wevtutil", interval: float = 10.0) -> None:
        super().__init__(SOURCE)
        self._program = program
        self._interval = interval
        self._denied = False

    def available(self) -> str | None:
        return None if shutil.which(self._program) else f"{self._program} does not exist"

    def _wake(self) -> None:
        """The wait between two readings ends with `_stopping`; a reading ends by itself."""

    def _session(self, sink: Sink) -> None:
        while not self._stopping.is_set():
            entries = self._query(sink)
            if entries is not None and len(entries) >= _MOST:
                continue
            self._stopping.wait(self._interval)

    def _query(self, sink: Sink) -> list[Entry] | None:
        last = self._position if isinstance(self._position, int) else None
        # Without a position: the newest record of all, to begin behind it.
        newest_first = last is None
        arguments = [
            self._program,
            "qe",
            "Security",
            f"/q:{_query_text(last)}",
            "/f:xml",
            f"/rd:{'true' if newest_first else 'false'}",
            f"/c:{1 if newest_first else _MOST}",
        ]
        done = subprocess.run(arguments, capture_output=True, timeout=_TIMEOUT, check=False)
        if done.returncode != 0:
            if not self._denied:
                self._denied = True
                detail = done.stderr.decode("utf-8", "backslashreplace").strip()[:300]
                sink.gap(
                    REASON_DENIED,
                    f"the Security log cannot be read ({detail}); run as administrator",
                    time.time_ns(),
                )
            return None
        if self._denied:
            self._denied = False
            sink.restored(REASON_DENIED, "the Security log can be read again")
        entries: list[Entry] = []
        numbers: list[int] = []
        for text in split(done.stdout.decode("utf-8", "backslashreplace")):
            found = parse_event(text)
            if isinstance(found, str):
                sink.rejected(found)
                continue
            entries.append(found)
            record = found.fields.get("EventRecordID", "")
            if record.isascii() and record.isdigit():
                numbers.append(int(record))
        if newest_first:
            self._hand(sink, [], max(numbers, default=0))
            return None
        if numbers:
            self._hand(sink, entries, max(numbers))
        elif last is not None and self._was_cleared(last):
            now = time.time_ns()
            sink.gap(
                REASON_DESTROYED, "the Security log was cleared; it is read from its beginning", now, now
            )
            self._hand(sink, [], 0)
        return entries

    def _was_cleared(self, last: int) -> bool:
        """Whether the newest record has a smaller number than the last one that was read."""
        done = subprocess.run(
            [self._program, "qe", "Security", "/f:xml", "/rd:true", "/c:1"],
            capture_output=True,
            timeout=_TIMEOUT,
            check=False,
        )
        found = [parse_event(text) for text in split(done.stdout.decode("utf-8", "backslashreplace"))]
        records = [each.fields.get("EventRecordID", "") for each in found if isinstance(each, Entry)]
        return any(each.isascii() and each.isdigit() and int(each) < last for each in records)


def _query_text(last: int | None) -> str:
    numbers = " or ".join(f"EventID={number}" for number in _NUMBERS)
    newer = "" if last is None else f" and (EventRecordID > {last})"
    return f"*[System[({numbers}){newer}]]"
