"""Mappings of persistence, logins, privilege and accounts: an example of each, and what shows nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_fim import names
from otel_fim.names import events
from otel_fim.names.registry import EVENTS
from otel_fim.processors.attack.engine import FINDERS, find
from otel_fim.processors.attack.persistence import KINDS
from otel_fim.record import Record

ADDED, CHANGED, REMOVED = events.PERSISTENCE_ADDED, events.PERSISTENCE_CHANGED, events.PERSISTENCE_REMOVED
LOGIN, PRIVILEGE, ACCOUNT = events.AUTH_LOGIN, events.AUTH_PRIVILEGE, events.AUTH_ACCOUNT

# kind, technique, confidence
PERSISTENCE: list[tuple[str, str, str]] = [
    ("cron", "T1053.003", "HIGH"),
    ("cron_script", "T1053.003", "HIGH"),
    ("cron_environment", "T1053.003", "MEDIUM"),
    ("anacron", "T1053.003", "HIGH"),
    ("at", "T1053.002", "HIGH"),
    ("systemd_service", "T1543.002", "HIGH"),
    ("systemd_socket", "T1543.002", "HIGH"),
    ("systemd_path", "T1543.002", "HIGH"),
    ("systemd_dropin", "T1543.002", "HIGH"),
    ("systemd_generator", "T1543.002", "MEDIUM"),
    ("systemd_hook", "T1543.002", "MEDIUM"),
    ("systemd_environment", "T1574.006", "LOW"),
    ("systemd_timer", "T1053.006", "HIGH"),
    ("init_script", "T1037.004", "HIGH"),
    ("rc_local", "T1037.004", "HIGH"),
    ("inittab", "T1037.004", "HIGH"),
    ("motd", "T1037", "MEDIUM"),
    ("session_script", "T1037", "MEDIUM"),
    ("ssh_rc", "T1037", "MEDIUM"),
    ("ssh_environment", "T1574.006", "LOW"),
    ("authorized_key", "T1098.004", "HIGH"),
    ("sshd_config", "T1098.004", "LOW"),
    ("shell_startup", "T1546.004", "MEDIUM"),
    ("ld_so_preload", "T1574.006", "HIGH"),
    ("ld_so_conf", "T1574.006", "MEDIUM"),
    ("sudoers", "T1548.003", "HIGH"),
    ("doas", "T1548", "MEDIUM"),
    ("polkit", "T1548", "MEDIUM"),
    ("pam", "T1556.003", "HIGH"),
    ("pam_module", "T1556.003", "HIGH"),
    ("kernel_module", "T1547.006", "HIGH"),
    ("kernel_module_load", "T1547.006", "MEDIUM"),
    ("modprobe", "T1547.006", "MEDIUM"),
    ("kernel_hook", "T1546.016", "LOW"),
    ("apt_hook", "T1546.016", "LOW"),
    ("dpkg_hook", "T1546.016", "LOW"),
    ("udev_rule", "T1546.017", "HIGH"),
    ("xdg_autostart", "T1547.013", "HIGH"),
    ("package_hook", "T1546.016", "LOW"),
    ("package_plugin", "T1546.016", "LOW"),
    ("git_hook", "T1546", "MEDIUM"),
    ("network_hook", "T1546", "MEDIUM"),
    ("sleep_hook", "T1546", "MEDIUM"),
    ("shutdown_hook", "T1546", "MEDIUM"),
    ("acpi_event", "T1546", "MEDIUM"),
    ("system_hook", "T1546", "LOW"),
    ("logrotate", "T1546", "LOW"),
    ("initramfs_hook", "T1037", "MEDIUM"),
    ("binfmt", "T1546", "MEDIUM"),
    ("binfmt_registered", "T1546", "MEDIUM"),
    ("python_customize", "T1546.018", "HIGH"),
    ("python_pth", "T1546.018", "MEDIUM"),
    ("setuid", "T1548.001", "HIGH"),
    ("setgid", "T1548.001", "MEDIUM"),
    ("file_capability", "T1548.001", "MEDIUM"),
    ("nginx", "T1505", "MEDIUM"),
    ("apache", "T1505", "MEDIUM"),
    ("php", "T1505", "MEDIUM"),
    ("launchd_agent", "T1543.001", "HIGH"),
    ("launchd_daemon", "T1543.004", "HIGH"),
    ("login_hook", "T1037.002", "HIGH"),
    ("login_item", "T1547.015", "HIGH"),
    ("periodic", "T1053", "MEDIUM"),
    ("windows_run_key", "T1547.001", "MEDIUM"),
    ("windows_service", "T1543.003", "HIGH"),
    ("windows_task", "T1053.005", "HIGH"),
    ("dbus_service", "T1543", "LOW"),
]


def item(event: str, kind: str, **more: Any) -> Record:
    attributes = {names.OTEL_FIM_PERSISTENCE_KIND: kind, names.OTEL_FIM_PERSISTENCE_ID: "/etc/x", **more}
    return Record(event_name=event, attributes=attributes)


def shown(record: Record) -> list[tuple[str, str]]:
    return [(match.technique.id, match.confidence.name) for match in find(record)]


@pytest.mark.parametrize(("kind", "technique", "confidence"), PERSISTENCE)
def test_what_starts_by_itself(kind: str, technique: str, confidence: str) -> None:
    assert shown(item(ADDED, kind)) == [(technique, confidence)]
    assert shown(item(CHANGED, kind)) == [(technique, confidence)]


def test_every_kind_has_an_example() -> None:
    assert {kind for kind, *_ in PERSISTENCE} == KINDS


def test_the_evidence_names_the_item() -> None:
    [match] = find(item(CHANGED, "cron"))
    assert match.evidence == "cron /etc/x was changed: cron runs it"


def test_a_kind_without_a_row_is_known_by_its_place() -> None:
    assert shown(item(ADDED, "new_kind", **{names.FILE_PATH: "/etc/cron.d/x"})) == [("T1053.003", "HIGH")]
    assert shown(item(ADDED, "new_kind", **{names.FILE_PATH: "/home/alice/x"})) == []
    assert shown(item(ADDED, "new_kind")) == []


@pytest.mark.parametrize(
    ("event", "more"),
    [
        (REMOVED, {}),
        (ADDED, {names.EVENT_ACTION: "scan"}),
        (CHANGED, {names.OTEL_FIM_PERSISTENCE_ENABLED: False}),
    ],
)
def test_what_is_gone_or_off_or_was_there_already_shows_nothing(event: str, more: dict[str, Any]) -> None:
    assert shown(item(event, "cron", **more)) == []


OUTCOME, METHOD, REASON = names.EVENT_OUTCOME, names.OTEL_FIM_AUTH_METHOD, names.OTEL_FIM_AUTH_REASON
USER, SOURCE, ACTION = names.USER_NAME, names.SOURCE_ADDRESS, names.EVENT_ACTION
FAILED: dict[str, Any] = {USER: "alice", SOURCE: "203.0.113.7", OUTCOME: "failure"}
ROOT: dict[str, Any] = {USER: "root", SOURCE: "203.0.113.7", OUTCOME: "success", METHOD: "password"}
SUDO: dict[str, Any] = {ACTION: "sudo", USER: "alice", names.USER_EFFECTIVE_NAME: "root", OUTCOME: "success"}
TARGET = names.USER_TARGET_NAME

ACCESS: list[tuple[str, dict[str, Any], list[tuple[str, str]]]] = [
    (LOGIN, FAILED, [("T1110", "LOW")]),
    (LOGIN, {**FAILED, METHOD: "password", REASON: "wrong_credentials"}, [("T1110", "LOW")]),
    (LOGIN, {**FAILED, REASON: "unknown_user"}, [("T1110", "LOW")]),
    (LOGIN, {**FAILED, REASON: "too_many_attempts"}, [("T1110", "MEDIUM")]),
    (LOGIN, {**FAILED, METHOD: "publickey"}, []),
    (LOGIN, {**FAILED, REASON: "account_expired"}, []),
    (LOGIN, {**FAILED, OUTCOME: "success"}, []),
    (LOGIN, {**FAILED, OUTCOME: "success", METHOD: "password"}, []),
    (LOGIN, ROOT, [("T1078.003", "LOW")]),
    (LOGIN, {**ROOT, METHOD: "publickey"}, []),
    (LOGIN, {**ROOT, SOURCE: "127.0.0.1"}, []),
    (LOGIN, {**ROOT, SOURCE: "::1"}, []),
    (LOGIN, {**ROOT, SOURCE: "localhost"}, []),
    (LOGIN, {**ROOT, SOURCE: None}, []),
    (events.AUTH_LOGOUT, FAILED, []),
    (PRIVILEGE, SUDO, [("T1548.003", "LOW")]),
    (PRIVILEGE, {**SUDO, OUTCOME: "failure"}, [("T1548.003", "LOW")]),
    (PRIVILEGE, {**SUDO, USER: "root"}, []),
    (PRIVILEGE, {**SUDO, USER: None, names.USER_ID: "0"}, []),
    (PRIVILEGE, {**SUDO, ACTION: "doas"}, [("T1548", "LOW")]),
    (PRIVILEGE, {**SUDO, ACTION: None, names.OTEL_FIM_AUTH_SERVICE: "pkexec"}, [("T1548", "LOW")]),
    (PRIVILEGE, {**SUDO, ACTION: "su"}, []),
    (PRIVILEGE, {**SUDO, ACTION: "su", OUTCOME: "failure"}, [("T1110", "LOW")]),
    (PRIVILEGE, {**SUDO, ACTION: "su", OUTCOME: "failure", REASON: "not_allowed"}, []),
    (PRIVILEGE, {**SUDO, ACTION: "newgrp"}, []),
    (PRIVILEGE, {}, []),
    (ACCOUNT, {ACTION: "user_created", TARGET: "mallory"}, [("T1136.001", "HIGH")]),
    (ACCOUNT, {ACTION: "user_created", OUTCOME: "failure"}, []),
    (ACCOUNT, {ACTION: "user_changed"}, [("T1098", "LOW")]),
    (ACCOUNT, {ACTION: "password_changed"}, [("T1098", "LOW")]),
    (ACCOUNT, {ACTION: "unlocked"}, [("T1098", "LOW")]),
    (ACCOUNT, {ACTION: "locked"}, [("T1531", "LOW")]),
    (ACCOUNT, {ACTION: "user_deleted"}, [("T1531", "LOW")]),
    (ACCOUNT, {ACTION: "group_member_added", names.GROUP_NAME: "sudo"}, [("T1098.007", "HIGH")]),
    (ACCOUNT, {ACTION: "group_member_added", names.GROUP_NAME: "audio"}, [("T1098.007", "MEDIUM")]),
    (ACCOUNT, {ACTION: "group_member_removed", names.GROUP_NAME: "sudo"}, []),
    (ACCOUNT, {ACTION: "group_created"}, []),
]


@pytest.mark.parametrize(("event", "attributes", "expected"), ACCESS)
def test_access(event: str, attributes: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    record = Record(event_name=event, attributes={k: v for k, v in attributes.items() if v is not None})
    assert shown(record) == expected
    assert all(match.evidence for match in find(record))


def test_the_evidence_says_who_and_whom() -> None:
    [match] = find(Record(event_name=PRIVILEGE, attributes={**SUDO, OUTCOME: "failure"}))
    assert match.evidence == "alice was refused to become root by sudo"
    [match] = find(Record(event_name=LOGIN, attributes=FAILED))
    assert match.evidence == "alice from 203.0.113.7 failed to log in"


@pytest.mark.parametrize(
    "event",
    [events.LISTENER_OPENED, events.LISTENER_CLOSED, events.PROCESS_STARTED, events.PROCESS_EXITED],
)
def test_open_ports_and_processes_show_no_technique(event: str) -> None:
    attributes = {names.NETWORK_LOCAL_PORT: 4444, names.PROCESS_EXECUTABLE_PATH: "/usr/bin/nc"}
    assert find(Record(event_name=event, attributes=attributes)) == []


_value = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(max_size=9),
    st.binary(max_size=3),
    st.lists(st.text(), max_size=2),
)
_keys = st.sampled_from([
    USER, SOURCE, ACTION, OUTCOME, METHOD, REASON, TARGET, names.GROUP_NAME, names.FILE_PATH,
    names.OTEL_FIM_PERSISTENCE_KIND, names.OTEL_FIM_PERSISTENCE_ID, names.OTEL_FIM_AUTH_SERVICE,
])  # fmt: skip


@given(st.sampled_from(sorted(FINDERS)) | st.sampled_from(sorted(EVENTS)), st.dictionaries(_keys, _value))
def test_no_record_makes_it_fail(event: str, attributes: dict[str, Any]) -> None:
    matches = find(Record(event_name=event, attributes=attributes))
    assert not matches or event in FINDERS
