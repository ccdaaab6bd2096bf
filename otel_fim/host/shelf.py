"""Where the process table keeps its processes: by id and by pid, never more than there is room for."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from otel_fim.host.process import Process

_SLACK: Final = 2
"""The order of ends is sorted anew when it holds this many times what there is room for."""


class Shelf:
    """At most `limit` processes. The ones that ended first make room first, then the running ones that were not asked
    for the longest. Not safe to use from several threads."""

    def __init__(self, limit: int) -> None:
        self.limit = max(1, limit)
        self.evicted = 0
        self.complete_since = 0
        """Processes that ended after this time (ns since the epoch) have not made room."""
        self._running: OrderedDict[str, Process] = OrderedDict()
        self._ended: dict[str, Process] = {}
        self._ends: list[tuple[int, str]] = []
        self._by_pid: dict[int, tuple[str, ...]] = {}

    def __len__(self) -> int:
        return len(self._running) + len(self._ended)

    def get(self, entity: str) -> Process | None:
        """The one with that id."""
        return self._running.get(entity) or self._ended.get(entity)

    def of(self, pid: int) -> list[Process]:
        """Every process that has or had the pid."""
        return [self._running.get(entity) or self._ended[entity] for entity in self._by_pid.get(pid, ())]

    def running(self, pid: int) -> Process | None:
        """The one that has the pid."""
        for entity in self._by_pid.get(pid, ()):
            process = self._running.get(entity)
            if process is not None:
                return process
        return None

    def all_running(self) -> Sequence[Process]:
        return list(self._running.values())

    def all(self) -> Sequence[Process]:
        """Running and ended ones."""
        return [*self._ended.values(), *self._running.values()]

    def use(self, process: Process) -> None:
        """Notes that it was asked for."""
        if process.entity_id in self._running:
            self._running.move_to_end(process.entity_id)

    def put(self, process: Process) -> None:
        """Takes it in, in the place of what was known of it."""
        entity = process.entity_id
        earlier = self._running.pop(entity, None) or self._ended.pop(entity, None)
        if earlier is None:
            self._by_pid[process.pid] = (*self._by_pid.get(process.pid, ()), entity)
        if process.ended_unix_nano is None:
            self._running[entity] = process
        else:
            self._ended[entity] = process
            if earlier is None or earlier.ended_unix_nano != process.ended_unix_nano:
                heapq.heappush(self._ends, (process.ended_unix_nano, entity))
                if len(self._ends) > _SLACK * self.limit + 16:
                    self._sort()
        while len(self) > self.limit:
            self._evict()

    def _evict(self) -> None:
        self.evicted += 1
        while self._ends:
            end, entity = heapq.heappop(self._ends)
            process = self._ended.get(entity)
            if process is not None and process.ended_unix_nano == end:
                del self._ended[entity]
                self.complete_since = max(self.complete_since, end)
                self._forget(process)
                return
        _, process = self._running.popitem(last=False)
        self._forget(process)

    def _forget(self, process: Process) -> None:
        rest = tuple(each for each in self._by_pid[process.pid] if each != process.entity_id)
        if rest:
            self._by_pid[process.pid] = rest
        else:
            del self._by_pid[process.pid]

    def _sort(self) -> None:
        self._ends = [(process.ended_unix_nano or 0, entity) for entity, process in self._ended.items()]
        heapq.heapify(self._ends)
