"""macOS' unified log, live: `log show` for what was written since the last position, then `log stream`."""

from __future__ import annotations

import shutil
import subprocess
import time
from datetime import UTC, datetime
from typing import Final

from otel_fim.receivers.auth.event import Entry
from otel_fim.receivers.auth.platforms.unified_log import SOURCE, parse_line, predicate
from otel_fim.receivers.auth.sources.file_source import ThreadedSource
from otel_fim.receivers.auth.sources.source import REASON_ERROR, Sink

_BATCH: Final = 200
_OPTIONS: Final = ("--style", "ndjson", "--info")
_RESTART_SECONDS: Final = 5.0


class UnifiedLogSource(ThreadedSource):
    """Runs `program` (log(1)). The position is the time of the newest line in ns since the epoch."""

    def __init__(self, program: str = "/usr/bin/log") -> None:
        super().__init__(SOURCE)
        self._program = program
        self._child: subprocess.Popen[bytes] | None = None

    def available(self) -> str | None:
        return None if shutil.which(self._program) else f"{self._program} does not exist"

    def _wake(self) -> None:
        child = self._child
        if child is not None:
            child.terminate()

    def _session(self, sink: Sink) -> None:
        if isinstance(self._position, int):
            since = datetime.fromtimestamp(self._position / 1e9, UTC)
            self._read(sink, "show", "--start", f"{since:%Y-%m-%d %H:%M:%S}+0000")
        if not self._stopping.is_set():
            self._read(sink, "stream")
        if not self._stopping.is_set():
            now = time.time_ns()
            sink.gap(REASON_ERROR, f"{self._program} ended; it is started again", now, now)
            self._stopping.wait(_RESTART_SECONDS)

    def _read(self, sink: Sink, command: str, *options: str) -> None:
        arguments = [self._program, command, *options, *_OPTIONS, "--predicate", predicate()]
        with subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as child:
            self._child = child
            try:
                assert child.stdout is not None
                entries: list[Entry] = []
                for line in child.stdout:
                    if self._stopping.is_set():
                        break
                    found = parse_line(line)
                    if isinstance(found, str):
                        sink.rejected(found)
                    elif found is not None:
                        entries.append(found)
                    # A stream is handed on line by line, what was written before in batches.
                    if entries and (command == "stream" or len(entries) >= _BATCH):
                        self._give(sink, entries)
                        entries = []
                if entries:
                    self._give(sink, entries)
            finally:
                self._child = None
                child.terminate()

    def _give(self, sink: Sink, entries: list[Entry]) -> None:
        newest = max(entry.time_unix_nano for entry in entries)
        before = self._position if isinstance(self._position, int) else 0
        self._hand(sink, entries, max(newest, before))
