"""Findings, as people see them."""

from __future__ import annotations

import ast
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_fim import names
from otel_fim.exporters.console.config import ConsoleConfig
from otel_fim.exporters.console.line import format_record
from otel_fim.names import events
from otel_fim.record import Record

WHEN = 1768314735_123456789  # 2026-01-13T14:32:15.123456789Z
RULE = {
    names.SECURITY_RULE_NAME: "Cron Entry Added By A Shell",
    names.OTEL_FIM_RULE_LEVEL: "high",
    names.RULE_AUTHOR: ["The otel-fim authors"],
    names.SECURITY_RULE_LICENSE: "Apache-2.0",
    names.THREAT_TECHNIQUE_ID: ["T1053"],
    names.THREAT_TECHNIQUE_SUBTECHNIQUE_ID: ["T1053.003"],
    names.FILE_PATH: "/etc/cron.d/x",
    names.USER_NAME: "mallory",
    names.PROCESS_EXECUTABLE_PATH: "/usr/bin/bash",
}
BODY = "Cron Entry Added By A Shell: mallory created /etc/cron.d/x with /usr/bin/bash on web-1"
START = '[FINDING] HIGH "Cron Entry Added By A Shell" @ 2026-01-13T14:32:15Z (MITRE T1053.003)'


def finding(body: str | None = BODY, /, **attributes: Any) -> Record:
    return Record(
        time_unix_nano=WHEN, event_name=events.FINDING, body=body, attributes={**RULE, **attributes}
    )


def line(body: str | None = BODY, /, **attributes: Any) -> str:
    return format_record(finding(body, **attributes))


def test_a_stranger_sees_what_happened() -> None:
    assert line(**{names.EVENT_RISK_SCORE: 73.0}) == (
        START + " score 73: mallory created /etc/cron.d/x with /usr/bin/bash on web-1"
    )


@pytest.mark.parametrize(
    ("attributes", "rest"),
    [
        ({}, ": mallory created /etc/cron.d/x with /usr/bin/bash on web-1"),
        (
            {names.RULE_AUTHOR: ["Alix Someone", "X"], names.SECURITY_RULE_LICENSE: "DRL-1.1"},
            ' (rule by "Alix Someone", X, DRL-1.1): mallory created /etc/cron.d/x with /usr/bin/bash on web-1',
        ),
        (
            {names.OTEL_FIM_SUPPRESSION_NAME: "backup", names.OTEL_FIM_SUPPRESSION_OWNER: "ops@example.com"},
            (
                ' (suppressed: backup of "ops@example.com"): '
                "mallory created /etc/cron.d/x with /usr/bin/bash on web-1"
            ),
        ),
        (
            {
                names.OTEL_FIM_FINDING_DUPLICATE_OF: "01JD6W1M4E3YQ5T7R9VX2B4C6D",
                names.OTEL_FIM_FINDING_COUNT: 100,
                names.OTEL_FIM_FINDING_FIRST_SEEN: "2026-01-13T14:00:01.000000000Z",
                names.EVENT_RISK_SCORE: 72.25,
            },
            " score 72.2: again, 100 times since 2026-01-13T14:00:01Z",
        ),
        ({names.OTEL_FIM_FINDING_DUPLICATE_OF: "01JD6W1M4E3YQ5T7R9VX2B4C6D"}, ": again"),
        ({names.EVENT_RISK_SCORE: "high"}, ": mallory created /etc/cron.d/x with /usr/bin/bash on web-1"),
    ],
)
def test_what_else_the_line_says(attributes: dict[str, Any], rest: str) -> None:
    assert line(**attributes) == START + rest


def test_without_a_sentence_the_attributes_speak() -> None:
    assert line(None) == START + ": /etc/cron.d/x by mallory /usr/bin/bash"


def test_a_finding_without_a_rule_is_shown_as_any_event() -> None:
    record = Record(time_unix_nano=WHEN, event_name=events.FINDING, body="something")
    assert format_record(record) == "[EVENT] otel_fim.finding @ 2026-01-13T14:32:15Z: something"


def test_a_long_sentence_is_cut() -> None:
    shown = line("x" * 5000)
    assert shown.endswith("x…")
    assert len(shown) < 600


@given(st.text(), st.text(), st.text())
def test_one_finding_is_one_line_whatever_it_says(title: str, body: str, author: str) -> None:
    shown = line(body, **{names.SECURITY_RULE_NAME: title, names.RULE_AUTHOR: [author]})
    assert shown.isprintable()
    assert ast.literal_eval(repr(shown)) == shown


def test_findings_are_shown_by_default() -> None:
    assert events.FINDING in ConsoleConfig().events
