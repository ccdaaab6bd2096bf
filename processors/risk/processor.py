"""Scores findings, folds duplicates, and marks what is suppressed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from otel_fim import names
from otel_fim.component import Health, Processor, ProcessorContext, StartError
from otel_fim.names import events, metrics
from otel_fim.pipeline.coverage import component_coverage
from otel_fim.processors.risk import state
from otel_fim.processors.risk.config import RiskConfig
from otel_fim.processors.risk.entities import Entity, EntityScores, entity_of
from otel_fim.processors.risk.facts import Facts, facts_of, key_of, text
from otel_fim.processors.risk.modifiers import Scorer
from otel_fim.processors.risk.series import Folder, Verdict
from otel_fim.processors.risk.steady import SteadyClock
from otel_fim.processors.risk.suppress import Suppressions, describe
from otel_fim.processors.risk.telling import last_record, one_of, tell_series, template
from otel_fim.record import Attributes, Record, Severity
from otel_fim.state_file import DamagedStateError, Saver, StateFile
from otel_fim.ulid import Uids

STATE_FILE: Final = "risk.state"
SAVE_SECONDS: Final = 10.0
SAVE_UNCHANGED_SECONDS: Final = 900.0
"""So that a gap after a kill does not begin days before it."""


class RiskProcessor(Processor[RiskConfig]):
    """Works on `otel_fim.finding` records and leaves all others alone; also a finding that has a score and a key
    already, which an agent nearer to the host has given it."""

    Config = RiskConfig

    def __init__(
        self,
        config: RiskConfig,
        context: ProcessorContext,
        *,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(config, context)
        self._clock = SteadyClock(wall, monotonic)
        self._uids = Uids(lambda: int(wall() * 1e9))
        self._scorer = Scorer(config)
        self._suppressions = Suppressions(config.suppressions, context.logger, wall)
        self._file = StateFile(context.state_directory / STATE_FILE, "risk", state.VERSION)
        self._saver = Saver(self._file, context, SAVE_SECONDS, clock=monotonic)
        self._start_empty()
        self._is_started = False
        self._is_changed = False
        self._due: list[Record] = []

    def _start_empty(self) -> None:
        config = self.config
        self._entities = EntityScores(config.entity_window, config.max_entities)
        self._folder = Folder(config.fold_window, config.max_series, config.max_series_bytes)

    # --- Start and stop ------------------------------------------------------------------------------

    def start(self) -> None:
        """Goes on from what was saved. Raises `StartError` when that is there and cannot be read."""
        try:
            content = self._file.read()
            if content is not None:
                self._take_up(content)
        except DamagedStateError as error:
            self._start_anew(str(error))
        self._is_started = True
        self._suppressions.check()
        self.context.report(Health.OK, "")
        # From now on a kill can be told from a stop.
        self._is_changed = not self._saver.save(self._content(clean=False))

    def _take_up(self, content: bytes) -> None:
        try:
            saved, wall, clean = state.load(content, self._entities, self._folder)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise DamagedStateError(f"{type(error).__name__}: {error}") from error
        self._clock.go_on(saved, wall)
        if not clean:
            self._gap(
                "agent_stopped",
                "the agent was killed: findings that were folded after its last note are not in the counts, and do not "
                "count in the scores of users, hosts and programs",
                wall * 1_000_000_000,
            )

    def _start_anew(self, reason: str) -> None:
        try:
            aside = self._file.set_aside()
        except OSError as error:
            raise StartError(
                f"{self._file.path}: the state is damaged ({reason}) and cannot be moved away: {error.strerror}; "
                "move it away to start anew"
            ) from error
        self._start_empty()
        message = (
            f"the state is damaged ({reason}) and was set aside as {aside.name}; the scores of users, hosts and "
            "programs begin at nothing, and what the open series of duplicates had counted is not told"
        )
        self.context.logger.error("%s: %s", self._file.path, message)
        self._gap("state_lost", message)

    def stop(self, timeout: float) -> None:
        del timeout
        if self._is_started:
            self._saver.save(self._content(clean=True))

    def _content(self, *, clean: bool) -> bytes:
        clock = self._clock
        return state.dump(self._entities, self._folder, clock.now(), clock.wall(), clean=clean)

    # --- Records -------------------------------------------------------------------------------------

    def process(self, records: list[Record]) -> list[Record]:
        if not any(record.event_name == events.FINDING for record in records):
            return records
        now = self._clock.now()
        out: list[Record] = []
        for record in records:
            if record.event_name != events.FINDING or _is_judged(record.attributes):
                out.append(record)
                continue
            self._is_changed = True
            out += self._ended(now)
            if self._judge(record, now):
                out.append(record)
        return out

    def tick(self) -> list[Record]:
        now = self._clock.now()
        due, self._due = self._due, []
        due += self._ended(now)
        self._suppressions.check()
        if self._entities.evicted:
            self.context.count(metrics.RISK_EVICTED, self._entities.evicted, what="entity")
            self._entities.evicted = 0
        if self._saver.is_due and (self._is_changed or self._saver.elapsed() >= SAVE_UNCHANGED_SECONDS):
            self._is_changed = False
            self._saver.hold(self._content(clean=False))
        if self._saver.write_held() is False:
            self._is_changed = True
        return due

    def _judge(self, record: Record, now: int) -> bool:
        """Adds everything to a finding; false when it is folded."""
        facts, attributes = facts_of(record), record.attributes
        score = self._scorer.score(facts)
        attributes[names.EVENT_RISK_SCORE] = float(score.value)
        attributes[names.OTEL_FIM_RISK_DRIVERS] = [str(driver) for driver in score.drivers]
        attributes[names.OTEL_FIM_RISK_EXPLANATION] = score.explanation
        suppression = self._suppressions.find(facts)
        if suppression is not None:
            self.context.count(metrics.FINDINGS_SUPPRESSED, suppression=suppression.name)
            attributes.update(describe(suppression))
            if not 0 < record.severity_number < Severity.INFO:
                record.severity_number, record.severity_text = int(Severity.INFO), Severity.INFO.name
        key = key_of(record, facts)
        attributes[names.OTEL_FIM_FINDING_KEY] = key
        uid = attributes.get(names.LOG_RECORD_UID)
        if not isinstance(uid, str) or not uid:
            uid = attributes[names.LOG_RECORD_UID] = self._uids.next()
        # Once a suppression has ended, what it suppressed is told at once.
        series_key = key if suppression is None else f"{key} {suppression.name}"
        series = self._folder.series.get(series_key)
        one = one_of(record, score.value)
        if series is None:
            if self.config.fold_window > 0:
                self._folder.open(series_key, text(uid), one, now)
            attributes[names.OTEL_FIM_FINDING_COUNT] = 1
            self._tell_entities(attributes, facts, now, score.value if suppression is None else None)
            return True
        verdict = self._folder.add(series, one)
        if verdict is Verdict.FOLDED:
            self.context.count(metrics.FINDINGS_FOLDED)
            if series.template:
                return False
        self._tell_entities(attributes, facts, now, None)
        self._folder.set_template(series, template(record))
        tell_series(record, series)
        return verdict is Verdict.TELL

    def _tell_entities(self, attributes: Attributes, facts: Facts, now: int, score: int | None) -> None:
        """Writes the scores of the user, the host and the program, after adding one's own unless it is None."""
        found: list[tuple[str, Entity]] = [(names.HOST_RISK_SCORE, entity_of("host", facts.host))]
        if facts.person:
            found.append((names.USER_RISK_SCORE, entity_of("user", facts.host, facts.person)))
        if facts.executable:
            entity = entity_of("executable", facts.host, facts.executable)
            found.append((names.OTEL_FIM_EXECUTABLE_RISK_SCORE, entity))
        for name, entity in found:
            if score is not None:
                self._entities.add(entity, score, now)
            attributes[name] = self._entities.score(entity, now)

    def _ended(self, now: int) -> list[Record]:
        """The records that tell of series that are over, when their count has not been told."""
        told: list[Record] = []
        for _, series in self._folder.ended(now):
            self._is_changed = True
            if now - series.begun < self.config.fold_window:
                self.context.count(metrics.RISK_EVICTED, what="series")
            if series.count != series.told:
                told.append(last_record(series, self._uids.next()))
        return told

    def _gap(self, reason: str, detail: str, since_unix_nano: int | None = None) -> None:
        now = time.time_ns()
        start = now if since_unix_nano is None else min(since_unix_nano, now)
        self.context.count(metrics.COVERAGE_GAPS, reason=reason)
        self._due.append(component_coverage(self.context, reason, detail, start, now))


def _is_judged(attributes: Attributes) -> bool:
    return names.EVENT_RISK_SCORE in attributes and names.OTEL_FIM_FINDING_KEY in attributes
