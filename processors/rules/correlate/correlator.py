"""The engine: events in, in any order within the lateness; findings out, in order of their time."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Final

from otel_fim.names import finding as names
from otel_fim.processors.rules.correlate import snapshot
from otel_fim.processors.rules.correlate.limits import Eviction, StateLimits
from otel_fim.processors.rules.correlate.plan import Feed, Key, Plan, compile_plans
from otel_fim.processors.rules.correlate.replaying import Replaying
from otel_fim.processors.rules.correlate.room import Room
from otel_fim.processors.rules.correlate.taken import Taken
from otel_fim.processors.rules.correlate.texts import shared
from otel_fim.processors.rules.correlate.waiting import RECORDS, Arrivals, Waiting, is_small, size_of
from otel_fim.processors.rules.correlate.windows import Item
from otel_fim.processors.rules.hits import Correlated
from otel_fim.processors.rules.match.view import text_form
from otel_fim.record import Record
from otel_fim.sigma.ir import Rule, RuleSet

AHEAD_NANO: Final = 60 * 10**9
"""How far before the clock, beside the lateness, an event's time may be; a later one is taken as now."""
_LONGEST_UID: Final = 64
_LONGEST_NAME: Final = 256


class Correlator:
    """Runs the correlations of a rule set. For one thread.

    `lateness_nano` is how long events are waited for; `clock` gives the time now, in nanoseconds since the epoch.
    Events are looked at in order of their time: those before the newest one minus the lateness, or, when nothing newer
    comes, those that have been here for the lateness. An event whose time is ahead of the clock does not make others
    late. With a lateness of 0 nothing is waited for; when more of the newest instant comes in the next batch, that
    instant is looked at again.
    """

    def __init__(
        self, ruleset: RuleSet, *, lateness_nano: int, limits: StateLimits, clock: Callable[[], int]
    ) -> None:
        self.late = 0
        """Events that came after their time had been looked at, since the start; they are left out."""
        self._limits = limits
        self._lateness = lateness_nano
        self._again = 0 if lateness_nano else 1
        self._ahead = AHEAD_NANO + lateness_nano
        self._clock = clock
        self._plans, self._feeds = compile_plans(ruleset)
        self._waiting = Waiting()
        self._room = Room(self._plans, limits, self._waiting)
        self._arrivals = Arrivals()
        self._number = 0
        self._now = clock()
        """The latest that the clock has shown."""
        self._newest = 0
        """The time of the newest event."""
        self._horizon = 0
        """No event before this time is looked at any more."""
        self._ready: list[Correlated] = []
        self._taken = Taken(self._now)
        self._restored = False
        self._replaying = Replaying()

    # --- The stream ----------------------------------------------------------------------------------------

    def wants(self, rule_id: str) -> bool:
        """Whether any correlation refers to this rule."""
        return rule_id in self._feeds

    def add(self, rule: Rule, record: Record) -> None:
        """Takes a match; one of a rule that no correlation refers to is ignored. The record is not changed, and
        nothing of it is looked at later."""
        feeds = self._feeds.get(rule.meta.id)
        if feeds is None:
            return
        now = self._clock()
        if now > self._now:
            self._now = now
        elif now < self._now - self._ahead:
            self._clock_was_set_back(now)
        observed = record.observed_time_unix_nano
        time = record.time_unix_nano or observed or now
        if time > now + self._ahead:
            time = now
        uid = record.attributes.get(names.LOG_RECORD_UID, "")
        if not isinstance(uid, str) or len(uid) > _LONGEST_UID or not uid.isascii():
            uid = ""
        if uid:
            self._taken.note(uid, observed or time)
            self._taken.passed(min(observed, now))
        if time < self._horizon:
            self.late += 1
            return
        if time > self._newest:
            self._newest = time
        self._put(feeds, time, uid, record)

    def passed(self, observed: int) -> None:
        """Says that records observed at this time have come by, wanted or not: a replay need not go back far."""
        self._taken.passed(min(observed, self._clock()))

    def _put(self, feeds: list[Feed], time: int, uid: str, record: Record) -> None:
        waiting = self._waiting
        name = record.event_name[:_LONGEST_NAME]
        name = shared(name if name.isascii() else text_form(name))
        most = self._limits.max_bytes
        has_room = len(waiting) < RECORDS and waiting.bytes < most // 8
        kept = record if has_room and is_small(record) else None
        for feed in feeds:
            key = feed.key(record)
            if key is None:
                continue
            value = None
            if feed.value is not None:
                value = feed.value(record)
                if value is None:
                    continue
            self._number += 1
            size = size_of(key, kept)
            waiting.put(Item(time, uid, self._number, feed, key, value, name, kept, 1, size))
        if waiting.bytes > most // 4:
            self._hurry()
        if self._room.bytes > most:
            self._room.keep_to_limits(self._horizon)

    def due(self) -> list[Correlated]:
        """The findings that need no more waiting, of correlations that make findings of their own. To be called after
        each batch, and once a second while nothing comes."""
        now = self._clock()
        if now > self._now:
            self._now = now
        elif now < self._now - self._ahead:
            self._clock_was_set_back(now)
        if self._newest:
            self._arrivals.note(now, self._newest)
        waited = self._arrivals.until(now, self._lateness)
        self._advance(max(waited, min(self._newest, now) - self._lateness))
        self._room.sweep(self._horizon)
        self._taken.tidy()
        return self._give()

    def flush(self) -> list[Correlated]:
        """The findings of all that was added, without waiting. What comes later for a time before the newest event is
        late."""
        self._advance(self._newest + 1)
        return self._give()

    def evictions(self) -> list[Eviction]:
        """What the limits (or a clock that was set back) cost since the last call."""
        return self._room.evictions()

    @property
    def groups(self) -> int:
        """Groups that have a window."""
        return self._room.groups

    @property
    def waiting(self) -> int:
        """Events that wait for stragglers, one for each correlation that they count in."""
        return len(self._waiting)

    @property
    def memory_bytes(self) -> int:
        """What the state takes in memory, about."""
        return self._room.bytes

    # --- Looking at events ---------------------------------------------------------------------------------

    def _advance(self, horizon: int) -> None:
        """Looks at everything before `horizon`."""
        if horizon <= self._horizon:
            return
        # Without lateness the rest of an instant may come behind it: clocks of logs often tell seconds only.
        self._horizon = horizon - self._again
        take, look = self._waiting.take, self._room.look
        while items := take(horizon):
            if len(items) > 1:
                self._instant(items)
                continue
            # One event at this instant, as nearly always.
            item = items[0]
            plan = item.feed.plan
            found = look(plan, item.key, item.time, items)
            if found is not None:
                todo: dict[int, dict[Key, list[Item]]] = {}
                self._found(plan, found, todo)
                self._look_at_all(item.time, todo)

    def _instant(self, items: list[Item]) -> None:
        todo: dict[int, dict[Key, list[Item]]] = {}
        for item in items:
            todo.setdefault(item.feed.plan.index, {}).setdefault(item.key, []).append(item)
        self._look_at_all(items[0].time, todo)

    def _look_at_all(self, time: int, todo: dict[int, dict[Key, list[Item]]]) -> None:
        """Looks at the groups of one instant; a correlation comes after all that it refers to."""
        indexes = list(todo)
        heapify(indexes)
        while indexes:
            plan = self._plans[heappop(indexes)]
            for key, items in todo.pop(plan.index).items():
                found = self._room.look(plan, key, time, items)
                if found is not None:
                    for index in self._found(plan, found, todo):
                        heappush(indexes, index)

    def _found(self, plan: Plan, found: Correlated, todo: dict[int, dict[Key, list[Item]]]) -> list[int]:
        """Hands a finding on to the correlations that refer to it; gives those that have more to do now."""
        if plan.correlation.emits:
            self._ready.append(found)
        new = []
        for feed in plan.outers:
            value = feed.value_of(found.group)
            if feed.value is not None and value is None:
                continue
            key = feed.key_of(found.group)
            item = Item(
                found.time_unix_nano, found.evidence, 0, feed, key, value, "", found.last, found.count, 0
            )
            if feed.plan.index not in todo:
                new.append(feed.plan.index)
            todo.setdefault(feed.plan.index, {}).setdefault(key, []).append(item)
        return new

    def _give(self) -> list[Correlated]:
        found, self._ready = self._ready, []
        return self._replaying.new(found, self._horizon)

    # --- Bounds --------------------------------------------------------------------------------------------

    def _hurry(self) -> None:
        """Too much waits: the oldest is looked at before its time."""
        enough = self._limits.max_bytes // 5
        waiting = self._waiting
        while waiting.bytes > enough and (time := waiting.first_time()) is not None:
            self._advance(time + 1)

    def _clock_was_set_back(self, now: int) -> None:
        """Events were looked at up to a time that lies ahead now; without this, all would be late until then."""
        self._advance(self._newest + 1)
        horizon = now - self._lateness
        self._room.give_up_after(horizon)
        self._now = now
        self._newest = self._horizon = horizon
        self._arrivals.clear()
        self._taken.set_back(now)

    # --- Restarts ------------------------------------------------------------------------------------------

    def state(self) -> bytes:
        """Everything that is remembered, compressed.

        Findings that `due` gave are not in it, so it is to be taken when those are in the journal: before `due` is
        called again, not after.
        """
        return snapshot.dump(
            snapshot.State(
                self._now,
                self._newest,
                self._horizon,
                self._taken.since,
                self._taken.uids,
                self._waiting.items(),
                self._ready,
                self._room.stores,
            )
        )

    def restore(self, state: bytes) -> list[str]:
        """Goes on from `state`: each correlation whose definition, with all that it refers to, is still the same. Gives
        the ids of those in the state that begin anew. For a correlator that has taken nothing yet.

        Raises `StateError` when the bytes are no state; the correlator is then as before.
        """
        stores = self._room.empty_stores(self._plans)
        found, forgotten = snapshot.load(state, stores, self._feeds)
        self._now = max(self._now, found.now)
        self._newest, self._horizon = found.newest, found.horizon
        self._taken.since, self._taken.uids = found.since, found.uids
        self._replaying.known = frozenset(found.uids)
        self._ready = found.ready
        self._number = len(found.waiting)
        for item in found.waiting:
            self._waiting.put(item)
        self._restored = True
        self._room.use(stores)
        return forgotten

    @property
    def reach_nano(self) -> int:
        """How far back the oldest event can lie that matters now."""
        reach: list[int] = []
        inner: dict[str, int] = {}
        for plan in self._plans:
            behind = max([inner.get(each, 0) for each in plan.correlation.rules], default=0)
            inner[plan.correlation.meta.id] = plan.span + behind
            reach.append(plan.span + behind)
        return max(reach, default=0) + self._lateness

    @property
    def replay_from(self) -> int:
        """Records that were observed at this time (nanoseconds since the epoch) or later may be missing in the restored
        state: what the journal has of them is to be replayed. Without a restored state it is as far back as windows
        reach."""
        return self._taken.since if self._restored else max(0, self._clock() - self.reach_nano)

    def replay(self, rule: Rule, record: Record) -> None:
        """As `add`, for a match of a record from the journal: one that is in the state already does not count again."""
        if self._replaying.counts(record.attributes.get(names.LOG_RECORD_UID)):
            self.add(rule, record)
            if self._replaying.is_time_to_look():
                self._look_while_replaying()

    def told(self, correlation_id: str, time_unix_nano: int, group: tuple[str, ...]) -> None:
        """Says, while replaying, that the journal has this finding: it will not be made again."""
        self._replaying.tell(correlation_id, time_unix_nano, group)

    def replayed(self) -> list[Correlated]:
        """Ends a replay: the findings that were due before and are not in the journal. What was still waited for is
        waited for again."""
        self._look_while_replaying()
        return self._replaying.end()

    def _look_while_replaying(self) -> None:
        """Time goes on by what the records say alone, as it did when they came."""
        self._advance(min(self._newest, self._now) - self._lateness)
        self._replaying.keep(self._ready)
        self._ready = []
