"""The processor: what it loads, what it tells, what it keeps over a restart and a bad day."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from otel_fim import names
from otel_fim.component import Health, ProcessorContext, StartError
from otel_fim.names import events, metrics
from otel_fim.processors.rules import RulesConfig, RulesProcessor
from otel_fim.processors.rules.loading import REJECTED_FILE
from otel_fim.processors.rules.match.matcher import MAX_FAILURES
from otel_fim.processors.rules.remembering import SAVE_SECONDS, STATE_FILE
from otel_fim.record import Record, Resource, Scope

START = 1_768_314_735_000_000_000
SECOND = 1_000_000_000

RULES = """
title: File In Cron
id: 5d2b5f5a-31a1-4a3f-9a33-0e5a6bb2b7aa
status: test
level: high
logsource: {category: file_event, product: linux}
detection:
  sel: {TargetFilename|startswith: /etc/cron.d/}
  condition: sel
---
title: Failed Login
id: 11111111-31a1-4a3f-9a33-0e5a6bb2b7aa
name: failed_login
status: test
level: low
logsource: {product: otel_fim, service: auth}
detection:
  sel: {EventName: otel_fim.auth.login, event.outcome: failure}
  condition: sel
---
title: Password Guessing
id: 22222222-31a1-4a3f-9a33-0e5a6bb2b7aa
status: test
level: medium
correlation:
  type: event_count
  rules: [failed_login]
  group-by: [source.address]
  timespan: 5m
  condition: {gte: 3}
"""
CRON, GUESSING = "File In Cron", "Password Guessing"


class World:
    """A state directory, rules and clocks that outlive a processor."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.state = place / "state"
        self.state.mkdir()
        self.rules = place / "rules"
        self.rules.mkdir()
        (self.rules / "all.yml").write_text(RULES)
        self.now = START
        self.monotonic = 0.0
        self.journal: list[Record] = []
        self.counted: Counter[str] = Counter()
        self.reports: list[tuple[Health, str]] = []
        self.recorded: Callable[[int], Iterable[Record]] = lambda since: [
            record for record in self.journal if record.observed_time_unix_nano >= since
        ]

    def count(self, name: str, amount: int = 1, **attributes: Any) -> None:
        del attributes
        self.counted[name] += amount

    def processor(self, **settings: Any) -> RulesProcessor:
        context = ProcessorContext(
            id="rules",
            kind="processor",
            state_directory=self.state,
            service_directory=self.state,
            agent_directories=(),
            resource=Resource({names.HOST_NAME: "own"}),
            scope=Scope("test"),
            logger=logging.getLogger("test.rules"),
            report=lambda health, message: self.reports.append((health, message)),
            count=self.count,
            pipeline="logs",
            last_record=lambda: None,
            recorded=lambda since: self.recorded(since),
        )
        config = RulesConfig.model_validate(
            {"pack": False, "paths": [str(self.rules)], "lateness": 0, **settings}
        )
        return RulesProcessor(config, context, clock=lambda: self.now, monotonic=lambda: self.monotonic)

    def started(self, **settings: Any) -> RulesProcessor:
        processor = self.processor(**settings)
        processor.start()
        return processor

    def run(self, processor: RulesProcessor, *records: Record) -> list[Record]:
        """Through the processor and into the journal; gives what is new."""
        given = list(records)
        out = processor.process(given) + processor.tick()
        self.journal += out
        return [each for each in out if not any(each is record for record in given)]

    def tick(self, processor: RulesProcessor, seconds: float = 0.0) -> None:
        """Some seconds later, and long enough for a state that is held to be written."""
        for passed in (seconds, 1.0, 0.0):
            self.monotonic += passed
            self.journal += processor.tick()

    def login(self, seconds: float, address: str = "203.0.113.9") -> Record:
        moment = START + int(seconds * SECOND)
        self.now = max(self.now, moment)
        return Record(
            moment,
            moment,
            events.AUTH_LOGIN,
            attributes={names.EVENT_OUTCOME: "failure", names.SOURCE_ADDRESS: address},
        )


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def cron() -> Record:
    return Record(START, START, events.FILE_CREATED, attributes={names.FILE_PATH: "/etc/cron.d/x"})


def titles(records: Iterable[Record]) -> list[object]:
    return [each.attributes.get(names.SECURITY_RULE_NAME, each.event_name) for each in records]


# --- Loading ---------------------------------------------------------------------------------------------


def test_findings_come_behind_the_records(world: World) -> None:
    processor = world.started()
    record, other = cron(), Record(event_name=events.FILE_DELETED)
    out = processor.process([record, other])
    assert out[:2] == [record, other]
    assert titles(out[2:]) == [CRON]
    assert out[2].scope.name == "test"
    assert world.counted[metrics.RULES_FINDINGS] == 1
    batch = [other]
    assert processor.process(batch) is batch


def test_findings_are_not_looked_at_again(world: World) -> None:
    (world.rules / "all.yml").write_text(
        RULES
        + """
---
title: Anything
id: 44444444-31a1-4a3f-9a33-0e5a6bb2b7aa
level: low
status: test
logsource: {product: linux}
detection:
  sel: {file.path|contains: cron}
  condition: sel
"""
    )
    processor = world.started()
    findings = processor.process([cron()])[1:]
    assert titles(findings) == [CRON, "Anything"]
    assert processor.process(findings) == findings


def test_a_path_that_there_is_not_names_the_key(world: World) -> None:
    with pytest.raises(StartError, match=r"^rules\.paths: /nowhere/rules: No such file or directory; name a"):
        world.started(paths=["/nowhere/rules"])


def test_what_is_rejected_is_named_and_the_rest_runs(world: World, caplog: pytest.LogCaptureFixture) -> None:
    (world.rules / "bad.yml").write_text(
        "title: Bad Rule\ndetection: {sel: {a|nothing: b}, condition: sel}\n"
    )
    (world.rules / "broken.yml").write_text("title: [")
    processor = world.started()
    assert titles(processor.process([cron()])[1:]) == [CRON]
    assert world.counted[metrics.RULES_REJECTED] == 2
    told = (world.state / REJECTED_FILE).read_text()
    assert len(told.splitlines()) == 2
    for name in ("bad.yml", "broken.yml"):
        assert name in told
        assert name in caplog.text


def test_a_flood_of_rejected_rules_is_in_the_file(world: World, caplog: pytest.LogCaptureFixture) -> None:
    document = "title: Bad %d\n"
    (world.rules / "many.yml").write_text("---\n".join(document % number for number in range(250)))
    world.started()
    assert len((world.state / REJECTED_FILE).read_text().splitlines()) == 250
    assert len([record for record in caplog.records if "'Bad " in record.getMessage()]) == 200
    assert "50 more rules were left out" in caplog.text


def test_no_rules_are_a_warning(world: World, caplog: pytest.LogCaptureFixture) -> None:
    processor = world.started(paths=[])
    assert "no rule runs: set pack to true" in caplog.text
    batch = [cron()]
    assert processor.process(batch) is batch
    assert processor.tick() == []
    processor.stop(1)


def test_levels_and_exclusions(world: World, caplog: pytest.LogCaptureFixture) -> None:
    processor = world.started(min_level="medium", exclude=[CRON, "no such rule"])
    assert "'no such rule' is neither the id nor the title" in caplog.text
    found = world.run(processor, cron(), *(world.login(second) for second in range(3)))
    assert titles(found) == [GUESSING]


def test_placeholders(world: World) -> None:
    (world.rules / "all.yml").write_text(RULES.replace("|startswith: /etc/cron.d/", "|expand: '%files%'"))
    processor = world.started(placeholders={"files": ["/etc/cron.d/x"]})
    assert titles(processor.process([cron()])[1:]) == [CRON]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("timezone", "Mars/Olympus"),
        ("max_groups", 0),
        ("min_level", "huge"),
        ("nonsense", 1),
        ("lateness", -1),
    ],
)
def test_wrong_settings_are_named(key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=key):
        RulesConfig.model_validate({key: value})


# --- Restarts --------------------------------------------------------------------------------------------


def test_windows_go_on_after_an_orderly_stop(world: World) -> None:
    first = world.started()
    assert world.run(first, world.login(0), world.login(1)) == []
    first.stop(1)
    world.journal.clear()
    assert titles(world.run(world.started(), world.login(2))) == [GUESSING]


def test_windows_go_on_after_a_kill(world: World) -> None:
    assert world.run(world.started(), world.login(0), world.login(1)) == []
    # No stop: what came after the state was saved is in the journal only.
    second = world.started()
    assert titles(world.run(second, world.login(2))) == [GUESSING]
    third = world.started()
    assert world.run(third, world.login(3)) == []


def test_a_finding_that_the_kill_took_is_made_up_for(world: World) -> None:
    first = world.started()
    assert titles(world.run(first, *(world.login(second) for second in range(3)))) == [GUESSING]
    world.journal = [record for record in world.journal if record.event_name != events.FINDING]
    second = world.started()
    assert titles(second.process([])) == [GUESSING]


def test_what_a_receiver_reads_again_after_a_kill_gives_no_second_finding(world: World) -> None:
    run = world.run(world.started(), *(world.login(second) for second in range(5)))
    assert titles(run) == [GUESSING]
    # The same lines of a log, under new ids: with them there were enough a second sooner.
    world.run(world.started(), world.login(0), world.login(1))
    assert world.run(world.started()) == []
    assert titles(each for each in world.journal if each.event_name == events.FINDING) == [GUESSING]


def test_the_state_is_saved_now_and_then(world: World) -> None:
    processor = world.started()
    path = world.state / STATE_FILE
    world.tick(processor)
    before = path.read_bytes()
    world.run(processor, world.login(0))
    world.tick(processor)
    assert path.read_bytes() == before
    world.tick(processor, SAVE_SECONDS)
    assert path.read_bytes() != before
    path.unlink()
    for _ in range(5):
        world.tick(processor, SAVE_SECONDS)
    assert not path.exists()
    # What nobody wanted moves on where the journal has to be gone through from.
    world.tick(processor, 30 * SAVE_SECONDS)
    assert path.exists()


def test_a_finding_is_not_in_the_state_before_it_was_passed_on(world: World) -> None:
    processor = world.started(lateness="2s")
    world.tick(processor)
    world.run(processor, *(world.login(second / 10) for second in range(3)))
    world.now += 10 * SECOND
    world.monotonic += SAVE_SECONDS
    # The tick that finds it saves as well, and is killed before anybody has what it gives.
    assert titles(processor.tick()) == [GUESSING]
    second = world.started(lateness="2s")
    world.run(second)
    world.now += 3 * SECOND
    assert titles(world.run(second)) == [GUESSING]


def test_a_finding_that_was_made_up_for_is_not_in_the_state_before_it_was_passed_on(world: World) -> None:
    world.run(world.started(), *(world.login(second) for second in range(3)))
    world.journal = [record for record in world.journal if record.event_name != events.FINDING]
    world.started()  # killed at once
    second = world.started()
    assert titles(world.run(second)) == [GUESSING]
    world.tick(second)
    assert world.run(world.started()) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"garbage",
        b"otel-fim rules 1 0123\nno",
        b"otel-fim novelty 1 cae66941d9efbd404e4d88758ea67670\n",
    ],
)
def test_a_damaged_state_is_set_aside_and_told(
    world: World, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (world.state / STATE_FILE).write_bytes(content)
    processor = world.started()
    (gap,) = processor.process([])
    assert gap.event_name == events.COVERAGE_GAP
    assert gap.attributes[names.OTEL_FIM_COVERAGE_REASON] == "state_lost"
    assert "was set aside" in caplog.text
    (aside,) = [path for path in world.state.iterdir() if "damaged" in path.name]
    assert aside.read_bytes() == content


def test_a_newer_agents_state_is_set_aside(world: World) -> None:
    world.started().stop(1)
    path = world.state / STATE_FILE
    path.write_bytes(path.read_bytes().replace(b"rules 1 ", b"rules 9 ", 1))
    (gap,) = world.started().process([])
    assert gap.attributes[names.OTEL_FIM_COVERAGE_REASON] == "state_lost"
    assert "version 9" in str(gap.body)


def test_other_rules_begin_anew_and_the_same_go_on(world: World) -> None:
    first = world.started()
    world.run(first, world.login(0), world.login(1))
    first.stop(1)
    world.journal.clear()
    (world.rules / "all.yml").write_text(RULES.replace("gte: 3", "gte: 4"))
    assert world.run(world.started(), world.login(2), world.login(3)) == []


def test_a_journal_that_cannot_be_read_is_told(world: World) -> None:
    def fail(since: int) -> Iterable[Record]:
        del since
        raise OSError("the disk is gone")

    world.recorded = fail
    (gap,) = world.started().process([])
    assert gap.attributes[names.OTEL_FIM_COVERAGE_REASON] == "state_lost"
    assert "the disk is gone" in str(gap.body)


def test_a_directory_that_takes_nothing_does_not_stop_detection(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    processor = world.started()
    os.rename(world.state, world.place / "away")
    world.run(processor, world.login(0))
    for _ in range(3):
        world.tick(processor, 10 * SAVE_SECONDS)
    assert caplog.text.count("the state cannot be written") == 1
    assert titles(world.run(processor, cron())) == [CRON]
    os.rename(world.place / "away", world.state)
    world.tick(processor, 10 * SAVE_SECONDS)
    assert "is written again" in caplog.text


# --- Bounds ----------------------------------------------------------------------------------------------


def test_what_had_to_be_forgotten_is_told_once_a_minute(world: World) -> None:
    processor = world.started(max_groups=2)
    gaps: list[Record] = []
    for number in range(60):
        world.monotonic += 1
        gaps += world.run(processor, *(world.login(number, f"203.0.{number}.{each}") for each in range(5)))
    assert world.counted[metrics.RULES_EVICTED_GROUPS] > 200
    assert len(gaps) == 1
    assert gaps[0].attributes[names.OTEL_FIM_COVERAGE_REASON] == "state_limit"
    assert "max_groups" in str(gaps[0].body)
    world.monotonic += 60
    assert len(processor.tick()) == 1


def test_late_events_are_counted(world: World) -> None:
    processor = world.started()
    world.run(processor, world.login(100))
    world.monotonic += 1
    world.run(processor, world.login(0))
    assert world.counted[metrics.RULES_LATE_EVENTS] == 1


def test_a_rule_that_fails_is_named_and_disabled(world: World, caplog: pytest.LogCaptureFixture) -> None:
    processor = world.started()

    def fail(view: object) -> bool:
        raise ZeroDivisionError("no")

    assert processor._engine is not None
    processor._engine._matcher._tests[0] = fail  # no test of an expression raises, so one is put in
    for _ in range(MAX_FAILURES):
        assert world.run(processor, cron()) == []
    assert f"rule {CRON!r} failed on a record: ZeroDivisionError: no" in caplog.text
    assert world.reports[-1][0] is Health.RECOVERABLE_ERROR
    assert CRON in world.reports[-1][1]
