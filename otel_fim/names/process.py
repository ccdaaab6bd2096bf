"""Attribute names of processes and of the logins behind them, beside those in `names.attributes`."""

from __future__ import annotations

from typing import Final

from otel_fim.names.registry import attribute

PROCESS_ENTITY_ID: Final = attribute(
    "process.entity_id",
    "string",
    "One process on one host, for good: made from the boot, the pid and the start time. Joins records.",
    "5b1f0c6d9a3e4f27",
    source="ecs",
)
PROCESS_PARENT_ENTITY_ID: Final = attribute(
    "process.parent.entity_id",
    "string",
    "The parent's `process.entity_id`.",
    "0c11d6a2b7f94e50",
    source="ecs",
)
PROCESS_HASH_SHA256: Final = attribute(
    "process.hash.sha256",
    "string",
    "SHA-256 of the executable, hex.",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    source="ecs",
)
PROCESS_COMMAND_LINE: Final = attribute(
    "process.command_line",
    "string",
    "The command line, quoted as for a shell; only when configured, and without secrets unless `full`.",
    "sshd -D -p 2222",
    source="otel",
)
PROCESS_PARENT_COMMAND_LINE: Final = attribute(
    "process.parent.command_line",
    "string",
    "The parent's command line when it started this process; as `process.command_line`.",
    "bash -c 'id; uname -a'",
    source="ecs",
)
PROCESS_ARGS_COUNT: Final = attribute(
    "process.args_count", "int", "Number of arguments, the program's name among them.", "4", source="otel"
)
PROCESS_WORKING_DIRECTORY: Final = attribute(
    "process.working_directory", "string", "Working directory.", "/root", source="otel"
)
PROCESS_INTERACTIVE: Final = attribute(
    "process.interactive", "boolean", "True with a controlling terminal.", "true", source="otel"
)
PROCESS_EXIT_CODE: Final = attribute("process.exit.code", "int", "Exit code.", "127", source="otel")
PROCESS_EXIT_TIME: Final = attribute(
    "process.exit.time", "string", "When it ended, ISO 8601.", "2026-01-13T14:30:01.120Z", source="otel"
)
PROCESS_SESSION_LEADER_PID: Final = attribute(
    "process.session_leader.pid",
    "int",
    "Pid of the session's leader; absent when the leader has no pid for the agent: it lies outside the agent's pid "
    "namespace, or the kernel or init started the process without giving it a session.",
    "4700",
    source="otel",
)
PROCESS_GROUP_LEADER_PID: Final = attribute(
    "process.group_leader.pid",
    "int",
    "Pid of the process group's leader; absent when the leader has no pid for the agent, as with the session's.",
    "4711",
    source="otel",
)
PROCESS_SAVED_USER_ID: Final = attribute(
    "process.saved_user.id", "int", "Saved user id.", "1000", source="otel"
)
PROCESS_SAVED_USER_NAME: Final = attribute(
    "process.saved_user.name", "string", "Saved user.", "alice", source="otel"
)
PROCESS_GROUP_ID: Final = attribute("process.group.id", "string", "Effective group id.", "1000", source="ecs")
PROCESS_GROUP_NAME: Final = attribute(
    "process.group.name", "string", "Effective group.", "alice", source="ecs"
)
PROCESS_REAL_GROUP_ID: Final = attribute(
    "process.real_group.id", "string", "Real group id.", "1000", source="ecs"
)
PROCESS_REAL_GROUP_NAME: Final = attribute(
    "process.real_group.name", "string", "Real group.", "alice", source="ecs"
)
PROCESS_LINUX_CGROUP: Final = attribute(
    "process.linux.cgroup",
    "string",
    "Control group, as in `/proc/PID/cgroup`.",
    "0::/system.slice/cron.service",
    source="otel",
)
CONTAINER_ID: Final = attribute(
    "container.id",
    "string",
    "The container that the process runs in, from its control group.",
    "a3bf90e006b2d0ec8a4ab0c1d9b04a4fa7f6a5ea4aa2bc39f9b9ad0c3f2d0d1e",
    source="otel",
)
OTEL_FIM_PROCESS_ANCESTORS: Final = attribute(
    "otel_fim.process.ancestors",
    "string[]",
    "Parent, its parent and so on, as pid and executable; at most eight.",
    "812 /usr/sbin/sshd",
)
OTEL_FIM_PROCESS_TERMINAL: Final = attribute(
    "otel_fim.process.terminal", "string", "Controlling terminal.", "/dev/pts/0"
)
OTEL_FIM_PROCESS_EXIT_SIGNAL: Final = attribute(
    "otel_fim.process.exit.signal", "string", "The signal that ended it.", "SIGKILL"
)
OTEL_FIM_PROCESS_DURATION: Final = attribute(
    "otel_fim.process.duration", "double", "Seconds between start and end.", "0.004"
)
OTEL_FIM_PROCESS_BACKEND: Final = attribute(
    "otel_fim.process.backend",
    "string",
    "What saw it: proc_connector, psutil (a poll), or scan (found when the agent started or after a loss).",
    "proc_connector",
)
OTEL_FIM_PROCESS_MISSING: Final = attribute(
    "otel_fim.process.missing",
    "string[]",
    "Attributes that could not be read, because the process ended too soon or is someone else's.",
    "process.working_directory",
)
OTEL_FIM_PROCESS_NOT_HASHED: Final = attribute(
    "otel_fim.process.not_hashed",
    "string",
    "Why there is no hash: too_large, deleted, replaced, permission_denied, io_error, no_executable.",
    "deleted",
)
OTEL_FIM_SYSTEMD_UNIT: Final = attribute(
    "otel_fim.systemd.unit", "string", "The systemd unit, from the control group.", "cron.service"
)
OTEL_FIM_LOGIN_SOURCE_ADDRESS: Final = attribute(
    "otel_fim.login.source.address", "string", "Where the login came from.", "203.0.113.7"
)
OTEL_FIM_LOGIN_SOURCE_PORT: Final = attribute(
    "otel_fim.login.source.port", "int", "The port that the login came from.", "51234"
)
OTEL_FIM_LOGIN_METHOD: Final = attribute(
    "otel_fim.login.method", "string", "How the user proved who they are.", "publickey"
)
OTEL_FIM_LOGIN_SERVICE: Final = attribute(
    "otel_fim.login.service", "string", "The program that let the user in.", "sshd"
)
OTEL_FIM_LOGIN_TERMINAL: Final = attribute(
    "otel_fim.login.terminal", "string", "The login's terminal.", "pts/0"
)
OTEL_FIM_LOGIN_TIME: Final = attribute(
    "otel_fim.login.time", "string", "When the user logged in, ISO 8601.", "2026-01-13T14:30:00.120Z"
)
OTEL_FIM_LOGIN_BASIS: Final = attribute(
    "otel_fim.login.basis",
    "string",
    "Absent when the kernel's audit session names the login; `ancestor` when it keeps none and the process descends "
    "from the one that let the user in.",
    "ancestor",
)
