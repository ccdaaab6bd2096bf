"""The novelty processor on a busy host's records, and its memory: `python -m benchmarks.novelty`.

The stream is 500 records a batch: starts of 400 programs by 20 parents and users again and again, one in fifty never
seen before, and as many file events, which are looked at no further. The peer is a plain Python set of the same values.
"""

from __future__ import annotations

import gc
import logging
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from otel_fim import names
from otel_fim.component import ProcessorContext
from otel_fim.names import events
from otel_fim.processors.novelty import NoveltyConfig, NoveltyProcessor
from otel_fim.processors.novelty.memory import Memory, key_of
from otel_fim.record import Record, Resource, component_scope

_COUNT: Final = 20_000
_BATCH: Final = 500
_ROUNDS: Final = 5
_ENTRIES: Final = 100_000
_RESOURCE: Final = Resource({names.HOST_NAME: "web-1"})


@dataclass(slots=True, frozen=True)
class Row:
    """One line of the table."""

    name: str
    value: str
    ratio: str = ""


def run() -> list[Row]:
    """All measurements."""
    with tempfile.TemporaryDirectory() as state:
        peer = _rate(_Sets, new_every=50)
        mixed = _rate(lambda: _processor(Path(state)), new_every=50, files=True)
        programs = _rate(lambda: _processor(Path(state)), new_every=50)
        fresh = _rate(lambda: _processor(Path(state)), new_every=1)
    return [
        Row("Python sets, program starts", f"{peer:12,.0f} records/s"),
        Row("novelty, program starts and file events", f"{mixed:12,.0f} records/s", f"{mixed / peer:.2f}x"),
        Row("novelty, program starts", f"{programs:12,.0f} records/s", f"{programs / peer:.2f}x"),
        Row("novelty, every program never seen before", f"{fresh:12,.0f} records/s", f"{fresh / peer:.2f}x"),
        Row(f"memory of {_ENTRIES:,} entries", f"{_memory() / 1e6:12.1f} MB"),
    ]


class _Sets:
    """The peer: what was seen is kept as it is, without days and without a bound."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, ...]] = set()

    def process(self, records: list[Record]) -> list[Record]:
        seen = self._seen
        for record in records:
            attributes = record.attributes
            path = str(attributes[names.PROCESS_EXECUTABLE_PATH])
            parent = str(attributes[names.PROCESS_PARENT_EXECUTABLE_PATH])
            found = []
            for kind, thing in (
                ("executable", (path,)),
                ("executable_hash", (str(attributes[names.PROCESS_HASH_SHA256]),)),
                ("parent_child", (parent, path)),
                ("user_executable", (str(attributes[names.PROCESS_USER_ID]), path)),
            ):
                if (kind, *thing) not in seen:
                    seen.add((kind, *thing))
                    found.append(kind)
            if found:
                attributes[names.OTEL_FIM_NOVELTY_FIRST_SEEN] = found
        return records


def _processor(state: Path) -> NoveltyProcessor:
    return NoveltyProcessor(
        NoveltyConfig(learning_period=0),
        ProcessorContext(
            id="novelty",
            kind="processor",
            state_directory=state,
            service_directory=state,
            agent_directories=(),
            resource=_RESOURCE,
            scope=component_scope("benchmark"),
            logger=logging.getLogger("benchmark"),
            report=lambda health, message: None,
            count=lambda *args, **kwargs: None,
            pipeline="logs",
            last_record=lambda: None,
        ),
    )


def _rate(make: Callable[[], _Sets | NoveltyProcessor], *, new_every: int, files: bool = False) -> float:
    """Records per second of the fastest round; 400 programs are known before."""
    best = float("inf")
    for _ in range(_ROUNDS):
        processor = make()
        processor.process([_start(number) for number in range(400)])
        batches = _batches(new_every, files)
        gc.collect()
        begin = time.perf_counter()
        for batch in batches:
            processor.process(batch)
        best = min(best, time.perf_counter() - begin)
        new = sum(
            names.OTEL_FIM_NOVELTY_FIRST_SEEN in record.attributes for batch in batches for record in batch
        )
        expected = _COUNT // new_every // (2 if files else 1)
        if new != expected:
            raise RuntimeError(f"{new} records were called new, not {expected}")
    return _COUNT / best


def _batches(new_every: int, files: bool) -> list[list[Record]]:
    records = []
    for number in range(_COUNT):
        if files and number % 2:
            attributes = {names.FILE_PATH: f"/var/lib/app/{number}", names.FILE_SIZE: number}
            records.append(Record(1, 1, events.FILE_MODIFIED, 13, "WARN", None, attributes, _RESOURCE))
            continue
        place = number // 2 if files else number
        records.append(_start(1000 + place, word=True) if place % new_every == 0 else _start(place % 400))
    return [records[start : start + _BATCH] for start in range(0, _COUNT, _BATCH)]


def _start(number: int, *, word: bool = False) -> Record:
    name = "".join(chr(97 + number // 26**place % 26) for place in range(4))
    attributes = {
        names.EVENT_ACTION: "exec",
        names.PROCESS_PID: number,
        names.PROCESS_EXECUTABLE_PATH: f"/{'opt' if word else 'usr'}/bin/{name}",
        names.PROCESS_HASH_SHA256: f"{number * 7919:064x}",
        names.PROCESS_PARENT_EXECUTABLE_PATH: f"/usr/bin/parent{chr(97 + number % 20)}",
        names.PROCESS_USER_ID: number % 20,
    }
    return Record(1, 1, events.PROCESS_STARTED, 9, "INFO", None, attributes, _RESOURCE)


def _memory() -> int:
    """Bytes of a memory of 100 000 things that were seen on various days."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    memory = Memory(10 * _ENTRIES, 10)
    host = memory.host("web-1", 0)
    if host is None:
        raise RuntimeError("there is no room for a host")
    for number in range(_ENTRIES):
        memory.see(host, number % 10, key_of([str(number)]), number // (_ENTRIES // 60))
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    if memory.size != _ENTRIES:
        raise RuntimeError(f"{memory.size} things are remembered, not {_ENTRIES}")
    return used


def main() -> None:
    """Prints the table."""
    for row in run():
        print(f"{row.name:44} {row.value:>22} {row.ratio:>8}")


if __name__ == "__main__":
    sys.exit(main())
