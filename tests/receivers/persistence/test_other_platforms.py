"""macOS and Windows: the same items, from samples in the systems' own formats."""

from __future__ import annotations

import os
import plistlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_fim.receivers.persistence.formats.plist import RefusedPlistError, parse_plist
from otel_fim.receivers.persistence.formats.registry import Value
from otel_fim.receivers.persistence.formats.xml import RefusedXmlError, parse_xml
from otel_fim.receivers.persistence.hosts import Host
from otel_fim.receivers.persistence.item import Item
from otel_fim.receivers.persistence.kind import Kind
from otel_fim.receivers.persistence.kinds.platforms.launchd import Launchd, LoginItems, parse_launchd
from otel_fim.receivers.persistence.kinds.platforms.windows import (
    WindowsRegistry,
    WindowsTasks,
    parse_registry,
    parse_task,
    registry_items,
)
from otel_fim.receivers.persistence.reader import File, Reader

_SAMPLES = Path(__file__).parent / "testdata"


def _read(bench: Any, kind: Kind) -> list[Item]:
    root = os.fsencode(bench.root)
    return list(kind.read(Host(root), Reader(root)))


def _file(path: str, data: bytes) -> File:
    return File(path.encode(), data, os.stat("/"))


_AGENT = (_SAMPLES / "macos" / "org.example.agent.plist").read_bytes()


@pytest.mark.parametrize("form", ["xml", "binary"])
def test_a_launchd_job_is_read_in_both_forms(bench: Any, form: str) -> None:
    data = _AGENT if form == "xml" else plistlib.dumps(plistlib.loads(_AGENT), fmt=plistlib.FMT_BINARY)
    bench.write("/Library/LaunchDaemons/org.example.agent.plist", data)
    (item,) = _read(bench, Launchd())
    assert (item.kind, item.user, item.enabled) == ("launchd_daemon", "root", True)
    assert item.command == "DYLD_INSERT_LIBRARIES=/tmp/evil.dylib /usr/local/bin/agent --quiet"
    assert item.trigger == "every 300 s; at Hour=4 Minute=30; load; change of /etc/hosts"


def test_jobs_that_are_switched_off(bench: Any) -> None:
    bench.write("/etc/passwd", "alice:x:501:20::/Users/alice:/bin/zsh\n")
    bench.write("/Users/alice/Library/LaunchAgents/a.plist", plistlib.dumps({"Label": "a", "Program": "/a"}))
    bench.write(
        "/Library/LaunchAgents/b.plist", plistlib.dumps({"Label": "b", "Program": "/b", "Disabled": True})
    )
    bench.write("/Library/LaunchAgents/c.plist", b"no property list")
    found = {item.command: item for item in _read(bench, Launchd())}
    assert {command: (item.user, item.enabled) for command, item in found.items()} == {
        "/a": ("alice", True),
        "/b": ("", False),
    }
    bench.write("/var/db/com.apple.xpc.launchd/disabled.501.plist", plistlib.dumps({"a": True, "x": False}))
    assert not any(item.enabled for item in _read(bench, Launchd()))


def test_login_hooks_login_items_and_periodic_scripts(bench: Any) -> None:
    bench.write(
        "/Library/Preferences/com.apple.loginwindow.plist", plistlib.dumps({"LoginHook": "/tmp/hook"})
    )
    bench.write(
        "/root/Library/Preferences/com.apple.loginitems.plist",
        plistlib.dumps({"SessionItems": {"CustomListItems": [{"Name": "App"}, "odd"]}}),
    )
    bench.write("/etc/periodic/daily/100.x", "#!/bin/sh\n", 0o755)
    found = {(item.kind, item.command, item.trigger) for item in _read(bench, LoginItems())}
    assert found == {
        ("login_hook", "/tmp/hook", "login"),
        ("login_item", "App", "login"),
        ("periodic", "", "daily"),
    }


@pytest.mark.parametrize(
    "data",
    [
        _AGENT.replace(b'.dtd">', b'.dtd" [<!ENTITY a "aaaa">]>'),
        b"<plist>" + b"<array>" * 5000 + b"</array>" * 5000 + b"</plist>",
        b"<plist><array/></plist>",
        b"bplist00" + b"\xff" * 100,
        _AGENT.decode().encode("utf-16"),
        b"",
    ],
)
def test_hostile_property_lists_are_refused(data: bytes) -> None:
    with pytest.raises(RefusedPlistError):
        parse_plist(data)
    file = _file("/Library/LaunchAgents/x.plist", data)
    assert parse_launchd(file) == ()
    assert file.rejected == 1


@given(st.binary(max_size=120), st.integers(0, 200))
def test_damaged_binary_property_lists_are_refused_or_read(noise: bytes, where: int) -> None:
    data = bytearray(plistlib.dumps(plistlib.loads(_AGENT), fmt=plistlib.FMT_BINARY))
    data[where : where + len(noise)] = noise
    parse_launchd(_file("/Library/LaunchAgents/x.plist", bytes(data)))


def test_a_scheduled_task(bench: Any) -> None:
    bench.write(
        "/Windows/System32/Tasks/Example/Updater", (_SAMPLES / "windows" / "updater_task.xml").read_bytes()
    )
    run, handler = _read(bench, WindowsTasks())
    assert run.id == "/Windows/System32/Tasks/Example/Updater:Exec"
    assert run.command == r'C:\Windows\System32\rundll32.exe "C:\ProgramData\x.dll",Start'
    assert (run.user, run.enabled) == ("S-1-5-18 (highest)", True)
    assert run.trigger == (
        r"Logon UserId=EXAMPLE\alice; Calendar StartBoundary=2026-01-13T14:32:15 every PT1H ScheduleByDay (off)"
    )
    assert handler.command == "{00000000-0000-0000-0000-000000000001}"


@pytest.mark.parametrize(
    "data",
    [
        b'<!DOCTYPE Task [<!ENTITY a "a">]><Task><Actions><Exec/></Actions></Task>',
        b"<!DOCTYPE Task><Task><Actions><Exec/></Actions></Task>",
        b"<a>" * 100 + b"</a>" * 100,
        b"<Task>",
        b"\xff\xfe<\x00",
        b"",
    ],
)
def test_xml_with_a_doctype_or_without_an_end_is_refused(data: bytes) -> None:
    with pytest.raises(RefusedXmlError):
        parse_xml(data)
    file = _file("/Windows/System32/Tasks/x", data)
    assert parse_task(file) == ()
    assert file.rejected == 1


def test_services_and_run_keys_of_an_exported_registry() -> None:
    file = _file("/export.reg", (_SAMPLES / "windows" / "export.reg").read_bytes())
    found = {item.id.removeprefix("/export.reg:"): item for item in parse_registry(file)}
    assert file.rejected == 0
    service = found[r"Services\ExampleSvc"]
    assert service.command == r"%SystemRoot%\System32\svchost.exe -k netsvcs (C:\ProgramData\example.dll)"
    assert (service.user, service.trigger, service.enabled) == (
        r"NT AUTHORITY\LocalService",
        "automatic; shared process",
        True,
    )
    driver = found[r"Services\OldDriver"]
    assert (driver.trigger, driver.enabled) == ("disabled; driver", False)
    commands = {item.command: item.user for item in found.values() if item.kind == "windows_run_key"}
    assert commands == {
        '"C:\\Users\\alice\\up.exe" /background': "HKEY_CURRENT_USER",
        "cmd.exe /c once.bat": "S-1-5-21-1-2-3-1001",
        "explorer.exe, evil.exe": "",
        "cmd.exe": "",
    }


def test_a_text_that_is_no_registry_is_refused() -> None:
    file = _file("/x.reg", b"hello")
    assert parse_registry(file) == ()
    assert file.rejected == 1


@given(
    st.text(max_size=40),
    st.text(max_size=20),
    st.one_of(st.text(max_size=30), st.integers(), st.binary(max_size=9)),
)
def test_any_value_of_a_registry_is_an_item_or_none(key: str, name: str, data: str | int | bytes) -> None:
    for hive in ("HKLM", "HKEY_USERS", ""):
        run = f"{hive}\\{key}\\Microsoft\\Windows\\CurrentVersion\\Run"
        for item in registry_items([Value(run, name, data), Value(key, name, data)], b"registry"):
            item.id.encode()
            item.command.encode()


def test_the_registry_of_this_system_is_empty_elsewhere_than_on_windows() -> None:
    assert list(WindowsRegistry().read(Host(), Reader())) == []
