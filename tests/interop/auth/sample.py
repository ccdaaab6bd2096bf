"""Writes what the real programs say in each scenario (or the named ones) to tests/receivers/auth/testdata/real/.

    python -m tests.interop.auth.sample [SCENARIO]...

- auth.log.iso, auth.log.traditional: rsyslog on /dev/log; auth.log.verbose: with sshd's `LogLevel VERBOSE`
- auth.log.journald: rsyslog behind journald
- journal.json: `journalctl -o json`, an entry a line; journal-audit.json: what journald heard of the kernel's audit
- audit.json: the kernel's audit multicast, a message a line: type, text, and the whole datagram in hex
- wtmp, btmp: the records that were added
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path

from tests.interop.auth.kernel_audit import audit
from tests.interop.auth.login_host import ROOT, LoginHost, wait_for
from tests.interop.auth.scenarios import ALL, SLOW, SSH, Scenario

TARGET = ROOT / "tests/receivers/auth/testdata/real"
TRADITIONAL = "auth,authpriv.* /var/log/auth.old;RSYSLOG_TraditionalFileFormat\n"


class AuditListener:
    """Collects audit messages (AUDIT_NLGRP_READLOG) on a thread."""

    def __init__(self) -> None:
        self.messages: list[dict[str, object]] = []
        self._link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 9)
        self._link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._link.bind((0, 0))
        self._link.setsockopt(270, 1, 1)  # SOL_NETLINK, NETLINK_ADD_MEMBERSHIP
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while True:
            datagram = self._link.recv(65536)
            (kind,) = struct.unpack_from("=H", datagram, 4)
            text = datagram[16:].rstrip(b"\0").decode(errors="backslashreplace")
            self.messages.append({"type": kind, "text": text, "datagram": datagram.hex()})

    def take(self) -> list[dict[str, object]]:
        time.sleep(0.2)
        taken, self.messages = self.messages, []
        return taken


class Growing:
    """A file inside a host: what was added since the last time."""

    def __init__(self, host: LoginHost, path: str) -> None:
        self._path = host.path(path)
        self._seen = self._path.stat().st_size if self._path.exists() else 0

    def take(self) -> bytes:
        data = self._path.read_bytes() if self._path.exists() else b""
        added, self._seen = data[self._seen :], len(data)
        return added


def settle(host: LoginHost) -> None:
    host.settle()
    host.run("logger", "-p", "user.info", "-t", "marker", "here")
    time.sleep(0.2)


def save(name: str, file: str, data: bytes) -> None:
    directory = TARGET / name
    directory.mkdir(parents=True, exist_ok=True)
    if data:
        (directory / file).write_bytes(data)


def with_text(scenarios: dict[str, Scenario], host: LoginHost, audit: AuditListener) -> None:
    host.more_rsyslog = TRADITIONAL
    host.start()
    for scenario in scenarios.values():
        scenario.prepare(host)
    settle(host)
    names = {"iso": "auth.log", "traditional": "auth.old"}
    files = {f"auth.log.{kind}": Growing(host, f"/var/log/{file}") for kind, file in names.items()}
    files |= {kind: Growing(host, f"/var/log/{kind}") for kind in ("wtmp", "btmp")}
    audit.take()
    for name, scenario in scenarios.items():
        scenario.act(host)
        settle(host)
        for file, growing in files.items():
            save(name, file, growing.take())
        told = audit.take()
        save(name, "audit.json", b"".join(json.dumps(message).encode() + b"\n" for message in told))


def with_verbose(scenarios: dict[str, Scenario], host: LoginHost) -> None:
    host.start()
    for scenario in scenarios.values():
        scenario.prepare(host)
    settle(host)
    log = Growing(host, "/var/log/auth.log")
    for name, scenario in scenarios.items():
        scenario.act(host)
        settle(host)
        save(name, "auth.log.verbose", log.take())


def with_journal(scenarios: dict[str, Scenario], host: LoginHost) -> None:
    host.start()
    for scenario in scenarios.values():
        scenario.prepare(host)
    settle(host)
    log = Growing(host, "/var/log/auth.log")
    cursor = ["--cursor-file=/run/cursor", "-o", "json", "--no-pager", "-q"]
    host.run("journalctl", "--sync")
    host.run("journalctl", *cursor)
    for name, scenario in scenarios.items():
        scenario.act(host)
        settle(host)
        host.run("journalctl", "--sync")
        save(name, "auth.log.journald", log.take())
        # Filtered here: with matches, journalctl goes one entry too far from a cursor that does not match.
        entries = [json.loads(line) for line in host.run("journalctl", *cursor).splitlines()]
        told = [entry for entry in entries if entry.get("SYSLOG_IDENTIFIER") != "marker"]
        by_audit = [entry for entry in told if entry["_TRANSPORT"] == "audit"]
        rest = [entry for entry in told if entry["_TRANSPORT"] != "audit"]
        for file, chosen in (("journal.json", rest), ("journal-audit.json", by_audit)):
            save(name, file, b"".join(json.dumps(entry).encode() + b"\n" for entry in chosen))


def cron_job(host: LoginHost, audit: AuditListener) -> None:
    """What cron says of a job, on the host of `with_text`: no login of a person."""
    logs = {
        kind: Growing(host, f"/var/log/{file}")
        for kind, file in (("iso", "auth.log"), ("traditional", "auth.old"))
    }
    host.path("/etc/cron.d/job").write_text("* * * * * bob /bin/true\n")
    audit.take()
    host.daemon("/usr/sbin/cron", "-f")
    log = host.path("/var/log/auth.log")
    wait_for(lambda: "cron:session): session closed" in log.read_text(), "a job", 90)
    for kind, growing in logs.items():
        save("cron_job", f"auth.log.{kind}", growing.take())
    save("cron_job", "audit.json", b"".join(json.dumps(message).encode() + b"\n" for message in audit.take()))


def main() -> None:
    scenarios = {
        name: what for name, what in (ALL | SLOW).items() if name in sys.argv[1:] or not sys.argv[1:]
    }
    with tempfile.TemporaryDirectory() as scratch:
        hosts = {name: Path(scratch) / name for name in ("text", "verbose", "journal")}
        for directory in hosts.values():
            directory.mkdir()
        with audit(True), closing_host(LoginHost(hosts["text"])) as host:
            listener = AuditListener()
            with_text(scenarios, host, listener)
            if not sys.argv[1:]:
                cron_job(host, listener)
        with closing_host(LoginHost(hosts["verbose"], ssh_level="VERBOSE")) as host:
            with_verbose({name: what for name, what in scenarios.items() if name in SSH}, host)
        with audit(True), closing_host(LoginHost(hosts["journal"], "both")) as host:
            with_journal(scenarios, host)


class closing_host(closing[LoginHost]):  # noqa: N801 - like contextlib.closing
    def __exit__(self, *error: object) -> None:
        self.thing.stop()


if __name__ == "__main__":
    main()
