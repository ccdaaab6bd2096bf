"""Explanations are read by people: every sentence is true, and none is broken by a value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from otel_fim import names
from otel_fim.names import NOVELTY_KINDS


def _explained(world: Any, **more: Any) -> str:
    record = world.find(**more)[0]
    text = str(record.attributes[names.OTEL_FIM_RISK_EXPLANATION])
    start = "A rule of level high matched, with medium confidence (+56). "
    assert text.startswith(start)
    return text.removeprefix(start)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (
            {"OTEL_FIM_NOVELTY_FIRST_SEEN": ["executable_hash"]},
            "New on this host: the program's content (+6).",
        ),
        (
            {"OTEL_FIM_NOVELTY_FIRST_SEEN": ["user", "source", "user_source"]},
            "New on this host: the user, the address and the user from that address (+12).",
        ),
        (
            {"OTEL_FIM_NOVELTY_FIRST_SEEN": ["persistence", "persistence_kind"]},
            "New on this host: the start-up item and the kind of start-up item (+10).",
        ),
        (
            {"OTEL_FIM_NOVELTY_FIRST_SEEN": ["listener"], "OTEL_FIM_NOVELTY_UNCERTAIN": ["listener"]},
            "New on this host, as far as is remembered: the program on that port (+5).",
        ),
        (
            {"OTEL_FIM_NOVELTY_RARE": ["parent_child"]},
            "Seen on this host on few days only: the program started by that parent (+4).",
        ),
        ({"USER_NAME": "root"}, "Root's account or rights are involved (+7)."),
        ({"GROUP_NAME": "docker"}, "It concerns the group docker, which is as good as root (+7)."),
        ({"FILE_PATH": "/etc/cron.d/x\ny"}, "/etc/cron.d/x\\ny is a critical path (+8)."),
        (
            {"OTEL_FIM_LISTENER_EXPOSURE": "any", "NETWORK_LOCAL_PORT": 22},
            "Other hosts can reach port 22, whose exposure is any (+8).",
        ),
        (
            {"OTEL_FIM_LISTENER_EXPOSURE": "public"},
            "Other hosts can reach the socket, whose exposure is public (+8).",
        ),
        (
            {"OTEL_FIM_RULE_KIND": "event_count", "OTEL_FIM_FINDING_EVIDENCE_COUNT": 12},
            "12 records make a correlation, event_count (+6).",
        ),
        *(
            (
                {"OTEL_FIM_RULE_KIND": "temporal", "OTEL_FIM_FINDING_EVIDENCE_COUNT": count},
                "It is the result of a correlation, temporal (+6).",
            )
            for count in (None, 0, 1, -3, True, "many", 2**63 - 1, [5])
        ),
        (
            {"PROCESS_EXECUTABLE_PATH": "/usr/bin/dpkg"},
            "/usr/bin/dpkg, a package manager, did it or started what did it (-15).",
        ),
    ],
)
def test_sentences(world: Any, more: dict[str, Any], sentence: str) -> None:
    assert _explained(world, **more) == sentence


@pytest.mark.parametrize("kind", NOVELTY_KINDS)
def test_every_kind_has_points_and_words(world: Any, kind: str) -> None:
    assert "New on this host: the " in _explained(world, OTEL_FIM_NOVELTY_FIRST_SEEN=[kind])


def test_a_plan_of_several_lines_stays_one_line(make_world: Callable[..., Any]) -> None:
    change = {"name": "n", "start": "2026-01-01", "end": "2027-01-01", "owner": "ops", "reason": "a\nb" * 500}
    explained = _explained(make_world(planned_changes=[change]))
    assert explained.startswith("ops planned it: n, a\\nba\\nb")
    assert explained.isprintable()
    assert len(explained) < 1000
