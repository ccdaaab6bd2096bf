"""A private host for real programs: logins, privilege, accounts, cron and listeners, without touching the machine.

`LoginHost` is a mount and UTS namespace on this machine (host.sh sets it up): /etc and /var/spool are copies in memory,
/var/log, /var/mail, /home, /root, /run and /var/lib/sudo begin empty, and /dev has a place of its own for /dev/log. All
else is the machine's: its programs, its /proc, its pids (so audit sessions and the kernel's process events are as on
any host) and its network, where the ssh daemon has a free port on 127.0.0.1. Inside run Debian's own programs: sshd
with PAM, su, sudo, passwd and its family, and what keeps the log, by flavour:

- `text`: rsyslog as Debian configures it, with ISO times or (`traditional=True`) syslog's old ones;
- `journald`: systemd-journald alone, without a systemd that runs as the first process;
- `both`: journald, and rsyslog reading what journald passes on, as on a Debian host with both.

Each host has the users alice (in the group sudo, with a key) and bob (nothing but a password). Hosts are independent:
any order, several at a time. The kernel's audit is the machine's one; `kernel_audit.audit` switches it on for a test,
one test at a time, and back.

`Agent` runs `otel-fim run` inside a host with health check and otlp_file; `Agent.records()` reads what it exported.

A missing program skips the tests that need it, in words; it fails them in CI (`CI` or `OTEL_FIM_TESTS_NEED_ALL` set).
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pytest

ROOT = Path(__file__).parents[3]
SETUP = Path(__file__).with_name("host.sh")
TIMEOUT = 60
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "HOME": "/root",
    "TERM": "dumb",
}
PASSWORDS = {"alice": "correct horse", "bob": "battery staple"}
# Program, and the package that has it on Debian.
NEEDED = {
    "/usr/sbin/sshd": "openssh-server",
    "/usr/bin/ssh": "openssh-client",
    "/usr/bin/sudo": "sudo",
    "/usr/sbin/useradd": "passwd",
    "/usr/bin/setpriv": "util-linux",
}
KEEPERS = {
    "text": {"/usr/sbin/rsyslogd": "rsyslog"},
    "journald": {"/lib/systemd/systemd-journald": "systemd", "/usr/bin/journalctl": "systemd"},
}
KEEPERS["both"] = KEEPERS["text"] | KEEPERS["journald"]

SSHD = """
Port {port}
ListenAddress 127.0.0.1
HostKey /etc/ssh/login_host_key
PidFile none
UsePAM yes
PasswordAuthentication yes
KbdInteractiveAuthentication yes
PrintMotd no
DenyUsers denied
LogLevel {level}
"""
RSYSLOG = """
{template}
auth,authpriv.* /var/log/auth.log
*.*;auth,authpriv.none -/var/log/syslog
"""
TRADITIONAL = "$ActionFileDefaultTemplate RSYSLOG_TraditionalFileFormat"
JOURNALD = """
[Journal]
Storage=persistent
# Empty: leave the kernel as it is. `no` would switch its audit off for the whole machine.
Audit=
ReadKMsg=no
RateLimitIntervalSec=0
ForwardToWall=no
ForwardToSyslog={forward}
"""


# Prints the next line of $ANSWER for each question of one ssh, the last line for all that follow.
ANSWER = """#!/bin/sh
asked=/run/asked.$PPID
count=$(($(cat "$asked" 2>/dev/null || echo 0) + 1))
echo "$count" >"$asked"
printf '%s\\n' "$ANSWER" | sed -n "$count{p;q};\\${p}"
"""


def lacking(what: str) -> NoReturn:
    """Skips the test, in words; fails it in CI, where nothing may be missing."""
    if os.environ.get("CI") or os.environ.get("OTEL_FIM_TESTS_NEED_ALL"):
        pytest.fail(f"needs {what}")
    pytest.skip(f"needs {what}")


def require(programs: dict[str, str]) -> None:
    """What a private host needs: the programs (with the packages that have them), root, and namespaces."""
    if missing := sorted(
        {package for program, package in programs.items() if not os.access(program, os.X_OK)}
    ):
        lacking(", ".join(missing))
    if os.geteuid() != 0:
        pytest.skip("needs root")
    tried = subprocess.run(
        ["unshare", "--mount", "--uts", "true"], capture_output=True, text=True, check=False
    )
    if tried.returncode != 0:
        lacking(f"mount namespaces ({tried.stderr.strip()})")


def wait_for(condition: Callable[[], Any], what: str, timeout: float = TIMEOUT) -> Any:
    """The condition's first true answer. Raises `AssertionError` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"{what} did not happen in {timeout} s"
        time.sleep(0.02)
    return answer


class LoginHost:
    """The private host, from `start` to `stop`. `log` is text, journald or both."""

    def __init__(
        self, directory: Path, log: str = "text", *, traditional: bool = False, ssh_level: str = "INFO"
    ):
        self.directory = directory
        self.log = log
        self.traditional = traditional
        self.ssh_level = ssh_level
        self.more_rsyslog = ""
        self.port = 0
        self._ssh_daemon = 0
        self._daemons: list[subprocess.Popen[bytes]] = []
        self._holder: subprocess.Popen[bytes] | None = None

    # --- Inside ------------------------------------------------------------------------------------------------

    def path(self, inside: str) -> Path:
        """Where a path of the host is found from outside."""
        assert self._holder is not None
        return Path(f"/proc/{self._holder.pid}/root{inside}")

    def command(self, arguments: Sequence[str], user: str | None = None) -> list[str]:
        """The command line that runs a program inside; as a user it is that user without a login."""
        assert self._holder is not None
        become = [] if user is None else ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]
        return ["nsenter", f"--target={self._holder.pid}", "--mount", "--uts", "--wd=/", *become, *arguments]

    def run(
        self,
        *arguments: str,
        user: str | None = None,
        text: str = "",
        status: int | None = 0,
        **environment: str,
    ) -> str:
        """Runs a program inside to its end with `text` as its input; what it printed. `status` is the exit
        status that it must have, None for any."""
        done = subprocess.run(
            self.command(arguments, user),
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=TIMEOUT,
            env=ENVIRONMENT | environment,
            check=False,
        )
        assert status is None or done.returncode == status, f"{arguments}: {done.returncode}\n{done.stdout}"
        return done.stdout

    def daemon(self, *arguments: str, user: str | None = None) -> subprocess.Popen[bytes]:
        """Runs a program inside until the host stops; it dies with the tests."""
        name = os.path.basename(arguments[0])
        with (self.directory / f"{name}.out").open("ab") as output:
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig=KILL", *self.command(arguments, user)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=ENVIRONMENT,
            )
        self._daemons.append(process)
        return process

    def ssh(
        self,
        user: str,
        *remote: str,
        password: str | None = None,
        method: str = "password",
        key: str | None = None,
        terminal: bool = False,
        tries: int = 1,
        text: str = "",
        typing_after: float = 0,
        status: int | None = 0,
    ) -> str:
        """Logs in over the network: with `key` (a file inside), or by answering the questions for a password
        with the lines of `password`, `tries` times. `text` is typed there, after so many seconds."""
        # The client takes any name from a file, and not from its command line.
        quoted = user.replace("\\", "\\\\").replace('"', '\\"')
        config = self.path(f"/run/ssh_config.{threading.get_ident()}")
        config.write_text(f'User "{quoted}"\n')
        options = ["-F", f"/run/{config.name}", "-p", str(self.port), "-tt" if terminal else "-T"]
        settings = {
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
            "LogLevel": "ERROR",
            "PreferredAuthentications": method if key is None else "publickey",
            "IdentitiesOnly": "yes",
            "NumberOfPasswordPrompts": str(tries),
        }
        if key is not None:
            settings["IdentityFile"] = key
        for name, value in settings.items():
            options += ["-o", f"{name}={value}"]
        environment = {} if password is None else {
            "ANSWER": password, "SSH_ASKPASS": "/root/answer", "SSH_ASKPASS_REQUIRE": "force"
        }  # fmt: skip
        typing = ["sh", "-c", '(sleep "$0"; cat; sleep 1) | "$@"', str(typing_after)] if typing_after else []
        return self.run(
            *typing, "ssh", *options, "127.0.0.1", *remote, text=text, status=status, **environment
        )

    def inside(self) -> set[int]:
        """The processes that run inside."""
        assert self._holder is not None
        namespace = os.readlink(f"/proc/{self._holder.pid}/ns/mnt")
        found = set()
        for name in os.listdir("/proc"):
            if name.isdigit():
                with contextlib.suppress(OSError):
                    if os.readlink(f"/proc/{name}/ns/mnt") == namespace:
                        found.add(int(name))
        return found

    def settle(self) -> None:
        """Waits until the ssh daemon has said goodbye to all: it writes that after the client has ended."""
        wait_for(lambda: not any(_parent(pid) == self._ssh_daemon for pid in self.inside()), "the logouts")

    # --- Life --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        keep = [str(ROOT), sys.prefix, sys.base_prefix, str(self.directory)]
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "--uts", "--", "sh", str(SETUP), str(self.directory / "scratch"), *keep],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != b"ready\n":
            assert self._holder.stderr is not None
            raise AssertionError(f"no private host: {self._holder.stderr.read().decode()}")
        self._users()
        if self.log in ("journald", "both"):
            self._journald()
        if self.log in ("text", "both"):
            self._rsyslog()
        self._sshd()

    def stop(self) -> None:
        if self._holder is None:
            return
        for process in reversed(self._daemons):
            process.terminate()
        for process in self._daemons:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(20)
        if self._holder.poll() is None:
            self._end_the_rest()
        for stream in (self._holder.stdin, self._holder.stdout, self._holder.stderr):
            if stream is not None:
                stream.close()
        self._holder.wait(20)
        self._holder = None

    def _end_the_rest(self) -> None:
        """Kills what still runs inside, such as a shell whose connection was cut."""
        assert self._holder is not None
        holder = {self._holder.pid}
        for pid in self.inside() - holder:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        wait_for(lambda: self.inside() <= holder, "the end of all that ran inside")

    def _users(self) -> None:
        self.path("/root/answer").write_text(ANSWER)
        self.path("/root/answer").chmod(0o755)
        for user, password in PASSWORDS.items():
            self.run("useradd", "--create-home", "--shell", "/bin/sh", user)
            self.run("chpasswd", text=f"{user}:{password}\n")
        self.run("usermod", "-aG", "sudo", "alice")
        for name in ("alice", "stranger"):
            self.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", f"/root/{name}.key")
        self.run("install", "-d", "-m700", "-oalice", "-galice", "/home/alice/.ssh")
        authorized = "/home/alice/.ssh/authorized_keys"
        self.run("install", "-m600", "-oalice", "-galice", "/root/alice.key.pub", authorized)
        # The log begins after the preparations.
        for file in ("wtmp", "btmp", "lastlog"):
            self.path(f"/var/log/{file}").write_bytes(b"")

    def _rsyslog(self) -> None:
        template = TRADITIONAL if self.traditional else ""
        if self.log == "both":
            socket_file = "/run/systemd/journal/syslog"
            source = f'module(load="imuxsock" SysSock.Name="{socket_file}")'
        else:
            socket_file = "/dev/log"
            source = 'module(load="imuxsock")'
        self.path("/etc/rsyslog.conf").write_text(
            source + RSYSLOG.format(template=template) + self.more_rsyslog
        )
        self.path("/var/log/auth.log").write_bytes(b"")
        self.daemon("/usr/sbin/rsyslogd", "-n", "-iNONE")
        wait_for(lambda: self.path(socket_file).is_socket(), "rsyslog's socket")

    def _journald(self) -> None:
        forward = "yes" if self.log == "both" else "no"
        self.path("/etc/systemd/journald.conf").write_text(JOURNALD.format(forward=forward))
        self.run("mkdir", "-p", "/var/log/journal")
        self.run("ln", "-sf", "/run/systemd/journal/dev-log", "/dev/log")
        self.daemon("/lib/systemd/systemd-journald")
        wait_for(lambda: self.path("/run/systemd/journal/dev-log").is_socket(), "the journal's socket")

    def _sshd(self) -> None:
        self.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/etc/ssh/login_host_key")
        for _ in range(5):  # another program may take the free port first
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
            config = SSHD.format(port=self.port, level=self.ssh_level)
            self.path("/etc/ssh/login_host_config").write_text(config)
            # Newer versions make an address wait that has failed often; the tests have but one.
            newer = ["-o", "PerSourcePenalties=no"]
            command = ["/usr/sbin/sshd", "-f", "/etc/ssh/login_host_config"]
            if self.run(*command, "-t", *newer, status=None):
                newer = []
            process = self.daemon(*command, "-D", *newer)
            with contextlib.suppress(AssertionError):
                wait_for(partial(self._listens, process), "sshd's port", 20)
            if process.poll() is None:
                self._ssh_daemon = process.pid
                return
        raise AssertionError((self.directory / "sshd.out").read_text())

    def _listens(self, process: subprocess.Popen[bytes]) -> bool:
        """Whether sshd has its port, or has ended. Asked of the kernel: a connection would stand in the log."""
        if process.poll() is not None:
            return True
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
        return any(line.split()[1:4:2] == [f"0100007F:{self.port:04X}", "0A"] for line in lines)


def _parent(pid: int) -> int | None:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
    return None
