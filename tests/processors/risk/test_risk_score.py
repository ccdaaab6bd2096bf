"""A finding's score: what adds to it, what takes from it, and that its drivers are the whole of it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from otel_fim import names
from otel_fim.component import Health
from otel_fim.names import NOVELTY_KINDS, events
from otel_fim.processors.risk.config import RiskConfig
from otel_fim.processors.risk.drivers import Driver, add_up
from otel_fim.processors.risk.entities import MAX_SCORES, EntityScores, entity_score
from otel_fim.processors.risk.facts import facts_of
from otel_fim.processors.risk.modifiers import Scorer
from otel_fim.record import Record, Resource


def _drivers(record: Record) -> list[str]:
    return record.attributes[names.OTEL_FIM_RISK_DRIVERS]  # type: ignore[return-value]


def _score(record: Record) -> Any:
    return record.attributes[names.EVENT_RISK_SCORE]


def test_the_level_and_its_confidence(world: Any) -> None:
    (record,) = world.find()
    assert _drivers(record) == ["+56 level"]
    assert _score(record) == 56.0
    assert isinstance(_score(record), float)
    assert record.attributes[names.OTEL_FIM_RISK_EXPLANATION] == (
        "A rule of level high matched, with medium confidence (+56)."
    )
    (record,) = world.find(OTEL_FIM_RULE_LEVEL="critical", OTEL_FIM_THREAT_CONFIDENCE="high", FILE_PATH="/x")
    assert _drivers(record) == ["+90 level"]


@pytest.mark.parametrize(
    ("more", "driver"),
    [
        ({"OTEL_FIM_NOVELTY_FIRST_SEEN": ["executable", "user_executable"]}, "+10 first_seen"),
        (
            {"OTEL_FIM_NOVELTY_FIRST_SEEN": ["user"], "OTEL_FIM_NOVELTY_RARE": ["executable"]},
            "+12 first_seen",
        ),
        (
            {"OTEL_FIM_NOVELTY_FIRST_SEEN": ["executable"], "OTEL_FIM_NOVELTY_UNCERTAIN": ["executable"]},
            "+5 first_seen",
        ),
        ({"OTEL_FIM_NOVELTY_RARE": ["executable"]}, "+4 rare"),
        ({"USER_ID": "0"}, "+7 privileged"),
        ({"USER_EFFECTIVE_ID": 0}, "+7 privileged"),
        ({"GROUP_NAME": "sudo"}, "+7 privileged"),
        ({"FILE_PATH": "/etc/shadow"}, "+8 critical_path"),
        ({"OTEL_FIM_LISTENER_EXPOSURE": "any", "NETWORK_LOCAL_PORT": 4444}, "+8 exposed_listener"),
        ({"OTEL_FIM_RULE_KIND": "temporal_ordered", "OTEL_FIM_FINDING_EVIDENCE_COUNT": 4}, "+6 chain"),
        ({"PROCESS_EXECUTABLE_PATH": "/usr/bin/dpkg"}, "-15 package_manager"),
        ({"OTEL_FIM_PROCESS_ANCESTORS": ["12 /usr/bin/sh", "11 /usr/bin/apt-get"]}, "-15 package_manager"),
    ],
)
def test_each_modifier(world: Any, more: dict[str, Any], driver: str) -> None:
    (record,) = world.find(**more)
    assert _drivers(record) == ["+56 level", driver]


@pytest.mark.parametrize(
    "more",
    [
        {"PROCESS_EXECUTABLE_PATH": "/tmp/dpkg"},
        {"GROUP_NAME": "users"},
        {"OTEL_FIM_LISTENER_EXPOSURE": "loopback"},
        {"OTEL_FIM_NOVELTY_FIRST_SEEN": ["a word that nobody knows"]},
        {"FILE_PATH": "/srv/etc/shadow"},
    ],
)
def test_what_is_no_modifier(world: Any, more: dict[str, Any]) -> None:
    assert _drivers(world.find(**more)[0]) == ["+56 level"]


def test_the_score_has_limits_that_show(world: Any) -> None:
    (record,) = world.find(
        OTEL_FIM_RULE_LEVEL="critical",
        OTEL_FIM_THREAT_CONFIDENCE="high",
        USER_ID="0",
        FILE_PATH="/etc/shadow",
    )
    assert _drivers(record) == ["+90 level", "+7 privileged", "+8 critical_path", "-5 limit"]
    assert _score(record) == 100
    (record,) = world.find(OTEL_FIM_RULE_LEVEL="informational", PROCESS_EXECUTABLE_PATH="/usr/bin/rpm")
    assert _drivers(record) == ["+4 level", "-15 package_manager", "+11 limit"]
    assert _score(record) == 0


@pytest.mark.parametrize(
    ("when", "is_off"),
    [
        ("2026-01-13T07:59:59Z", False),  # 08:59 in Zurich
        ("2026-01-13T06:59:59Z", True),
        ("2026-01-13T17:00:00Z", True),
        ("2026-07-14T06:00:00Z", False),  # summer time
        ("2026-01-17T10:00:00Z", True),  # a Saturday
    ],
)
def test_off_hours_are_local(make_world: Callable[..., Any], when: str, is_off: bool) -> None:
    world = make_world(working_hours={"start": "08:00", "end": "18:00", "timezone": "Europe/Zurich"})
    world.wall = datetime.fromisoformat(when).timestamp()
    (record,) = world.find()
    assert ("+6 off_hours" in _drivers(record)) == is_off


@pytest.mark.parametrize(
    ("when", "is_off"),
    [
        ("2026-01-13T23:00:00Z", False),
        ("2026-01-14T04:59:00Z", False),
        ("2026-01-14T05:00:00Z", True),
        ("2026-01-17T03:00:00Z", False),  # Saturday morning, begun on Friday
        ("2026-01-17T23:00:00Z", True),
    ],
)
def test_a_night_shift_belongs_to_the_day_it_began(
    make_world: Callable[..., Any], when: str, is_off: bool
) -> None:
    world = make_world(working_hours={"start": "22:00", "end": "05:00", "timezone": "UTC"})
    world.wall = datetime.fromisoformat(when).timestamp()
    assert ("+6 off_hours" in _drivers(world.find()[0])) == is_off


def test_hours_are_the_hosts_own_unless_a_zone_is_named(
    make_world: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(working_hours={"start": "08:00", "end": "18:00"})
    world.wall = datetime.fromisoformat("2026-01-13T22:00:00Z").timestamp()
    try:
        with monkeypatch.context() as patch:
            patch.setenv("TZ", "America/Los_Angeles")
            time.tzset()
            assert "+6 off_hours" not in _drivers(world.find()[0])
            patch.setenv("TZ", "Asia/Tokyo")
            time.tzset()
            (record,) = world.find(FILE_PATH="/b")
    finally:
        time.tzset()
    assert "+6 off_hours" in _drivers(record)
    assert "on Wednesday 07:00 local time (+6)" in str(record.attributes[names.OTEL_FIM_RISK_EXPLANATION])


def test_a_planned_change(make_world: Callable[..., Any]) -> None:
    change = {
        "name": "CHG-17",
        "start": "2026-01-13T14:00:00Z",
        "end": "2026-01-13T15:00:00+00:00",
        "owner": "ops@example.com",
        "reason": "new backup",
        "paths": ["/srv/*"],
        "hosts": "web-*",
    }
    world = make_world(planned_changes=[change])
    (record,) = world.find()
    assert _drivers(record) == ["+56 level", "-30 planned_change"]
    assert "ops@example.com planned it: CHG-17, new backup (-30)." in str(
        record.attributes[names.OTEL_FIM_RISK_EXPLANATION]
    )
    assert _drivers(world.find(FILE_PATH="/opt/a")[0]) == ["+56 level"]
    assert _drivers(world.find(host="db-1")[0]) == ["+56 level"]
    world.wait(3600)
    assert _drivers(world.find(FILE_PATH="/srv/b")[0]) == ["+56 level"]


def test_points_can_be_set(make_world: Callable[..., Any]) -> None:
    world = make_world(
        modifiers={"level": {"high": 50}, "first_seen": {"executable": 20}, "privileged": 0},
        critical_paths=["/srv/"],
    )
    (record,) = world.find(OTEL_FIM_NOVELTY_FIRST_SEEN=["executable"], USER_ID="0")
    assert _drivers(record) == ["+40 level", "+20 first_seen", "+8 critical_path"]


def test_a_finding_from_elsewhere_with_nothing_in_it(world: Any) -> None:
    record = Record(event_name=events.FINDING, severity_number=17)
    assert world.put(record) == [record]
    assert _drivers(record) == ["+56 level"]
    assert record.attributes[names.OTEL_FIM_RISK_EXPLANATION] == (
        "By its severity it counts as level high, with medium confidence (+56)."
    )
    assert record.attributes[names.OTEL_FIM_FINDING_COUNT] == 1
    assert len(str(record.attributes[names.LOG_RECORD_UID])) == 26
    assert names.USER_RISK_SCORE not in record.attributes


def test_a_finding_that_was_judged_is_left_alone(world: Any) -> None:
    record = world.finding(EVENT_RISK_SCORE=12.0, OTEL_FIM_FINDING_KEY="aa")
    before = dict(record.attributes)
    assert world.put(record, record) == [record, record]
    assert record.attributes == before


def test_other_records_pass(world: Any) -> None:
    other = Record(event_name=events.FILE_CREATED, attributes={names.FILE_PATH: "/etc/shadow"})
    finding = world.finding()
    assert world.put(other) == [other]
    assert world.put(other, finding) == [other, finding]
    assert other.attributes == {names.FILE_PATH: "/etc/shadow"}


_VALUES: Any = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text(st.characters(), max_size=20)
    | st.binary(max_size=8)
    | st.sampled_from(["high", "any", "0", "root", "/etc/shadow", "/usr/bin/dpkg", "executable", "temporal"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
_NAMES = [
    names.SECURITY_RULE_NAME,
    names.SECURITY_RULE_UUID,
    names.OTEL_FIM_RULE_LEVEL,
    names.OTEL_FIM_RULE_KIND,
    names.OTEL_FIM_THREAT_CONFIDENCE,
    names.OTEL_FIM_FINDING_EVIDENCE,
    names.OTEL_FIM_FINDING_EVIDENCE_COUNT,
    names.OTEL_FIM_FINDING_FIRST_SEEN,
    names.OTEL_FIM_FINDING_GROUP_BY,
    names.OTEL_FIM_LISTENER_EXPOSURE,
    names.OTEL_FIM_NOVELTY_FIRST_SEEN,
    names.OTEL_FIM_NOVELTY_UNCERTAIN,
    names.OTEL_FIM_PROCESS_ANCESTORS,
    names.FILE_PATH,
    names.USER_ID,
    names.USER_NAME,
    names.GROUP_NAME,
    names.PROCESS_EXECUTABLE_PATH,
    names.LOG_RECORD_UID,
]


@settings(deadline=None)
@example(attributes={names.OTEL_FIM_FINDING_EVIDENCE_COUNT: False}, when=0, severity=0)
@given(
    attributes=st.dictionaries(st.sampled_from(_NAMES), _VALUES, max_size=8),
    when=st.integers(0, 2**64 - 1),
    severity=st.integers(0, 24),
)
def test_the_drivers_add_up_whatever_the_finding_says(
    make_shared_world: Any, attributes: dict[str, Any], when: int, severity: int
) -> None:
    world = make_shared_world
    copies = [
        Record(
            when,
            when,
            events.FINDING,
            severity,
            "",
            "body",
            dict(attributes),
            Resource({names.HOST_NAME: "h"}),
        )
        for _ in range(3)
    ]
    told = world.put(*copies) + world.wait(3600)
    for record in told:
        if record.event_name != events.FINDING:
            continue
        drivers = _drivers(record)
        assert sum(int(driver.split(" ")[0]) for driver in drivers) == _score(record)
        assert 0 <= _score(record) <= 100
        assert all(re.fullmatch(r"[+-][0-9]+ [a-z_]+", driver) for driver in drivers)
        explanation = str(record.attributes[names.OTEL_FIM_RISK_EXPLANATION])
        assert explanation.isprintable()
        assert explanation.count("(") >= len(drivers)
    assert told[-1].attributes[names.OTEL_FIM_FINDING_COUNT] == 3
    assert all(health is not Health.RECOVERABLE_ERROR for health, _ in world.health)


@pytest.fixture(scope="module")
def make_shared_world(world_class: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return world_class(
        tmp_path_factory.mktemp("shared"),
        working_hours={},
        planned_changes=[
            {
                "name": "n",
                "start": "2000-01-01",
                "end": "2100-01-01",
                "owner": "o",
                "reason": "r",
                "users": ["r*"],
            }
        ],
    )


@given(st.lists(st.integers(-100, 100), max_size=12))
def test_any_drivers_add_up(points: list[int]) -> None:
    score = add_up(Driver("x", each, "x") for each in points)
    assert sum(driver.points for driver in score.drivers) == score.value
    assert 0 <= score.value <= 100
    assert all(driver.points for driver in score.drivers)


def test_more_that_is_bad_never_lowers_the_score() -> None:
    scorer = Scorer(RiskConfig())
    attributes: dict[str, Any] = {names.OTEL_FIM_RULE_LEVEL: "medium"}
    last = 0
    for name, value in (
        (names.OTEL_FIM_NOVELTY_RARE, ["user"]),
        (names.OTEL_FIM_NOVELTY_FIRST_SEEN, list(NOVELTY_KINDS)),
        (names.USER_ID, "0"),
        (names.FILE_PATH, "/etc/passwd"),
    ):
        attributes[name] = value
        score = scorer.score(facts_of(Record(attributes=dict(attributes)))).value
        assert score > last
        last = score


# --- Users, hosts, programs ------------------------------------------------------------------------------


def test_the_entity_score_is_elastics_sum() -> None:
    assert entity_score([]) == 0
    assert entity_score([100]) == round(100 / 2.5924, 2)
    assert entity_score([20, 80]) == round((80 + 20 / 2**1.5) / 2.5924, 2)


@given(st.lists(st.integers(0, 100), max_size=400), st.integers(0, 100))
def test_the_entity_score_is_bounded_and_grows(scores: list[int], more: int) -> None:
    before, after = entity_score(scores), entity_score([*scores, more])
    assert 0 <= before <= after <= 100
    assert entity_score(reversed(scores)) == before


@given(st.lists(st.integers(0, 100), max_size=3 * MAX_SCORES))
def test_what_is_kept_of_an_entity_gives_the_score_of_all(scores: list[int]) -> None:
    entities = EntityScores(86_400, 10)
    for score in scores:
        entities.add(("host", "h", ""), score, 1000)
    assert entities.score(("host", "h", ""), 1000) == entity_score(scores)
    again = EntityScores(86_400, 10)
    again.restore(entities.state(1000))
    assert again.score(("host", "h", ""), 1000) == entity_score(scores)


def test_made_up_names_push_out_no_real_ones() -> None:
    entities = EntityScores(86_400, 10)
    entities.add(("user", "h", "alice"), 90, 0)
    for number in range(1000):
        entities.add(("user", "h", f"x{number}"), 20, 1)
    assert len(entities) <= 10
    assert entities.score(("user", "h", "alice"), 1) == entity_score([90])
    assert entities.evicted >= 900


def test_findings_carry_the_scores_of_user_host_and_program(world: Any) -> None:
    (first,) = world.find()
    one = entity_score([56])
    assert first.attributes[names.USER_RISK_SCORE] == one
    assert first.attributes[names.HOST_RISK_SCORE] == one
    assert first.attributes[names.OTEL_FIM_EXECUTABLE_RISK_SCORE] == one
    (second,) = world.find(USER_NAME="bob")
    assert second.attributes[names.USER_RISK_SCORE] == one
    assert second.attributes[names.HOST_RISK_SCORE] == entity_score([56, 56])
    # Another host's user of that name is another user.
    (third,) = world.find(host="db-1")
    assert third.attributes[names.USER_RISK_SCORE] == one
    world.wait(43_200)
    world.restart()
    (fourth,) = world.find(USER_NAME="bob")
    assert fourth.attributes[names.USER_RISK_SCORE] == entity_score([56, 56])
    world.wait(43_201)
    (fifth,) = world.find(USER_NAME="bob")
    assert fifth.attributes[names.USER_RISK_SCORE] == entity_score([56, 56])


def test_what_is_done_as_root_counts_for_who_logged_in(world: Any) -> None:
    world.find(USER_NAME="root", OTEL_FIM_LOGIN_USER_NAME="alice")
    (record,) = world.find(USER_NAME="root", OTEL_FIM_LOGIN_USER_NAME="bob")
    assert record.attributes[names.USER_RISK_SCORE] == entity_score([63])
    (record,) = world.find(USER_NAME="root", OTEL_FIM_LOGIN_USER_NAME="alice", FILE_PATH="/b")
    assert record.attributes[names.USER_RISK_SCORE] == entity_score([63, 63])


def test_a_clock_that_is_set_ends_no_window(world: Any) -> None:
    world.find()
    world.wall += 10 * 365 * 86_400
    (record,) = world.find(USER_NAME="bob")
    assert record.attributes[names.HOST_RISK_SCORE] == entity_score([56, 56])
    world.wall = datetime(1999, 1, 1, tzinfo=UTC).timestamp()
    world.restart()
    (record,) = world.find(USER_NAME="carol")
    assert record.attributes[names.HOST_RISK_SCORE] == entity_score([56, 56, 56])
