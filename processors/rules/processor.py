"""Runs rules and correlations on the pipeline's records, and adds what they find."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from otel_fim.component import Health, Processor, ProcessorContext
from otel_fim.names import metrics
from otel_fim.pipeline.coverage import component_coverage
from otel_fim.processors.rules.config import RulesConfig
from otel_fim.processors.rules.correlate import Cause
from otel_fim.processors.rules.engine import Engine
from otel_fim.processors.rules.findings import Findings
from otel_fim.processors.rules.hits import Correlated, Hit
from otel_fim.processors.rules.loading import load_engine
from otel_fim.processors.rules.remembering import Remembering
from otel_fim.record import Record

_TELL_SECONDS: Final = 60.0
"""So often what correlations had to forget is put into a record, at most."""
_CAUSES: Final = {
    Cause.GROUPS: "there were more groups than max_groups",
    Cause.BYTES: "they took more than max_state_bytes",
    Cause.EVENTS: "a window had more events than can be held, and the oldest were left out",
    Cause.CLOCK: "the host's clock was set back",
}


class RulesProcessor(Processor[RulesConfig]):
    """Passes all records on, with an `otel_fim.finding` behind them for each rule and correlation that they meet."""

    Config = RulesConfig

    def __init__(
        self,
        config: RulesConfig,
        context: ProcessorContext,
        *,
        clock: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(config, context)
        self._clock = clock
        self._monotonic = monotonic
        self._remembering = Remembering(context, self._lost, clock=monotonic)
        self._due: list[Record] = []
        self._evicted: Counter[tuple[str, Cause]] = Counter()
        self._told_at = -_TELL_SECONDS
        self._late = 0
        self._engine: Engine | None = None
        self._findings: Findings | None = None

    def start(self) -> None:
        """Loads the rules and goes on from what correlations remember. Raises `StartError`."""
        engine = load_engine(self.config, self.context, self._clock)
        self._findings = Findings(engine.uids, self.context.scope, self.context.resource, self._clock)
        self._due += self._records(self._remembering.take_up(engine))
        self._engine = engine
        self.context.report(Health.OK, "")

    def stop(self, timeout: float) -> None:
        del timeout
        if self._engine is not None:
            self._remembering.save(self._engine)

    def process(self, records: list[Record]) -> list[Record]:
        if self._engine is None:
            raise RuntimeError("the rules have not been started")
        found = self._records(self._engine.process(records))
        return records + self._take_due() + found if found or self._due else records

    def tick(self) -> list[Record]:
        engine = self._engine
        if engine is None:
            return []
        if not self._due:
            # Before anything new is found: what was found before is in the journal now, and a finding that is not
            # must not be in the state either, or a kill in between would take it.
            self._remembering.save_if_due(engine)
        found = self._records(engine.tick())
        self._tell_failures(engine)
        self._tell_evictions(engine)
        if engine.late > self._late:
            self.context.count(metrics.RULES_LATE_EVENTS, engine.late - self._late)
            self._late = engine.late
        return self._take_due() + found

    def _take_due(self) -> list[Record]:
        due, self._due = self._due, []
        return due

    def _records(self, found: Sequence[Hit | Correlated]) -> list[Record]:
        if not found or self._findings is None:
            return []
        for each in found:
            meta = each.rule.meta if isinstance(each, Hit) else each.correlation.meta
            self.context.count(metrics.RULES_FINDINGS, level=str(meta.level))
        return [self._findings.of(each) for each in found]

    # --- What went wrong -----------------------------------------------------------------------------------

    def _tell_failures(self, engine: Engine) -> None:
        for failure in engine.failures():
            meta = failure.rule.meta
            message = f"{meta.path or meta.id}: rule {meta.title!r} failed on a record: {failure.error}"
            self.context.logger.error(message)
            if failure.is_disabled:
                message = f"rule {meta.title!r} ({meta.id}) failed too often and is disabled: {failure.error}"
                self.context.logger.error(message)
                self.context.report(Health.RECOVERABLE_ERROR, message)

    def _tell_evictions(self, engine: Engine) -> None:
        for eviction in engine.evictions():
            self._evicted[eviction.correlation_id, eviction.cause] += eviction.groups
            self.context.count(metrics.RULES_EVICTED_GROUPS, eviction.groups, cause=str(eviction.cause))
        now = self._monotonic()
        if not self._evicted or now - self._told_at < _TELL_SECONDS:
            return
        self._told_at = now
        evicted, self._evicted = self._evicted, Counter()
        by_cause: dict[Cause, list[str]] = {}
        for (correlation_id, cause), groups in evicted.items():
            by_cause.setdefault(cause, []).append(f"{groups} of {correlation_id}")
        for cause, told in by_cause.items():
            self._gap(
                "state_limit", f"groups of correlations were forgotten: {_CAUSES[cause]} ({', '.join(told)})"
            )

    def _lost(self, detail: str) -> None:
        self._gap("state_lost", detail)

    def _gap(self, reason: str, detail: str) -> None:
        now = self._clock()
        self.context.count(metrics.COVERAGE_GAPS, reason=reason)
        self._due.append(component_coverage(self.context, reason, detail, now, now))
