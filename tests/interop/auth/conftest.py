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
any order, several at a time. The kernel's audit is the machine's one; `audit_on` switches it on for a test, one
test at a time, and back.

`Agent` runs `otel-fim run` inside a host with health check and otlp_file; `Agent.records()` reads what it exported.

A missing program skips the tests that need it, in words; where CI is set it fails them.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

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
Audit=no
ReadKMsg=no
RateLimitIntervalSec=0
ForwardToWall=no
ForwardToSyslog={forward}
"""


def require(programs: dict[str, str]) -> None:
    """Skips the test (fails it in CI) when one of the programs, or root, is missing."""
    missing = sorted({package for program, package in programs.items() if not os.access(program, os.X_OK)})
    if missing and os.environ.get("CI"):
        pytest.fail(f"needs {', '.join(missing)}: add what .ci/run installs")
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    if os.geteuid() != 0:
        pytest.skip("needs root")


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
        self.port = 0
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

    def daemon(self, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        """Runs a program inside until the host stops; it dies with the tests."""
        name = os.path.basename(arguments[0])
        with (self.directory / f"{name}.out").open("ab") as output:
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig=KILL", *self.command(arguments)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=ENVIRONMENT,
                **options,
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
        status: int | None = 0,
    ) -> str:
        """Logs in over the network: with `key` (a file inside), or by answering `password`, `tries` times."""
        options = ["-F", "none", "-p", str(self.port), "-l", user, "-tt" if terminal else "-T"]
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
        return self.run("ssh", *options, "127.0.0.1", *remote, text=text, status=status, **environment)

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
        namespace = os.readlink(f"/proc/{self._holder.pid}/ns/mnt")
        for pid in [int(name) for name in os.listdir("/proc") if name.isdigit()]:
            with contextlib.suppress(OSError):
                if pid != self._holder.pid and os.readlink(f"/proc/{pid}/ns/mnt") == namespace:
                    os.kill(pid, signal.SIGKILL)

    def _users(self) -> None:
        self.path("/root/answer").write_text('#!/bin/sh\nprintf "%s\\n" "$ANSWER"\n')
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
        self.path("/etc/rsyslog.conf").write_text(source + RSYSLOG.format(template=template))
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
                return
        raise AssertionError((self.directory / "sshd.out").read_text())

    def _listens(self, process: subprocess.Popen[bytes]) -> bool:
        """Whether sshd has its port, or has ended. Asked of the kernel: a connection would stand in the log."""
        if process.poll() is not None:
            return True
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
        return any(line.split()[1:4:2] == [f"0100007F:{self.port:04X}", "0A"] for line in lines)


class Agent:
    """`otel-fim run` inside a host. `receivers` and `processors` are their configuration."""

    def __init__(
        self,
        host: LoginHost,
        receivers: dict[str, Any],
        processors: dict[str, Any] | None = None,
        **more: dict[str, Any],
    ) -> None:
        self.host = host
        self.receivers = receivers
        self.directory = host.directory / "agent"
        self.directory.mkdir(exist_ok=True)
        self.output = self.directory / "records.json"
        self.log_file = self.directory / "log"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.health_port = free.getsockname()[1]
        processors = {"chain": None} if processors is None else processors
        exporters = {"otlp_file": {"path": str(self.output), "fsync": False}, **more.get("exporters", {})}
        extensions = {
            "health_check": {"endpoint": f"127.0.0.1:{self.health_port}"},
            **more.get("extensions", {}),
        }
        pipeline = {
            "receivers": list(receivers),
            "processors": list(processors),
            "exporters": list(exporters),
        }
        self.config = {
            "receivers": receivers,
            "processors": processors,
            "exporters": exporters,
            "extensions": extensions,
            "service": {
                "state_directory": str(self.directory / "state"),
                "extensions": list(extensions),
                "telemetry": {"metrics": {"level": "none"}},
                "pipelines": {"logs": pipeline},
            },
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it and waits until every receiver has said that it is there."""
        file = self.directory / "config.yaml"
        file.write_text(yaml.safe_dump(self.config))
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                self.host.command([sys.executable, "-m", "otel_fim", "run", "-c", str(file)]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=ENVIRONMENT,
            )
        wanted = {f"receiver:{name}" for name in self.receivers}
        self.wait_for(lambda: wanted <= self._ready(), f"{wanted} ready")

    def stop(self) -> list[dict[str, Any]]:
        """Has it drain and end; all its records."""
        assert self.process is not None
        self.process.terminate()
        assert self.process.wait(TIMEOUT) == 0, self.log()
        return self.records()

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(20)

    def records(self) -> list[dict[str, Any]]:
        """What was exported so far, in order: attributes by name, with `event` and `time` (ns) beside them."""
        found = []
        lines = self.output.read_bytes().split(b"\n")[:-1] if self.output.exists() else []
        for line in lines:
            for resource in json.loads(line)["resourceLogs"]:
                for scope in resource["scopeLogs"]:
                    for record in scope["logRecords"]:
                        plain = {pair["key"]: _plain(pair["value"]) for pair in record["attributes"]}
                        plain["event"] = record.get("eventName", "").removeprefix("otel_fim.")
                        plain["time"] = int(record["timeUnixNano"])
                        found.append(plain)
        return found

    def wait_for(self, condition: Callable[[], Any], what: str) -> Any:
        """As `wait_for`, with the agent's log in the error; an agent that has ended is an error too."""
        assert self.process is not None
        ended = self.process.poll
        try:
            return wait_for(lambda: ended() is not None or condition(), what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log()}") from None
        finally:
            assert ended() is None, self.log()

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")[-6000:]

    def _ready(self) -> set[str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.health_port}/", timeout=5) as answer:
                body = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                body = json.loads(error.read())
        except OSError:
            return set()
        return {
            name
            for name, component in body["components"].items()
            if component["status"] in ("StatusOK", "StatusRecoverableError")
        }


def _plain(value: dict[str, Any]) -> Any:
    """An OTLP/JSON AnyValue as Python has it."""
    for kind, content in value.items():
        if kind == "intValue":
            return int(content)
        if kind == "arrayValue":
            return [_plain(each) for each in content.get("values", ())]
        return content
    return None


# --- The kernel's audit --------------------------------------------------------------------------------------------

_AUDIT_GET, _AUDIT_SET, _STATUS_ENABLED = 1000, 1001, 1


def _audit(kind: int, payload: bytes = b"") -> bytes:
    """One request to the kernel's audit (struct audit_status in linux/audit.h); its answer's payload."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 9) as link:
        link.settimeout(10)
        flags = 1 | (4 if kind == _AUDIT_SET else 0)  # NLM_F_REQUEST, NLM_F_ACK
        link.sendto(struct.pack("=IHHII", 16 + len(payload), kind, flags, 1, 0) + payload, (0, 0))
        while True:
            answer = link.recv(8192)
            (got,) = struct.unpack_from("=H", answer, 4)
            if got == 2:  # NLMSG_ERROR: also the acknowledgement
                (error,) = struct.unpack_from("=i", answer, 16)
                if error:
                    raise OSError(-error, os.strerror(-error))
                if kind == _AUDIT_SET:
                    return b""
            elif got == kind:
                return answer[16:]


@contextlib.contextmanager
def audit_on() -> Iterator[None]:
    """The kernel's audit, switched on; one at a time on a machine, since all see everybody's messages."""
    with open("/tmp/otel-fim-tests-audit.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = struct.unpack_from("=II", _audit(_AUDIT_GET))[1]
        if before == 0:
            _audit(_AUDIT_SET, struct.pack("=10I", _STATUS_ENABLED, 1, *[0] * 8))
        try:
            yield
        finally:
            if before == 0:
                _audit(_AUDIT_SET, struct.pack("=10I", _STATUS_ENABLED, 0, *[0] * 8))


# --- Fixtures ------------------------------------------------------------------------------------------------------


@pytest.fixture
def audit_enabled() -> Iterator[None]:
    with audit_on():
        yield


@pytest.fixture(scope="module")
def make_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., LoginHost]]:
    """Hosts that run until the end of the module: `make_host("journald")`, the arguments as `LoginHost` has them."""
    made: list[LoginHost] = []

    def make(log: str = "text", more: dict[str, str] | None = None, **options: Any) -> LoginHost:
        require(NEEDED | KEEPERS[log] | (more or {}))
        host = LoginHost(tmp_path_factory.mktemp("host"), log, **options)
        made.append(host)
        host.start()
        return host

    yield make
    for host in made:
        host.stop()


@pytest.fixture(scope="module")
def make_agent() -> Iterator[Callable[..., Agent]]:
    """Agents that are started, and killed at the end of the module when they still run."""
    made: list[Agent] = []

    def make(host: LoginHost, receivers: dict[str, Any], **options: Any) -> Agent:
        agent = Agent(host, receivers, **options)
        made.append(agent)
        agent.start()
        return agent

    yield make
    for agent in made:
        agent.kill()
