"""Ordinary work gives no finding above low.

`testdata/ordinary_work.jsonl.gz` holds what the agent's receivers told, in a real run on Debian 12, of installing 23
packages with `apt-get install` (at, bash-completion, iputils-arping, libpam-pwquality, ncdu, nginx-light, redis-server,
tree, whois, zsh and what they need), of removing them, and of a session with an editor, git, gcc, ssh-keygen, tar, find
and grep; without what is the same in every record or differs in every run. Records that such a machine has no source
for, and a new kernel, are made here.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from otel_fim.processors.rules.engine import Engine
from otel_fim.processors.rules.hits import Hit
from otel_fim.record import AnyValue, Record, Resource, Scope
from otel_fim.sigma.ir import Level
from otel_fim.sigma.load import load_rules, pack_path

RECORDING = Path(__file__).parent / "testdata" / "ordinary_work.jsonl.gz"
QUIET = {Level.INFORMATIONAL, Level.LOW}
START = 1_768_305_600 * 10**9  # 2026-01-13T12:00:00Z, a Tuesday
RESOURCE = Resource({"host.name": "web-1"})
APT = [
    "4650 /usr/bin/apt-get", "4640 /usr/bin/sudo", "4600 /usr/bin/bash", "4500 /usr/sbin/sshd",
    "1 /usr/lib/systemd/systemd",
]  # fmt: skip


@lru_cache(maxsize=1)
def engine() -> Engine:
    return Engine(load_rules([pack_path()]))


def record(event: str, attributes: dict[str, AnyValue], time_unix_nano: int) -> Record:
    return Record(
        time_unix_nano,
        time_unix_nano,
        f"otel_fim.{event}",
        9,
        "INFO",
        "",
        attributes,
        RESOURCE,
        Scope("test", "1"),
    )


def loud(records: list[Record]) -> list[str]:
    """Findings above low, with what they rest on."""
    fresh = engine().anew()
    found = [*fresh.process(records), *fresh.flush()]
    return [
        f"{each.rule.meta.path}: {dict(each.record.attributes)}"
        if isinstance(each, Hit)
        else each.correlation.meta.path
        for each in found
        if (each.rule if isinstance(each, Hit) else each.correlation).meta.level not in QUIET
    ]


def recorded() -> Iterator[Record]:
    with gzip.open(RECORDING, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            read = json.loads(line)
            event = read["event"].removeprefix("otel_fim.")
            yield record(event, read["attributes"], START + number * 50_000_000)


def actor(executable: str, command: str, *parents: str) -> dict[str, AnyValue]:
    """A process of root's in a package's script."""
    above = [f"46{90 - n} {path}" for n, path in enumerate(parents)] + ["4680 /usr/bin/dpkg", *APT]
    return {
        "process.executable.path": executable,
        "process.executable.name": executable.rpartition("/")[2],
        "process.command": command,
        "process.parent.executable": above[0].split()[1],
        "process.parent.name": above[0].rpartition("/")[2],
        "otel_fim.process.ancestors": above,
        "user.id": "0",
        "user.name": "root",
        "process.real_user.id": 0,
        "process.real_user.name": "root",
        "otel_fim.actor.state": "running",
    }


def test_installing_and_removing_packages_and_a_session() -> None:
    records = list(recorded())
    assert len(records) > 1000
    assert {each.event_name.split(".")[1] for each in records} >= {"file", "process", "persistence"}
    assert loud(records) == []


def test_the_same_by_hand_is_not_quiet() -> None:
    """What keeps it quiet is that a package manager did it."""
    by_hand = {
        "process.executable.path": "/usr/bin/cp",
        "process.parent.executable": "/usr/bin/bash",
        "otel_fim.process.ancestors": ["4600 /usr/bin/bash", "1 /usr/lib/systemd/systemd"],
    }
    records = [each for each in recorded() if "process.executable.path" in each.attributes]
    for each in records:
        each.attributes.update(by_hand)
    assert len(loud(records)) > 20


def test_a_new_kernel() -> None:
    version = "6.1.0-29-amd64"
    dpkg = actor("/usr/bin/dpkg", "dpkg") | {
        "otel_fim.process.ancestors": APT,
        "process.parent.name": "apt-get",
    }
    initramfs = actor("/usr/bin/dash", "mkinitramfs", "/usr/bin/dash", "/usr/bin/run-parts", "/usr/bin/perl")
    module = f"/usr/lib/modules/{version}"
    written = [
        (f"/boot/vmlinuz-{version}", dpkg), (f"/boot/System.map-{version}", dpkg), (f"/boot/config-{version}", dpkg),
        *((f"{module}/kernel/drivers/net/driver{n}.ko", dpkg) for n in range(50)),
        (f"{module}/modules.dep", actor("/usr/bin/kmod", "depmod", "/usr/bin/dash")),
        (f"{module}/modules.dep.bin", actor("/usr/bin/kmod", "depmod", "/usr/bin/dash")),
        (f"/boot/initrd.img-{version}.new", initramfs), (f"/boot/initrd.img-{version}", initramfs),
        ("/boot/grub/grub.cfg.new", actor("/usr/bin/dash", "grub-mkconfig", "/usr/bin/dash", "/usr/bin/run-parts")),
        ("/etc/kernel/postinst.d/dkms", dpkg), ("/etc/modprobe.d/x.conf", dpkg), ("/vmlinuz", dpkg),
    ]  # fmt: skip
    records = [
        record(
            f"file.{what}",
            {
                "file.path": path,
                "file.name": path.rpartition("/")[2],
                "file.type": "file",
                "file.mode": "0644",
                "file.size": 4096,
                "file.owner.id": "0",
                "otel_fim.file.changed_attributes": ["file.hash.sha256", "file.size"],
                **who,
            },
            START + number * 10_000_000,
        )
        for number, (path, who) in enumerate(written)
        for what in ("created", "modified", "attributes_changed", "renamed", "deleted")
    ]
    build = "/var/tmp/mkinitramfs_Ab12Cd"
    commands = [
        ("/usr/bin/cp", f"cp -pP /usr/bin/busybox {build}/usr/bin/busybox"),
        ("/usr/bin/ln", f"ln -s /bin/sh {build}/usr/bin/sh"),
        (
            "/usr/bin/kmod",
            f"modprobe --all --set-version={version} --ignore-install --quiet --show-depends ext4",
        ),
        ("/usr/bin/kmod", f"depmod -a -b {build} {version}"),
        ("/usr/bin/touch", f"touch -d @1700000000 {build}/etc/ld.so.cache"),
        ("/usr/bin/rm", f"rm -rf {build}"),
        ("/usr/bin/chmod", f"chmod 4755 {build}/usr/bin/mount"),
        ("/usr/bin/dash", "/bin/sh /usr/sbin/update-initramfs -c -k 6.1.0-29-amd64"),
        ("/usr/sbin/grub-probe", "grub-probe --target=device /"),
        ("/usr/bin/systemctl", "systemctl daemon-reload"),
        ("/usr/bin/sed", "sed -e s/SELINUX=disabled/x/ /etc/default/grub"),
    ]
    for number, (executable, line) in enumerate(commands):
        attributes = actor(executable, executable.rpartition("/")[2], "/usr/bin/dash", "/usr/bin/run-parts")
        attributes |= {"event.action": "exec", "process.command_line": line, "process.user.id": 0}
        attributes |= {"process.user.name": "root", "process.args_count": len(line.split())}
        records.append(record("process.started", attributes, START + (1000 + number) * 10_000_000))
    modules: list[dict[str, AnyValue]] = [
        {
            "event.action": "added",
            "otel_fim.persistence.kind": "kernel_module",
            "otel_fim.persistence.id": f"/proc/modules:{name}",
            "file.path": "/proc/modules",
            "otel_fim.persistence.command": name,
            "otel_fim.persistence.trigger": "loaded",
            "otel_fim.persistence.enabled": True,
            "otel_fim.persistence.backend": "scan",
        }
        for name in ("xfs", "nft_ct", "wireguard")
    ]
    records += [record("persistence.added", each, START + 20 * 10**9) for each in modules]
    assert loud(records) == []


def test_accounts_of_packages_and_logins_of_people() -> None:
    useradd = actor("/usr/sbin/useradd", "useradd", "/usr/bin/perl", "/usr/bin/dash")
    login: dict[str, AnyValue] = {
        "event.action": "login", "event.outcome": "success", "user.name": "alice", "user.id": "1000",
        "otel_fim.auth.user_known": True, "source.address": "203.0.113.7", "otel_fim.auth.service": "sshd",
        "otel_fim.auth.method": "publickey",
    }  # fmt: skip
    mistyped = login | {"event.outcome": "failure", "otel_fim.auth.method": "password"}
    sudo: dict[str, AnyValue] = {
        "event.action": "sudo", "event.outcome": "success", "user.name": "alice", "user.effective.name": "root",
        "otel_fim.auth.service": "sudo", "process.command_line": "/usr/bin/apt-get install -y nginx",
        "otel_fim.login.user.name": "alice",
    }  # fmt: skip
    account: dict[str, AnyValue] = {
        "event.outcome": "success",
        "user.target.name": "redis",
        "user.target.id": "112",
    }
    happened: list[tuple[str, dict[str, AnyValue]]] = [
        ("auth.login", mistyped | {"otel_fim.auth.reason": "wrong_credentials"}),
        ("auth.login", login | {"otel_fim.auth.method": "password"}),
        ("auth.login", login | {"otel_fim.novelty.first_seen": ["source", "user_source"]}),
        ("auth.privilege", sudo),
        ("auth.privilege", sudo | {"process.command_line": "/usr/bin/systemctl restart nginx"}),
        ("auth.privilege", sudo | {"process.command_line": "/usr/bin/bash"}),
        ("auth.account", account | {"event.action": "group_created", "group.name": "redis"} | useradd),
        ("auth.account", account | {"event.action": "user_created"} | useradd),
        ("auth.account", account | {"event.action": "group_member_added", "group.name": "adm"} | useradd),
        ("auth.logout", login | {"event.action": "logout"}),
        ("agent.started", {"otel_fim.agent.previous_stop": "clean", "otel_fim.agent.privileged": True}),
        ("agent.heartbeat", {}),
    ]
    records = [
        record(event, dict(attributes), START + n * 10**9) for n, (event, attributes) in enumerate(happened)
    ]
    assert loud(records) == []
