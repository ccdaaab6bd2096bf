"""Cron, systemd and ssh keys on the private host: each item is told once when it comes, changes and goes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.interop.auth.agent_inside import Agent
from tests.interop.auth.login_host import LoginHost

pytestmark = [pytest.mark.root, pytest.mark.slow]
PROGRAMS = {"/usr/bin/crontab": "cron", "/usr/bin/systemctl": "systemd"}
UNIT = "[Unit]\nDescription=Backup\n[Service]\nExecStart={command}\n[Install]\nWantedBy=multi-user.target\n"
NAME = "otel_fim.persistence."
BEFORE = "otel_fim.before." + NAME


@pytest.fixture(scope="module")
def host(make_host: Any) -> LoginHost:
    host: LoginHost = make_host("text", more=PROGRAMS)
    host.run("mkdir", "-p", "/etc/cron.d", "/etc/systemd/system", "/var/spool/cron/crontabs")
    return host


AGENTS = {
    "file events": {
        "file_integrity": {
            "paths": ["/etc", "/var/spool/cron", "/home"],
            "include_hidden": True,
            "settle": "20ms",
        },
        "persistence": {"interval": "1h"},
    },
    "scan alone": {"persistence": {"interval": "1s"}},
}
CRON, UNITS = "/etc/cron.d/", "/etc/systemd/system/"
CRONTAB, KEYS = "/var/spool/cron/crontabs/bob", "/home/bob/.ssh/authorized_keys"
ADDED, CHANGED, REMOVED = "persistence.added", "persistence.changed", "persistence.removed"


@pytest.mark.parametrize("receivers", list(AGENTS.values()), ids=list(AGENTS))
def test_each_item_is_told_once_when_it_comes_changes_and_goes(
    host: LoginHost, make_agent: Any, receivers: dict[str, Any]
) -> None:
    agent: Agent = make_agent(host, receivers)
    seen = 0

    def told(count: int) -> dict[str, dict[str, Any]]:
        """The next records by the file that they are about; waits for so many, of different files."""
        nonlocal seen

        def records() -> list[dict[str, Any]]:
            return [each for each in agent.records() if each["event"].startswith("persistence.")][seen:]

        found = agent.wait_for(lambda: len(records()) >= count and records(), f"{count} more records")
        seen += len(found)
        by_file = {each["file.path"]: each for each in found}
        assert len(found) == len(by_file) == count, found
        return by_file

    def write(path: str, text: str, user: str | None = None) -> None:
        # At once, as editors do it: a scan may come at any time, and half a file is an item too.
        host.run("sh", "-c", 'umask 077; cat >"$0.new"; mv "$0.new" "$0"', path, text=text, user=user)

    host.run("install", "-d", "-m700", "-obob", "-gbob", "/home/bob/.ssh")
    write(CRON + "backup", "17 * * * * root /usr/local/bin/backup\n")
    write(UNITS + "backup.service", UNIT.format(command="/usr/local/bin/backup"))
    write(UNITS + "daily.service", UNIT.format(command="/bin/true"))
    write(KEYS, host.path("/root/stranger.key.pub").read_text(), "bob")
    host.run("crontab", "-", user="bob", text="@reboot /home/bob/.hidden\n")
    added = told(5)
    write(CRON + "backup", "17 * * * * root /tmp/evil\n")
    write(UNITS + "backup.service", UNIT.format(command="/tmp/evil"))
    host.run("systemctl", "enable", "daily.service", SYSTEMD_OFFLINE="1")
    changed = told(3)
    host.run("systemctl", "disable", "daily.service", SYSTEMD_OFFLINE="1")
    disabled = told(1)
    host.run("rm", "-r", CRON + "backup", UNITS + "backup.service", UNITS + "daily.service", "/home/bob/.ssh")
    host.run("crontab", "-r", user="bob")
    removed = told(5)
    everything = [each for each in agent.stop() if each["event"].startswith("persistence.")]
    assert len(everything) == seen

    for records, event in ((added, ADDED), (changed | disabled, CHANGED), (removed, REMOVED)):
        assert {each["event"] for each in records.values()} == {event}
    for path, each in added.items():
        assert removed[path][NAME + "id"] == each[NAME + "id"]

    expected = {
        CRON + "backup": ("cron", "root", "/usr/local/bin/backup", "17 * * * *"),
        CRONTAB: ("cron", "bob", "/home/bob/.hidden", "@reboot"),
    }
    for path, item in expected.items():
        assert tuple(added[path][NAME + each] for each in ("kind", "user", "command", "trigger")) == item
    assert added[UNITS + "backup.service"][NAME + "kind"] == "systemd_service"
    assert (added[KEYS][NAME + "kind"], added[KEYS][NAME + "user"]) == ("authorized_key", "bob")
    for path in (CRON + "backup", UNITS + "backup.service"):
        assert "/usr/local/bin/backup" in added[path][NAME + "command"]
        assert "/tmp/evil" in changed[path][NAME + "command"]
        assert "/usr/local/bin/backup" in changed[path][BEFORE + "command"]
        assert "/tmp/evil" in removed[path][BEFORE + "command"]
    daily = UNITS + "daily.service"
    assert [each[daily][NAME + "enabled"] for each in (added, changed, disabled)] == [False, True, False]
