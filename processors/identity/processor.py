"""Completes records with the process behind them, its parents and the login that it came out of."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from otel_fim import names
from otel_fim.component import Health, Processor, ProcessorContext
from otel_fim.host.identities import Identities
from otel_fim.names import events
from otel_fim.processors.identity.by_program import find_by_program, names_program_only
from otel_fim.processors.identity.config import IdentityConfig
from otel_fim.processors.identity.facts import FactsCache
from otel_fim.processors.identity.families import FAMILIES, Family
from otel_fim.processors.identity.logins import Logins
from otel_fim.processors.identity.lookup import Lookup, pid_of, time_needed
from otel_fim.processors.identity.merge import merge
from otel_fim.processors.identity.waiting import Waiting
from otel_fim.record import Record, Resource

_SUCCESS: Final = "success"


class IdentityProcessor(Processor[IdentityConfig]):
    """Adds to each record of this host that names a pid what the agent's process table knows of that process, when
    it is proven to be the same one. Changes nothing that a receiver has read itself, and no record of another host.
    """

    Config = IdentityConfig

    def __init__(
        self, config: IdentityConfig, context: ProcessorContext, *, clock: Callable[[], int] = time.time_ns
    ) -> None:
        super().__init__(config, context)
        table = self._table = context.processes
        self._clock = clock
        self._identities = Identities()
        self._waiting = Waiting(table, config.patience)
        self._lookup = Lookup(table)
        self._facts = FactsCache(self._identities, config.ancestors)
        self._logins = Logins(table.sessions, self._identities)
        self._own = _speaker(context.resource)
        self._last_resource = context.resource
        self._last_is_own = True

    def start(self) -> None:
        self.context.report(Health.OK, "")

    def stop(self, timeout: float) -> None:
        del timeout
        self._identities.close()

    def process(self, records: list[Record]) -> list[Record]:
        mine = [
            (record, pid)
            for record in records
            if ((pid := pid_of(record)) or names_program_only(record)) and self._is_own(record.resource)
        ]
        if mine:
            now = self._clock()
            self._lookup.begin(now)
            self._waiting.for_time(max(time_needed(record) for record, _ in mine), now)
            for record, pid in mine:
                self._complete(record, pid, now)
        return records

    def _complete(self, record: Record, pid: int, now: int) -> None:
        if pid:
            process = self._lookup.find(record, pid)
        else:
            process = find_by_program(self._table, record, now)
            if process is not None:
                record.attributes[names.PROCESS_PID] = process.pid
        if process is not None:
            merge(record, self._facts.of(process), self._table.is_told(record.time_unix_nano))
        attributes = record.attributes
        if FAMILIES.get(record.event_name) is not Family.LOGIN:
            self._logins.fill(attributes, process)
        elif attributes.get(names.EVENT_OUTCOME) == _SUCCESS:
            is_own = process is not None and self._logins.is_own(attributes, process)
            self._logins.fill(attributes, process if is_own else None)
            if process is not None and record.event_name == events.AUTH_LOGIN:
                self._logins.learn(record, process)

    def _is_own(self, resource: Resource) -> bool:
        """Whether the record is this agent's own: a pid of another host, or container, is another process here."""
        if resource is not self._last_resource:
            self._last_is_own = _speaker(resource) == self._own
            self._last_resource = resource
        return self._last_is_own


def _speaker(resource: Resource) -> tuple[object, object]:
    return resource.attributes.get(names.HOST_ID), resource.attributes.get(names.SERVICE_INSTANCE_ID)
