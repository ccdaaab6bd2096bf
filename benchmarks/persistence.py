"""The persistence receiver on this host: `python -m benchmarks.persistence`. As root for all of it.

- A cold scan: every kind reads every file.
- An idle rescan: nothing has changed; what the receiver costs every `interval`. The peer is `find` listing the same
  places, which looks at the same directories and reads no file.
- A file event: from the record of the file integrity receiver to the record of persistence, without the debounce.
"""

from __future__ import annotations

import logging
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from otel_fim import names
from otel_fim.component import Health, ReceiverContext
from otel_fim.names import events
from otel_fim.receivers.persistence.config import PersistenceConfig
from otel_fim.receivers.persistence.engine import Engine
from otel_fim.receivers.persistence.hosts import Host
from otel_fim.receivers.persistence.kinds import all_kinds
from otel_fim.receivers.persistence.state import State
from otel_fim.record import Record, Resource, Scope

_ROUNDS: Final = 15
_WITHOUT: Final = ("special_bits",)
"""Walks whole file systems at its own slow pace: not what a scan costs."""


def _timed(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _engine(directory: Path, root: str, told: list[Record], **settings: Any) -> Engine:
    resource = Resource()

    def emit(records: Sequence[Record], on_durable: Callable[[], None] | None = None) -> None:
        told.extend(records)
        if on_durable is not None:
            on_durable()

    def report(health: Health, text: str) -> None:
        del health, text

    def count(*_: object, **__: object) -> None:
        pass

    context = ReceiverContext(
        id="persistence",
        kind="persistence",
        state_directory=directory,
        service_directory=directory,
        agent_directories=(),
        resource=resource,
        scope=Scope(),
        logger=logging.getLogger("benchmark"),
        report=report,
        count=count,
        emit=emit,
    )
    config = PersistenceConfig(root=root, exclude_kinds=list(_WITHOUT), **settings)
    kinds = [make() for name, make in all_kinds().items() if name not in _WITHOUT]
    return Engine(config, context, kinds, State(directory / "persistence.db"))


def _find(engine: Engine) -> float:
    """`find` over the places of all kinds that exist."""
    host = Host()
    places = {
        os.fsdecode(place.path)
        for kind in engine._kinds.values()
        for place in kind.places(host)
        if os.path.lexists(place.path)
    }
    command = ["find", *sorted(places), "-printf", "%p %s %C@\\n"]
    return min(
        _timed(lambda: subprocess.run(command, stdout=subprocess.DEVNULL, check=False)) for _ in range(5)
    )


def main() -> None:
    """Prints the table."""
    logging.getLogger("benchmark").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="otel-fim-bench-") as place:
        directory = Path(place)
        told: list[Record] = []
        engine = _engine(directory, "/", told)
        cold = _timed(engine.first_scan)
        items = sum(len(engine._book.known(name)) for name in engine._kinds)
        files = engine._reader.files_read
        # What has only just changed is read again: let it age.
        time.sleep(2.5)
        engine.scan()
        engine.look_at_what_waits()
        start = time.process_time()
        idle = [_timed(engine.scan) for _ in range(_ROUNDS)]
        processor = (time.process_time() - start) / _ROUNDS
        peer = _find(engine)
        shares = {}
        for name, kind in engine._kinds.items():
            shares[name] = min(_timed(lambda kind=kind: engine._comparer.read(kind)) for _ in range(5))
        engine.stop(1)

        root = directory / "root"
        (root / "etc/cron.d").mkdir(parents=True)
        state = directory / "state"
        state.mkdir()
        small = _engine(state, str(root), told)
        small.first_scan()
        told.clear()
        latencies = []
        for number in range(50):
            path = root / f"etc/cron.d/job{number}"
            path.write_text("17 * * * * root /usr/local/bin/backup\n")
            record = Record(
                event_name=events.FILE_CREATED, attributes={names.FILE_PATH: str(path)}, resource=Resource()
            )
            start = time.perf_counter()
            small.heard([record])
            small.look_at_what_waits()
            latencies.append(time.perf_counter() - start)
        assert len(told) == 50
        small.stop(1)

    interval = PersistenceConfig().interval
    print(f"{items} items of {len(shares)} kinds, {files} files read")
    print(f"cold scan                     {cold * 1e3:9.1f} ms")
    median = statistics.median(idle)
    print(f"idle rescan, median           {median * 1e3:9.1f} ms  {peer / median:5.2f}× find")
    print(f"idle rescan, processor        {processor * 1e3:9.1f} ms")
    print(f"find over the same places     {peer * 1e3:9.1f} ms")
    print(f"of one core, every {interval:.0f} s     {100 * processor / interval:9.4f} %")
    print(f"file event to record, median  {statistics.median(latencies) * 1e3:9.2f} ms")
    for name, seconds in sorted(shares.items(), key=lambda each: -each[1])[:8]:
        print(f"  {name:27} {seconds * 1e3:9.2f} ms")


if __name__ == "__main__":
    main()
