"""Every mapping with an example, and what must not be mapped."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from otel_fim import names
from otel_fim.attack import TECHNIQUES
from otel_fim.names import events
from otel_fim.processors import attack
from otel_fim.processors.attack import table_access, table_defence
from otel_fim.processors.attack.engine import find
from otel_fim.record import Record

CREATED, MODIFIED, DELETED = events.FILE_CREATED, events.FILE_MODIFIED, events.FILE_DELETED
RENAMED, ATTRIBUTES = events.FILE_RENAMED, events.FILE_ATTRIBUTES_CHANGED


def record(event: str, path: str, **attributes: Any) -> Record:
    """A file event. Keywords: size, size_before, mode, mode_before, kind, target, replaced, origin, and
    modified, modified_before, owner, owner_before."""
    keys = {
        "size": names.FILE_SIZE,
        "size_before": names.before(names.FILE_SIZE),
        "mode": names.FILE_MODE,
        "mode_before": names.before(names.FILE_MODE),
        "kind": names.FILE_TYPE,
        "target": names.FILE_SYMBOLIC_LINK_TARGET_PATH,
        "replaced": names.OTEL_FIM_FILE_REPLACED,
        "origin": names.before(names.FILE_PATH),
        "modified": names.FILE_MODIFIED,
        "modified_before": names.before(names.FILE_MODIFIED),
        "owner": names.FILE_OWNER_ID,
        "owner_before": names.before(names.FILE_OWNER_ID),
    }
    found = {names.FILE_PATH: path, names.FILE_TYPE: "file"}
    found.update({keys[key]: value for key, value in attributes.items()})
    return Record(event_name=event, attributes=found)


CUT = {"size": 0, "size_before": 4096}
NOWHERE = {"kind": "symlink", "target": "/dev/null"}

# technique, confidence, event, path, what else
EXAMPLES: list[tuple[str, str, str, str, dict[str, Any]]] = [
    ("T1136.001", "MEDIUM", MODIFIED, "/etc/passwd", {}),
    ("T1136.001", "MEDIUM", RENAMED, "/etc/passwd", {"origin": "/etc/passwd+"}),
    ("T1098", "MEDIUM", MODIFIED, "/etc/shadow", {}),
    ("T1098.007", "MEDIUM", MODIFIED, "/etc/group", {}),
    ("T1098.007", "MEDIUM", MODIFIED, "/etc/gshadow", {}),
    ("T1548.003", "HIGH", MODIFIED, "/etc/sudoers", {}),
    ("T1548.003", "HIGH", CREATED, "/etc/sudoers.d/mallory", {}),
    ("T1548", "MEDIUM", CREATED, "/etc/polkit-1/rules.d/00-all.rules", {}),
    ("T1098.004", "HIGH", MODIFIED, "/root/.ssh/authorized_keys", {}),
    ("T1098.004", "HIGH", CREATED, "/var/lib/postgresql/.ssh/authorized_keys2", {}),
    ("T1098.004", "LOW", MODIFIED, "/etc/ssh/sshd_config", {}),
    ("T1098.004", "LOW", CREATED, "/etc/ssh/sshd_config.d/99.conf", {}),
    ("T1556.003", "HIGH", MODIFIED, "/etc/pam.d/sshd", {}),
    ("T1556.003", "HIGH", MODIFIED, "/usr/lib/x86_64-linux-gnu/security/pam_unix.so", {}),
    ("T1556.003", "HIGH", CREATED, "/lib64/security/pam_x.so", {}),
    ("T1556", "LOW", MODIFIED, "/etc/nsswitch.conf", {}),
    ("T1053.003", "HIGH", CREATED, "/etc/cron.d/backup", {}),
    ("T1053.003", "HIGH", MODIFIED, "/etc/crontab", {}),
    ("T1053.003", "HIGH", CREATED, "/var/spool/cron/crontabs/root", {}),
    ("T1053.003", "LOW", CREATED, "/etc/cron.allow", {}),
    ("T1053.002", "HIGH", CREATED, "/var/spool/cron/atjobs/a00001", {}),
    ("T1543.002", "HIGH", CREATED, "/etc/systemd/system/x.service", {}),
    ("T1543.002", "HIGH", CREATED, "/usr/lib/systemd/system/x.socket", {}),
    ("T1543.002", "HIGH", CREATED, "/etc/systemd/system/multi-user.target.wants/x.service", NOWHERE),
    ("T1543.002", "HIGH", CREATED, "/home/alice/.config/systemd/user/x.service", {}),
    ("T1543.002", "HIGH", CREATED, "/etc/systemd/system/ssh.service.d/override.conf", {}),
    ("T1543.002", "MEDIUM", CREATED, "/etc/systemd/system-generators/x", {}),
    ("T1053.006", "HIGH", CREATED, "/etc/systemd/system/x.timer", {}),
    ("T1053.006", "HIGH", CREATED, "/home/alice/.config/systemd/user/x.timer", {}),
    ("T1053.006", "HIGH", MODIFIED, "/etc/systemd/system/apt-daily.timer.d/x.conf", {}),
    ("T1037.004", "HIGH", MODIFIED, "/etc/rc.local", {}),
    ("T1037.004", "HIGH", CREATED, "/etc/init.d/x", {}),
    ("T1037", "MEDIUM", CREATED, "/etc/update-motd.d/99-x", {}),
    ("T1037", "MEDIUM", CREATED, "/home/alice/.ssh/rc", {}),
    ("T1546.004", "MEDIUM", MODIFIED, "/root/.bashrc", {}),
    ("T1546.004", "MEDIUM", CREATED, "/etc/profile.d/x.sh", {}),
    ("T1546.004", "MEDIUM", CREATED, "/home/a/.config/fish/conf.d/x.fish", {}),
    ("T1547.013", "HIGH", CREATED, "/home/a/.config/autostart/x.desktop", {}),
    ("T1547.006", "HIGH", CREATED, "/lib/modules/6.1.0/extra/rootkit.ko", {}),
    ("T1547.006", "HIGH", MODIFIED, "/usr/lib/modules/6.1.0/kernel/fs/ext4.ko.xz", {}),
    ("T1547.006", "MEDIUM", MODIFIED, "/etc/modules", {}),
    ("T1574.006", "HIGH", CREATED, "/etc/ld.so.preload", {}),
    ("T1574.006", "MEDIUM", CREATED, "/etc/ld.so.conf.d/00.conf", {}),
    ("T1574.006", "LOW", MODIFIED, "/etc/environment", {}),
    ("T1546.017", "HIGH", CREATED, "/etc/udev/rules.d/99-x.rules", {}),
    ("T1546.018", "HIGH", CREATED, "/usr/lib/python3.12/sitecustomize.py", {}),
    ("T1546.018", "MEDIUM", CREATED, "/usr/lib/python3/dist-packages/x.pth", {}),
    ("T1546.018", "MEDIUM", CREATED, "/opt/app/lib/python3.12/site-packages/x.pth", {}),
    ("T1546.016", "LOW", MODIFIED, "/var/lib/dpkg/info/bash.postinst", {}),
    ("T1546", "LOW", CREATED, "/etc/apt/apt.conf.d/00x", {}),
    ("T1546", "MEDIUM", CREATED, "/srv/repo/.git/hooks/post-checkout", {}),
    ("T1546", "MEDIUM", CREATED, "/etc/NetworkManager/dispatcher.d/x", {}),
    ("T1505.003", "MEDIUM", CREATED, "/var/www/html/uploads/x.php", {}),
    ("T1505.003", "LOW", MODIFIED, "/var/www/html/index.PHP", {}),
    ("T1505.003", "MEDIUM", CREATED, "/usr/lib/cgi-bin/x", {}),
    ("T1554", "HIGH", MODIFIED, "/usr/bin/sudo", {"replaced": False}),
    ("T1554", "MEDIUM", MODIFIED, "/usr/bin/sudo", {"replaced": True}),
    ("T1554", "MEDIUM", MODIFIED, "/usr/local/bin/kubectl", {}),
    ("T1554", "MEDIUM", MODIFIED, "/usr/lib/x86_64-linux-gnu/libcrypto.so.3", {}),
    ("T1685.006", "HIGH", MODIFIED, "/var/log/wtmp", {"size": 384, "size_before": 384}),
    ("T1685.006", "MEDIUM", MODIFIED, "/var/log/wtmp", CUT),
    ("T1685.006", "MEDIUM", DELETED, "/var/log/auth.log", {}),
    ("T1685.006", "MEDIUM", DELETED, "/var/log/journal/8b/system.journal", {}),
    ("T1685.006", "MEDIUM", RENAMED, "/tmp/x", {"origin": "/var/log/auth.log"}),
    ("T1685.006", "HIGH", CREATED, "/var/log/auth.log", NOWHERE),
    ("T1685.006", "LOW", DELETED, "/var/log/nginx/access.log", {}),
    ("T1685.006", "LOW", MODIFIED, "/var/log/nginx/access.log", CUT),
    ("T1690", "HIGH", CREATED, "/root/.bash_history", NOWHERE),
    ("T1070.003", "MEDIUM", DELETED, "/root/.bash_history", {}),
    ("T1070.003", "HIGH", MODIFIED, "/home/a/.local/share/fish/fish_history", CUT),
    ("T1685.004", "HIGH", DELETED, "/etc/audit/rules.d/audit.rules", {}),
    ("T1685", "MEDIUM", MODIFIED, "/etc/rsyslog.conf", {}),
    ("T1685", "MEDIUM", DELETED, "/etc/fail2ban/jail.local", {}),
    ("T1685", "MEDIUM", MODIFIED, "/etc/otel-fim/config.yaml", {}),
    ("T1686", "MEDIUM", DELETED, "/etc/nftables.conf", {}),
    ("T1686", "LOW", MODIFIED, "/etc/hosts.allow", {}),
    ("T1553.004", "HIGH", CREATED, "/usr/local/share/ca-certificates/mallory.crt", {}),
    ("T1553.004", "MEDIUM", MODIFIED, "/etc/ssl/certs/ca-certificates.crt", {}),
    ("T1548.001", "HIGH", ATTRIBUTES, "/home/a/x", {"mode_before": "0755", "mode": "4755"}),
    ("T1548.001", "HIGH", ATTRIBUTES, "/usr/bin/less", {"mode_before": "0755", "mode": "2755"}),
    ("T1548.001", "MEDIUM", CREATED, "/opt/x/y", {"mode": "4755"}),
    ("T1222.002", "MEDIUM", ATTRIBUTES, "/etc/passwd", {"mode_before": "0644", "mode": "0666"}),
    ("T1222.002", "LOW", ATTRIBUTES, "/home/a/x", {"mode_before": "0644", "mode": "0755"}),
    ("T1222.002", "LOW", ATTRIBUTES, "/etc/cron.d/x", {"owner_before": "0", "owner": "1000"}),
    (
        "T1070.006",
        "MEDIUM",
        ATTRIBUTES,
        "/usr/bin/ls",
        {"modified_before": "2026-01-13T14:32:15.123456789Z", "modified": "2020-01-01T00:00:00.000000000Z"},
    ),
    (
        "T1070.006",
        "LOW",
        MODIFIED,
        "/srv/data/x",
        {"modified_before": "2026-01-13T14:32:15.1Z", "modified": "2020-01-01T00:00:00Z"},
    ),
    ("T1036.002", "HIGH", CREATED, "/home/a/cod\u202efdp.sh", {}),
    ("T1036.006", "MEDIUM", CREATED, "/home/a/bash ", {}),
    ("T1564.001", "LOW", CREATED, "/tmp/.x", {}),
    ("T1564.001", "MEDIUM", CREATED, "/dev/.hidden", {}),
    ("T1564.001", "MEDIUM", CREATED, "/var/tmp/...", {"kind": "dir"}),
    ("T1070.004", "LOW", DELETED, "/dev/shm/xmrig", {"mode_before": "0755"}),
]


@pytest.mark.parametrize(("technique", "confidence", "event", "path", "more"), EXAMPLES)
def test_example(technique: str, confidence: str, event: str, path: str, more: dict[str, Any]) -> None:
    matches = find(record(event, path, **more))
    assert (technique, confidence) in [(match.technique.id, match.confidence.name) for match in matches]
    assert all(match.evidence for match in matches)


def test_every_row_of_the_tables_has_an_example() -> None:
    shown = {
        match.evidence.rpartition(": ")[2]
        for _, _, event, path, more in EXAMPLES
        for match in find(record(event, path, **more))
    }
    rows = {row.reason for row, _ in table_access.ROWS + table_defence.ROWS}
    assert rows - shown == set()


def test_every_technique_in_use_has_an_example() -> None:
    shown = {technique for technique, *_ in EXAMPLES} | IN_OTHER_EVENTS
    parents = {technique.partition(".")[0] for technique in shown}
    assert in_use() - shown - parents == set()


IN_OTHER_EVENTS = {
    "T1037.002", "T1053.005", "T1078.003", "T1110", "T1531", "T1543.001", "T1543.003", "T1543.004", "T1547.001",
    "T1547.015",
}  # fmt: skip
"""Have their examples in the tests of those events."""


ORDINARY: list[tuple[str, str, dict[str, Any]]] = [
    (MODIFIED, "/etcfoo/passwd", {}),
    (MODIFIED, "/srv/etc/passwd", {}),
    (MODIFIED, "/etc/passwd-", {}),
    (CREATED, "/etc/passwd.lock", {}),
    (CREATED, "/etc/cron.dx/job", {}),
    (CREATED, "/etc/cron.d", {"kind": "dir"}),
    (CREATED, "/etc/systemd/system/x.service.d", {"kind": "dir"}),
    (DELETED, "/etc/cron.d/job", {}),
    (CREATED, "/home/alice/notes.txt", {}),
    (MODIFIED, "/home/alice/src/main.py", {}),
    (CREATED, "/home/alice/.vimrc", {}),
    (CREATED, "/home/alice/authorized_keys", {}),
    (CREATED, "/var/www/html/logo.png", {}),
    (CREATED, "/srv/repo/.git/hooks/pre-push.sample", {}),
    (MODIFIED, "/var/log/auth.log", {"size": 9000, "size_before": 4096}),
    (RENAMED, "/var/log/auth.log.1", {"origin": "/var/log/auth.log"}),
    (DELETED, "/var/log/syslog.7.gz", {}),
    (DELETED, "/var/log/journal/8b/system@0005-01.journal", {}),
    (MODIFIED, "/root/.bash_history", {"size": 9000, "size_before": 4096}),
    (CREATED, "/usr/bin/newtool", {}),
    (CREATED, "/usr/share/x/mode", {"mode": "2644"}),
    (CREATED, "/var/mail", {"kind": "dir", "mode": "2775"}),
    (ATTRIBUTES, "/usr/bin/sudo", {"mode_before": "4755", "mode": "4755"}),
    (ATTRIBUTES, "/home/a/link", {"kind": "symlink", "mode_before": "0644", "mode": "0777"}),
    (CREATED, "/tmp/.X11-unix", {"kind": "dir"}),
    (CREATED, "/etc/.passwd.swp", {}),
    (DELETED, "/tmp/x.txt", {"mode_before": "0644"}),
    (
        MODIFIED,
        "/usr/share/doc/x",
        {
            "replaced": True,
            "modified_before": "2026-01-13T14:32:15.000000000Z",
            "modified": "2020-01-01T00:00:00.000000000Z",
        },
    ),
    (events.AGENT_HEARTBEAT, "/etc/passwd", {}),
    (events.COVERAGE_GAP, "/etc/passwd", {}),
]


@pytest.mark.parametrize(("event", "path", "more"), ORDINARY)
def test_ordinary_changes_have_no_technique(event: str, path: str, more: dict[str, Any]) -> None:
    assert find(record(event, path, **more)) == []


def in_use() -> set[str]:
    """Every technique id that the component's source names."""
    folder = Path(attack.__file__).parent
    return {
        id_ for file in folder.glob("*.py") for id_ in re.findall(r'"(T\d{4}(?:\.\d{3})?)"', file.read_text())
    }


def test_only_ids_of_the_current_version() -> None:
    assert len(in_use()) > 40
    assert in_use() <= set(TECHNIQUES)
