"""A Debian host in memory that packages can be installed on, with the agent inside.

`RecordedHost` is a system that debootstrap made, copied into a tmpfs which is the root of a mount namespace. Pids and
the network are the machine's: the kernel tells of processes to the first namespaces only. All that runs inside descends
from `holder.py`, which stands for systemd, so records of the rest of the machine can be told apart (`reduce.py`).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
PACKAGES = (
    "openssh-server,rsyslog,sudo,cron,logrotate,ca-certificates,python3,python3-venv,python3-pip,vim,nano,git,gcc,"
    "libc6-dev,make,less,man-db,plocate,unattended-upgrades,netbase,iproute2,procps,dbus,libpam-systemd,systemd-sysv,"
    "linux-image-cloud-amd64,curl,wget,file,bash-completion,netcat-openbsd,psmisc,strace"
)
MIRROR = "http://deb.debian.org/debian"
SOURCES = """deb http://deb.debian.org/debian bookworm main
deb http://deb.debian.org/debian bookworm-updates main
deb http://deb.debian.org/debian-security bookworm-security main
"""
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "TERM": "xterm",
}
SSH_PORT = 2222
SSHD = f"\nPort {SSH_PORT}\nListenAddress 127.0.0.1\nAcceptEnv DEBIAN_FRONTEND\n"
AGENT = {
    "receivers": {
        "file_integrity": None,
        "process": {"command_line": "redacted"},
        "auth": None,
        "listener": None,
        "persistence": None,
    },
    "processors": dict.fromkeys(("identity", "attack", "novelty", "rules", "risk", "chain")),
}


def make_base(target: Path) -> None:
    """Debian 12 as its release has it, without the updates since: some hundred megabytes from the mirror."""
    if (target / "etc" / "debian_version").exists():
        return
    command = ["debootstrap", f"--include={PACKAGES}", "bookworm", str(target), MIRROR]
    subprocess.run(command, check=True)


class RecordedHost:
    """The host, from `start` to `stop`. `directory` is for its files on this machine."""

    def __init__(self, base: Path, directory: Path) -> None:
        self.base = base
        self.directory = directory
        self.pid = 0
        self._holder: subprocess.Popen[str] | None = None
        self._agent = 0

    def start(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        keep = [str(ROOT), sys.prefix, sys.base_prefix, str(self.directory)]
        self._holder = subprocess.Popen(
            [
                *("unshare", "--mount", "--uts", "--ipc", "--", "sh", str(HERE / "host.sh")),
                *(str(self.base), str(self.directory / "scratch"), sys.executable, *dict.fromkeys(keep)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=ENVIRONMENT | {"HOLDER": str(HERE / "holder.py")},
            text=True,
        )
        assert self._holder.stdout is not None
        line = self._holder.stdout.readline()
        if not line.strip().isdigit():
            raise RuntimeError(f"no host: {line}")
        self.pid = int(line)
        self._prepare()

    def path(self, inside: str) -> Path:
        return Path(f"/proc/{self.pid}/root{inside}")

    def _ask(self, command: tuple[str, ...], wait: bool) -> dict[str, int]:
        assert self._holder is not None
        assert self._holder.stdin is not None
        assert self._holder.stdout is not None
        asked = {"command": command, "wait": wait, "environment": ENVIRONMENT}
        self._holder.stdin.write(json.dumps(asked) + "\n")
        self._holder.stdin.flush()
        answer = json.loads(self._holder.stdout.readline())
        if "error" in answer:
            raise RuntimeError(f"{command}: {answer['error']}")
        return dict(answer)

    def run(self, *command: str) -> int:
        """Runs a program to its end, as systemd would; its exit status."""
        return self._ask(command, True)["status"]

    def daemon(self, *command: str) -> int:
        """Starts a program; its pid."""
        return self._ask(command, False)["pid"]

    def _prepare(self) -> None:
        self.path("/etc/apt/sources.list").write_text(SOURCES)
        sshd = self.path("/etc/ssh/sshd_config")
        sshd.write_text(SSHD.lstrip() + sshd.read_text())
        key = self.directory / "key"
        if not key.exists():
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "alice@laptop", "-f", str(key)],
                check=True,
            )
        for user in ("alice", "bob"):
            self.run("useradd", "--create-home", "--shell", "/bin/bash", user)
        self.run("usermod", "-aG", "sudo,adm", "alice")
        self.run("sh", "-c", "printf 'alice:correct horse\\nbob:battery staple\\n' | chpasswd")
        self.run("install", "-d", "-m700", "-oalice", "-galice", "/home/alice/.ssh")
        self.path("/home/alice/.ssh/authorized_keys").write_text(Path(f"{key}.pub").read_text())
        self.run("chown", "alice:", "/home/alice/.ssh/authorized_keys")
        self.run("chmod", "600", "/home/alice/.ssh/authorized_keys")
        self.path("/etc/sudoers.d/admins").write_text("%sudo ALL=(ALL:ALL) NOPASSWD: ALL\n")
        self.run("chmod", "440", "/etc/sudoers.d/admins")
        self.run("rm", "-f", "/etc/cron.d/dummy")
        stories = self.path("/usr/local/share/stories")
        shutil.copytree(HERE / "stories", stories)
        self.daemon("/usr/sbin/rsyslogd", "-n")
        self.daemon("/usr/sbin/cron", "-f")
        self.daemon("/usr/sbin/sshd", "-D")
        time.sleep(2)

    # --- The agent -----------------------------------------------------------------------------------------

    def start_agent(self, learnt: bool = False) -> None:
        """Starts `otel-fim run` with what the default configuration has, and waits until it watches."""
        state = self.directory / "state"
        output = self.directory / "records.jsonl"
        processors = {**AGENT["processors"], **({"novelty": {"learning_period": 0}} if learnt else {})}
        config = {
            "receivers": AGENT["receivers"],
            "processors": processors,
            "exporters": {"otlp_file": {"path": str(output), "fsync": False}, "console": None},
            "extensions": {"health_check": {"endpoint": "127.0.0.1:23133"}},
            "service": {
                "state_directory": str(state),
                "extensions": ["health_check"],
                "telemetry": {"metrics": {"level": "none"}},
                "pipelines": {
                    "logs": {
                        "receivers": list(AGENT["receivers"]),
                        "processors": list(processors),
                        "exporters": ["otlp_file", "console"],
                    }
                },
            },
        }
        file = self.directory / "agent.yaml"
        file.write_text(json.dumps(config))
        run = f"{sys.executable} -m otel_fim run -c {file}"
        out, log = self.directory / "console.txt", self.directory / "agent.log"
        script = f"PYTHONPATH={ROOT} exec {run} >{out} 2>{log}"
        self._agent = self.daemon("/bin/sh", "-c", script)
        deadline = time.monotonic() + 180
        time.sleep(2)
        while not self._is_ready():
            if not self._agent_runs() or time.monotonic() > deadline:
                raise RuntimeError((self.directory / "agent.log").read_text()[-3000:])
            time.sleep(0.5)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen("http://127.0.0.1:23133/", timeout=5) as answer:
                components = json.loads(answer.read())["components"]
        except urllib.error.HTTPError as error:
            with error:
                components = json.loads(error.read())["components"]
        except (OSError, ValueError, KeyError):
            return False
        wanted = [f"receiver:{name}" for name in AGENT["receivers"]]
        return all(
            components.get(name, {}).get("status") in ("StatusOK", "StatusRecoverableError")
            for name in wanted
        )

    def stop_agent(self) -> None:
        if self._agent:
            os.kill(self._agent, signal.SIGTERM)
            deadline = time.monotonic() + 120
            while self._agent_runs() and time.monotonic() < deadline:
                time.sleep(0.1)
            self._agent = 0

    def _agent_runs(self) -> bool:
        with suppress(OSError):
            return Path(f"/proc/{self._agent}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        return False

    # --- People ----------------------------------------------------------------------------------------------

    def session(self, user: str, story: str, timeout: float) -> str:
        """Logs in over ssh, with a terminal, and does what `stories/<story>.sh` says."""
        command = f"bash -lic 'source /usr/local/share/stories/{story}.sh'"
        return self._ssh(user, ["-tt", "-i", str(self.directory / "key")], command, timeout)

    def guess(self, user: str, password: str, tries: int) -> str:
        """Tries to log in with a password, so many times in one connection."""
        answer = self.directory / "answer"
        answer.write_text(f"#!/bin/sh\necho '{password}'\n")
        answer.chmod(0o755)
        options = ["-o", "PreferredAuthentications=password", "-o", f"NumberOfPasswordPrompts={tries}"]
        return self._ssh(user, options, "id", 60, SSH_ASKPASS=str(answer), SSH_ASKPASS_REQUIRE="force")

    def _ssh(self, user: str, options: list[str], command: str, timeout: float, **environment: str) -> str:
        options = ["-p", str(SSH_PORT), "-F", "/dev/null", *options]
        for option in ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"):
            options += ["-o", option]
        done = subprocess.run(
            ["ssh", *options, f"{user}@127.0.0.1", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            env=ENVIRONMENT | environment,
            check=False,
        )
        return done.stdout.decode(errors="replace")

    def stop(self) -> None:
        """Ends all that runs inside."""
        if self._holder is None:
            return
        namespace = os.readlink(f"/proc/{self.pid}/ns/mnt")
        for name in os.listdir("/proc"):
            if name.isdigit() and int(name) != self.pid:
                with suppress(OSError):
                    if os.readlink(f"/proc/{name}/ns/mnt") == namespace:
                        os.kill(int(name), signal.SIGKILL)
        assert self._holder.stdin is not None
        assert self._holder.stdout is not None
        self._holder.stdin.close()
        self._holder.stdout.close()
        self._holder.wait(20)
        self._holder = None
