"""The records that each scenario should give, whichever source tells of it: all of them, in order, and no more."""

from __future__ import annotations

from typing import Any, Final

Expected = dict[str, Any]
AUTH: Final = "otel_fim.auth."
ADDRESS: Final = "127.0.0.1"


def failure(user: str, method: str | None, reason: str) -> Expected:
    found = {
        "event": "auth.login",
        "event.outcome": "failure",
        "user.name": user,
        "source.address": ADDRESS,
        AUTH + "service": "sshd",
        AUTH + "reason": reason,
    }
    if reason == "unknown_user":
        found[AUTH + "user_known"] = False
    return found if method is None else found | {AUTH + "method": method}


def login(user: str, method: str) -> list[Expected]:
    """A login and the logout that belongs to it."""
    both = {
        "event.outcome": "success",
        "user.name": user,
        "source.address": ADDRESS,
        AUTH + "service": "sshd",
        AUTH + "method": method,
    }
    return [{"event": "auth.login"} | both, {"event": "auth.logout"} | both]


def privilege(action: str, user: str, becomes: str, reason: str | None = None, **more: str) -> Expected:
    return {
        "event": "auth.privilege",
        "event.action": action,
        "event.outcome": "success" if reason is None else "failure",
        "user.name": user,
        "user.effective.name": becomes,
        AUTH + "service": action,
        AUTH + "reason": reason,
        **{name.replace("_", ".", 1): value for name, value in more.items()},
    }


def account(
    action: str, user: str | None = None, group: str | None = None, outcome: str = "success"
) -> Expected:
    return {
        "event": "auth.account",
        "event.action": action,
        "event.outcome": outcome,
        "user.target.name": user,
    } | ({} if group is None else {"group.name": group})


WRONG, UNKNOWN, REFUSED = "wrong_credentials", "unknown_user", "not_allowed"
ID: Final = "/usr/bin/id"
SUDO: Final = privilege("sudo", "alice", "root", process_command_line=ID)

EXPECTED: Final[dict[str, list[Expected]]] = {
    "ssh_wrong_password": [failure("alice", "password", WRONG)],
    "ssh_three_wrong_passwords": [failure("alice", "password", WRONG)] * 3,
    "ssh_unknown_user": [failure("mallory", "password", UNKNOWN)],
    "ssh_hostile_user": [failure("root' \" from 1.2.3.4 port 22 ssh2", "password", UNKNOWN)],
    "ssh_denied_user": [failure("denied", "password", REFUSED)],
    "ssh_locked_user": [failure("locked", "password", WRONG)],
    # At sshd's usual log level only the end of the connection is told, and not what was tried.
    "ssh_wrong_key": [failure("alice", None, WRONG)],
    "ssh_unknown_user_key": [failure("mallory", None, UNKNOWN)],
    "ssh_wrong_keyboard_interactive": [failure("alice", "keyboard-interactive", WRONG)],
    "ssh_key": login("alice", "publickey"),
    "ssh_password": login("bob", "password"),
    "ssh_keyboard_interactive": login("bob", "keyboard-interactive"),
    "ssh_terminal": login("alice", "publickey"),
    "ssh_wrong_then_right": [failure("bob", "password", WRONG), *login("bob", "password")],
    "su_allowed": [privilege("su", "alice", "bob")],
    "su_refused": [privilege("su", "alice", "root", WRONG)],
    "su_by_root": [privilege("su", "root", "bob")],
    "sudo_allowed": [SUDO | {"process.command_line": ID + " -u"}],
    "sudo_as_other": [
        privilege("sudo", "alice", "bob") | {"process.command_line": "/usr/bin/sh -c 'echo \"a b\"; id'"}
    ],
    "sudo_not_in_sudoers": [privilege("sudo", "bob", "root", REFUSED, process_command_line=ID)],
    "sudo_wrong_password": [privilege("sudo", "alice", "root", WRONG, process_command_line=ID)],
    "sudo_three_wrong_passwords": [privilege("sudo", "alice", "root", WRONG, process_command_line=ID)],
    "sudo_no_password_given": [privilege("sudo", "alice", "root", "a password is required")],
    "sudo_command_not_allowed": [privilege("sudo", "clerk", "root", REFUSED, process_command_line=ID)],
    "sudo_without_password": [privilege("sudo", "robot", "root", process_command_line=ID)],
    "ssh_sudo": [login("alice", "publickey")[0], SUDO, login("alice", "publickey")[1]],
    "ssh_terminal_sudo": [
        login("tess", "password")[0],
        privilege("sudo", "tess", "root", process_command_line=ID) | {AUTH + "terminal": "pts/0"},
        login("tess", "password")[1],
    ],
    "useradd": [account("group_created", group="carol"), account("user_created", "carol")],
    "adduser_system": [account("group_created", group="daemonic"), account("user_created", "daemonic")],
    "usermod_group": [account("group_member_added", "dave", "sudo")],
    "usermod_shell": [account("user_changed", "erin")],
    "usermod_rename": [account("user_changed", "oldname")],
    "usermod_lock": [account("locked", "frank")],
    "usermod_unlock": [account("unlocked", "grace")],
    "passwd_lock": [account("locked", "heidi")],
    "passwd_unlock": [account("unlocked", "ivan")],
    "passwd_by_root": [account("password_changed", "judy")],
    "passwd_own": [account("password_changed", "kim")],
    "passwd_own_wrong": [],
    "passwd_delete": [account("password_changed", "mia")],
    "chpasswd": [account("password_changed", "nina")],
    "userdel": [account("user_deleted", "olaf"), account("group_deleted", group="olaf")],
    "userdel_refused": [],
    "groupadd": [account("group_created", group="builders")],
    "groupmod": [account("group_changed", group="artists")],
    "groupdel": [account("group_deleted", group="dancers")],
    "gpasswd_add": [account("group_member_added", "bob", "singers")],
    "gpasswd_remove": [account("group_member_removed", "bob", "drummers")],
    "usermod_groups_replaced": [
        account("group_member_added", "paul", "hikers"),
        account("group_member_removed", "paul", "bikers"),
    ],
    "chsh": [account("user_changed", "quinn")],
    "chage": [account("user_changed", "rosa")],
}

ONLY_AUDIT_TELLS: Final = {
    "passwd_own_wrong": [account("password_changed", "lea", outcome="failure")],
    "userdel_refused": [account("user_deleted", "nobody_here", outcome="failure")],
}
