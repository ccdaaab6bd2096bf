"""Appends, reads, compresses and retains until it is killed; says on stdout what it knows to be safe.

a N    records up to N are durable           c N    records up to N are acknowledged by the reader
"""

from __future__ import annotations

import logging
import os
import random
import sys
import threading
from pathlib import Path

from otel_fim.journal import Journal, JournalReader
from otel_fim.journal.config import JournalConfig
from otel_fim.record import Record


def say(text: str) -> None:
    """One write: a line is there whole or not at all."""
    os.write(1, text.encode() + b"\n")


def deliver(reader: JournalReader, source: random.Random) -> None:
    while True:
        batch = reader.read(source.randint(1, 200), 2**20, 60.0)
        if batch is not None:
            reader.acknowledge(batch)
            say(f"c {batch.records[-1].attributes['number']}")


def main(directory: str, seed: str) -> None:
    source = random.Random(seed)
    config = JournalConfig.model_validate(
        {
            "segment_size": source.choice([4096, 30_000, 10**6]),
            "sync_interval": source.choice([0.0, 0.005, 0.05]),
            "sync_records": source.choice([1, 50, 1000]),
            "retention": {"max_bytes": 10**9},
        }
    )
    journal = Journal.open(Path(directory), config, logger=logging.getLogger())
    newest = journal.last_record()
    number = int(str(newest.attributes["number"])) + 1 if newest is not None else 1
    say("ready")
    threading.Thread(target=deliver, args=(journal.reader("r"), random.Random(seed)), daemon=True).start()
    while True:
        count = source.choice([1, 1, 5, 100, 1500])
        body = "x" * source.choice([0, 10, 1000])
        records = [Record(body=body, attributes={"number": n}) for n in range(number, number + count)]
        number += count
        journal.append(records, on_durable=lambda last=number - 1: say(f"a {last}"))  # type: ignore[misc]


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
