"""Rules and correlations on a stream of records: records in, what was found out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from functools import partial

from otel_fim import names
from otel_fim.names import events
from otel_fim.processors.rules.correlate import Correlator, Eviction, StateLimits
from otel_fim.processors.rules.findings import group_of
from otel_fim.processors.rules.hits import Correlated, Hit
from otel_fim.processors.rules.match import Failure, compile_rules
from otel_fim.record import Record
from otel_fim.sigma.ir import Rejected, RuleSet
from otel_fim.ulid import Uids


class Engine:
    """Runs a rule set. For one thread.

    `timezone` is where hours and weekdays are taken, `lateness_nano` how long correlations wait for stragglers, `clock`
    gives the time now in nanoseconds since the epoch. What is found of rules and correlations that do not emit is not
    given out. A record that a rule matched gets a `log.record.uid`, if it has none.
    """

    def __init__(
        self,
        ruleset: RuleSet,
        *,
        timezone: str = "UTC",
        lateness_nano: int = 0,
        limits: StateLimits | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """Raises `ValueError` for a time zone that this host does not know."""
        self._begin = partial(
            Correlator,
            ruleset,
            lateness_nano=lateness_nano,
            limits=StateLimits() if limits is None else limits,
            clock=clock,
        )
        self._correlator = self._begin()
        self._wanted = frozenset(
            rule.meta.id for rule in ruleset.rules if self._correlator.wants(rule.meta.id)
        )
        self._matcher = compile_rules(
            [rule for rule in ruleset.rules if rule.emits or rule.meta.id in self._wanted], timezone=timezone
        )
        self._has_correlations = bool(ruleset.correlations)
        self.is_changed = False
        """Whether correlations took or found anything since this was last set to false."""
        self.uids = Uids(clock)
        """Gives the ids of records and findings."""

    def anew(self) -> Engine:
        """An engine for the same rules that remembers nothing. What was compiled is shared, so it costs little."""
        engine = copy(self)
        engine._correlator = self._begin()
        engine.is_changed = False
        return engine

    @property
    def rejected(self) -> Sequence[Rejected]:
        """Rules that could not be compiled."""
        return self._matcher.rejected

    # --- The stream ----------------------------------------------------------------------------------------

    def process(self, records: Sequence[Record]) -> list[Hit | Correlated]:
        """What the records show: hits in their order, then correlations that became due."""
        found: list[Hit | Correlated] = []
        match, wanted = self._matcher.match, self._wanted
        for record in records:
            matched = match(record)
            if not matched:
                continue
            if not record.attributes.get(names.LOG_RECORD_UID):
                record.attributes[names.LOG_RECORD_UID] = self.uids.next()
            for rule in matched:
                if rule.meta.id in wanted:
                    self._correlator.add(rule, record)
                    self.is_changed = True
                if rule.emits:
                    found.append(Hit(rule, record))
        if records and self._has_correlations:
            self._correlator.passed(records[-1].observed_time_unix_nano)
        found += self.tick()
        return found

    def tick(self) -> list[Correlated]:
        """Correlations that became due with time."""
        if not self._has_correlations:
            return []
        found = self._correlator.due()
        self.is_changed = self.is_changed or bool(found)
        return self._emitted(found)

    def flush(self) -> list[Correlated]:
        """Everything that waits for stragglers is looked at now."""
        return self._emitted(self._correlator.flush()) if self._has_correlations else []

    # --- What is to be told --------------------------------------------------------------------------------

    @property
    def late(self) -> int:
        """Events that came too late for their windows, since the start."""
        return self._correlator.late

    def evictions(self) -> list[Eviction]:
        """What correlations had to forget since the last call."""
        return self._correlator.evictions() if self._has_correlations else []

    def failures(self) -> list[Failure]:
        """Rules that failed since the last call."""
        return self._matcher.take_failures()

    # --- Restarts ------------------------------------------------------------------------------------------

    @property
    def has_state(self) -> bool:
        """Whether there is anything to remember: without correlations there is not."""
        return self._has_correlations

    def state(self) -> bytes:
        """What correlations remember."""
        return self._correlator.state()

    def restore(self, state: bytes) -> list[str]:
        """Goes on from `state`; gives the ids of the correlations in it that begin anew, because they, or what they
        refer to, are not the same any more. Raises `correlate.StateError`, and the engine is then as before."""
        return self._correlator.restore(state)

    @property
    def replay_from(self) -> int:
        """What was observed at this time (nanoseconds since the epoch) or later may be missing in the state."""
        return self._correlator.replay_from

    def replay(self, records: Iterable[Record]) -> list[Correlated]:
        """Takes what the journal has since `replay_from`, in its order: events that the state lacks, and findings that
        were made. Gives the findings that should have been made and are not there."""
        for record in records:
            if record.event_name == events.FINDING:
                told = group_of(record)
                if told is not None:
                    self._correlator.told(*told)
                continue
            for rule in self._matcher.match(record):
                if rule.meta.id in self._wanted:
                    self._correlator.replay(rule, record)
        return self._emitted(self._correlator.replayed())

    @staticmethod
    def _emitted(found: Sequence[Correlated]) -> list[Correlated]:
        return [each for each in found if each.correlation.emits]
