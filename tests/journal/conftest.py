from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from otel_fim.journal import Journal, JournalNotice, JournalReader
from otel_fim.journal.config import JournalConfig
from otel_fim.record import Record, Resource, Scope

RESOURCE = Resource({"host.name": "web-1"})
SCOPE = Scope("test")


def _records(first: int, count: int, body: str = "") -> list[Record]:
    return [
        Record(
            time_unix_nano=1_700_000_000_000_000_000 + number,
            event_name="test",
            body=body or f"record {number}",
            attributes={"number": number},
            resource=RESOURCE,
            scope=SCOPE,
        )
        for number in range(first, first + count)
    ]


class Opener:
    """Opens journals in one directory, closes them in the end, and collects their notices."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.notices: list[JournalNotice] = []
        self._opened: list[Journal] = []

    def __call__(self, directory: Path | None = None, **settings: Any) -> Journal:
        settings.setdefault("sync_interval", 0.0)
        journal = Journal.open(
            directory or self.directory,
            JournalConfig.model_validate(settings),
            logger=logging.getLogger("test.journal"),
            notify=self.notices.append,
        )
        self._opened.append(journal)
        return journal

    def close(self) -> None:
        for journal in self._opened:
            journal.close(timeout=5)

    def segments(self) -> list[str]:
        return sorted(path.name for path in self.directory.iterdir() if path.name[0].isdigit())

    def kinds(self) -> list[str]:
        return [notice.kind for notice in self.notices]


@pytest.fixture
def journals(tmp_path: Path) -> Iterator[Opener]:
    opener = Opener(tmp_path / "journal")
    yield opener
    opener.close()


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    """`eventually(condition)`: waits until another thread has made it true."""

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, "it never happened"
            time.sleep(0.005)

    return wait


@pytest.fixture
def make_records() -> Callable[..., list[Record]]:
    """`make_records(first, count)`: records whose attribute `number` counts up from `first`."""
    return _records


@pytest.fixture
def drain() -> Callable[..., list[int]]:
    """`drain(reader)`: reads and acknowledges what is durable, gives the numbers."""

    def run(reader: JournalReader, max_records: int = 100, *, acknowledge: bool = True) -> list[int]:
        numbers: list[int] = []
        while (batch := reader.read(max_records, 2**20, 0.0)) is not None:
            numbers += [int(str(record.attributes["number"])) for record in batch.records]
            if not acknowledge:
                break
            reader.acknowledge(batch)
        return numbers

    return run
