"""Where batches go that a destination will never take: kept with the reason, never dropped."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

from otel_fim.journal.files import write_at
from otel_fim.pipeline.coverage import timestamp


class DeadLetters:
    """A file of OTLP/JSON lines, and beside it one of reasons (`.reasons.jsonl`, one object for each batch:
    time, exporter, number of records, number of lines, reason)."""

    def __init__(self, directory: Path, name: str) -> None:
        safe = name.replace("/", "_")
        self.path = directory / f"{safe}.jsonl"
        self.reasons_path = directory / f"{safe}.reasons.jsonl"
        self._name = name

    def add(self, lines: Sequence[bytes], record_count: int, reason: str) -> None:
        """Appends a batch and its reason, on disk on return. Raises `OSError` when that is not possible."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        entry = {
            "time": timestamp(time.time_ns()),
            "exporter": self._name,
            "records": record_count,
            "lines": len(lines),
            "reason": reason,
        }
        self._append(self.path, b"".join(line + b"\n" for line in lines))
        self._append(self.reasons_path, json.dumps(entry).encode() + b"\n")

    @staticmethod
    def _append(path: Path, data: bytes) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            start = os.lseek(descriptor, 0, os.SEEK_END)
            try:
                write_at(descriptor, data, start)
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, start)
                raise
        finally:
            os.close(descriptor)
