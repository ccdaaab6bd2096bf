"""What real programs wrote on Debian 12 gives the right records, once, whichever logs are read, in any order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import pytest

from otel_fim.receivers.auth.event import AuthEvent, Entry, Kind

Told: TypeAlias = tuple[object, ...]
Read: TypeAlias = Callable[[str, str], list[Entry]]

ISO, TRADITIONAL, VERBOSE = "auth.log.iso", "auth.log.traditional", "auth.log.verbose"
JOURNAL, BEHIND_JOURNAL, AUDIT = "journal.json", "auth.log.journald", "audit.json"
COMBINATIONS: dict[str, Sequence[str]] = {
    "iso": (ISO,),
    "traditional": (TRADITIONAL,),
    "journal": (JOURNAL,),
    "journal and log": (JOURNAL, BEHIND_JOURNAL),
    "log, then journal": (BEHIND_JOURNAL, JOURNAL),
    "all": (ISO, AUDIT, "btmp", "wtmp"),
    "all, the other way": ("wtmp", "btmp", AUDIT, TRADITIONAL),
}

ALICE: Told = (Kind.LOGIN, "success", "alice", "publickey", "127.0.0.1")
ALICE_LEFT: Told = (Kind.LOGOUT, "success", "alice", "publickey", "127.0.0.1")
WRONG: Told = (Kind.LOGIN, "failure", "alice", "password", "127.0.0.1", "wrong_credentials", True)


def bob(method: str) -> list[Told]:
    return [
        (Kind.LOGIN, "success", "bob", method, "127.0.0.1"),
        (Kind.LOGOUT, "success", "bob", method, "127.0.0.1"),
    ]


def denied(user: str, reason: str, known: bool | None = False, method: str | None = "password") -> Told:
    return (Kind.LOGIN, "failure", user, method, "127.0.0.1", reason, known)


def sudo(user: str, to: str, command: str, outcome: str = "success", reason: str | None = None) -> Told:
    return (Kind.PRIVILEGE, "sudo", outcome, user, to, reason, command)


def su(user: str, to: str, outcome: str = "success", reason: str | None = None) -> Told:
    return (Kind.PRIVILEGE, "su", outcome, user, to, reason, None)


def account(action: str, user: str | None = None, group: str | None = None) -> Told:
    return (Kind.ACCOUNT, action, "success", user, group)


HOSTILE = "root' \" from 1.2.3.4 port 22 ssh2"
EXPECTED: dict[str, list[Told]] = {
    "ssh_wrong_password": [WRONG],
    "ssh_three_wrong_passwords": [WRONG, WRONG, WRONG],
    "ssh_unknown_user": [denied("mallory", "unknown_user")],
    "ssh_hostile_user": [denied(HOSTILE, "unknown_user")],
    "ssh_denied_user": [denied("denied", "not_allowed", True)],
    "ssh_locked_user": [denied("locked", "wrong_credentials", True)],
    "ssh_wrong_key": [denied("alice", "wrong_credentials", None, None)],
    "ssh_unknown_user_key": [denied("mallory", "unknown_user", False, None)],
    "ssh_wrong_keyboard_interactive": [denied("alice", "wrong_credentials", None, "keyboard-interactive")],
    "ssh_key": [ALICE, ALICE_LEFT],
    "ssh_terminal": [ALICE, ALICE_LEFT],
    "ssh_password": bob("password"),
    "ssh_keyboard_interactive": bob("keyboard-interactive"),
    "ssh_wrong_then_right": [denied("bob", "wrong_credentials", True), *bob("password")],
    "ssh_sudo": [ALICE, sudo("alice", "root", "/usr/bin/id"), ALICE_LEFT],
    "su_allowed": [su("alice", "bob")],
    "su_refused": [su("alice", "root", "failure", "wrong_credentials")],
    "su_by_root": [su("root", "bob")],
    "sudo_allowed": [sudo("alice", "root", "/usr/bin/id -u")],
    "sudo_as_other": [sudo("alice", "bob", "/usr/bin/sh -c 'echo \"a b\"; id'")],
    "sudo_not_in_sudoers": [sudo("bob", "root", "/usr/bin/id", "failure", "not_allowed")],
    "sudo_command_not_allowed": [sudo("clerk", "root", "/usr/bin/id", "failure", "not_allowed")],
    "sudo_wrong_password": [sudo("alice", "root", "/usr/bin/id", "failure", "wrong_credentials")],
    "sudo_three_wrong_passwords": [sudo("alice", "root", "/usr/bin/id", "failure", "wrong_credentials")],
    "sudo_without_password": [sudo("robot", "root", "/usr/bin/id")],
    "useradd": [account("group_created", group="carol"), account("user_created", "carol")],
    "adduser_system": [account("group_created", group="daemonic"), account("user_created", "daemonic")],
    "usermod_group": [account("group_member_added", "dave", "sudo")],
    "usermod_groups_replaced": [
        account("group_member_added", "paul", "hikers"),
        account("group_member_removed", "paul", "bikers"),
    ],
    "usermod_shell": [account("user_changed", "erin")],
    "usermod_rename": [account("user_changed", "oldname")],
    "usermod_lock": [account("locked", "frank")],
    "usermod_unlock": [account("unlocked", "grace")],
    "passwd_by_root": [account("password_changed", "judy")],
    "passwd_own": [account("password_changed", "kim")],
    # The account files of that host are not here any more: test_auth_accounts.py has them.
    "passwd_lock": [account("password_changed", "heidi")],
    "passwd_unlock": [account("password_changed", "ivan")],
    "passwd_delete": [account("password_changed", "mia")],
    "chpasswd": [account("password_changed", "nina")],
    "userdel": [account("user_deleted", "olaf"), account("group_deleted", group="olaf")],
    "groupadd": [account("group_created", group="builders")],
    "groupmod": [account("group_changed", group="artists")],
    "groupdel": [account("group_deleted", group="dancers")],
    "gpasswd_add": [account("group_member_added", "bob", "singers")],
    "gpasswd_remove": [account("group_member_removed", "bob", "drummers")],
    "chsh": [account("user_changed", "quinn")],
    "chage": [account("user_changed", "rosa")],
    "cron_job": [],
}


def brief(event: AuthEvent) -> Told:
    """What of an event every log must agree on."""
    if event.kind is Kind.PRIVILEGE:
        names = (event.user, event.effective_user, event.reason, event.command)
        return (event.kind, event.action, event.outcome, *names)
    if event.kind is Kind.ACCOUNT:
        return (event.kind, event.action, event.outcome, event.target_user, event.group)
    common = (event.kind, event.outcome, event.user, event.method, event.source_address)
    return (*common, event.reason, event.user_known) if event.outcome == "failure" else common


def callers(found: Sequence[Sequence[Entry]]) -> list[tuple[str, Entry]]:
    """Who ran sudo, as its lines say."""
    lines = [
        each for entries in found for each in entries if each.identifier == "sudo" and " : " in each.message
    ]
    return [(each.message.partition(" : ")[0].strip(), each) for each in lines]


@pytest.mark.parametrize("combination", COMBINATIONS)
@pytest.mark.parametrize("scenario", EXPECTED)
def test_each_deed_is_one_record(
    scenario: str, combination: str, real: Read, desk: Callable[[], Any]
) -> None:
    found = [entries for name in COMBINATIONS[combination] if (entries := real(scenario, name))]
    here = desk()
    # The name service of that host.
    here.users |= {each.user_id: name for name, each in callers(found) if each.user_id is not None}
    records = here.records(*found)
    # Events of one instant have no order between logs.
    assert sorted(map(str, map(brief, records))) == sorted(map(str, EXPECTED[scenario] if found else []))
    assert here.rejected == []


@pytest.mark.parametrize(
    "scenario", ["ssh_wrong_password", "ssh_unknown_user", "ssh_terminal", "ssh_wrong_key"]
)
def test_a_verbose_sshd_tells_the_same(scenario: str, real: Read, desk: Callable[[], Any]) -> None:
    quiet = [brief(event)[:3] for event in desk().records(real(scenario, ISO))]
    assert [brief(event)[:3] for event in desk().records(real(scenario, VERBOSE))] == quiet


def test_a_login_has_all_its_sources_and_the_kernels_session(real: Read, desk: Callable[[], Any]) -> None:
    here = desk()
    login, logout = here.records(
        real("ssh_terminal", ISO), real("ssh_terminal", AUDIT), real("ssh_terminal", "wtmp")
    )
    assert login.sources == logout.sources == ("/var/log/auth.log", "audit", "wtmp")
    assert (login.terminal, login.key_type) == ("pts/0", "ED25519")
    assert login.session_id is not None
    assert logout.session_id == login.session_id
    assert logout.duration_nanoseconds == logout.time_unix_nano - login.time_unix_nano
    session = here.table.sessions.get(login.session_id)
    assert session is not None
    assert (session.user_name, session.user_id, session.method) == ("alice", 1001, "publickey")
    assert (session.source_address, session.terminal) == ("127.0.0.1", "pts/0")


def test_a_login_told_only_by_audit_or_wtmp_is_told(real: Read, desk: Callable[[], Any]) -> None:
    for flavour in (AUDIT, "wtmp"):
        login, logout = desk().records(real("ssh_terminal", flavour))
        assert (login.kind, login.user, login.terminal) == (Kind.LOGIN, "alice", "pts/0")
        assert (logout.kind, logout.user) == (Kind.LOGOUT, "alice")


def test_a_log_read_long_after_is_not_told_again(real: Read, desk: Callable[[], Any]) -> None:
    for scenario in EXPECTED:
        here = desk()
        here.records(real(scenario, JOURNAL))
        here.now = 1800.0
        assert here.records(real(scenario, BEHIND_JOURNAL)) == [], scenario


def test_an_entry_that_a_source_gives_again_is_not_told_again(real: Read, desk: Callable[[], Any]) -> None:
    here = desk()
    everything = [entry for scenario in EXPECTED for entry in real(scenario, JOURNAL)]
    first = here.records(everything)
    assert len(first) > 40
    here.now = 60.0
    again = [event for event in here.records(everything) if event.kind is not Kind.LOGOUT]
    assert again == []
