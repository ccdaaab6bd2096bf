"""sudoers, doas, polkit, PAM and the dynamic linker."""

from __future__ import annotations

import os
from typing import Any

import pytest

from otel_fim.receivers.persistence.hosts import Host
from otel_fim.receivers.persistence.item import Item
from otel_fim.receivers.persistence.kind import Kind
from otel_fim.receivers.persistence.kinds.dynamic_linker import DynamicLinker, parse_conf, parse_preload
from otel_fim.receivers.persistence.kinds.pam import Pam
from otel_fim.receivers.persistence.kinds.pam import parse as parse_pam
from otel_fim.receivers.persistence.kinds.shell_startup import ShellStartup
from otel_fim.receivers.persistence.kinds.sudoers import (
    Doas,
    Polkit,
    Sudoers,
    parse_doas,
    parse_pkla,
    parse_sudoers,
)
from otel_fim.receivers.persistence.reader import File, Reader


def _file(path: str, text: str) -> File:
    return File(path.encode(), text.encode(), os.stat("/"))


def _read(bench: Any, kind: Kind) -> list[Item]:
    root = os.fsencode(bench.root)
    return list(kind.read(Host(root), Reader(root)))


_SUDOERS = r"""
# a comment
Defaults	env_reset, !lecture, secure_path="/sbin:/bin"  # and more
Defaults:alice !authenticate
Defaults>root	mail_always
User_Alias	ADMINS = alice, bob : OPS = carol
Cmnd_Alias SHELLS = /bin/sh, \
                    /bin/bash
root	ALL=(ALL:ALL) ALL
%admin	ALL = NOPASSWD: SETENV: /usr/bin/apt update, /bin/x # comment
alice	host1, host2 = (operator) /bin/kill
#1000	ALL=(ALL) NOPASSWD: ALL
nonsense
@include /etc/sudoers.local
#includedir /etc/sudoers.d
"""


def test_sudoers_lines_are_told_apart() -> None:
    file = _file("/etc/sudoers", _SUDOERS)
    found = {item.id.removeprefix("/etc/sudoers:"): item for item in parse_sudoers(file)}
    assert set(found) == {
        "Defaults env_reset,lecture,secure_path",
        "Defaults:alice authenticate",
        "Defaults>root mail_always",
        "User_Alias ADMINS,OPS",
        "Cmnd_Alias SHELLS",
        "root ALL",
        "%admin ALL",
        "alice host1, host2",
        "#1000 ALL",
        "include /etc/sudoers.local",
        "includedir /etc/sudoers.d",
    }
    assert file.rejected == 1
    admin = found["%admin ALL"]
    assert (admin.command, admin.user) == ("/usr/bin/apt update, /bin/x", "root")
    assert admin.trigger == "sudo by %admin ALL NOPASSWD SETENV"
    assert (found["alice host1, host2"].command, found["alice host1, host2"].user) == (
        "/bin/kill",
        "operator",
    )
    assert found["#1000 ALL"].command == "ALL"
    assert found["Defaults:alice authenticate"].trigger == "Defaults:alice !authenticate"


def test_a_line_on_top_changes_no_other_item() -> None:
    before = parse_sudoers(_file("/etc/sudoers", _SUDOERS))
    after = parse_sudoers(_file("/etc/sudoers", "mallory ALL=(ALL) NOPASSWD: ALL\n" + _SUDOERS))
    changed = {(item.id, item.content_hash) for item in after} ^ {
        (item.id, item.content_hash) for item in before
    }
    assert {name for name, _ in changed} == {"/etc/sudoers:mallory ALL"}


def test_includes_of_sudoers_are_followed_and_ignored_names_are_switched_off(bench: Any) -> None:
    bench.write("/etc/sudoers", "@include sudoers.local\n@includedir /srv/sudo\\ rules\n")
    bench.write("/etc/sudoers.local", "a ALL=ALL\n@include /etc/sudoers\n@include /etc/sudoers.local\n")
    bench.write("/srv/sudo rules/good", "b ALL=ALL\n@include /etc/more\n")
    bench.write("/srv/sudo rules/bad.conf", "c ALL=ALL\n")
    bench.write("/srv/sudo rules/old~", "d ALL=ALL\n")
    bench.write("/etc/more", "e ALL=ALL\n")
    rules = {item.id.rpartition(":")[2]: item for item in _read(bench, Sudoers()) if "ALL" in item.id}
    assert {name: item.enabled for name, item in rules.items()} == {
        "a ALL": True, "b ALL": True, "c ALL": False, "d ALL": False, "e ALL": True,
    }  # fmt: skip


def test_doas_and_polkit(bench: Any) -> None:
    file = _file(
        "/etc/doas.conf", "permit nopass keepenv alice as root cmd /bin/ls args -l\ndeny bob\nwhat\n"
    )
    permit, deny = parse_doas(file)
    assert (permit.command, permit.user, permit.enabled) == ("/bin/ls -l", "root", True)
    assert permit.trigger == "doas by nopass keepenv alice"
    assert not deny.enabled
    assert file.rejected == 1
    (rule,) = parse_pkla(
        _file("/etc/polkit-1/x.pkla", "[Admins]\nIdentity=unix-group:sudo\nAction=org.x.*\nResultAny=yes\n")
    )
    assert (rule.user, rule.trigger) == ("unix-group:sudo", "polkit authorization of org.x.*; ResultAny=yes")
    bench.write("/etc/doas.conf", "permit alice\n")
    bench.write("/etc/polkit-1/rules.d/10.rules", "polkit.addRule(function() {});")
    assert [item.kind for item in _read(bench, Doas())] == ["doas"]
    assert [item.kind for item in _read(bench, Polkit())] == ["polkit"]


def test_pam_rules(bench: Any) -> None:
    file = _file(
        "/etc/pam.d/sshd",
        "#%PAM-1.0\n@include common-auth\nauth [success=1 default=ignore] pam_unix.so nullok \\\n  try_first_pass\n"
        "-session optional /lib/security/pam_exec.so quiet type=open_session /tmp/evil.sh now\n"
        "auth required pam_unix.so\nbroken line\n",
    )
    items = parse_pam(file)
    assert [item.id.partition(":")[2] for item in items] == [
        "include common-auth", "auth pam_unix.so", "session pam_exec.so", "auth pam_unix.so#2",
    ]  # fmt: skip
    assert items[1].command == "pam_unix.so nullok try_first_pass"
    assert items[1].trigger == "auth [success=1 default=ignore] in sshd"
    assert items[2].command == "/tmp/evil.sh now"
    assert file.rejected == 1
    (conf,) = parse_pam(_file("/etc/pam.conf", "login auth required pam_deny.so\n"))
    assert (conf.id, conf.trigger) == ("/etc/pam.conf:login auth pam_deny.so", "auth required in login")
    bench.write("/usr/lib/x86_64-linux-gnu/security/pam_evil.so", b"\x7fELF" + b"x" * (5 << 20))
    (bench.root / "lib").symlink_to("usr/lib")
    (module,) = _read(bench, Pam())
    assert (module.kind, module.path) == ("pam_module", b"/usr/lib/x86_64-linux-gnu/security/pam_evil.so")


def test_the_dynamic_linker(bench: Any) -> None:
    items = parse_preload(_file("/etc/ld.so.preload", "/lib/a.so:/lib/b.so # c.so\n/lib/d.so\n"))
    assert [item.command for item in items] == ["/lib/a.so", "/lib/b.so", "/lib/d.so"]
    conf = parse_conf(_file("/etc/ld.so.conf", "include ld.so.conf.d/*.conf\n/opt/lib,/srv/lib\nhwcap 1 x\n"))
    assert [item.id.partition(":")[2] for item in conf] == [
        "include ld.so.conf.d/*.conf",
        "/opt/lib",
        "/srv/lib",
    ]
    bench.write("/etc/ld.so.preload", "/tmp/root kit.so")
    assert [item.command for item in _read(bench, DynamicLinker())] == ["/tmp/root", "kit.so"]
    bench.write("/etc/ld.so.conf", "include extra/*.conf\ninclude /etc/ld.so.conf\n")
    bench.write("/etc/extra/a.conf", "/opt/evil\n")
    assert "/etc/extra/a.conf:/opt/evil" in {item.id for item in _read(bench, DynamicLinker())}


def test_start_up_files_of_all_users(bench: Any) -> None:
    bench.write("/etc/passwd", "alice:x:1000:1000::/home/alice:/bin/bash\n")
    for path in ("/etc/profile", "/etc/profile.d/a.sh", "/etc/zsh/zshrc", "/home/alice/.bashrc", "/root/.zshenv",
                 "/home/alice/.config/fish/conf.d/x.fish", "/home/alice/.pam_environment"):  # fmt: skip
        bench.write(path, "echo hello\n")
    found = {item.id: (item.user, item.trigger) for item in _read(bench, ShellStartup())}
    assert found == {
        "/etc/profile": ("", "login shell"),
        "/etc/profile.d/a.sh": ("", "login shell"),
        "/etc/zsh/zshrc": ("", "interactive shell"),
        "/home/alice/.bashrc": ("alice", "interactive shell"),
        "/root/.zshenv": ("", "every shell"),
        "/home/alice/.config/fish/conf.d/x.fish": ("alice", "every shell"),
        "/home/alice/.pam_environment": ("alice", "every login (environment)"),
    }


@pytest.mark.parametrize("kind", [Sudoers, Pam, DynamicLinker, Polkit], ids=lambda kind: kind.name)
def test_the_host_itself_is_read_without_a_rejected_line(kind: type[Kind]) -> None:
    reader = Reader()
    items = list(kind().read(Host(), reader))
    assert reader.rejected == 0
    assert len({(item.kind, item.id) for item in items}) == len(items)
