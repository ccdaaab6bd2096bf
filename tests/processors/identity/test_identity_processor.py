"""What the processor writes into a record, what it leaves alone, and when it says nothing."""

from __future__ import annotations

import os
import pwd
import threading
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from otel_fim import names
from otel_fim.host.process import Ancestor
from otel_fim.host.sessions import LoginSession
from otel_fim.names import events
from otel_fim.pipeline.coverage import timestamp
from otel_fim.processors.identity import IdentityConfig
from otel_fim.processors.identity.lookup import parse_time
from otel_fim.processors.identity.waiting import Waiting
from otel_fim.record import Record, Resource

ROOT = pwd.getpwuid(0).pw_name
SHELL = {
    "parent_pid": 812,
    "ancestors": (
        Ancestor(812, "0c11d6a2b7f94e50", "/usr/bin/bash", "bash"),
        Ancestor(800, "aaaaaaaaaaaaaaaa", None, "sshd"),
    ),
    "executable_path": "/usr/bin/dash",
    "executable_sha256": "ab" * 32,
    "command": "sh",
    "effective_user_id": 0,
    "real_user_id": 0,
    "login_user_id": 4_000_000,
    "session_id": 3,
    "terminal": "/dev/pts/0",
    "working_directory": "/root",
    "container_id": "cd" * 32,
    "systemd_unit": "session-3.scope",
}


def login(**more: Any) -> LoginSession:
    values: dict[str, Any] = {
        "user_id": 4_000_000,
        "user_name": "alice",
        "source_address": "203.0.113.7",
        "source_port": 51234,
        "method": "publickey",
        "service": "sshd",
        "terminal": "pts/0",
        "time_unix_nano": 1_768_314_600_120_000_000,
    }
    return LoginSession(**{"session_id": 3, **values, **more})


def test_a_writer_that_had_gone_gets_everything(world: Any, pid: int) -> None:
    process = world.put(pid, 50, 50.02, **SHELL)
    world.table.sessions.learn(login())
    record = world.complete(
        events.FILE_CREATED, 50.03, {names.PROCESS_PID: pid, names.OTEL_FIM_ACTOR_STATE: "exited"}
    )
    assert record.attributes == {
        names.PROCESS_PID: pid,
        names.PROCESS_CREATION_TIME: timestamp(process.created_unix_nano),
        names.PROCESS_ENTITY_ID: process.entity_id,
        names.PROCESS_EXECUTABLE_PATH: "/usr/bin/dash",
        names.PROCESS_EXECUTABLE_NAME: "dash",
        names.PROCESS_HASH_SHA256: "ab" * 32,
        names.PROCESS_COMMAND: "sh",
        names.PROCESS_USER_ID: 0,
        names.PROCESS_USER_NAME: ROOT,
        names.PROCESS_REAL_USER_ID: 0,
        names.PROCESS_REAL_USER_NAME: ROOT,
        names.USER_ID: "0",
        names.USER_NAME: ROOT,
        names.PROCESS_WORKING_DIRECTORY: "/root",
        names.OTEL_FIM_PROCESS_TERMINAL: "/dev/pts/0",
        names.CONTAINER_ID: "cd" * 32,
        names.OTEL_FIM_SYSTEMD_UNIT: "session-3.scope",
        names.PROCESS_PARENT_PID: 812,
        names.PROCESS_PARENT_ENTITY_ID: "0c11d6a2b7f94e50",
        names.PROCESS_PARENT_EXECUTABLE_PATH: "/usr/bin/bash",
        names.PROCESS_PARENT_COMMAND: "bash",
        names.OTEL_FIM_PROCESS_ANCESTORS: ["812 /usr/bin/bash", "800 sshd"],
        names.OTEL_FIM_LOGIN_USER_ID: 4_000_000,
        names.OTEL_FIM_LOGIN_USER_NAME: "alice",
        names.OTEL_FIM_LOGIN_SESSION_ID: 3,
        names.OTEL_FIM_LOGIN_SOURCE_ADDRESS: "203.0.113.7",
        names.OTEL_FIM_LOGIN_SOURCE_PORT: 51234,
        names.OTEL_FIM_LOGIN_METHOD: "publickey",
        names.OTEL_FIM_LOGIN_SERVICE: "sshd",
        names.OTEL_FIM_LOGIN_TERMINAL: "pts/0",
        names.OTEL_FIM_LOGIN_TIME: "2026-01-13T14:30:00.120000000Z",
        names.OTEL_FIM_ACTOR_STATE: "recorded",
    }


def test_one_that_was_gone_is_not_the_one_that_has_its_pid_now(world: Any, pid: int) -> None:
    world.put(pid, 50, **SHELL)
    record = world.complete(
        events.FILE_CREATED, 60, {names.PROCESS_PID: pid, names.OTEL_FIM_ACTOR_STATE: "exited"}
    )
    assert record.attributes == {names.PROCESS_PID: pid, names.OTEL_FIM_ACTOR_STATE: "exited"}


def test_one_that_was_gone_long_before_its_record_is_found_when_there_was_no_other(
    world: Any, pid: int
) -> None:
    first = world.put(pid, 50, 50.1, **SHELL)
    before = {names.PROCESS_PID: pid, names.OTEL_FIM_ACTOR_STATE: "exited"}
    assert (
        world.complete(events.FILE_CREATED, 60, before).attributes[names.PROCESS_ENTITY_ID] == first.entity_id
    )
    world.put(pid, 51, 51.1, **SHELL)
    assert world.complete(events.FILE_CREATED, 60, before).attributes == before


def test_two_that_may_have_been_it_are_neither(world: Any, pid: int) -> None:
    world.put(pid, 50, 50.5, **SHELL)
    world.put(pid, 51, 51.5, **SHELL)
    record = world.complete(
        events.FILE_CREATED, 51.6, {names.PROCESS_PID: pid, names.OTEL_FIM_ACTOR_STATE: "exited"}
    )
    assert names.PROCESS_ENTITY_ID not in record.attributes


def test_the_creation_time_tells_two_apart(world: Any, pid: int) -> None:
    first = world.put(pid, 50, 50.5, **SHELL)
    world.put(pid, 51, 51.5, **SHELL)
    record = world.complete(
        events.FILE_CREATED,
        51.6,
        {names.PROCESS_PID: pid, names.PROCESS_CREATION_TIME: timestamp(world.at(50.009))},
    )
    assert record.attributes[names.PROCESS_ENTITY_ID] == first.entity_id
    # Every record of a process says the same time.
    assert record.attributes[names.PROCESS_CREATION_TIME] == timestamp(first.created_unix_nano)


def test_another_entity_id_is_another_process(world: Any, pid: int) -> None:
    world.put(pid, 50, **SHELL)
    before = {names.PROCESS_PID: pid, names.PROCESS_ENTITY_ID: "0123456789abcdef"}
    assert world.complete(events.LISTENER_OPENED, 60, before).attributes == before


def test_a_program_that_came_later_is_not_told(world: Any, pid: int) -> None:
    world.put(pid, 50, **SHELL)
    before = {
        names.PROCESS_PID: pid,
        names.PROCESS_CREATION_TIME: timestamp(world.at(50)),
        names.PROCESS_EXECUTABLE_PATH: "/usr/bin/bash",
        names.PROCESS_USER_ID: 1000,
    }
    record = world.complete(events.FILE_CREATED, 60, before)
    assert before.items() <= record.attributes.items()
    for name in (names.PROCESS_HASH_SHA256, names.PROCESS_COMMAND, names.PROCESS_USER_NAME, names.USER_ID):
        assert name not in record.attributes
    assert record.attributes[names.OTEL_FIM_LOGIN_SESSION_ID] == 3
    assert record.attributes[names.PROCESS_PARENT_PID] == 812


def test_a_program_that_began_after_the_record_is_not_told(world: Any, pid: int) -> None:
    world.put(pid, 50, **SHELL, program_unix_nano=world.at(61))
    record = world.complete(
        events.FILE_CREATED,
        60,
        {names.PROCESS_PID: pid, names.PROCESS_CREATION_TIME: timestamp(world.at(50))},
    )
    assert names.PROCESS_ENTITY_ID in record.attributes
    assert names.PROCESS_EXECUTABLE_PATH not in record.attributes
    assert names.PROCESS_USER_ID not in record.attributes


def test_a_table_that_lags_behind_tells_who_but_not_which_program(world: Any, pid: int) -> None:
    world.put(pid, 50, **SHELL)
    world.table.feed_with(lambda: None)
    record = world.complete(
        events.FILE_CREATED,
        60,
        {names.PROCESS_PID: pid, names.PROCESS_CREATION_TIME: timestamp(world.at(50))},
    )
    assert names.PROCESS_ENTITY_ID in record.attributes
    assert names.PROCESS_EXECUTABLE_PATH not in record.attributes


def test_other_rights_and_another_parent_stay_as_they_were_read(world: Any, pid: int) -> None:
    world.put(pid, 50, **SHELL)
    before = {
        names.PROCESS_PID: pid,
        names.PROCESS_CREATION_TIME: timestamp(world.at(50)),
        names.PROCESS_EXECUTABLE_PATH: "/usr/bin/dash",
        names.USER_ID: "1000",
        names.PROCESS_PARENT_PID: 1,
        names.OTEL_FIM_LOGIN_SESSION_ID: 9,
    }
    world.table.sessions.learn(login())
    record = world.complete(events.FILE_CREATED, 60, before)
    assert {
        **before,
        names.PROCESS_CREATION_TIME: timestamp(world.at(50)),
    }.items() <= record.attributes.items()
    for name in (
        names.PROCESS_USER_ID,
        names.USER_NAME,
        names.PROCESS_PARENT_ENTITY_ID,
        names.OTEL_FIM_LOGIN_USER_ID,
        names.OTEL_FIM_LOGIN_SOURCE_ADDRESS,
    ):
        assert name not in record.attributes
    assert record.attributes[names.PROCESS_HASH_SHA256] == "ab" * 32


@pytest.mark.parametrize(
    "resource",
    [
        Resource({names.HOST_ID: "host-2", names.SERVICE_INSTANCE_ID: "agent-1"}),
        Resource({names.HOST_ID: "host-1", names.SERVICE_INSTANCE_ID: "agent-2"}),
        Resource(),
    ],
)
def test_records_of_others_are_left_alone(world: Any, pid: int, resource: Resource) -> None:
    world.put(pid, 50, **SHELL)
    world.table.sessions.learn(login())
    before = {
        names.PROCESS_PID: pid,
        names.PROCESS_CREATION_TIME: timestamp(world.at(50)),
        names.OTEL_FIM_LOGIN_SESSION_ID: 3,
    }
    record = Record(
        world.at(60), world.at(60), events.FILE_CREATED, attributes=dict(before), resource=resource
    )
    world.processor.process([record])
    assert record.attributes == before


def test_what_happened_while_the_agent_was_down_has_no_time(world: Any, pid: int) -> None:
    world.put(pid, 50, **SHELL)
    before = {names.PROCESS_PID: pid, names.OTEL_FIM_FILE_WHILE_DOWN: True}
    assert world.complete(events.FILE_CREATED, 60, before).attributes == before


def test_a_closed_listener_is_not_found_by_time_and_an_opened_one_is(world: Any, pid: int) -> None:
    process = world.put(pid, 50, **SHELL)
    before = {names.PROCESS_PID: pid}
    assert world.complete(events.LISTENER_CLOSED, 60, before).attributes == before
    opened = world.complete(events.LISTENER_OPENED, 60, before).attributes
    assert opened[names.PROCESS_ENTITY_ID] == process.entity_id
    assert opened[names.USER_ID] == "0"


def test_a_listener_whose_owner_had_gone_is_not_the_one_that_has_its_pid_now(world: Any, pid: int) -> None:
    first = world.put(pid, 50, 59.9, **SHELL)
    before = {names.PROCESS_PID: pid, names.OTEL_FIM_ACTOR_STATE: "exited"}
    attributes = world.complete(events.LISTENER_OPENED, 60, before).attributes
    assert attributes[names.PROCESS_ENTITY_ID] == first.entity_id
    world.put(pid, 59.95, **SHELL)
    assert world.complete(events.LISTENER_OPENED, 60, before).attributes == before


def test_sudo_is_found_by_a_log_with_whole_seconds_and_keeps_its_own_words(world: Any, pid: int) -> None:
    process = world.put(pid, 50.4, 50.8, **SHELL)
    world.table.sessions.learn(login())
    before = {
        names.PROCESS_PID: pid,
        names.USER_NAME: "alice",
        names.USER_EFFECTIVE_NAME: "root",
        names.OTEL_FIM_AUTH_SERVICE: "sudo",
    }
    record = world.complete(events.AUTH_PRIVILEGE, 50, before, seen=1)
    assert before.items() <= record.attributes.items()
    assert record.attributes[names.PROCESS_ENTITY_ID] == process.entity_id
    assert record.attributes[names.OTEL_FIM_LOGIN_USER_NAME] == "alice"
    assert record.attributes[names.OTEL_FIM_LOGIN_SOURCE_ADDRESS] == "203.0.113.7"
    assert names.USER_ID not in record.attributes
    assert names.PROCESS_WORKING_DIRECTORY not in record.attributes


def test_a_failed_login_is_not_given_the_login_of_the_daemon(world: Any, pid: int) -> None:
    """An administrator who restarted sshd has left the session on it."""
    world.put(pid, 40, **SHELL)
    record = world.complete(
        events.AUTH_LOGIN,
        50,
        {names.PROCESS_PID: pid, names.USER_NAME: "mallory", names.EVENT_OUTCOME: "failure"},
    )
    assert names.PROCESS_ENTITY_ID in record.attributes
    assert not [name for name in record.attributes if name.startswith("otel_fim.login.")]
    record = world.complete(
        events.AUTH_LOGIN,
        50,
        {names.PROCESS_PID: pid, names.USER_NAME: "mallory", names.EVENT_OUTCOME: "success"},
    )
    assert not [name for name in record.attributes if name.startswith("otel_fim.login.")]


def test_a_login_that_succeeded_has_the_session_of_the_process_when_it_is_that_users(
    world: Any, pid: int
) -> None:
    world.put(pid, 40, **{**SHELL, "login_user_id": 0})
    record = world.complete(
        events.AUTH_LOGIN, 50, {names.PROCESS_PID: pid, names.USER_NAME: ROOT, names.EVENT_OUTCOME: "success"}
    )
    assert record.attributes[names.OTEL_FIM_LOGIN_SESSION_ID] == 3


SSHD = {"effective_user_id": 0, "executable_path": "/usr/lib/openssh/sshd-session", "command": "sshd-session"}
ACCEPTED = {
    names.USER_NAME: "alice",
    names.SOURCE_ADDRESS: "203.0.113.7",
    names.OTEL_FIM_AUTH_METHOD: "publickey",
    names.OTEL_FIM_AUTH_SERVICE: "sshd",
    names.EVENT_OUTCOME: "success",
}


def _descendant(world: Any, pid: int, leader: Any) -> dict[str, Any]:
    world.put(
        pid,
        45,
        executable_path="/usr/bin/vi",
        ancestors=(Ancestor(pid + 5, "bash", "/usr/bin/bash", "bash"), leader.as_ancestor()),
    )
    record: Record = world.complete(events.FILE_MODIFIED, 60, {names.PROCESS_PID: pid})
    return record.attributes


def test_without_audit_sessions_the_ancestor_that_let_the_user_in_says_who_it_is(
    world: Any, pid: int
) -> None:
    daemon = Ancestor(700, "daemon", "/usr/sbin/sshd", "sshd")
    leader = world.put(pid + 1, 40, **SSHD, ancestors=(daemon,))
    world.complete(events.AUTH_LOGIN, 41, {names.PROCESS_PID: pid + 1, **ACCEPTED})
    attributes = _descendant(world, pid, leader)
    assert attributes[names.OTEL_FIM_LOGIN_USER_NAME] == "alice"
    assert attributes[names.OTEL_FIM_LOGIN_SOURCE_ADDRESS] == "203.0.113.7"
    assert attributes[names.OTEL_FIM_LOGIN_METHOD] == "publickey"
    assert attributes[names.OTEL_FIM_LOGIN_BASIS] == "ancestor"
    assert names.OTEL_FIM_LOGIN_SESSION_ID not in attributes


@pytest.mark.parametrize(
    "changed",
    [
        {"effective_user_id": 1000},
        {"executable_path": "/home/mallory/sshd-session"},
        {"executable_path": "/usr/bin/bash"},
        {"ancestors": (Ancestor(1, "init", "/usr/lib/systemd/systemd", "systemd"),)},
        {"ancestors": ()},
        {"executable_path": None},
    ],
)
def test_who_does_not_let_users_in_cannot_be_said_to(world: Any, pid: int, changed: dict[str, Any]) -> None:
    daemon = Ancestor(700, "daemon", "/usr/sbin/sshd", "sshd")
    leader = world.put(pid + 1, 40, **{**SSHD, "ancestors": (daemon,), **changed})
    world.complete(events.AUTH_LOGIN, 41, {names.PROCESS_PID: pid + 1, **ACCEPTED})
    assert names.OTEL_FIM_LOGIN_USER_NAME not in _descendant(world, pid, leader)


def test_the_kernels_session_comes_before_the_ancestors(world: Any, pid: int) -> None:
    world.table.sessions.learn(LoginSession(None, user_name="alice", leader_entity_id="leader"))
    world.put(pid, 45, login_user_id=0, session_id=7, ancestors=(Ancestor(9, "leader", None, None),))
    attributes = world.complete(events.FILE_MODIFIED, 60, {names.PROCESS_PID: pid}).attributes
    assert attributes[names.OTEL_FIM_LOGIN_USER_NAME] == ROOT
    assert names.OTEL_FIM_LOGIN_BASIS not in attributes


def test_a_session_number_of_another_user_is_an_old_one(world: Any, pid: int) -> None:
    world.put(pid, 50, **SHELL)
    world.table.sessions.learn(login(user_id=5))
    attributes = world.complete(events.FILE_MODIFIED, 60, {names.PROCESS_PID: pid}).attributes
    assert attributes[names.OTEL_FIM_LOGIN_SESSION_ID] == 3
    assert names.OTEL_FIM_LOGIN_SOURCE_ADDRESS not in attributes


def test_a_login_that_becomes_known_later_is_told_from_then_on(world: Any, pid: int) -> None:
    world.put(pid, 50, **SHELL)
    before = world.complete(events.FILE_MODIFIED, 60, {names.PROCESS_PID: pid}).attributes
    assert names.OTEL_FIM_LOGIN_USER_NAME not in before
    world.table.sessions.learn(login())
    after = world.complete(events.FILE_MODIFIED, 61, {names.PROCESS_PID: pid}).attributes
    assert after[names.OTEL_FIM_LOGIN_USER_NAME] == "alice"


@pytest.mark.parametrize("ancestors", [0, 1, 8])
def test_the_number_of_ancestors_is_configured(make_world: Any, pid: int, ancestors: int) -> None:
    world = make_world(ancestors=ancestors)
    world.put(pid, 50, **SHELL)
    attributes = world.complete(events.FILE_MODIFIED, 60, {names.PROCESS_PID: pid}).attributes
    expected = ["812 /usr/bin/bash", "800 sshd"][:ancestors]
    assert attributes.get(names.OTEL_FIM_PROCESS_ANCESTORS, []) == expected


def test_one_that_had_to_make_room_is_not_known_any_more(make_world: Any, pid: int) -> None:
    world = make_world(limit=2)
    world.put(pid, 50, 50.5, **SHELL)
    world.put(pid + 1, 51, 51.5)
    world.put(pid, 52, 52.2, **SHELL)
    assert world.table.evicted == 1
    before = {names.PROCESS_PID: pid, names.OTEL_FIM_ACTOR_STATE: "exited"}
    assert world.complete(events.FILE_CREATED, 53, before).attributes == before


@pytest.mark.parametrize("settings", [{"patience": "-1s"}, {"ancestors": 9}, {"ancestors": -1}, {"field": 1}])
def test_a_wrong_setting_is_named(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(settings))):
        IdentityConfig.model_validate(settings)


def test_this_process_is_found_without_a_feeder(make_world: Any) -> None:
    world = make_world()
    world.table.feed_with(None)
    world.now = time.time_ns()
    record = Record(world.now, world.now, events.LISTENER_OPENED, attributes={names.PROCESS_PID: os.getpid()})
    record.resource = world.processor.context.resource
    world.processor.process([record])
    assert record.attributes[names.PROCESS_EXECUTABLE_PATH] == os.path.realpath("/proc/self/exe")
    # 0 where the parent lies outside this pid namespace.
    assert record.attributes.get(names.PROCESS_PARENT_PID) == (os.getppid() or None)
    assert record.attributes[names.PROCESS_USER_ID] == os.geteuid()


def test_a_feeder_that_is_poked_is_waited_for(make_world: Any, pid: int) -> None:
    world = make_world(patience="20s")
    poked = threading.Event()
    world.table.feed_with(poked.set)
    world.now = time.time_ns()

    def feed() -> None:
        assert poked.wait(20)
        world.start = world.now - 60_000_000_000
        world.put(pid, 50, **SHELL)
        world.table.fed(world.now + 1)

    thread = threading.Thread(target=feed)
    thread.start()
    record = Record(
        world.now,
        world.now,
        events.LISTENER_OPENED,
        attributes={names.PROCESS_PID: pid},
        resource=world.processor.context.resource,
    )
    world.processor.process([record])
    thread.join(20)
    assert names.PROCESS_ENTITY_ID in record.attributes


def test_a_feeder_that_is_stuck_is_not_waited_for_again_and_again(world: Any) -> None:
    asked: list[float] = []
    now = 100.0

    def catch_up(until: int, patience: float) -> bool:
        asked.append(patience)
        return answer

    world.table.catch_up = catch_up
    waiting = Waiting(world.table, 0.25, clock=lambda: now)
    answer = False
    for seconds in (0.0, 0.5, 0.6, 1.9, 0.2, 2.0):
        now += seconds
        waiting.for_time(world.now, world.now)
    assert asked == [0.25, 0.0, 0.25, 0.0, 0.25, 0.0]
    answer = True
    waiting.for_time(world.now, world.now)
    answer = False
    waiting.for_time(world.now, world.now)
    assert asked[-2:] == [0.0, 0.25]
    asked.clear()
    waiting.for_time(world.now - 11_000_000_000, world.now)
    assert asked == []


@given(st.integers(0, 253_402_300_799_999_999_999))
def test_times_are_read_as_they_are_written(moment: int) -> None:
    assert parse_time(timestamp(moment)) == moment


@given(st.text(max_size=40))
def test_no_text_makes_reading_a_time_fail(text: str) -> None:
    found = parse_time(text)
    assert found is None or isinstance(found, int)


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("1970-01-01T00:00:01Z", 1_000_000_000),
        ("1970-01-01T00:00:01.5Z", 1_500_000_000),
        ("1970-01-01T01:00:01.000000001+01:00", 1_000_000_001),
        ("1970-01-01T00:00:01", None),
        ("1970-01-01T00:00:01.0000000001Z", None),
        ("1970-01-01T00:00:01.Z", None),
        ("", None),
    ],
)
def test_forms_of_time(text: str, nanoseconds: int | None) -> None:
    assert parse_time(text) == nanoseconds


_ANY = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.text(max_size=20), st.binary(max_size=5),
    st.lists(st.text(max_size=5), max_size=3),
)  # fmt: skip
_KEYS = st.sampled_from(
    [
        names.PROCESS_PID, names.PROCESS_CREATION_TIME, names.PROCESS_ENTITY_ID, names.PROCESS_EXECUTABLE_PATH,
        names.PROCESS_COMMAND, names.USER_ID, names.USER_NAME, names.PROCESS_USER_ID, names.PROCESS_PARENT_PID,
        names.OTEL_FIM_LOGIN_SESSION_ID, names.OTEL_FIM_LOGIN_USER_ID, names.OTEL_FIM_ACTOR_STATE,
        names.EVENT_OUTCOME, names.SOURCE_PORT, names.OTEL_FIM_FILE_WHILE_DOWN,
    ]
)  # fmt: skip


def test_no_record_makes_it_fail_and_nothing_that_was_said_is_lost(world: Any, pid: int) -> None:
    world.put(pid, 50, **SHELL)
    world.table.sessions.learn(login())
    event_names = [
        events.FILE_CREATED,
        events.AUTH_LOGIN,
        events.AUTH_PRIVILEGE,
        events.LISTENER_OPENED,
        "x",
        "",
    ]

    @given(
        st.sampled_from(event_names),
        st.dictionaries(_KEYS, _ANY, max_size=8),
        st.booleans(),
        st.sampled_from([0, world.at(60), 2**64 - 1]),
    )
    def check(event: str, attributes: dict[str, Any], known: bool, at: int) -> None:
        if known:
            attributes = {**attributes, names.PROCESS_PID: pid}
        record = Record(at, at, event, attributes=dict(attributes), resource=world.processor.context.resource)
        assert world.processor.process([record]) == [record]
        for name, value in attributes.items():
            if name in (names.PROCESS_CREATION_TIME, names.OTEL_FIM_ACTOR_STATE):
                continue
            assert record.attributes[name] == value

    check()


SUDO = {**SHELL, "executable_path": "/usr/bin/sudo", "command": "sudo", "working_directory": "/home/alice"}
SUDO_LINE = {
    names.OTEL_FIM_AUTH_SERVICE: "sudo",
    names.USER_ID: "1001",
    names.PROCESS_WORKING_DIRECTORY: "/home/alice",
}


def test_a_line_of_sudo_without_a_pid_is_that_of_the_only_sudo(world: Any, pid: int) -> None:
    first = world.put(pid, 50.4, 50.9, **{**SUDO, "real_user_id": 1001})
    world.put(pid + 1, 50.5, 50.9, **{**SUDO, "ancestors": (first.as_ancestor(),)})
    world.put(pid + 2, 50.5, **{**SUDO, "working_directory": "/srv"})
    world.put(pid + 3, 50.5, **{**SUDO, "real_user_id": 1002})
    world.put(pid + 4, 50.5, **{**SUDO, "executable_path": "/usr/bin/bash"})
    world.put(pid + 5, 40, 49, **SUDO)
    attributes = world.complete(events.AUTH_PRIVILEGE, 50.6, SUDO_LINE).attributes
    assert attributes[names.PROCESS_PID] == pid
    assert attributes[names.PROCESS_ENTITY_ID] == first.entity_id
    assert attributes[names.OTEL_FIM_LOGIN_SESSION_ID] == 3
    assert SUDO_LINE.items() <= attributes.items()


@pytest.mark.parametrize("limit", [2, 64])
def test_two_that_may_have_said_it_or_one_that_made_room_are_nobody(
    make_world: Any, pid: int, limit: int
) -> None:
    world = make_world(limit=limit)
    world.put(pid, 50.4, 50.55, **SUDO)
    world.put(pid + 1, 50.5, 50.9, **SUDO)
    world.put(pid + 2, 50.5, 50.9)
    assert world.table.evicted == (1 if limit == 2 else 0)
    assert world.complete(events.AUTH_PRIVILEGE, 50.6, SUDO_LINE).attributes == SUDO_LINE


@pytest.mark.parametrize(("created", "named"), [(40.5, False), (41.5, True)])
def test_what_a_leader_had_started_before_it_let_the_user_in_is_nobodys(
    world: Any, pid: int, created: float, named: bool
) -> None:
    daemon = Ancestor(700, "daemon", "/usr/sbin/sshd", "sshd")
    leader = world.put(pid + 1, 40, **SSHD, ancestors=(daemon,))
    world.complete(events.AUTH_LOGIN, 41, {names.PROCESS_PID: pid + 1, **ACCEPTED})
    world.put(pid, created, executable_path="/usr/sbin/sshd", ancestors=(leader.as_ancestor(), daemon))
    attributes = world.complete(events.FILE_MODIFIED, 60, {names.PROCESS_PID: pid}).attributes
    assert (names.OTEL_FIM_LOGIN_USER_NAME in attributes) is named
