"""Many listeners that come and go at once: each is told of once, or a gap says that some were not."""

from __future__ import annotations

import os
import sys
from typing import Any

import pytest

from otel_fim import names
from otel_fim.names import events

_PROCESSES = 4
_EACH = 150
_SCRIPT = """
import socket, sys, time
for _ in range(int(sys.argv[1])):
    made = socket.socket(); made.bind(("127.0.0.1", 0)); made.listen()
    time.sleep(0.004)
    made.close()
"""


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_each_of_many_brief_listeners_is_told_once(host: Any, spawn: Any) -> None:
    host.start(interval="1s")
    running = [spawn(sys.executable, "-c", _SCRIPT, str(_EACH)) for _ in range(_PROCESSES)]
    pids = {each.pid for each in running}
    for each in running:
        assert each.wait(timeout=60) == 0

    def told(event: str) -> int:
        found = [r for r in list(host.records) if r.event_name == event]
        return sum(r.attributes.get(names.PROCESS_PID) in pids for r in found)

    def lost() -> bool:
        return any(g.attributes[names.OTEL_FIM_COVERAGE_REASON] == "queue_overflow" for g in host.gaps())

    whole = _PROCESSES * _EACH
    host.wait(lambda: lost() or told(events.LISTENER_CLOSED) >= whole)
    host.settle()
    assert told(events.LISTENER_OPENED) == told(events.LISTENER_CLOSED)
    assert told(events.LISTENER_OPENED) == whole or (lost() and told(events.LISTENER_OPENED) < whole)
