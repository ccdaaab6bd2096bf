"""Says of users, programs, sockets and what starts by itself whether the host has seen them before."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from otel_fim import names
from otel_fim.component import Health, Processor, ProcessorContext, StartError
from otel_fim.names import NOVELTY_KINDS, metrics
from otel_fim.pipeline.coverage import component_coverage
from otel_fim.processors.novelty import codec
from otel_fim.processors.novelty.config import NoveltyConfig
from otel_fim.processors.novelty.kinds import FREQUENT, LOOK, SCAN, TEACHING, Seen, entities
from otel_fim.processors.novelty.memory import DAY_SECONDS, NEVER, WINDOW_DAYS, Host, Memory, key_of
from otel_fim.record import Record, Resource
from otel_fim.state_file import DamagedStateError, Saver, StateFile

STATE_FILE: Final = "novelty.state"
_ATTRIBUTES: Final = (
    names.OTEL_FIM_NOVELTY_FIRST_SEEN,
    names.OTEL_FIM_NOVELTY_RARE,
    names.OTEL_FIM_NOVELTY_LEARNING,
)
_LONGEST_HOST: Final = 255
_TOLD_HOSTS: Final = 10
_SAVE_SECONDS: Final = 60.0
_SAVE_UNCHANGED_SECONDS: Final = 900.0
"""Without anything new only the time that the agent ran is to be saved: being a little late with it costs nothing."""


class NoveltyProcessor(Processor[NoveltyConfig]):
    """Adds `otel_fim.novelty.*` to records of logins, use of rights, programs, listeners and persistence, and leaves
    all others alone. Records that another agent judged before are learnt from and not judged again."""

    Config = NoveltyConfig

    def __init__(
        self,
        config: NoveltyConfig,
        context: ProcessorContext,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(config, context)
        self._clock = clock
        self._began = clock()
        self._ran_before = 0
        self._wanted = [kind in config.kinds for kind in NOVELTY_KINDS]
        self._file = StateFile(context.state_directory / STATE_FILE, "novelty", codec.VERSION)
        self._saver = Saver(self._file, context, _SAVE_SECONDS, clock=clock)
        self._memory = self._new_memory()
        self._is_started = False
        self._due: list[Record] = []
        self._refused_day = NEVER
        self._resource: Resource | None = None
        self._host: Host | None = None

    def _new_memory(self) -> Memory:
        return Memory(self.config.max_entries, self.config.max_hosts, self._wanted)

    # --- Start and stop ------------------------------------------------------------------------------

    def start(self) -> None:
        """Goes on from what was learnt. Raises `StartError` when that is there and cannot be read."""
        try:
            content = self._file.read()
            if content is not None:
                self._take_up(content)
        except DamagedStateError as error:
            self._start_anew(str(error))
        self._is_started = True
        self.context.report(Health.OK, "")

    def _take_up(self, content: bytes) -> None:
        try:
            self._ran_before = codec.load(content, self._memory, NOVELTY_KINDS)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
            raise DamagedStateError(f"{type(error).__name__}: {error}") from error
        self._began = self._clock()
        self._memory.fit_hosts()
        for host in self._memory.hosts.values():
            for index, is_wanted in enumerate(self._wanted):
                if not is_wanted:
                    # Not looked at from now on: when it is wanted again, it is learnt again.
                    host.begun[index] = NEVER
                elif host.begun[index] == NEVER:
                    host.begun[index] = self._ran_before
        self._tell_evictions()

    def _start_anew(self, reason: str) -> None:
        try:
            aside = self._file.set_aside()
        except OSError as error:
            raise StartError(
                f"{self._file.path}: the state is damaged ({reason}) and cannot be moved away: {error.strerror}; "
                "move it away to start anew"
            ) from error
        self._memory = self._new_memory()
        self._ran_before = 0
        message = (
            f"what was learnt of each host is damaged ({reason}) and was set aside as {aside.name}; learning starts "
            "anew, and until it is over nothing is called new or rare"
        )
        self.context.logger.error("%s: %s", self._file.path, message)
        self._gap("state_lost", message)

    def stop(self, timeout: float) -> None:
        del timeout
        if self._is_started:
            self._saver.save(self._content())

    def _content(self) -> bytes:
        return codec.dump(self._memory, self._now(), NOVELTY_KINDS)

    def _now(self) -> int:
        """Seconds that the agent has run since the state began: no clock can turn it back or push it on."""
        return self._ran_before + max(0, int(self._clock() - self._began))

    # --- Records -------------------------------------------------------------------------------------

    def process(self, records: list[Record]) -> list[Record]:
        now = self._now()
        for record in records:
            look = LOOK.get(record.event_name)
            if look is None:
                continue
            seen = look(record.attributes)
            if seen is None:
                continue
            host = self._host_of(record.resource, now)
            if host is None:
                continue
            if now >= host.cache_until:
                self._renew_cache(host, now)
            rare = host.cache.get(seen)
            if rare is None:
                self._judge(record, host, seen, now)
            elif rare and not _is_settled(record):
                record.attributes.setdefault(names.OTEL_FIM_NOVELTY_RARE, list(rare))
        return records

    def tick(self) -> list[Record]:
        self._tell_evictions()
        if self._saver.is_due and (
            self._memory.is_changed or self._saver.elapsed() >= _SAVE_UNCHANGED_SECONDS
        ):
            self._memory.is_changed = False
            self._saver.hold(self._content())
        if self._saver.write_held() is False:
            self._memory.is_changed = True
        due, self._due = self._due, []
        return due

    def _host_of(self, resource: Resource, now: int) -> Host | None:
        if resource is not self._resource or self._host is None:
            name = resource.attributes.get(names.HOST_NAME) or resource.attributes.get(names.HOST_ID) or ""
            self._host = self._memory.host(str(name)[:_LONGEST_HOST], now)
            self._resource = resource
            if self._host is None:
                self._refuse(now // DAY_SECONDS)
                return None
        self._host.last = now
        return self._host

    def _refuse(self, day: int) -> None:
        if self._refused_day != day:
            self._refused_day = day
            self._gap(
                "state_limit",
                f"there are more than {self.config.max_hosts} hosts (max_hosts): on the others nothing is called new",
            )

    def _renew_cache(self, host: Host, now: int) -> None:
        """Empties the host's cache when the day or the learning of a kind is over."""
        host.cache.clear()
        ends = (begun + int(self.config.learning_period) for begun in host.begun if begun != NEVER)
        next_day = (now // DAY_SECONDS + 1) * DAY_SECONDS
        host.cache_until = min((end for end in ends if end > now), default=next_day)
        host.cache_until = min(host.cache_until, next_day)

    # --- Judging -------------------------------------------------------------------------------------

    def _judge(self, record: Record, host: Host, seen: Seen, now: int) -> None:
        memory, day = self._memory, now // DAY_SECONDS
        first: list[str] = []
        rare: list[str] = []
        rare_next: list[str] = []
        uncertain: list[str] = []
        is_learning = False
        for index, parts in entities(seen):
            if not self._wanted[index]:
                continue
            kind = NOVELTY_KINDS[index]
            if not host.things[index] and host.evicted[index] == NEVER and kind in FREQUENT:
                host.begun[index] = now
                host.cache_until = min(host.cache_until, now + int(self.config.learning_period))
            days = memory.see(host, index, key_of(parts), day)
            known_for = now - host.begun[index]
            is_learnt = known_for >= self.config.learning_period
            if is_learnt and self._is_rare(days, known_for):
                rare_next.append(kind)
                if days:
                    rare.append(kind)
            if days:
                continue
            if not is_learnt:
                is_learning = True
                continue
            first.append(kind)
            if host.evicted[index] != NEVER and day - host.evicted[index] <= WINDOW_DAYS:
                uncertain.append(kind)
        # What was new a moment ago is rare from now on.
        memory.cache(host, seen, tuple(rare_next))
        if _is_settled(record):
            return
        attributes = record.attributes
        if first:
            attributes[names.OTEL_FIM_NOVELTY_FIRST_SEEN] = first
        if uncertain:
            attributes[names.OTEL_FIM_NOVELTY_UNCERTAIN] = uncertain
        if rare:
            attributes[names.OTEL_FIM_NOVELTY_RARE] = rare
        if is_learning:
            attributes[names.OTEL_FIM_NOVELTY_LEARNING] = True

    def _is_rare(self, days: int, known_for: int) -> bool:
        rare_days = self.config.rare_days
        return rare_days > 0 and days <= rare_days and known_for // DAY_SECONDS > 2 * rare_days

    # --- What had to be forgotten --------------------------------------------------------------------

    def _tell_evictions(self) -> None:
        memory = self._memory
        if not memory.evicted:
            return
        evicted, memory.evicted = memory.evicted, {}
        for kind, count in evicted.items():
            self.context.count(metrics.NOVELTY_EVICTED, count, kind=kind)
        if memory.forgotten:
            forgotten, memory.forgotten = memory.forgotten, []
            more = f" and {len(forgotten) - _TOLD_HOSTS} others" if len(forgotten) > _TOLD_HOSTS else ""
            self._gap(
                "state_limit",
                f"there was no room for another host (max_hosts), so what was silent for longest was forgotten: "
                f"{', '.join(forgotten[:_TOLD_HOSTS])}{more}; when it speaks again, it is learnt anew",
            )
        evictions, memory.evictions = memory.evictions, []
        for each in evictions:
            self._gap(
                "state_limit",
                f"on {each.host or 'a host without a name'} there was more of the kind {each.kind} than there is room "
                "for (max_entries): what was not seen for longest was forgotten, and will be called new when it comes "
                "again",
            )

    def _gap(self, reason: str, detail: str) -> None:
        now = time.time_ns()
        self.context.count(metrics.COVERAGE_GAPS, reason=reason)
        self._due.append(component_coverage(self.context, reason, detail, now, now))


def _is_settled(record: Record) -> bool:
    """Whether the record only teaches: it tells what was there before, or somebody nearer to the host has judged."""
    attributes = record.attributes
    return (
        record.event_name in TEACHING
        or attributes.get(names.EVENT_ACTION) == SCAN
        or any(name in attributes for name in _ATTRIBUTES)
    )
