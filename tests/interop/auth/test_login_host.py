"""The private host itself: real logins leave their traces inside it, and none on the machine."""

from __future__ import annotations

import os
import pwd
import socket
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.root
ALICE = "/root/alice.key"


@pytest.mark.parametrize("log", ["text", "journald", "both"])
def test_a_login_stands_in_the_hosts_log_and_has_an_audit_session(make_host: Any, log: str) -> None:
    host = make_host(log)
    login_user, session = host.ssh(
        "alice", "cd /proc/self; cat loginuid; echo; cat sessionid", key=ALICE
    ).split()
    assert int(login_user) == int(host.run("id", "-u", "alice"))
    assert 0 < int(session) < 2**32 - 1
    if log != "text":
        host.run("journalctl", "--sync")
        assert "Accepted publickey for alice from 127.0.0.1" in host.run("journalctl", "--no-pager")
    if log != "journald":
        assert "Accepted publickey for alice from 127.0.0.1" in host.path("/var/log/auth.log").read_text()


def test_the_machine_keeps_its_own_files_and_name(make_host: Any) -> None:
    before = Path("/etc/passwd").read_bytes()
    name = socket.gethostname()
    host = make_host()
    host.run("useradd", "carol")
    assert host.run("hostname") == "host\n"
    assert "carol:" in host.path("/etc/passwd").read_text()
    assert Path("/etc/passwd").read_bytes() == before
    assert socket.gethostname() == name
    with pytest.raises(KeyError):
        pwd.getpwnam("carol")
    mounts = Path("/proc/self/mounts").read_text()
    assert "login-host" not in mounts


def test_nothing_of_a_host_runs_on_when_it_has_stopped(make_host: Any) -> None:
    host = make_host()
    daemon = host.daemon("sleep", "1000")
    shell = host.run("sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!").strip()
    host.stop()
    assert daemon.poll() is not None
    with pytest.raises(OSError, match="No such"):
        os.readlink(f"/proc/{shell}/exe")
