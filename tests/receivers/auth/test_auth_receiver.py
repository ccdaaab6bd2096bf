"""The receiver on log files of its own: from a line to a record, over restarts, and what it says when it cannot see."""

from __future__ import annotations

import logging
import os
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from otel_fim import names
from otel_fim.component import Health, ReceiverContext, StartError
from otel_fim.journal.files import TEMPORARY_SUFFIX
from otel_fim.names import events, metrics
from otel_fim.receivers.auth import AuthReceiver
from otel_fim.receivers.auth.config import AuthConfig
from otel_fim.receivers.auth.event import Entry
from otel_fim.receivers.auth.platforms import NotHereError, platform_sources
from otel_fim.receivers.auth.sources.audit import AuditSource
from otel_fim.record import Record, Resource, Scope, Severity

TIMEOUT = 20.0
NARROW = struct.Struct("=h2xi32s4s32s256shhiIi16s20x")


class Host:
    """Log files in a directory, a pipeline, and a receiver that can be stopped, killed and started."""

    def __init__(self, directory: Path) -> None:
        self.log = directory / "auth.log"
        self.wtmp, self.btmp, self.utmp = (directory / name for name in ("wtmp", "btmp", "utmp"))
        self.state = directory / "state"
        self.state.mkdir()
        self.shadow, self.group = directory / "shadow", directory / "group"
        self.shadow.write_text("bob:$y$x:1::::::\n")
        self.group.write_text("singers:x:50:alice,bob\n")
        self.records: list[Record] = []
        self.counted: list[tuple[str, int, dict[str, Any]]] = []
        self.health: list[tuple[Health, str]] = []
        self.durable = True
        self.held: list[Callable[[], None]] = []
        self.receivers: list[AuthReceiver] = []
        self.settings: dict[str, Any] = {"sources": ["text", "wtmp", "btmp"], "merge_window": "200ms"}
        self.context: ReceiverContext | None = None

    def emit(self, records: Sequence[Record], on_durable: Callable[[], None] | None = None) -> None:
        self.records += records
        if on_durable is not None:
            if self.durable:
                threading.Thread(target=on_durable).start()
            else:
                self.held.append(on_durable)

    def make(self, **settings: Any) -> AuthReceiver:
        config = AuthConfig.model_validate(
            {
                "text_logs": [str(self.log)],
                "wtmp": str(self.wtmp),
                "btmp": str(self.btmp),
                "utmp": str(self.utmp),
                "shadow_file": str(self.shadow),
                "group_file": str(self.group),
                **self.settings,
                **settings,
            }
        )
        self.context = ReceiverContext(
            id="auth",
            kind="receiver",
            state_directory=self.state,
            service_directory=self.state,
            agent_directories=(),
            resource=Resource({"host.name": "test"}),
            scope=Scope("otel_fim.receivers.auth"),
            logger=logging.getLogger("test.auth"),
            report=lambda health, text: self.health.append((health, text)),
            count=lambda name, amount=1, **attributes: self.counted.append((name, amount, attributes)),
            emit=self.emit,
        )
        receiver = AuthReceiver(config, self.context)
        self.receivers.append(receiver)
        return receiver

    def start(self, **settings: Any) -> AuthReceiver:
        for file in (self.log, self.wtmp, self.btmp):
            file.touch()
        receiver = self.make(**settings)
        receiver.start()
        return receiver

    def write(self, *lines: str) -> None:
        now = time.time()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1e6):06d}+00:00"
        with self.log.open("a") as file:
            file.writelines(f"{stamp} host {line}\n" for line in lines)

    def row(self, file: Path, kind: int, pid: int, line: str, user: str, address: bytes = b"") -> None:
        now = time.time_ns()
        seconds, micros = now // 10**9, now % 10**9 // 1000
        data = (kind, pid, line.encode(), b"", user.encode(), b"", 0, 0, 0, seconds, micros, address)
        with file.open("ab") as out:
            out.write(NARROW.pack(*data))

    def told(self, event: str = "auth.") -> list[Record]:
        return [record for record in self.records if record.event_name.startswith(f"otel_fim.{event}")]

    def wait(self, count: int, event: str = "auth.") -> list[Record]:
        wait_for(lambda: len(self.told(event)) >= count)
        return self.told(event)

    def rejected(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for name, amount, attributes in self.counted:
            if name == metrics.RECEIVER_REJECTED_INPUTS:
                found[attributes["reason"]] = found.get(attributes["reason"], 0) + amount
        return found


def wait_for(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, "did not happen"
        time.sleep(0.01)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path)
    yield host
    for receiver in host.receivers:
        receiver.stop(5.0)


ACCEPTED = "sshd[71]: Accepted password for alice from 192.0.2.1 port 5 ssh2"
FAILED = "sshd[72]: Failed password for invalid user mallory from 192.0.2.1 port 6 ssh2"


def test_a_login_in_two_logs_is_one_record(host: Host) -> None:
    host.start()
    host.write(
        ACCEPTED, "sshd[71]: pam_unix(sshd:session): session opened for user alice(uid=1001) by (uid=0)"
    )
    host.row(host.wtmp, 7, 71, "pts/0", "alice", bytes([192, 0, 2, 1]))
    (record,) = host.wait(1)
    time.sleep(0.5)
    assert len(host.told()) == 1
    assert record.event_name == events.AUTH_LOGIN
    assert record.severity_number == Severity.INFO
    assert record.body == "alice logged in from 192.0.2.1 port 5 through sshd with password"
    assert record.attributes == {
        names.EVENT_ACTION: "login",
        names.EVENT_OUTCOME: "success",
        names.USER_NAME: "alice",
        names.USER_ID: "1001",
        names.OTEL_FIM_AUTH_USER_KNOWN: True,
        names.SOURCE_ADDRESS: "192.0.2.1",
        names.SOURCE_PORT: 5,
        names.OTEL_FIM_AUTH_SERVICE: "sshd",
        names.OTEL_FIM_AUTH_METHOD: "password",
        names.OTEL_FIM_AUTH_TERMINAL: "pts/0",
        names.PROCESS_PID: 71,
        names.OTEL_FIM_AUTH_SOURCES: [str(host.log), "wtmp"],
    }


def test_a_failure_is_a_warning(host: Host) -> None:
    host.start()
    host.write(FAILED)
    host.row(host.btmp, 6, 72, "ssh:notty", "mallory", bytes([192, 0, 2, 1]))
    (record,) = host.wait(1)
    assert record.severity_number == Severity.WARN
    assert record.attributes[names.OTEL_FIM_AUTH_USER_KNOWN] is False
    assert record.attributes[names.OTEL_FIM_AUTH_REASON] == "unknown_user"
    assert record.body == (
        "mallory failed to log in from 192.0.2.1 port 6 through sshd with password: there is no such user"
    )


def test_a_logout_has_a_duration_also_after_a_restart(host: Host) -> None:
    receiver = host.start()
    host.write(ACCEPTED)
    host.wait(1)
    receiver.stop(5.0)
    host.start()
    host.write("sshd[71]: pam_unix(sshd:session): session closed for user alice")
    login, logout = host.wait(2)
    assert logout.event_name == events.AUTH_LOGOUT
    assert logout.attributes[names.EVENT_DURATION] == logout.time_unix_nano - login.time_unix_nano
    assert logout.attributes[names.SOURCE_ADDRESS] == "192.0.2.1"
    assert len(host.told()) == 2


def test_a_login_from_before_the_agent_ends_with_its_user(host: Host) -> None:
    host.row(host.utmp, 7, 90, "pts/3", "bob", bytes([192, 0, 2, 9]))
    host.start(sources=["wtmp", "utmp"])
    time.sleep(0.3)
    assert host.told() == []
    host.row(host.wtmp, 8, 90, "pts/3", "")
    (logout,) = host.wait(1)
    assert logout.event_name == events.AUTH_LOGOUT
    assert logout.attributes[names.USER_NAME] == "bob"
    assert logout.attributes[names.SOURCE_ADDRESS] == "192.0.2.9"


def test_a_clock_that_is_set_back_leaves_the_logout_its_login(host: Host) -> None:
    host.start()
    host.write(ACCEPTED)
    host.wait(1)
    back = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() - 3000))
    with host.log.open("a") as file:
        file.write(f"{back} host sshd[71]: pam_unix(sshd:session): session closed for user alice\n")
    logout = host.wait(2)[1]
    assert logout.attributes[names.SOURCE_PORT] == 5
    assert names.EVENT_DURATION not in logout.attributes


def test_a_name_cannot_pass_for_the_rest_of_the_sentence(host: Host) -> None:
    host.start()
    name = "root logged in from 9.9.9.9 port 1 through sshd with password"
    host.write(f"sshd[73]: Failed password for invalid user {name} from 192.0.2.1 port 6 ssh2")
    (record,) = host.wait(1)
    assert record.body == (
        f"'{name}' failed to log in from 192.0.2.1 port 6 through sshd with password: there is no such user"
    )


def test_what_is_written_while_the_agent_is_down_is_told_once(host: Host) -> None:
    host.start().stop(5.0)
    host.write(ACCEPTED)
    receiver = host.start()
    host.wait(1)
    receiver.stop(5.0)
    assert len(host.told()) == 1
    host.start().stop(5.0)
    assert len(host.told()) == 1


def test_a_kill_loses_nothing_that_was_not_durable(host: Host) -> None:
    host.start().stop(5.0)
    host.durable = False
    killed = host.start()
    host.write(ACCEPTED, FAILED)
    assert len(host.wait(2)) == 2
    # Nothing was durable: what is kept is of before. The threads of the killed one do not write any more.
    killed.stop(1.0)
    host.records.clear()
    host.held.clear()
    host.durable = True
    host.start()
    assert {record.attributes[names.PROCESS_PID] for record in host.wait(2)} == {71, 72}


def test_what_is_durable_after_the_stop_is_kept(host: Host) -> None:
    host.start().stop(5.0)
    host.durable = False
    receiver = host.start()
    host.write(ACCEPTED)
    host.wait(1)
    receiver.stop(1.0)
    for callback in host.held:
        callback()
    host.durable = True
    host.start().stop(5.0)
    assert len(host.told()) == 1


def test_stopping_tells_what_waits_for_company(host: Host) -> None:
    receiver = host.start(merge_window="30s")
    host.write(ACCEPTED, "sshd[73]: Invalid user eve from 192.0.2.1 port 7")
    wait_for(
        lambda: (host.state / "auth.json").exists() and b"eve" in (host.state / "auth.json").read_bytes()
    )
    assert host.told() == []
    receiver.stop(5.0)
    assert [record.attributes[names.USER_NAME] for record in host.told()] == ["alice", "eve"]


def test_what_waits_survives_a_kill(host: Host) -> None:
    host.start(merge_window="30s")
    host.write(ACCEPTED)
    state = host.state / "auth.json"
    wait_for(lambda: state.exists() and b"alice" in state.read_bytes())
    kept = state.read_bytes()
    host.receivers.pop().stop(5.0)
    host.records.clear()
    state.write_bytes(kept)
    host.start(merge_window="100ms")
    host.wait(1)
    time.sleep(0.3)
    assert len(host.told()) == 1


SUDO = "sudo:    alice : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/usr/bin/mysql --password=hunter2 -e x"


@pytest.mark.parametrize(
    ("mode", "hidden", "present"), [("none", True, False), ("redacted", True, True), ("full", False, True)]
)
def test_the_command_is_told_as_configured(host: Host, mode: str, hidden: bool, present: bool) -> None:
    host.start(command_line=mode)
    host.write(SUDO)
    (record,) = host.wait(1)
    assert record.event_name == events.AUTH_PRIVILEGE
    assert (names.PROCESS_COMMAND_LINE in record.attributes) == present
    assert ("hunter2" not in str(record)) == hidden
    assert names.LOG_RECORD_ORIGINAL not in record.attributes


def test_the_original_is_told_when_asked_for(host: Host) -> None:
    host.start(original=True)
    host.write(ACCEPTED)
    (record,) = host.wait(1)
    assert record.attributes[names.LOG_RECORD_ORIGINAL] == ACCEPTED.partition(": ")[2]


def test_users_are_chosen(host: Host) -> None:
    host.start(exclude_users=["backup-*"], include_users=["alice", "root"])
    host.write(
        "sshd[1]: Accepted password for backup-1 from 192.0.2.1 port 5 ssh2",
        "sshd[2]: Accepted password for bob from 192.0.2.1 port 5 ssh2",
        SUDO.replace("alice", "carol"),
        ACCEPTED,
    )
    host.wait(2)
    time.sleep(0.3)
    assert sorted(str(record.attributes[names.USER_NAME]) for record in host.told()) == ["alice", "carol"]


def test_locking_is_told_apart_from_other_changes(host: Host) -> None:
    host.start()
    host.shadow.write_text("bob:!$y$x:1::::::\n")
    host.write("passwd[5]: password for 'bob' changed by 'root'")
    host.wait(1)
    host.shadow.write_text("bob:$y$x:1::::::\n")
    host.write("passwd[6]: password for 'bob' changed by 'root'")
    host.wait(2)
    host.write("passwd[7]: password for 'bob' changed by 'root'")
    told = host.wait(3)
    assert [record.attributes[names.EVENT_ACTION] for record in told] == [
        "locked",
        "unlocked",
        "password_changed",
    ]
    assert {record.severity_number for record in told} == {Severity.WARN}
    assert told[0].body == "bob was locked by root"


def test_members_that_are_set_at_once_are_told_one_by_one(host: Host) -> None:
    host.start()
    host.write("gpasswd[9]: members of group singers set by root to bob,carol")
    told = host.wait(2)
    assert [(r.attributes[names.EVENT_ACTION], r.attributes[names.USER_TARGET_NAME]) for r in told] == [
        ("group_member_added", "carol"),
        ("group_member_removed", "alice"),
    ]


def test_rejected_input_is_counted(host: Host) -> None:
    receiver = host.start()
    with host.btmp.open("ab") as file:
        file.write(b"\xff" * NARROW.size)
    host.write("sshd[1]: Accepted password for x from nowhere port 99999 ssh2", "sudo: x : TTY=y")
    wait_for(lambda: {"bad_address", "malformed"} <= set(host.rejected()))
    wait_for(lambda: sum(host.rejected().values()) >= 3)
    engine = receiver._engine
    assert engine is not None
    message = ACCEPTED.partition(": ")[2]
    fields = {"_TRANSPORT": "syslog", "_EXE": "/usr/bin/logger"}
    forged = Entry("journald", time.time_ns(), "sshd", message, 5, 1000, True, fields, "cursor")
    engine.take("journald", [forged], "cursor")
    host.write(ACCEPTED)
    # In the log it is the same words.
    wait_for(lambda: host.rejected().get("forged") == 2)
    time.sleep(0.4)
    assert host.told() == []


def test_the_thread_survives_what_nobody_thought_of(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver = host.start()
    engine = receiver._engine
    assert engine is not None
    broken: Any = Entry("x", "no time", None, None)  # type: ignore[arg-type]
    engine.take("x", [broken], None)
    host.write(ACCEPTED)
    assert len(host.wait(1)) == 1


def test_a_source_of_another_system_is_an_error_that_names_the_key(host: Host) -> None:
    for name, system in (("windows_security", "Windows"), ("macos_unified_log", "macOS")):
        with pytest.raises(StartError, match=f"auth.sources: {name} is not available on Linux.*{system}"):
            host.make(sources=[name]).start()
    with pytest.raises(NotHereError, match="journald is not available on Windows"):
        platform_sources(AuthConfig(sources=["journald"]), "win32")
    assert [source.name for source in platform_sources(AuthConfig(), "win32")] == ["windows_security"]
    assert [source.name for source in platform_sources(AuthConfig(), "darwin")] == ["macos_unified_log"]
    assert platform_sources(AuthConfig(), "plan9") == []


def test_a_missing_source_that_was_asked_for_is_waited_for(host: Host) -> None:
    host.make(sources=["text"]).start()
    assert host.health[-1] == (
        Health.RECOVERABLE_ERROR,
        f"waits for {host.log} (does not exist)",
    )
    host.write(ACCEPTED)
    assert host.wait(1)


def test_no_source_at_all_is_a_gap_and_not_an_error(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AuditSource, "available", lambda self: "this kernel has no audit (CONFIG_AUDIT)")
    receiver = host.make(sources="auto", journal_directory=str(host.state / "nothing"))
    receiver.start()
    told = host.wait(1, "coverage.gap")
    assert any("can be seen" in str(gap.body) for gap in told)
    host.write(ACCEPTED)
    receiver.look_for_sources()
    host.wait(1, "coverage.restored")
    host.write("sshd[74]: Accepted password for bob from 192.0.2.1 port 5 ssh2")
    assert host.wait(1)


def test_a_damaged_state_is_a_gap(host: Host) -> None:
    (host.state / "auth.json").write_bytes(b'{"version": 1, "positions": [')
    host.start()
    (gap,) = host.wait(1, "coverage.gap")
    assert "auth.json is damaged" in str(gap.body)
    host.write(ACCEPTED)
    assert host.wait(1)


def test_a_state_that_cannot_be_written_is_said_and_work_goes_on(host: Host) -> None:
    (host.state / f"auth.json{TEMPORARY_SUFFIX}").mkdir()
    host.start()
    host.write(ACCEPTED)
    host.wait(1)
    wait_for(lambda: any(health is Health.RECOVERABLE_ERROR for health, _ in host.health))
    problem = next(text for health, text in host.health if health is Health.RECOVERABLE_ERROR)
    assert "auth.json cannot be written" in problem
    (host.state / f"auth.json{TEMPORARY_SUFFIX}").rmdir()
    host.write(FAILED)
    host.wait(2)
    wait_for(lambda: host.health[-1] == (Health.OK, ""))


def test_a_state_that_could_not_be_written_is_written_when_there_is_room(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otel_fim.receivers.auth.engine._RETRY_SECONDS", 0.05)
    (host.state / f"auth.json{TEMPORARY_SUFFIX}").mkdir()
    host.start()
    host.write(ACCEPTED)
    host.wait(1)
    wait_for(lambda: any(health is Health.RECOVERABLE_ERROR for health, _ in host.health))
    (host.state / f"auth.json{TEMPORARY_SUFFIX}").rmdir()
    wait_for((host.state / "auth.json").exists)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"sources": []}, "sources"),
        ({"sources": ["text", "text"]}, "sources"),
        ({"sources": ["syslog"]}, "sources"),
        ({"text_logs": ["auth.log"]}, "text_logs"),
        ({"merge_window": "0s"}, "merge_window"),
        ({"merge_window": "5m"}, "merge_window"),
        ({"command_line": "some"}, "command_line"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_a_wrong_setting_names_its_key(settings: dict[str, Any], key: str) -> None:
    with pytest.raises(ValidationError, match=key):
        AuthConfig.model_validate(settings)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_the_session_of_a_login_is_known_before_its_record(host: Host) -> None:
    if not os.path.exists("/proc/self/loginuid"):
        pytest.skip("needs a kernel with auditing")
    code = "open('/proc/self/loginuid', 'w').write('0'); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        session = int(Path(f"/proc/{child.pid}/sessionid").read_text())
        host.start(merge_window="20s")
        host.write(
            f"sshd[{child.pid}]: Accepted publickey for root from 192.0.2.1 port 5 ssh2",
            f"sshd[{child.pid}]: pam_unix(sshd:session): session opened for user root(uid=0) by (uid=0)",
        )
        context = host.context
        assert context is not None
        wait_for(lambda: context.processes.sessions.get(session) is not None)
        assert host.told() == []
        found = context.processes.sessions.get(session)
        assert found is not None
        assert (found.user_name, found.source_address, found.service) == ("root", "192.0.2.1", "sshd")
        # What is done in the session names the login.
        host.write(
            f"su[{child.pid}]: (to alice) root on pts/0",
        )
        wait_for(lambda: b'"su"' in (host.state / "auth.json").read_bytes())
        host.receivers.pop().stop(5.0)
        child.communicate(b"\n")
    login, privilege = host.told()
    for record in (login, privilege):
        assert record.attributes[names.OTEL_FIM_LOGIN_SESSION_ID] == session
        assert record.attributes[names.OTEL_FIM_LOGIN_SOURCE_ADDRESS] == "192.0.2.1"
        assert record.attributes[names.OTEL_FIM_LOGIN_USER_NAME] == "root"
