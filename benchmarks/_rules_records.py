"""Records as the receivers and the identity processor make them on a busy server: a mix of programs that start and end,
files that change, logins and listeners, with hardly two command lines or paths alike."""

from __future__ import annotations

from random import Random
from typing import Final

from otel_fim import names
from otel_fim.names import events
from otel_fim.record import Attributes, Record, Resource, component_scope

_START: Final = 1_768_314_735_000_000_000
_USERS: Final = (
    ("root", 0),
    ("www-data", 33),
    ("postgres", 101),
    ("alice", 1000),
    ("bob", 1001),
    ("deploy", 1002),
)
_PROGRAMS: Final = (
    *(
        "bash",
        "sh",
        "dash",
        "ls",
        "cat",
        "grep",
        "sed",
        "awk",
        "find",
        "xargs",
        "sort",
        "tail",
        "head",
        "cp",
        "mv",
        "rm",
    ),
    *(
        "mkdir",
        "chmod",
        "chown",
        "stat",
        "date",
        "sleep",
        "ps",
        "id",
        "whoami",
        "uname",
        "hostname",
        "env",
        "sudo",
        "su",
    ),
    *(
        "systemctl",
        "journalctl",
        "apt-get",
        "dpkg",
        "python3.11",
        "perl",
        "git",
        "ssh",
        "scp",
        "curl",
        "wget",
        "tar",
    ),
    *(
        "gzip",
        "openssl",
        "psql",
        "nginx",
        "php-fpm8.2",
        "cron",
        "logrotate",
        "make",
        "gcc-12",
        "ld",
        "node",
        "docker",
    ),
)
_PARENTS: Final = ("/usr/bin/bash", "/usr/sbin/cron", "/usr/lib/systemd/systemd", "/usr/bin/make", "/usr/sbin/sshd",
                   "/usr/bin/python3.11", "/usr/sbin/nginx", "/usr/bin/dash")  # fmt: skip
_WORDS: Final = ("report", "backup", "index", "session", "cache", "build", "release", "data", "config", "main", "test",
                 "users", "orders", "invoice", "module", "static", "upload", "worker", "daily", "archive")  # fmt: skip
_FOLDERS: Final = ("/var/lib/postgresql/15/main/base", "/srv/www/html/assets", "/home/alice/project/src", "/tmp",
                   "/var/cache/nginx/proxy", "/opt/app/releases", "/home/bob/.cache/pip", "/etc/nginx/conf.d",
                   "/var/log/app", "/usr/share/doc")  # fmt: skip
_SUFFIXES: Final = (".log", ".tmp", ".py", ".json", ".conf", ".html", ".js", ".gz", "", ".so.1")
_RESOURCE: Final = Resource(
    {names.HOST_NAME: "web-1", names.HOST_ID: "fdbf79e8af94cb7f9e8df36789187052", names.OS_TYPE: "linux"}
)


class _Maker:
    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.hashes = {name: self._hex(64) for name in _PROGRAMS}

    def _hex(self, length: int) -> str:
        return f"{self.random.getrandbits(length * 4):0{length}x}"

    def path(self) -> str:
        pick = self.random.choice
        return f"{pick(_FOLDERS)}/{pick(_WORDS)}/{pick(_WORDS)}-{self.random.randrange(100_000)}{pick(_SUFFIXES)}"

    def line(self, program: str) -> str:
        """A command line of some twenty to two hundred characters."""
        pick, number = self.random.choice, self.random.randrange
        parts = [program]
        for _ in range(number(1, 7)):
            kind = number(5)
            if kind == 0:
                parts.append(f"-{pick('abcdefghilmnopqrstuvwx')}")
            elif kind == 1:
                parts.append(f"--{pick(_WORDS)}={pick(_WORDS)}{number(1000)}")
            elif kind == 2:
                parts.append(self.path())
            elif kind == 3:
                parts.append(pick(_WORDS))
            else:
                parts.append(f"'{pick(_WORDS)} {number(10_000)}'")
        return " ".join(parts)

    def actor(self) -> Attributes:
        """The process behind a record, as the identity processor tells it."""
        pick, number = self.random.choice, self.random.randrange
        program = pick(_PROGRAMS)
        user, uid = pick(_USERS)
        parent = pick(_PARENTS)
        return {
            names.PROCESS_PID: number(2, 100_000),
            names.PROCESS_CREATION_TIME: f"2026-01-13T14:{number(60):02}:{number(60):02}.{number(10**9):09}Z",
            names.PROCESS_ENTITY_ID: self._hex(16),
            names.PROCESS_EXECUTABLE_PATH: f"/usr/bin/{program}",
            names.PROCESS_EXECUTABLE_NAME: program,
            names.PROCESS_COMMAND: program,
            names.PROCESS_HASH_SHA256: self.hashes[program],
            names.USER_ID: str(uid),
            names.USER_NAME: user,
            names.PROCESS_REAL_USER_ID: uid,
            names.PROCESS_REAL_USER_NAME: user,
            names.PROCESS_WORKING_DIRECTORY: pick(_FOLDERS),
            names.PROCESS_PARENT_PID: number(2, 100_000),
            names.PROCESS_PARENT_ENTITY_ID: self._hex(16),
            names.PROCESS_PARENT_EXECUTABLE_PATH: parent,
            names.PROCESS_PARENT_COMMAND: parent.rpartition("/")[2],
            names.OTEL_FIM_PROCESS_ANCESTORS: [
                f"{number(2, 100_000)} {parent}",
                "1 /usr/lib/systemd/systemd",
            ],
            names.OTEL_FIM_SYSTEMD_UNIT: f"{pick(_WORDS)}.service",
            names.OTEL_FIM_LOGIN_USER_ID: uid,
            names.OTEL_FIM_LOGIN_USER_NAME: user,
            names.OTEL_FIM_LOGIN_SESSION_ID: number(1000),
            names.OTEL_FIM_LOGIN_SOURCE_ADDRESS: f"203.0.113.{number(256)}",
        }

    def process(self) -> tuple[str, Attributes]:
        number = self.random.randrange
        actor = self.actor()
        started = number(2) == 0
        attributes: Attributes = {
            names.EVENT_ACTION: "exec",
            **actor,
            names.PROCESS_COMMAND_LINE: self.line(str(actor[names.PROCESS_COMMAND])),
            names.PROCESS_PARENT_COMMAND_LINE: self.line(str(actor[names.PROCESS_PARENT_COMMAND])),
            names.PROCESS_ARGS_COUNT: number(1, 9),
            names.PROCESS_USER_ID: actor[names.PROCESS_REAL_USER_ID],
            names.PROCESS_USER_NAME: actor[names.USER_NAME],
            names.PROCESS_GROUP_ID: actor[names.USER_ID],
            names.PROCESS_INTERACTIVE: False,
            names.PROCESS_SESSION_LEADER_PID: number(2, 100_000),
            names.PROCESS_GROUP_LEADER_PID: number(2, 100_000),
            names.PROCESS_LINUX_CGROUP: f"0::/system.slice/{actor[names.OTEL_FIM_SYSTEMD_UNIT]}",
            names.OTEL_FIM_PROCESS_BACKEND: "proc_connector",
        }
        if not started:
            attributes[names.EVENT_ACTION] = "exit"
            attributes[names.PROCESS_EXIT_CODE] = 0
            attributes[names.OTEL_FIM_PROCESS_DURATION] = 0.004
        return events.PROCESS_STARTED if started else events.PROCESS_EXITED, attributes

    def file(self) -> tuple[str, Attributes]:
        number = self.random.randrange
        event = self.random.choice(
            (
                events.FILE_CREATED,
                events.FILE_MODIFIED,
                events.FILE_MODIFIED,
                events.FILE_DELETED,
                events.FILE_RENAMED,
            )
        )
        attributes: Attributes = {
            names.FILE_PATH: self.path(),
            names.FILE_TYPE: "file",
            names.FILE_SIZE: number(1_000_000),
            names.FILE_MODE: "0644",
            names.FILE_INODE: str(number(10_000_000)),
            names.FILE_OWNER_ID: "0",
            names.FILE_OWNER_NAME: "root",
            names.FILE_GROUP_ID: "0",
            names.FILE_GROUP_NAME: "root",
            names.FILE_HASH_SHA256: self._hex(64),
            names.OTEL_FIM_FILE_BACKEND: "fanotify",
            names.OTEL_FIM_ACTOR_STATE: "running",
            **self.actor(),
        }
        if event == events.FILE_RENAMED:
            attributes[names.before(names.FILE_PATH)] = self.path()
        return event, attributes

    def login(self) -> tuple[str, Attributes]:
        number = self.random.randrange
        user, uid = self.random.choice(_USERS)
        return events.AUTH_LOGIN, {
            names.EVENT_ACTION: "login",
            names.EVENT_OUTCOME: self.random.choice(("success", "failure")),
            names.USER_ID: str(uid),
            names.USER_NAME: user,
            names.OTEL_FIM_AUTH_USER_KNOWN: True,
            names.SOURCE_ADDRESS: f"198.51.100.{number(256)}",
            names.SOURCE_PORT: number(1024, 65536),
            names.OTEL_FIM_AUTH_SERVICE: "sshd",
            names.OTEL_FIM_AUTH_METHOD: "publickey",
            names.OTEL_FIM_AUTH_SOURCES: ["/var/log/auth.log"],
            names.PROCESS_PID: number(2, 100_000),
            names.PROCESS_ENTITY_ID: self._hex(16),
        }

    def listener(self) -> tuple[str, Attributes]:
        return events.LISTENER_OPENED, {
            names.EVENT_ACTION: "opened",
            names.NETWORK_TRANSPORT: "tcp",
            names.NETWORK_TYPE: "ipv4",
            names.NETWORK_LOCAL_ADDRESS: "0.0.0.0",
            names.NETWORK_LOCAL_PORT: self.random.randrange(1, 65536),
            names.OTEL_FIM_LISTENER_EXPOSURE: "any",
            names.OTEL_FIM_LISTENER_BACKEND: "sock_diag",
            **self.actor(),
        }


def make_records(count: int, seed: int = 1) -> list[Record]:
    """Half of them processes that start and end, the rest files, with a login in twenty and a listener in fifty."""
    maker = _Maker(seed)
    scope = component_scope("benchmark")
    made = []
    for number in range(count):
        dice = maker.random.random()
        event, attributes = (
            maker.process()
            if dice < 0.5
            else maker.login()
            if dice < 0.55
            else maker.listener()
            if dice < 0.57
            else maker.file()
        )
        moment = _START + number * 1_000_000
        made.append(
            Record(moment, moment, event, 9, "INFO", f"{event} {number}", attributes, _RESOURCE, scope)
        )
    return made
