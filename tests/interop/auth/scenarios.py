"""What people and intruders do on a host, each as it is done with the real programs.

`prepare` comes before anything is watched, `act` is the deed; no scenario needs another one, and each may be done
once on a host.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.interop.auth.login_host import PASSWORDS, LoginHost

ALICE, BOB = PASSWORDS["alice"], PASSWORDS["bob"]
KEY = "/root/alice.key"
HOSTILE_USER = "root' \" from 1.2.3.4 port 22 ssh2"


@dataclass(frozen=True)
class Scenario:
    act: Callable[[LoginHost], object]
    prepare: Callable[[LoginHost], object] = lambda host: None


def _users(*names: str) -> Callable[[LoginHost], object]:
    def prepare(host: LoginHost) -> None:
        for name in names:
            host.run("useradd", "--no-create-home", name)
            host.run("chpasswd", text=f"{name}:old secret of {name}\n")

    return prepare


def _groups(*names: str, members: tuple[str, ...] = ()) -> Callable[[LoginHost], object]:
    def prepare(host: LoginHost) -> None:
        for name in names:
            host.run("groupadd", name)
            for member in members:
                host.run("gpasswd", "-a", member, name)

    return prepare


SSH = {
    "ssh_wrong_password": Scenario(lambda h: h.ssh("alice", "id", password="wrong", status=255)),
    "ssh_three_wrong_passwords": Scenario(
        lambda h: h.ssh("alice", "id", password="wrong", tries=3, status=255)
    ),
    "ssh_unknown_user": Scenario(lambda h: h.ssh("mallory", "id", password="wrong", status=255)),
    "ssh_hostile_user": Scenario(lambda h: h.ssh(HOSTILE_USER, "id", password="wrong", status=255)),
    "ssh_denied_user": Scenario(
        lambda h: h.ssh("denied", "id", password="old secret of denied", status=255), _users("denied")
    ),
    "ssh_locked_user": Scenario(
        lambda h: h.ssh("locked", "id", password="old secret of locked", status=255),
        lambda h: (_users("locked")(h), h.run("usermod", "-L", "locked")),
    ),
    "ssh_wrong_key": Scenario(lambda h: h.ssh("alice", "id", key="/root/stranger.key", status=255)),
    "ssh_unknown_user_key": Scenario(lambda h: h.ssh("mallory", "id", key="/root/stranger.key", status=255)),
    "ssh_wrong_keyboard_interactive": Scenario(
        lambda h: h.ssh("alice", "id", password="wrong", method="keyboard-interactive", status=255)
    ),
    "ssh_key": Scenario(lambda h: h.ssh("alice", "id", key=KEY)),
    "ssh_password": Scenario(lambda h: h.ssh("bob", "id", password=BOB)),
    "ssh_keyboard_interactive": Scenario(
        lambda h: h.ssh("bob", "id", password=BOB, method="keyboard-interactive")
    ),
    "ssh_terminal": Scenario(
        lambda h: h.ssh("alice", "cat /proc/self/sessionid; sleep 1", key=KEY, terminal=True)
    ),
    "ssh_wrong_then_right": Scenario(lambda h: h.ssh("bob", "id", password="wrong\n" + BOB, tries=3)),
}
PRIVILEGE = {
    "su_allowed": Scenario(lambda h: h.run("su", "-c", "id", "bob", user="alice", text=BOB + "\n")),
    "su_refused": Scenario(lambda h: h.run("su", "-c", "id", "root", user="alice", text="wrong\n", status=1)),
    "su_by_root": Scenario(lambda h: h.run("su", "-", "bob", "-c", "id")),
    "sudo_allowed": Scenario(lambda h: h.run("sudo", "-S", "id", "-u", user="alice", text=ALICE + "\n")),
    "sudo_as_other": Scenario(
        lambda h: h.run(
            "sudo", "-S", "-u", "bob", "sh", "-c", 'echo "a b"; id', user="alice", text=ALICE + "\n"
        )
    ),
    "sudo_not_in_sudoers": Scenario(
        lambda h: h.run("sudo", "-S", "id", user="bob", text=BOB + "\n", status=1)
    ),
    "sudo_wrong_password": Scenario(
        lambda h: h.run("sudo", "-kS", "id", user="alice", text="wrong\n", status=1)
    ),
    "sudo_three_wrong_passwords": Scenario(
        lambda h: h.run("sudo", "-kS", "id", user="alice", text="wrong\n" * 3, status=1)
    ),
    "sudo_no_password_given": Scenario(lambda h: h.run("sudo", "-kn", "id", user="alice", status=1)),
    "sudo_command_not_allowed": Scenario(
        lambda h: h.run("sudo", "-S", "id", user="clerk", text="old secret of clerk\n", status=1),
        lambda h: (_users("clerk")(h), _sudoers(h, "clerk ALL=(root) NOPASSWD: /bin/true")),
    ),
    "sudo_without_password": Scenario(
        lambda h: h.run("sudo", "-n", "id", user="robot"),
        lambda h: (_users("robot")(h), _sudoers(h, "robot ALL=(ALL) NOPASSWD: ALL")),
    ),
    "ssh_sudo": Scenario(lambda h: h.ssh("alice", "sudo -S id", key=KEY, text=ALICE + "\n")),
    "ssh_terminal_sudo": Scenario(
        lambda h: h.ssh("tess", "sudo -n id", password="old secret of tess", terminal=True),
        lambda h: (_users("tess")(h), _sudoers(h, "tess ALL=(ALL) NOPASSWD: ALL")),
    ),
}
ACCOUNT = {
    "useradd": Scenario(lambda h: h.run("useradd", "-m", "-s", "/bin/bash", "carol")),
    "adduser_system": Scenario(lambda h: h.run("useradd", "--system", "daemonic")),
    "usermod_group": Scenario(lambda h: h.run("usermod", "-aG", "sudo", "dave"), _users("dave")),
    "usermod_shell": Scenario(lambda h: h.run("usermod", "-s", "/bin/false", "erin"), _users("erin")),
    "usermod_rename": Scenario(lambda h: h.run("usermod", "-l", "newname", "oldname"), _users("oldname")),
    "usermod_lock": Scenario(lambda h: h.run("usermod", "-L", "frank"), _users("frank")),
    "usermod_unlock": Scenario(
        lambda h: h.run("usermod", "-U", "grace"),
        lambda h: (_users("grace")(h), h.run("usermod", "-L", "grace")),
    ),
    "passwd_lock": Scenario(lambda h: h.run("passwd", "-l", "heidi"), _users("heidi")),
    "passwd_unlock": Scenario(
        lambda h: h.run("passwd", "-u", "ivan"),
        lambda h: (_users("ivan")(h), h.run("passwd", "-l", "ivan")),
    ),
    "passwd_by_root": Scenario(lambda h: h.run("passwd", "judy", text="Tr0ub4dor&3 x\n" * 2), _users("judy")),
    "passwd_own": Scenario(
        lambda h: h.run("passwd", user="kim", text="old secret of kim\n" + "Tr0ub4dor&3 x\n" * 2),
        _users("kim"),
    ),
    "passwd_own_wrong": Scenario(
        lambda h: h.run("passwd", user="lea", text="not it\n", status=10), _users("lea")
    ),
    "passwd_delete": Scenario(lambda h: h.run("passwd", "-d", "mia"), _users("mia")),
    "chpasswd": Scenario(lambda h: h.run("chpasswd", text="nina:Tr0ub4dor&3 x\n"), _users("nina")),
    "userdel": Scenario(lambda h: h.run("userdel", "olaf"), _users("olaf")),
    "userdel_refused": Scenario(lambda h: h.run("userdel", "nobody_here", status=6)),
    "groupadd": Scenario(lambda h: h.run("groupadd", "builders")),
    "groupmod": Scenario(lambda h: h.run("groupmod", "-n", "painters", "artists"), _groups("artists")),
    "groupdel": Scenario(lambda h: h.run("groupdel", "dancers"), _groups("dancers")),
    "gpasswd_add": Scenario(lambda h: h.run("gpasswd", "-a", "bob", "singers"), _groups("singers")),
    "gpasswd_remove": Scenario(
        lambda h: h.run("gpasswd", "-d", "bob", "drummers"), _groups("drummers", members=("bob",))
    ),
    "usermod_groups_replaced": Scenario(
        lambda h: h.run("usermod", "-G", "hikers", "paul"),
        lambda h: (_users("paul")(h), _groups("hikers")(h), _groups("bikers", members=("paul",))(h)),
    ),
    "chsh": Scenario(lambda h: h.run("chsh", "-s", "/bin/bash", "quinn"), _users("quinn")),
    "chage": Scenario(lambda h: h.run("chage", "-E", "2030-01-01", "rosa"), _users("rosa")),
}
CONSOLE = (
    "(sleep 1; for line; do echo \"$line\"; sleep 2; done) | timeout 8 script -qec 'login bob' /dev/null"
)


def _console(*typed: str) -> Scenario:
    return Scenario(lambda host: host.run("sh", "-c", CONSOLE, "sh", *typed, status=None))


# su and login forget what was typed before they ask, so that the answer has to come late: no way to test.
SLOW = {
    "ssh_terminal_su": Scenario(
        lambda h: h.ssh("alice", "su -c id bob", key=KEY, text=BOB + "\n", terminal=True, typing_after=2)
    ),
    "console_login": _console(BOB, "exit"),
    "console_wrong_password": _console("wrong", ""),
}
ALL = SSH | PRIVILEGE | ACCOUNT


def _sudoers(host: LoginHost, line: str) -> None:
    name = line.split()[0]
    host.path(f"/etc/sudoers.d/{name}").write_text(line + "\n")
    host.path(f"/etc/sudoers.d/{name}").chmod(0o440)
