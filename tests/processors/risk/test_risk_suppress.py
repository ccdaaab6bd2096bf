"""Suppressions, and what the configuration refuses."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from otel_fim import names
from otel_fim.config.check import check
from otel_fim.names import metrics
from otel_fim.processors.risk.config import RiskConfig
from otel_fim.processors.risk.entities import entity_score
from otel_fim.record import Record


def _suppression(**match: Any) -> dict[str, Any]:
    return {
        "name": "backup",
        "owner": "ops@example.com",
        "reason": "the backup writes its own cron file",
        "expires": "2026-02-01",
        "match": match,
    }


def _is_suppressed(record: Record) -> bool:
    return names.OTEL_FIM_SUPPRESSION_NAME in record.attributes


def test_a_suppressed_finding_is_recorded_and_does_not_count(make_world: Callable[..., Any]) -> None:
    world = make_world(suppressions=[_suppression(rule="Cron Entry*", path=["/srv/*"])])
    (record,) = world.find(severity=17)
    attributes = record.attributes
    assert (record.severity_number, record.severity_text) == (9, "INFO")
    assert attributes[names.OTEL_FIM_SUPPRESSION_NAME] == "backup"
    assert attributes[names.OTEL_FIM_SUPPRESSION_OWNER] == "ops@example.com"
    assert attributes[names.OTEL_FIM_SUPPRESSION_REASON] == "the backup writes its own cron file"
    assert attributes[names.OTEL_FIM_SUPPRESSION_EXPIRES] == "2026-02-01T00:00:00Z"
    assert attributes[names.EVENT_RISK_SCORE] == 56
    assert attributes[names.HOST_RISK_SCORE] == 0
    assert world.counted[metrics.FINDINGS_SUPPRESSED] == 1
    (other,) = world.find(FILE_PATH="/opt/x")
    assert not _is_suppressed(other)
    assert other.severity_number == 13
    assert other.attributes[names.HOST_RISK_SCORE] == entity_score([56])


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        ({"rule": "5d2b5f5a-31a1-4a3f-9a33-0e5a6bb2b7aa"}, True),
        ({"rule": ["x", "cron entry added by a shell"]}, True),
        ({"rule": "Cron"}, False),
        ({"rule": "*", "path": "/srv/*"}, True),
        ({"rule": "*", "path": "/opt/*"}, False),
        ({"host": "web-?"}, True),
        ({"host": "db-*"}, False),
        ({"user": "alice", "executable": "/usr/bin/*"}, True),
        ({"user": "alice", "executable": "/opt/*"}, False),
        ({"user": "ALICE"}, False),
        ({"path": "/srv/[ab]"}, True),
        ({"source": "192.0.2.0/24"}, True),
        ({"source": "192.0.2.*"}, True),
        ({"source": ["198.51.100.0/24", "2001:db8::/32"]}, False),
        ({"rule": "Cron Entry Added By [A] Shell"}, True),
        ({"rule": "Cron Entry Added By [B-Z] Shell"}, False),
    ],
)
def test_what_fits(make_world: Callable[..., Any], match: dict[str, Any], fits: bool) -> None:
    world = make_world(suppressions=[_suppression(**match)])
    (record,) = world.find(SOURCE_ADDRESS="192.0.2.7")
    assert _is_suppressed(record) == fits


def test_a_finding_without_the_value_does_not_fit(make_world: Callable[..., Any]) -> None:
    world = make_world(
        suppressions=[
            _suppression(path="*", rule="Cron*"),
            _suppression(source="0.0.0.0/0", user="alice") | {"name": "two"},
        ]
    )
    (record,) = world.find(FILE_PATH=None)
    assert not _is_suppressed(record)
    (record,) = world.find()
    assert _is_suppressed(record)


def test_brackets_of_a_title_that_was_copied_are_brackets(make_world: Callable[..., Any]) -> None:
    world = make_world(suppressions=[_suppression(rule="Shell [root]")])
    assert _is_suppressed(world.find(SECURITY_RULE_NAME="Shell [Root]")[0])
    assert not _is_suppressed(world.find(SECURITY_RULE_NAME="Shell [Root] 2", USER_NAME="bob")[0])


@pytest.mark.parametrize(
    ("source", "fits"),
    [
        ("::ffff:192.0.2.7", True),
        ("192.0.2.7", True),
        ("2001:db8::1", False),
        ("fe80::1%eth0", False),
        ("nonsense", False),
        ("", False),
    ],
)
def test_addresses_in_other_forms(make_world: Callable[..., Any], source: str, fits: bool) -> None:
    world = make_world(suppressions=[_suppression(source="192.0.2.0/24")])
    assert _is_suppressed(world.find(SOURCE_ADDRESS=source)[0]) == fits


def test_the_first_that_fits_counts_until_it_ends(make_world: Callable[..., Any]) -> None:
    one = _suppression(user="alice") | {"expires": "2026-01-13T14:40:00Z"}
    two = _suppression(rule="Cron*") | {"name": "two", "expires": "2026-01-13T15:41:00+01:00"}
    world = make_world(suppressions=[one, two])
    assert world.find()[0].attributes[names.OTEL_FIM_SUPPRESSION_NAME] == "backup"
    world.wait(465)  # 14:40:00
    (record,) = world.find()
    assert record.attributes[names.OTEL_FIM_SUPPRESSION_NAME] == "two"
    assert record.attributes[names.OTEL_FIM_SUPPRESSION_EXPIRES] == "2026-01-13T15:41:00+01:00"
    world.wait(60)
    assert not _is_suppressed(world.find()[0])
    assert world.counted[metrics.FINDINGS_SUPPRESSED] == 2


def test_a_reload_takes_suppressions_and_keeps_what_was_counted(make_world: Callable[..., Any]) -> None:
    world = make_world()
    (first,) = world.find()
    assert world.find() == []
    world.restart(suppressions=[_suppression(user="alice")])
    (suppressed,) = world.find()
    assert _is_suppressed(suppressed)
    assert world.find() == []
    world.restart(suppressions=[])
    assert world.find() == []
    told = {
        str(record.attributes[names.OTEL_FIM_FINDING_DUPLICATE_OF]): record for record in world.wait(3600)
    }
    loud = told[str(first.attributes[names.LOG_RECORD_UID])]
    quiet = told[str(suppressed.attributes[names.LOG_RECORD_UID])]
    assert (loud.attributes[names.OTEL_FIM_FINDING_COUNT], _is_suppressed(loud)) == (3, False)
    assert (quiet.attributes[names.OTEL_FIM_FINDING_COUNT], _is_suppressed(quiet)) == (2, True)


def test_a_suppression_makes_nothing_louder(make_world: Callable[..., Any]) -> None:
    world = make_world(suppressions=[_suppression(user="alice")])
    assert world.find(severity=5)[0].severity_number == 5
    assert world.find(severity=0, FILE_PATH="/b")[0].severity_number == 9


def test_it_ends_by_itself_and_says_so_once(
    make_world: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    world = make_world(suppressions=[_suppression(user="alice") | {"expires": "2026-01-13T14:40:00Z"}])
    (suppressed,) = world.find()
    assert world.find() == []
    assert _is_suppressed(suppressed)
    with caplog.at_level(logging.WARNING):
        world.wait(600)
        # What it suppressed begins a series of its own: it is told at once, and as loud as it is.
        (loud,) = world.find()
        world.wait(1)
    assert not _is_suppressed(loud)
    assert loud.severity_number == 13
    assert caplog.text.count("'backup' of ops@example.com has expired on 2026-01-13T14:40:00Z") == 1
    (last,) = world.wait(3600)
    assert _is_suppressed(last)
    assert last.severity_text == "INFO"
    assert last.attributes[names.OTEL_FIM_FINDING_COUNT] == 2


def test_one_that_has_expired_is_a_warning(
    make_world: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        world = make_world(suppressions=[_suppression(user="alice") | {"expires": "2020-01-01"}])
    assert "has expired on 2020-01-01T00:00:00Z" in caplog.text
    assert not _is_suppressed(world.find()[0])


# --- Configuration ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "path", "message"),
    [
        ({"suppressions": [{**_suppression(user="a"), "owner": " "}]}, "risk.suppressions[0].owner", "empty"),
        (
            {"suppressions": [{**_suppression(user="a"), "expires": "soon"}]},
            "risk.suppressions[0].expires",
            "date",
        ),
        (
            {"suppressions": [{**_suppression(user="a"), "expires": 5}]},
            "risk.suppressions[0].expires",
            "date",
        ),
        (
            {"suppressions": [{**_suppression(user="a"), "until": "x"}]},
            "risk.suppressions[0].until",
            "unknown",
        ),
        ({"suppressions": [_suppression(usr="a")]}, "risk.suppressions[0].match.usr", "user"),
        ({"suppressions": [_suppression()]}, "risk.suppressions[0].match", "at least one"),
        ({"suppressions": [_suppression(user=[])]}, "risk.suppressions[0].match", "at least one"),
        ({"suppressions": [_suppression(rule="*")]}, "risk.suppressions[0].match", "everything"),
        ({"suppressions": [_suppression(user=["bob", "?*"])]}, "risk.suppressions[0].match", "everything"),
        (
            {"suppressions": [_suppression(rule="**", host="*", source="::/0")]},
            "risk.suppressions[0].match",
            "everything",
        ),
        ({"suppressions": [_suppression(user=1000)]}, "risk.suppressions[0].match.user", "quotes"),
        (
            {"suppressions": [_suppression(source="10.0.0.0/33")]},
            "risk.suppressions[0].match.source",
            "no network",
        ),
        ({"critical_paths": ["etc/x"]}, "risk.critical_paths[0]", "slash"),
        ({"package_managers": ["/usr/bin/apt"]}, "risk.package_managers[0]", "'apt'"),
        (
            {"suppressions": [{k: v for k, v in _suppression(user="a").items() if k != "reason"}]},
            "risk.suppressions[0].reason",
            "required",
        ),
        ({"suppressions": [_suppression(user="a"), _suppression(user="b")]}, "risk", "'backup'"),
        ({"working_hours": {"timezone": "Mars/Olympus"}}, "risk.working_hours.timezone", "Mars/Olympus"),
        ({"working_hours": {"start": "8"}}, "risk.working_hours.start", "08:00"),
        ({"working_hours": {"days": ["monday"]}}, "risk.working_hours.days[0]", "mon"),
        ({"working_hours": {"start": "09:00", "end": "09:00"}}, "risk.working_hours", "differ"),
        ({"modifiers": {"privileged": 1000}}, "risk.modifiers.privileged", "100"),
        ({"modifiers": {"first_seen": {"exe": 1}}}, "risk.modifiers.first_seen.exe", "unknown"),
        ({"fold_window": "1y"}, "risk.fold_window", "duration"),
        (
            {
                "planned_changes": [
                    {"name": "n", "start": "2026-01-02", "end": "2026-01-01", "owner": "o", "reason": "r"}
                ]
            },
            "risk.planned_changes[0]",
            "later",
        ),
    ],
)
def test_wrong_values_name_their_key(raw: dict[str, Any], path: str, message: str) -> None:
    config, problems = check(RiskConfig, raw, ("risk",), {})
    assert config is None
    (problem,) = problems
    assert str(problem).startswith(f"{path}:") or str(problem).startswith(path)
    assert message in str(problem)


def test_what_is_shown_is_a_configuration_again(tmp_path: Path) -> None:
    raw = {
        "suppressions": [_suppression(user="a")],
        "working_hours": {"timezone": "Europe/Zurich"},
        "planned_changes": [
            {
                "name": "n",
                "start": "2026-01-01T10:00:00+02:00",
                "end": "2026-01-02",
                "owner": "o",
                "reason": "r",
            }
        ],
    }
    config, _ = check(RiskConfig, raw, ("risk",), {})
    assert config is not None
    again, problems = check(RiskConfig, config.model_dump(mode="json"), ("risk",), {})
    assert problems == []
    assert again == config
