"""Every typed view, asked of a real engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from otel_fim import names
from otel_fim.exporters.clickhouse.view_list import VIEWS
from otel_fim.exporters.clickhouse.views import View
from otel_fim.names import events
from otel_fim.names.registry import ATTRIBUTES, EVENTS
from otel_fim.record import Attributes, Record

SESSION: Attributes = {
    names.OTEL_FIM_LOGIN_SESSION_ID: 7,
    names.OTEL_FIM_LOGIN_USER_NAME: "alice",
    names.OTEL_FIM_LOGIN_SOURCE_ADDRESS: "203.0.113.7",
}
STORY: tuple[tuple[str, Attributes], ...] = (
    (events.AUTH_LOGIN, {names.EVENT_OUTCOME: "success", names.USER_NAME: "alice", **SESSION}),
    (events.AUTH_LOGIN, {names.EVENT_OUTCOME: "failure", names.USER_NAME: "bob"}),
    (events.AUTH_PRIVILEGE, {names.EVENT_OUTCOME: "success", names.USER_EFFECTIVE_NAME: "root", **SESSION}),
    (
        events.PROCESS_STARTED,
        {
            names.PROCESS_EXECUTABLE_PATH: "/usr/bin/vi",
            names.OTEL_FIM_PROCESS_ANCESTORS: ["9 /usr/bin/sudo"],
            **SESSION,
        },
    ),
    (events.PROCESS_EXITED, {names.PROCESS_EXIT_CODE: 1, names.OTEL_FIM_PROCESS_DURATION: 0.25, **SESSION}),
    (
        events.PERSISTENCE_ADDED,
        {names.OTEL_FIM_PERSISTENCE_KIND: "cron", names.OTEL_FIM_PERSISTENCE_ENABLED: True},
    ),
    (events.LISTENER_OPENED, {names.NETWORK_LOCAL_PORT: 4444, names.NETWORK_TRANSPORT: "tcp"}),
    (events.FILE_MODIFIED, SESSION),
    (events.COVERAGE_GAP, {names.OTEL_FIM_COVERAGE_REASON: "queue_overflow"}),
    (
        events.FINDING,
        {
            names.SECURITY_RULE_NAME: "Cron Entry Added By A Shell",
            names.OTEL_FIM_RULE_LEVEL: "high",
            names.EVENT_RISK_SCORE: 73.5,
            names.USER_NAME: "mallory",
            names.FILE_PATH: "/etc/cron.d/x",
            names.THREAT_TACTIC_NAME: ["Persistence"],
            names.THREAT_TECHNIQUE_ID: ["T1053"],
            names.OTEL_FIM_FINDING_EVIDENCE: ["01JD6W1M4E3YQ5T7R9VX2B4C6D"],
            names.OTEL_FIM_FINDING_FIRST_SEEN: "2026-01-13T14:32:15.000000000Z",
            names.OTEL_FIM_RULE_COMPLIANCE: ["pci_dss.11.5.2"],
        },
    ),
    (
        events.FINDING,
        {
            names.SECURITY_RULE_NAME: "Cron Entry Added By A Shell",
            names.OTEL_FIM_FINDING_COUNT: 100,
            names.OTEL_FIM_FINDING_DUPLICATE_OF: "01JD6W1M4E3YQ5T7R9VX2B4C6D",
        },
    ),
)


@pytest.fixture
def rows(
    exporter: Callable[..., Any],
    client: Any,
    database: str,
    chain: Any,
    make_batch: Callable[[Sequence[Record]], Any],
) -> Callable[[str], list[tuple[Any, ...]]]:
    records = []
    for number, (event, attributes) in enumerate(STORY, 1):
        record = chain.record(number, **attributes)
        record.event_name = event
        records.append(record)
    exporter().export(make_batch(records))

    def ask(sql: str) -> list[tuple[Any, ...]]:
        answer = client.query(sql.replace("otel_fim_", f"`{database}`.otel_fim_"))
        return [tuple(row) for row in answer.result_rows]

    return ask


def test_each_view_shows_its_records_with_their_types(
    rows: Callable[[str], list[tuple[Any, ...]]],
) -> None:
    assert rows("SELECT event, outcome, user FROM otel_fim_auth WHERE session_id = 7 OR user = 'bob'") == [
        ("login", "success", "alice"),
        ("login", "failure", "bob"),
        ("privilege", "success", ""),
    ]
    assert rows("SELECT event, ancestors, exit_code, seconds FROM otel_fim_processes ORDER BY sequence") == [
        ("started", ["9 /usr/bin/sudo"], None, None),
        ("exited", [], 1, 0.25),
    ]
    assert rows("SELECT event, transport, port FROM otel_fim_listeners") == [("opened", "tcp", 4444)]
    assert rows("SELECT event, kind, enabled FROM otel_fim_persistence") == [("added", "cron", True)]
    assert rows("SELECT event, login_user FROM otel_fim_files") == [("modified", "alice")]
    assert rows("SELECT event, reason FROM otel_fim_coverage") == [("gap", "queue_overflow")]


def test_findings_show_what_is_open(rows: Callable[[str], list[tuple[Any, ...]]]) -> None:
    assert rows(
        "SELECT event, rule, level, score, user, path, tactics, techniques, evidence, toYear(first_seen), "
        "count, compliance "
        "FROM otel_fim_findings WHERE duplicate_of = '' AND suppression = '' ORDER BY score DESC"
    ) == [
        (
            "finding",
            "Cron Entry Added By A Shell",
            "high",
            73.5,
            "mallory",
            "/etc/cron.d/x",
            ["Persistence"],
            ["T1053"],
            ["01JD6W1M4E3YQ5T7R9VX2B4C6D"],
            2026,
            1,
            ["pci_dss.11.5.2"],
        )
    ]
    assert rows("SELECT count, score FROM otel_fim_findings WHERE duplicate_of != ''") == [(100, None)]


def test_one_query_tells_a_session_in_order(rows: Callable[[str], list[tuple[Any, ...]]]) -> None:
    told = rows(
        "SELECT event, login_user, login_source FROM otel_fim_sessions WHERE session_id = 7 ORDER BY time, sequence"
    )

    assert [event for event, *_ in told] == [
        "auth.login",
        "auth.privilege",
        "process.started",
        "process.exited",
        "file.modified",
    ]
    assert {tuple(rest) for _, *rest in told} == {("alice", "203.0.113.7")}


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_a_view_shows_what_its_events_have(view: View) -> None:
    # A finding has the attributes of the record that it rests on, whatever that is.
    prefix = "" if view.prefix == events.FINDING else view.prefix
    own = {name for event in EVENTS.values() if event.name.startswith(prefix) for name in event.attributes}
    threat = {name for name in ATTRIBUTES if name.startswith(("threat.", "otel_fim.threat."))}
    shown = {column.key.removeprefix(names.BEFORE_PREFIX) for column in view.columns}
    unknown = shown - own - threat
    assert not unknown
