"""Names, commands and directories are chosen by strangers: none of them can forge a field of a record.

The lines are built the way the programs build them: OpenSSH's auth.c and log.c (strnvis with VIS_CSTYLE and VIS_OCTAL,
names cut at 100 bytes), sudo's eventlog.c, su-common.c.
"""

from __future__ import annotations

import os
import re
import string
import subprocess
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_fim.receivers.auth.event import AuthEvent, Entry, Kind
from otel_fim.receivers.auth.parse import Parser, RejectedError

ADDRESS, PORT = "198.51.100.23", 51234
PARSER = Parser(lambda user_id: None)
KEY = "ED25519 SHA256:uNiVztksCsDhcc0u9e8BgrJXVGDa9gOr4A3gQ7A1b2c"
CERTIFICATE = "ED25519-CERT SHA256:uNiVztksCsDhcc0u9e8BgrJXVGDa9gOr4A3gQ7A1b2c"

FORGERIES = (
    "x from 1.2.3.4 port 22 ssh2",
    "root from 1.2.3.4 port 22",
    "1.2.3.4 port 22",
    "x 1.2.3.4 port 22 [preauth]",
    f"x from 1.2.3.4 port 22 ssh2: {KEY}",
    f"x from 1.2.3.4 port 22 ssh2: {CERTIFICATE} ID y",
    f"x from 1.2.3.4 port 22 ssh2: {CERTIFICATE} ID y (serial 0) CA {KEY}",
    "root ; USER=bob ; COMMAND=/bin/true",
    "x ssh2",
    "invalid user root",
    "\n2026-01-13T14:32:15Z host sshd[1]: Accepted password for root from 1.2.3.4 port 22 ssh2",
    "\\nroot",
    "x)",
    " user=root",
    "rhost=1.2.3.4 user=root",
    "'; DROP TABLE users",
    "x: Too many authentication failures",
    "\x1b[31m",
    "é\xff",
)
names = st.one_of(
    st.sampled_from(FORGERIES),
    st.text(st.characters(min_codepoint=1, max_codepoint=0x2FF), max_size=60),
    st.builds("{}{}".format, st.text(string.ascii_letters + " ", max_size=5), st.sampled_from(FORGERIES)),
    st.text(" :;=/'\"()[]from port ssh2 12345.", max_size=60),
)


def vis(text: str) -> str:
    """What OpenSSH's do_log makes of a name: every byte that is no printing ASCII character becomes an escape."""
    letters = {7: "a", 8: "b", 9: "t", 10: "n", 11: "v", 12: "f", 13: "r"}
    out = ""
    for byte in text.encode("utf-8", "surrogateescape")[:100]:
        if byte in letters:
            out += "\\" + letters[byte]
        elif byte == 0x5C:
            out += "\\\\"
        elif 32 <= byte < 127:
            out += chr(byte)
        else:
            out += f"\\{byte:03o}"
    return out


def cut(text: str) -> str:
    return text.encode("utf-8", "surrogateescape")[:100].decode("utf-8", "backslashreplace")


def read(identifier: str, message: str) -> AuthEvent | None:
    try:
        events = PARSER.parse(Entry("/var/log/auth.log", 1, identifier, message, 4711))
    except RejectedError:
        return None
    assert len(events) <= 1
    return events[0] if events else None


FORMS = (
    "Failed password for invalid user {} from {} port {} ssh2",
    "Failed keyboard-interactive/pam for invalid user {} from {} port {} ssh2",
    "Failed none for invalid user {} from {} port {} ssh2",
    "Failed publickey for invalid user {} from {} port {} ssh2: " + KEY,
    "Failed publickey for invalid user {} from {} port {} ssh2: " + KEY + " [preauth]",
    "Invalid user {} from {} port {}",
    "Connection closed by invalid user {} {} port {} [preauth]",
    "Connection reset by authenticating user {} {} port {} [preauth]",
    "Disconnected from invalid user {} {} port {} [preauth]",
    "Disconnecting invalid user {} {} port {}: Too many authentication failures [preauth]",
    "error: maximum authentication attempts exceeded for invalid user {} from {} port {} ssh2 [preauth]",
)


@pytest.mark.parametrize("form", FORMS)
@given(name=names)
def test_an_ssh_user_name_forges_no_address_no_port_and_no_other_user(form: str, name: str) -> None:
    event = read("sshd", form.format(vis(name), ADDRESS, PORT))
    assert event is not None
    assert event.outcome == "failure"
    assert (event.source_address, event.source_port) == (ADDRESS, PORT)
    assert event.user == cut(name)[:256]


@given(name=names, key_id=names)
def test_a_certificates_id_forges_no_address(name: str, key_id: str) -> None:
    line = (
        f"Failed publickey for invalid user {vis(name)} from {ADDRESS} port {PORT} ssh2: {CERTIFICATE} "
        f"ID {vis(key_id)} (serial 0) CA {KEY}"
    )
    event = read("sshd", line)
    assert event is not None
    # A line that can be read in two ways gives neither.
    if (event.user, event.source_address) != (None, None):
        assert (event.user, event.source_address, event.source_port) == (cut(name), ADDRESS, PORT)


@given(key_id=names)
def test_a_certificates_id_forges_nothing_of_a_login(key_id: str) -> None:
    line = (
        f"Accepted publickey for alice from {ADDRESS} port {PORT} ssh2: {CERTIFICATE} "
        f"ID {vis(key_id)} (serial 0) CA {KEY}"
    )
    event = read("sshd", line)
    assert event is not None
    assert (event.user, event.source_address, event.source_port) == ("alice", ADDRESS, PORT)


@given(name=names)
def test_a_pam_failure_has_the_true_host(name: str) -> None:
    event = read(
        "sshd",
        "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= "
        f"rhost={ADDRESS}  user={vis(name)}",
    )
    assert event is not None
    assert event.source_address == ADDRESS
    assert event.outcome == "failure"


@given(name=names)
def test_no_name_makes_a_login_of_a_failure(name: str) -> None:
    for form in FORMS:
        event = read("sshd", form.format(vis(name), ADDRESS, PORT))
        assert event is None or event.outcome == "failure"
        assert event is None or event.user != "root" or cut(name) == "root"


paths = st.one_of(
    st.just("/home/alice"),
    st.builds("/tmp/{}".format, st.text(string.ascii_letters + " ;=/:", max_size=20)),
    st.sampled_from(
        ("/tmp/x ; USER=bob ; COMMAND=/bin/true", "/tmp/ ; TTY=pts/9", "/tmp/x ; COMMAND=/bin/true")
    ),
)
commands = st.one_of(
    st.just("/usr/bin/id"),
    st.builds("/usr/bin/id {}".format, names),
    st.sampled_from(
        ("/usr/bin/id ; USER=bob ; COMMAND=/bin/true", "/bin/sh -c : ; USER=bob", "/bin/x USER=bob")
    ),
)


@given(directory=paths, command=commands)
def test_a_sudo_line_names_the_true_users_or_none(directory: str, command: str) -> None:
    command = re.sub(r"[^ -~]", "#", command)
    event = read("sudo", f"   alice : TTY=pts/0 ; PWD={directory} ; USER=root ; COMMAND={command}")
    assert event is not None
    assert event.user == "alice"
    assert event.outcome == "success"
    assert event.effective_user in ("root", None)
    if " ; USER=" not in directory + f" ; COMMAND={command}":
        assert event.effective_user == "root"
        assert event.terminal == "pts/0"
    # What was run is never hidden.
    assert event.command is not None
    assert event.command.endswith(command)


@given(directory=paths, command=commands)
def test_a_refused_sudo_stays_refused(directory: str, command: str) -> None:
    command = re.sub(r"[^ -~]", "#", command)
    event = read("sudo", f"bob : user NOT in sudoers ; PWD={directory} ; USER=root ; COMMAND={command}")
    assert event is not None
    assert (event.user, event.outcome, event.reason) == ("bob", "failure", "not_allowed")
    assert event.effective_user in ("root", None)


@given(name=names)
def test_a_login_prompts_name_forges_no_terminal(name: str) -> None:
    shown = re.sub(r"[^ -~]|'", "#", name)
    event = read("login", f"FAILED LOGIN (1) on '/dev/tty1' FOR '{shown}', Authentication failure")
    assert event is not None
    assert event.terminal == "tty1"
    assert event.outcome == "failure"


texts = st.one_of(
    st.text(max_size=300),
    st.builds(
        "{}{}".format,
        st.sampled_from(
            (
                "Accepted password for ",
                "Failed password for ",
                "Failed publickey for invalid user ",
                "Invalid user ",
                "Disconnecting ",
                "Connection closed by invalid user ",
                "User ",
                "error: PAM: Authentication failure for ",
                "pam_unix(sshd:auth): authentication failure; logname= ",
                "pam_unix(sudo:session): session opened for user ",
                "message repeated 3 times: [ Failed password for ",
                "last message repeated 2 times",
                "alice : TTY=",
                "alice : (command continued) ",
                "(to root) ",
                "new user: name=",
                "group changed in /etc/group (group ",
                "members of group x set by root to ",
                "alice: Executing command [USER=",
                "New session ",
            )
        ),
        st.text(" :;=/'\"()[]from port user ssh2 1234.,\n", max_size=120),
    ),
)
PROGRAMS = (
    "sshd",
    "sudo",
    "su",
    "login",
    "useradd",
    "usermod",
    "gpasswd",
    "passwd",
    "pkexec",
    "polkitd",
    "doas",
)


FIELDS = (
    *("type", "user", "line", "address", "msg.op", "msg.acct", "msg.exe", "msg.res", "pid", "uid", "ses"),
    *("EventID", "TargetUserName", "LogonType", "IpAddress", "Keywords", "_UID", "_EXE"),
)
VALUES = ("USER_LOGIN", "USER_START", "USER_PROCESS", "ADD_USER", "4624", "4625", "1000")
SOURCES = (
    *("/var/log/auth.log", "journald", "audit", "wtmp", "btmp", "utmp"),
    *("windows_security", "macos_unified_log"),
)


@given(
    text=texts,
    program=st.sampled_from((*PROGRAMS, "systemd-logind", "vsftpd", "")),
    source=st.sampled_from(SOURCES),
    fields=st.dictionaries(st.sampled_from(FIELDS), st.one_of(st.text(max_size=20), st.sampled_from(VALUES))),
)
def test_no_input_raises_anything_but_rejected(
    text: str, program: str, source: str, fields: dict[str, str]
) -> None:
    entry = Entry(source, 1, program, text, 1, 0, trusted=source != "/var/log/auth.log", fields=fields)
    try:
        events = PARSER.parse(entry)
    except RejectedError:
        return
    for event in events:
        assert event.kind in Kind
        assert event.sources == (source,)


@pytest.mark.parametrize(
    "message",
    [
        "Failed password for invalid user " + " from" * 20_000,
        "Failed publickey for invalid user " + "a ssh2: " * 20_000,
        "Failed publickey for invalid user x from 1.1.1.1 port 1 ssh2: RSA SHA256:" + "A" * 50_000,
        "pam_unix(sshd:auth): authentication failure; " + "logname= " * 20_000,
        "User " + "x" * 50_000 + " not allowed because ",
        "change user 'x' home from '" + "' to '" * 20_000,
        "new user: name=x, UID=1, GID=1" + ", home=" * 20_000,
        "a : " + " ; PWD=" * 20_000,
        "members of group g set by root to " + " in /" * 20_000,
        "session opened for user " + "(uid=0) by " * 20_000,
        "x ran command " + " as root from /" * 20_000,
    ],
)
@pytest.mark.timeout(10)
def test_no_line_takes_long(message: str) -> None:
    for program in (*PROGRAMS, "systemd-logind"):
        read(program, message)


def journal(identifier: str, message: str, uid: int, **fields: str) -> Entry:
    return Entry("journald", 1, identifier, message, 99, uid, True, {"_TRANSPORT": "syslog", **fields})


LOGIN = f"Accepted password for root from {ADDRESS} port {PORT} ssh2"


def test_an_ordinary_users_logger_is_no_login() -> None:
    with pytest.raises(RejectedError, match="forged"):
        PARSER.parse(journal("sshd", LOGIN, 1000, _EXE="/usr/bin/logger", _COMM="logger"))
    # Anybody can run sshd himself, with libraries of his own.
    with pytest.raises(RejectedError, match="forged"):
        PARSER.parse(journal("sshd", LOGIN, 1000, _EXE="/usr/sbin/sshd", _COMM="sshd"))
    with pytest.raises(RejectedError, match="forged"):
        PARSER.parse(journal("sshd", LOGIN, 1000))
    assert PARSER.parse(journal("sshd", LOGIN, 0, _EXE="/usr/sbin/sshd"))


def test_setuid_programs_are_believed_and_imitations_are_not() -> None:
    line = "alice : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/usr/bin/id"
    assert PARSER.parse(journal("sudo", line, 1000, _EXE="/usr/bin/sudo", _CAP_EFFECTIVE="1ffffffffff"))
    for program, capabilities in (
        ("/home/alice/sudo", "1ffffffffff"),
        ("/tmp/usr/bin/sudo", "1ffffffffff"),
        ("/usr/bin/sudo", "0"),
        ("/usr/bin/sudo", "0000000000000000"),
        # Some capability of the user's own, such as CAP_NET_RAW, is not the program's.
        ("/usr/bin/sudo", "2000"),
        ("/usr/bin/sudo", "rubbish"),
        ("/usr/bin/bash", "1"),
    ):
        with pytest.raises(RejectedError, match="forged"):
            PARSER.parse(journal("sudo", line, 1000, _EXE=program, _CAP_EFFECTIVE=capabilities))


def test_a_setuid_program_speaks_of_no_login_and_of_nobody_else() -> None:
    parser = Parser({1000: "alice", 1001: "tess"}.get)
    facts = {"_EXE": "/usr/bin/su", "_CAP_EFFECTIVE": "1ffffffffff"}
    for message in (
        "(to root) alice on pts/0",
        "FAILED SU (to root) alice on pts/0",
        "pam_unix(su:auth): authentication failure; logname=tess uid=1000 euid=0 tty= ruser=alice rhost=  user=root",
        "pam_faillock(su:auth): Consecutive login failures for user root account temporarily locked",
    ):
        assert parser.parse(journal("su", message, 1000, **facts))
    # Who has become alice is tess to su, when it was tess who logged in.
    assert parser.parse(journal("su", "(to root) tess on pts/0", 1000, _AUDIT_LOGINUID="1001", **facts))
    for identifier, message in (
        ("su", "(to root) bob on pts/0"),
        ("su", "(to root) tess on pts/0"),
        ("sshd", LOGIN),
        ("sshd", "pam_unix(sshd:session): session opened for user root(uid=0) by (uid=0)"),
        ("useradd", "new user: name=bob, UID=0, GID=0, home=/, shell=/bin/sh, from=none"),
    ):
        with pytest.raises(RejectedError, match="forged"):
            parser.parse(journal(identifier, message, 1000, **facts))


def test_a_sender_in_a_user_namespace_of_its_own_is_no_setuid_program() -> None:
    line = "alice : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/usr/bin/id"
    facts = {"_TRANSPORT": "syslog", "_EXE": "/usr/bin/sudo", "_CAP_EFFECTIVE": "1ffffffffff"}
    with subprocess.Popen(
        ["unshare", "--user", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as stranger:
        assert stranger.stdin is not None
        assert stranger.stdout is not None
        stranger.stdin.write(b"x\n")
        stranger.stdin.flush()
        assert stranger.stdout.readline() == b"x\n"
        now = time.time_ns()
        with pytest.raises(RejectedError, match="forged"):
            PARSER.parse(Entry("journald", now, "sudo", line, stranger.pid, 1000, True, facts))
        assert PARSER.parse(Entry("journald", now, "sudo", line, os.getpid(), 1000, True, facts))
        # Long after, the number may be another process's.
        assert PARSER.parse(Entry("journald", 1, "sudo", line, stranger.pid, 1000, True, facts))
        stranger.stdin.close()


def test_the_users_part_of_sshd_is_not_an_attack() -> None:
    entry: Any = journal("sshd", f"Disconnected from user alice {ADDRESS} port {PORT}", 1000, _COMM="sshd")
    assert PARSER.parse(entry) == ()


def test_a_program_that_ended_too_soon_may_speak_of_its_own_user_only() -> None:
    parser = Parser({1000: "alice"}.get)
    own = "alice : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/usr/bin/id"
    assert parser.parse(journal("sudo", own, 1000, _COMM="sudo"))
    assert parser.parse(journal("passwd", "pam_unix(passwd:chauthtok): password changed for alice", 1000))
    opened = "pam_unix(sudo:session): session opened for user root(uid=0) by alice(uid=1000)"
    assert parser.parse(journal("sudo", opened, 1000))
    for identifier, message in (
        ("sudo", own.replace("alice", "bob")),
        ("sudo", opened.replace("alice", "bob")),
        ("passwd", "pam_unix(passwd:chauthtok): password changed for bob"),
        ("passwd", "password for 'alice' changed by 'root'"),
        ("useradd", "new user: name=alice, UID=0, GID=0, home=/, shell=/bin/sh, from=none"),
        ("sshd", "Accepted password for alice from 192.0.2.1 port 5 ssh2"),
        ("sshd", "pam_unix(sshd:session): session opened for user alice(uid=1000) by (uid=0)"),
    ):
        with pytest.raises(RejectedError, match="forged"):
            parser.parse(journal(identifier, message, 1000))
