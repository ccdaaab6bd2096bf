"""All groups of all correlations, within their bounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from otel_fim.processors.rules.correlate.limits import Cause, Eviction, StateLimits
from otel_fim.processors.rules.correlate.plan import Key, Plan
from otel_fim.processors.rules.correlate.store import Store, Totals
from otel_fim.processors.rules.correlate.waiting import Waiting
from otel_fim.processors.rules.correlate.windows import Item
from otel_fim.processors.rules.hits import Correlated

EVIDENCE: Final = 100
_LEAST_EVIDENCE: Final = 6


class Room:
    """The stores of the plans, which together with what waits keep to the limits."""

    def __init__(self, plans: Sequence[Plan], limits: StateLimits, waiting: Waiting) -> None:
        self._limits = limits
        self._waiting = waiting
        self._evidence = EVIDENCE
        """How many records of evidence groups keep; fewer when there is little room."""
        self._evicted: dict[tuple[str, Cause], int] = {}
        self._totals = Totals()
        self.stores: list[Store] = []
        self.use(self.empty_stores(plans))

    def empty_stores(self, plans: Sequence[Plan]) -> list[Store]:
        """Stores to be filled and then given to `use`."""
        totals = Totals()
        return [Store(plan, totals, self._limits.max_events_per_group) for plan in plans]

    def use(self, stores: list[Store]) -> None:
        """Goes on with other stores, as far as the limits allow."""
        self.stores = stores
        if stores:
            self._totals = stores[0].totals
        self.keep_to_limits(0)

    @property
    def groups(self) -> int:
        """Groups that have a window."""
        return self._totals.groups

    @property
    def bytes(self) -> int:
        """What they weigh together with what waits."""
        return self._totals.bytes + self._waiting.bytes

    def look(self, plan: Plan, key: Key, time: int, items: Sequence[Item]) -> Correlated | None:
        """See `Store.look`."""
        found = self.stores[plan.index].look(key, time, items, self._evidence)
        totals, limits = self._totals, self._limits
        if totals.groups > limits.max_groups or totals.bytes + self._waiting.bytes > limits.max_bytes:
            self.keep_to_limits(time)
        return found

    def sweep(self, before: int) -> None:
        """Lets go of groups whose window is over at `before`, when no event will come before that; and lets evidence
        be longer again when there is room."""
        for store in self.stores:
            store.sweep(before)
        if self._evidence < EVIDENCE and self.bytes < self._limits.max_bytes // 2:
            self._evidence = min(EVIDENCE, 2 * self._evidence)

    def keep_to_limits(self, before: int) -> None:
        """Gives up what is too much; no event will come before `before`."""
        limits = self._limits
        if self.groups <= limits.max_groups and self.bytes <= limits.max_bytes:
            return
        for store in self.stores:
            store.sweep(before)
        while self.bytes > limits.max_bytes and self._evidence > _LEAST_EVIDENCE:
            self._evidence = max(_LEAST_EVIDENCE, self._evidence // 2)
            for store in self.stores:
                store.trim(self._evidence)
        if self.groups > limits.max_groups:
            self._evict(Cause.GROUPS, max(0, _eased(limits.max_groups)))
        if self.bytes > limits.max_bytes:
            self._evict(Cause.BYTES, _eased(limits.max_bytes))

    def give_up_after(self, time: int) -> None:
        """The clock was set back: gives up the groups that have events after this time."""
        for store in self.stores:
            lost = store.give_up_after(time)
            if lost:
                self._lost(store, Cause.CLOCK, lost)

    def evictions(self) -> list[Eviction]:
        """What was given up since the last call."""
        for store in self.stores:
            if store.cut:
                self._lost(store, Cause.EVENTS, store.cut)
                store.cut = 0
        found = [Eviction(rule_id, count, cause) for (rule_id, cause), count in self._evicted.items()]
        self._evicted.clear()
        return found

    def _evict(self, cause: Cause, enough: int) -> None:
        while self.groups and (self.groups if cause is Cause.GROUPS else self.bytes) > enough:
            if cause is Cause.GROUPS:
                store = max(self.stores, key=lambda each: len(each.windows))
            else:
                store = max(self.stores, key=lambda each: each.bytes)
            store.evict()
            self._lost(store, cause, 1)

    def _lost(self, store: Store, cause: Cause, groups: int) -> None:
        at = store.plan.correlation.meta.id, cause
        self._evicted[at] = self._evicted.get(at, 0) + groups


def _eased(bound: int) -> int:
    """What is left of a bound that was reached: room for some that come next, so that not each has to make its own."""
    return bound - bound // 100
