"""The engine: rules and correlations together, ids, restarts; and what findings look like."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_fim import names
from otel_fim.names import events
from otel_fim.names.registry import EVENTS
from otel_fim.otlp.text import cleaned
from otel_fim.processors.rules.engine import Engine
from otel_fim.processors.rules.findings import COPIED, MAX_EVIDENCE, Findings, group_of
from otel_fim.processors.rules.hits import Correlated, Hit, Seen
from otel_fim.processors.rules.selection import select
from otel_fim.processors.rules.sentence import plain, sentence
from otel_fim.record import Record, Resource, Scope, Severity
from otel_fim.sigma.ir import Condition as Bounds
from otel_fim.sigma.ir import (
    Const,
    Correlation,
    CorrelationType,
    Field,
    GroupKey,
    Level,
    Match,
    Meta,
    Operator,
    Rule,
    RuleSet,
    Source,
    Text,
    TextKind,
)
from otel_fim.ulid import Uids

START = 1_768_314_735_000_000_000
SECOND = 1_000_000_000
WEB = Resource({names.HOST_NAME: "web-1"})
OUTCOME = Field(Source.ATTRIBUTE, names.EVENT_OUTCOME)
ADDRESS = Field(Source.ATTRIBUTE, names.SOURCE_ADDRESS)
USER = Field(Source.ATTRIBUTE, names.USER_NAME)

FAILED = Rule(
    Meta("failed", "Failed Login", Level.LOW),
    Match(OUTCOME, Text(TextKind.EQUALS, "failure")),
    event_names=frozenset({events.AUTH_LOGIN}),
    emits=False,
)
CREATED = Rule(
    Meta(
        "created",
        "File Created",
        Level.HIGH,
        description="any file",
        author="Alice, Bob",
        license="DRL-1.1",
        references=("https://example.org/1", "https://example.org/2"),
        tags=("attack.t1053.003",),
        techniques=("T1053.003",),
        false_positives=("everybody",),
        compliance=("pci_dss.11.5.2",),
        confidence="low",
        date="2026-01-01",
        ruleset="test",
    ),
    Const(True),
    event_names=frozenset({events.FILE_CREATED}),
)
GUESSING = Correlation(
    Meta("guessing", "Guessing", Level.CRITICAL, techniques=("T1110.001",)),
    CorrelationType.EVENT_COUNT,
    ("failed",),
    300 * SECOND,
    group_by=(GroupKey(names.SOURCE_ADDRESS, (("failed", ADDRESS),)),),
    condition=Bounds(((Operator.GTE, 3.0),)),
)
SPRAYING = Correlation(
    Meta("spraying", "Spraying", Level.MEDIUM),
    CorrelationType.VALUE_COUNT,
    ("failed",),
    300 * SECOND,
    group_by=(GroupKey(names.SOURCE_ADDRESS, (("failed", ADDRESS),)),),
    condition=Bounds(((Operator.GTE, 3.0),)),
    value=(("failed", USER),),
    value_name=names.USER_NAME,
)
RULES = RuleSet((FAILED, CREATED), (GUESSING, SPRAYING))


def login(second: float, user: str = "root", address: str = "203.0.113.9") -> Record:
    moment = START + int(second * SECOND)
    return Record(
        time_unix_nano=moment,
        observed_time_unix_nano=moment,
        event_name=events.AUTH_LOGIN,
        attributes={
            names.EVENT_OUTCOME: "failure",
            names.USER_NAME: user,
            names.USER_ID: "0",
            names.SOURCE_ADDRESS: address,
            names.OTEL_FIM_AUTH_SERVICE: "sshd",
        },
        resource=WEB,
    )


def created(second: float = 0, path: str = "/etc/cron.d/x") -> Record:
    moment = START + int(second * SECOND)
    return Record(moment, moment, events.FILE_CREATED, attributes={names.FILE_PATH: path}, resource=WEB)


def engine(ruleset: RuleSet = RULES) -> Engine:
    return Engine(ruleset, clock=lambda: START + 10 * SECOND)


def found_by(found: Sequence[Hit | Correlated]) -> list[str]:
    return [each.rule.meta.id if isinstance(each, Hit) else each.correlation.meta.id for each in found]


def records_of(found: Sequence[Hit | Correlated]) -> list[Record]:
    findings = Findings(
        Uids(), Scope("test"), Resource({names.HOST_NAME: "own"}), clock=lambda: START + 99 * SECOND
    )
    return [findings.of(each) for each in found]


# --- The engine ------------------------------------------------------------------------------------------


def test_gives_what_emits_only() -> None:
    subject = engine()
    found = subject.process([login(0), created(1), login(2)])
    assert found_by(found) == ["created"]
    assert found_by([*subject.process([login(3)]), *subject.flush()]) == ["guessing"]


def test_only_matched_records_get_an_id_and_keep_one_that_they_have() -> None:
    subject = engine()
    other = Record(event_name=events.FILE_DELETED)
    known = created()
    known.attributes[names.LOG_RECORD_UID] = "01JD6W1M4E3YQ5T7R9VX2B4C6D"
    failed = login(0)
    subject.process([other, known, failed])
    assert names.LOG_RECORD_UID not in other.attributes
    assert known.attributes[names.LOG_RECORD_UID] == "01JD6W1M4E3YQ5T7R9VX2B4C6D"
    assert len(str(failed.attributes[names.LOG_RECORD_UID])) == 26


def test_windows_go_on_after_a_restart() -> None:
    first = engine()
    assert not first.process([login(0), login(1)])
    second = engine()
    assert second.restore(first.state()) == []
    found = [*second.process([login(2)]), *second.flush()]
    assert found_by(found) == ["guessing"]
    assert isinstance(found[0], Correlated)
    assert len(found[0].evidence) == 3


def test_the_journal_fills_in_what_the_state_lacks() -> None:
    first = engine()
    state = first.state()
    journal = [login(0), login(1)]
    first.process(journal)
    second = engine()
    second.restore(state)
    assert second.replay(journal) == []
    assert found_by([*second.process([login(2)]), *second.flush()]) == ["guessing"]


def test_a_finding_that_the_journal_has_is_not_made_again_and_one_that_it_lacks_is() -> None:
    first = engine()
    state = first.state()
    journal = [login(0), login(1), login(2)]
    told = records_of([*first.process(journal), *first.flush()])
    assert [each.attributes[names.SECURITY_RULE_UUID] for each in told] == ["guessing"]
    second = engine()
    second.restore(state)
    assert second.replay([*journal, *told]) == []
    third = engine()
    third.restore(state)
    assert found_by([*third.replay(journal), *third.flush()]) == ["guessing"]


# --- Ids -------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(-(10**18), 2**63), max_size=50))
def test_ids_grow_whatever_the_clock_does(times: list[int]) -> None:
    ticks = iter(times)
    uids = Uids(lambda: next(ticks))
    made = [uids.next() for _ in times]
    assert made == sorted(set(made))
    assert all(len(each) == 26 and each[0] in "01234567" for each in made)


def test_an_id_tells_the_time() -> None:
    assert Uids(lambda: 1_469_918_176_385_000_000).next().startswith("01ARYZ6S41")


# --- Which rules run -------------------------------------------------------------------------------------


def test_excluded_rules_still_feed_correlations() -> None:
    ruleset, unknown = select(RULES, ["File Created", "failed", "spraying", "nothing"], Level.INFORMATIONAL)
    assert unknown == ["nothing"]
    assert [rule.meta.id for rule in ruleset.rules] == ["failed"]
    assert [each.meta.id for each in ruleset.correlations] == ["guessing"]


def test_rules_below_the_level_are_left_out() -> None:
    ruleset, _ = select(RULES, [], Level.CRITICAL)
    assert [rule.meta.id for rule in ruleset.rules] == ["failed"]
    assert [each.meta.id for each in ruleset.correlations] == ["guessing"]
    assert select(RULES, ["guessing"], Level.CRITICAL)[0] == RuleSet()


# --- Findings --------------------------------------------------------------------------------------------


def test_a_finding_tells_of_the_rule_and_of_the_record() -> None:
    subject = engine()
    record = created()
    record.attributes |= {names.USER_NAME: "root", names.PROCESS_EXECUTABLE_PATH: "/usr/bin/bash", "own": 1}
    (finding,) = records_of(subject.process([record]))
    uid = record.attributes[names.LOG_RECORD_UID]
    told = finding.attributes
    assert finding.event_name == events.FINDING
    assert (finding.severity_number, finding.severity_text) == (Severity.ERROR, "ERROR")
    assert finding.body == "File Created: root created /etc/cron.d/x with /usr/bin/bash on web-1"
    assert (finding.time_unix_nano, finding.observed_time_unix_nano) == (START, START + 99 * SECOND)
    assert finding.resource is WEB
    assert told.pop(names.LOG_RECORD_UID) != uid
    assert told == {
        names.SECURITY_RULE_NAME: "File Created",
        names.SECURITY_RULE_UUID: "created",
        names.SECURITY_RULE_DESCRIPTION: "any file",
        names.SECURITY_RULE_LICENSE: "DRL-1.1",
        names.SECURITY_RULE_REFERENCE: "https://example.org/1",
        names.SECURITY_RULE_RULESET_NAME: "test",
        names.SECURITY_RULE_VERSION: "2026-01-01",
        names.RULE_AUTHOR: ["Alice", "Bob"],
        names.OTEL_FIM_RULE_LEVEL: "high",
        names.OTEL_FIM_RULE_KIND: "event",
        names.OTEL_FIM_RULE_TAGS: ["attack.t1053.003"],
        names.OTEL_FIM_RULE_COMPLIANCE: ["pci_dss.11.5.2"],
        names.OTEL_FIM_RULE_FALSE_POSITIVES: ["everybody"],
        names.OTEL_FIM_FINDING_EVIDENCE: [uid],
        names.OTEL_FIM_FINDING_EVIDENCE_COUNT: 1,
        names.OTEL_FIM_FINDING_EVENT_NAMES: [events.FILE_CREATED],
        names.OTEL_FIM_FINDING_FIRST_SEEN: "2026-01-13T14:32:15.000000000Z",
        names.OTEL_FIM_FINDING_LAST_SEEN: "2026-01-13T14:32:15.000000000Z",
        names.FILE_PATH: "/etc/cron.d/x",
        names.USER_NAME: "root",
        names.PROCESS_EXECUTABLE_PATH: "/usr/bin/bash",
        names.THREAT_FRAMEWORK: "MITRE ATT&CK v19.2",
        names.THREAT_TACTIC_ID: ["TA0002", "TA0003", "TA0004"],
        names.THREAT_TACTIC_NAME: ["Execution", "Persistence", "Privilege Escalation"],
        names.THREAT_TECHNIQUE_ID: ["T1053"],
        names.THREAT_TECHNIQUE_NAME: ["Scheduled Task/Job"],
        names.THREAT_TECHNIQUE_SUBTECHNIQUE_ID: ["T1053.003"],
        names.THREAT_TECHNIQUE_SUBTECHNIQUE_NAME: ["Cron"],
        names.OTEL_FIM_THREAT_CONFIDENCE: "low",
        names.OTEL_FIM_THREAT_EVIDENCE: "root created /etc/cron.d/x with /usr/bin/bash on web-1",
    }


def test_a_correlations_finding_has_its_group_and_its_evidence() -> None:
    subject = engine()
    (finding,) = records_of([*subject.process([login(0), login(1), login(3)]), *subject.flush()])
    told = finding.attributes
    assert finding.severity_text == "FATAL"
    assert finding.time_unix_nano == START + 3 * SECOND
    assert finding.body == (
        "Guessing: 3 events within 5m for source.address 203.0.113.9; last: root failed to log in from 203.0.113.9 "
        "via sshd on web-1"
    )
    assert told[names.OTEL_FIM_FINDING_GROUP_BY] == [names.SOURCE_ADDRESS]
    assert told[names.SOURCE_ADDRESS] == "203.0.113.9"
    assert told[names.USER_NAME] == "root"
    assert told[names.OTEL_FIM_FINDING_VALUE] == 3.0
    assert told[names.OTEL_FIM_FINDING_EVIDENCE_COUNT] == 3
    assert len(told[names.OTEL_FIM_FINDING_EVIDENCE]) == 3  # type: ignore[arg-type]
    assert told[names.OTEL_FIM_FINDING_FIRST_SEEN] == "2026-01-13T14:32:15.000000000Z"
    assert told[names.OTEL_FIM_FINDING_LAST_SEEN] == "2026-01-13T14:32:18.000000000Z"
    assert told[names.THREAT_TECHNIQUE_SUBTECHNIQUE_ID] == ["T1110.001"]
    assert group_of(finding) == ("guessing", START + 3 * SECOND, ("203.0.113.9",))


def test_the_value_that_is_counted_is_not_told_as_if_it_were_the_only_one() -> None:
    subject = engine()
    batch = [login(second, user=f"user{second}") for second in range(3)]
    findings = records_of([*subject.process(batch), *subject.flush()])
    spraying = next(each for each in findings if each.attributes[names.SECURITY_RULE_UUID] == "spraying")
    assert names.USER_NAME not in spraying.attributes
    assert names.USER_ID not in spraying.attributes


def test_without_the_last_record_the_group_and_the_agent_are_told() -> None:
    seen = tuple(
        Seen(f"{number:026}", START + number, events.AUTH_LOGIN) for number in range(MAX_EVIDENCE + 5)
    )
    (finding,) = records_of([Correlated(GUESSING, START, ("203.0.113.9",), 105.0, seen, 105)])
    assert finding.resource.attributes == {names.HOST_NAME: "own"}
    assert finding.attributes[names.SOURCE_ADDRESS] == "203.0.113.9"
    assert finding.attributes[names.OTEL_FIM_FINDING_EVIDENCE] == [each.uid for each in seen[-MAX_EVIDENCE:]]
    assert finding.body == "Guessing: 105 events within 5m for source.address 203.0.113.9"


def test_a_rule_without_techniques_leaves_the_records_own() -> None:
    rule = Rule(Meta("1", "one"), Const(True))
    record = created()
    record.attributes |= {names.THREAT_TECHNIQUE_ID: ["T1053"], names.OTEL_FIM_THREAT_CONFIDENCE: "high"}
    (finding,) = records_of([Hit(rule, record)])
    assert finding.attributes[names.THREAT_TECHNIQUE_ID] == ["T1053"]
    assert finding.attributes[names.OTEL_FIM_THREAT_CONFIDENCE] == "high"


def test_what_is_copied_has_a_name_once() -> None:
    assert len(set(COPIED)) == len(COPIED)


@pytest.mark.parametrize("event_name", [*EVENTS, "", "someone.else"])
def test_every_event_has_a_sentence_whatever_the_record_has(event_name: str) -> None:
    assert sentence(Record(event_name=event_name))
    hostile = "a\n\x1b[31m\udcff\u202e" + "x" * 10_000
    record = Record(event_name=event_name, attributes=dict.fromkeys(COPIED, hostile), resource=WEB)
    told = sentence(record)
    assert told.isprintable()
    assert len(told) < 2000
    (finding,) = records_of([Hit(CREATED, record)])
    cleaned(finding).body.encode()  # type: ignore[union-attr]


@given(st.text())
def test_plain_text_is_one_line(text: str) -> None:
    assert plain(text).isprintable()
    assert len(plain(text)) <= 2000


def test_a_long_stream_in_batches_gives_what_it_gives_at_once() -> None:
    chooser = random.Random(3)
    stream = [login(number / 10, address=f"203.0.113.{chooser.randrange(5)}") for number in range(300)]
    whole = engine()
    expected = found_by([*whole.process([each.copy() for each in stream]), *whole.flush()])
    parts = engine()
    found: list[Hit | Correlated] = []
    for start in range(0, 300, 7):
        found += parts.process(stream[start : start + 7])
    assert found_by([*found, *parts.flush()]) == expected
    assert expected


def test_no_rules_find_nothing_and_remember_nothing() -> None:
    assert Engine(RuleSet()).process([created()]) == []
    assert not Engine(RuleSet()).has_state
