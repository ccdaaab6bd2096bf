"""Whatever bytes a file holds: no parser raises, none takes more than linear time, ids are unique and stable."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_fim.receivers.persistence.item import Item
from otel_fim.receivers.persistence.reader import File

_KINDS = "otel_fim.receivers.persistence.kinds."
_PARSERS = {
    "shell_startup.parse": b"/root/.bashrc",
    "ssh_access.parse_config": b"/etc/ssh/sshd_config",
    "ssh_access.parse_keys": b"/root/.ssh/authorized_keys",
    "sudoers.parse_sudoers": b"/etc/sudoers",
    "sudoers.parse_doas": b"/etc/doas.conf",
    "sudoers.parse_pkla": b"/etc/polkit-1/localauthority/a.pkla",
    "dynamic_linker.parse_preload": b"/etc/ld.so.preload",
    "dynamic_linker.parse_conf": b"/etc/ld.so.conf",
    "pam.parse": b"/etc/pam.d/su",
    "kernel_modules.parse_list": b"/etc/modules",
    "kernel_modules.parse_modprobe": b"/etc/modprobe.d/a.conf",
    "udev.parse": b"/etc/udev/rules.d/a.rules",
    "autostart.parse_entry": b"/etc/xdg/autostart/a.desktop",
    "package_hooks.parse_apt": b"/etc/apt/apt.conf.d/90a",
    "package_hooks.parse_dpkg": b"/etc/dpkg/dpkg.cfg",
    "package_hooks.parse_plugin_conf": b"/etc/dnf/plugins/a.conf",
    "package_hooks.parse_actions": b"/etc/dnf/plugins/post-transaction-actions.d/a.action",
    "package_hooks.parse_alpm": b"/etc/pacman.d/hooks/a.hook",
    "system_hooks.parse_interfaces": b"/etc/network/interfaces",
    "system_hooks.parse_acpi": b"/etc/acpi/events/a",
    "logrotate.parse": b"/etc/logrotate.d/a",
    "on_demand.parse_service": b"/usr/share/dbus-1/system-services/a.service",
    "on_demand.parse_binfmt": b"/etc/binfmt.d/a.conf",
    "on_demand.parse_registered": b"/proc/sys/fs/binfmt_misc/a",
    "git_hooks.parse": b"/root/.gitconfig",
    "web_servers.parse_nginx": b"/etc/nginx/nginx.conf",
    "web_servers.parse_apache": b"/etc/apache2/apache2.conf",
    "web_servers.parse_php": b"/etc/php.ini",
    "python_startup.parse_pth": b"/usr/lib/python3/dist-packages/a.pth",
    "platforms.launchd.parse_launchd": b"/Library/LaunchDaemons/a.plist",
    "platforms.launchd.parse_login_window": b"/Library/Preferences/com.apple.loginwindow.plist",
    "platforms.windows.parse_task": b"/Windows/System32/Tasks/a",
    "platforms.windows.parse_registry": b"/export.reg",
}
# Pieces of all the formats, so that what is made of them comes far into the parsers.
_PIECES = [
    b"\n", b"\r\n", b"\\\n", b"\\", b'"', b"'", b" ", b"\t", b"#", b";", b"{", b"}", b"[", b"]", b"(", b")",
    b"=", b"==", b"+=", b",", b":", b"::", b"!", b"%", b"@", b"*", b"/", b"$", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf",
    b"ssh-rsa AAAA", b"command=", b"Match all\n", b"AuthorizedKeysFile ", b"Include ", b"Subsystem x y\n",
    b"Defaults ", b"User_Alias A = ", b"root ALL=(ALL:ALL) NOPASSWD: ALL", b"@include ", b"#includedir /x\n",
    b"permit nopass a as b cmd c", b"auth required pam_exec.so ", b"session [a=b] x.so", b"include ",
    b'RUN{program}+="/bin/x"', b'IMPORT{program}="', b"install m ", b"softdep a pre: b\n", b"[Desktop Entry]\n",
    b"Exec=", b"Hidden=true\n", b"DPkg::Post-Invoke ", b"DPkg { ", b"/*", b"*/", b"//", b"postrotate\n",
    b"endscript\n", b"[D-BUS Service]\n", b":n:M::x::/i:\n", b'[alias "x"]\n', b"load_module ",
    b"content_by_lua_block {",
    b"LoadModule a b\n", b'CustomLog "|', b"auto_prepend_file=", b"import os\n", b"<?xml version='1.0'?>", b"<Task>",
    b"<!DOCTYPE x [", b"<Exec><Command>", b"bplist00", b"<plist><dict><key>Label</key><string>",
    b"[HKEY_LOCAL_MACHINE\\",
    b'"ImagePath"=hex(2):', b"Windows Registry Editor Version 5.00\n",
]  # fmt: skip
_HOSTILE = st.one_of(st.binary(max_size=400), st.lists(st.sampled_from(_PIECES), max_size=60).map(b"".join))


def _parser(name: str) -> Callable[[File], Iterable[Item]]:
    module, _, function = name.rpartition(".")
    found: Callable[[File], Iterable[Item]] = getattr(importlib.import_module(_KINDS + module), function)
    return found


def _file(path: bytes, data: bytes) -> File:
    return File(path, data, os.stat("/"))


@pytest.mark.parametrize("name", _PARSERS)
@settings(max_examples=80, deadline=None)
@given(data=_HOSTILE)
def test_no_bytes_make_a_parser_raise(name: str, data: bytes) -> None:
    items = list(_parser(name)(_file(_PARSERS[name], data)))
    assert len({(item.kind, item.id) for item in items}) == len(items)
    for item in items:
        assert len(item.id) < 400
        assert len(item.command) <= 4096
        item.id.encode("utf-8")
        item.command.encode("utf-8")
        item.trigger.encode("utf-8")
        item.user.encode("utf-8")


_WHOLE_FILES = (
    "startup",
    "autostart",
    "alpm",
    "plugin_conf",
    "acpi",
    "on_demand.parse_service",
    "registered",
    "platforms",
)
_BY_LINE = [name for name in _PARSERS if not any(part in name for part in _WHOLE_FILES)]


@pytest.mark.parametrize("name", _BY_LINE)
@settings(max_examples=40, deadline=None)
@given(pieces=st.lists(st.sampled_from(_PIECES), max_size=40))
def test_a_line_put_in_at_the_top_changes_no_item(name: str, pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    parse, path = _parser(name), _PARSERS[name]
    before = {(item.kind, item.id, item.content_hash, item.command) for item in parse(_file(path, data))}
    after = {
        (item.kind, item.id, item.content_hash, item.command) for item in parse(_file(path, b"\n" + data))
    }
    assert before == after


def test_a_file_with_too_many_entries_is_told_by_its_hash(tmp_path: Path) -> None:
    parse = _parser("dynamic_linker.parse_preload")
    many = b"".join(b"/lib/%d\n" % number for number in range(6000))
    file = _file(b"/etc/ld.so.preload", many)
    items = list(parse(file))
    assert len(items) == 5001
    assert items[-1].id == "/etc/ld.so.preload:more"
    assert file.rejected == 1000
    other = list(parse(_file(b"/etc/ld.so.preload", many + b"/lib/hidden\n")))
    assert other[-1].content_hash != items[-1].content_hash
    assert other[:-1] != []


@pytest.mark.slow
@pytest.mark.parametrize("name", _PARSERS)
def test_megabytes_of_the_same_take_no_more_than_a_moment(name: str) -> None:
    parse = _parser(name)
    slowest = (0.0, b"")
    for piece in (*_PIECES, b'\\"', b"a", b'"a', b"a=", b"a b\n", b"a{", b"((", b"\\\\", b"! ", b"\xff\n"):
        for head in (b"", b'"'):
            data = head + piece * (60_000 // len(piece)) + b"\\"
            before = time.thread_time()
            parse(_file(_PARSERS[name], data))
            slowest = max(slowest, (time.thread_time() - before, head + piece))
    # Quadratic work on 60 kB would take seconds.
    assert slowest[0] < 0.8, slowest
