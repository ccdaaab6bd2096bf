"""Attribute names.

Sources: OpenTelemetry semantic conventions 1.44, Elastic Common Schema 9, the draft audit data model.
"""

from __future__ import annotations

from typing import Final

from otel_fim.names.registry import attribute

BEFORE_PREFIX: Final = "otel_fim.before."

RELAYED_PREFIX: Final = "otel_fim.relayed."
"""The chain attributes of a record that came sealed from elsewhere stand under this prefix in our stream."""


def before(name: str) -> str:
    """The name under which the value that `name` had before a change is sent."""
    return BEFORE_PREFIX + name


# --- Resource ----------------------------------------------------------------------------------------
HOST_NAME: Final = attribute("host.name", "string", "Name of the host.", "web-1", source="otel")
HOST_ID: Final = attribute(
    "host.id",
    "string",
    "The machine id (`/etc/machine-id`).",
    "fdbf79e8af94cb7f9e8df36789187052",
    source="otel",
)
HOST_ARCH: Final = attribute("host.arch", "string", "Processor architecture.", "amd64", source="otel")
OS_TYPE: Final = attribute("os.type", "string", "Kind of operating system.", "linux", source="otel")
OS_NAME: Final = attribute(
    "os.name", "string", "Name of the distribution.", "Debian GNU/Linux", source="otel"
)
OS_VERSION: Final = attribute("os.version", "string", "Version of the distribution.", "12", source="otel")
SERVICE_NAME: Final = attribute(
    "service.name", "string", "Name of the agent's service.", "otel-fim", source="otel", stability="stable"
)
SERVICE_VERSION: Final = attribute(
    "service.version", "string", "Version of the agent.", "0.1.0", source="otel", stability="stable"
)
SERVICE_INSTANCE_ID: Final = attribute(
    "service.instance.id",
    "string",
    "Made once for each state directory, so it survives restarts.",
    "627cc493-f310-47de-96bd-71410b7dec09",
    source="otel",
)

# --- File ---------------------------------------------------------------------------------------------
FILE_PATH: Final = attribute(
    "file.path",
    "string",
    "Full path. Bytes that are not UTF-8 appear as `\\xNN`; "
    "`otel_fim.file.path_bytes` then has the exact name.",
    "/etc/passwd",
    source="otel",
)
FILE_NAME: Final = attribute("file.name", "string", "Last part of the path.", "passwd", source="otel")
FILE_DIRECTORY: Final = attribute("file.directory", "string", "Directory of the file.", "/etc", source="otel")
FILE_EXTENSION: Final = attribute(
    "file.extension", "string", "Extension without the dot.", "conf", source="otel"
)
FILE_SIZE: Final = attribute("file.size", "int", "Size in bytes.", "2961", source="otel")
FILE_MODE: Final = attribute("file.mode", "string", "Permission bits in octal.", "0644", source="otel")
FILE_INODE: Final = attribute("file.inode", "string", "Inode number.", "256383", source="otel")
FILE_OWNER_ID: Final = attribute("file.owner.id", "string", "User id of the owner.", "0", source="otel")
FILE_OWNER_NAME: Final = attribute("file.owner.name", "string", "Name of the owner.", "root", source="otel")
FILE_GROUP_ID: Final = attribute("file.group.id", "string", "Group id.", "0", source="otel")
FILE_GROUP_NAME: Final = attribute("file.group.name", "string", "Name of the group.", "root", source="otel")
FILE_MODIFIED: Final = attribute(
    "file.modified", "string", "mtime, ISO 8601 in UTC.", "2026-01-13T14:32:15.123456789Z", source="otel"
)
FILE_CHANGED: Final = attribute(
    "file.changed",
    "string",
    "ctime: last change of content or metadata, ISO 8601 in UTC. Programs cannot set it.",
    "2026-01-13T14:32:15.123456789Z",
    source="otel",
)
FILE_SYMBOLIC_LINK_TARGET_PATH: Final = attribute(
    "file.symbolic_link.target_path",
    "string",
    "Where the symbolic link points.",
    "../proc/self/mounts",
    source="otel",
)
FILE_HASH_SHA256: Final = attribute(
    "file.hash.sha256",
    "string",
    "SHA-256 of the content, hex.",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    source="ecs",
)
FILE_TYPE: Final = attribute(
    "file.type",
    "string",
    "file, dir, symlink, fifo, socket, char_device or block_device.",
    "file",
    source="ecs",
)
OTEL_FIM_FILE_PATH_BYTES: Final = attribute(
    "otel_fim.file.path_bytes", "bytes", "The exact name when it is not valid UTF-8.", "L3RtcC//"
)
OTEL_FIM_FILE_NLINK: Final = attribute("otel_fim.file.nlink", "int", "Number of hard links.", "1")
OTEL_FIM_FILE_DEVICE: Final = attribute("otel_fim.file.device", "string", "Device, major:minor.", "254:0")
OTEL_FIM_FILE_NOT_HASHED: Final = attribute(
    "otel_fim.file.not_hashed",
    "string",
    "Why there is no hash: too_large, deleted, permission_denied, not_regular, changing, io_error.",
    "too_large",
)
OTEL_FIM_FILE_CHANGED_ATTRIBUTES: Final = attribute(
    "otel_fim.file.changed_attributes",
    "string[]",
    "Names of the attributes that differ from the state before.",
    "file.hash.sha256, file.size",
)
OTEL_FIM_FILE_REPLACED: Final = attribute(
    "otel_fim.file.replaced",
    "boolean",
    "True when another inode took the file's place (atomic replace).",
    "true",
)
OTEL_FIM_FILE_BACKEND: Final = attribute(
    "otel_fim.file.backend",
    "string",
    "What saw the change: fanotify, inotify, polling, or scan (a comparison with the baseline).",
    "fanotify",
)
OTEL_FIM_FILE_WHILE_DOWN: Final = attribute(
    "otel_fim.file.while_down",
    "boolean",
    "True when the change was made while the agent was not running.",
    "true",
)

# --- Who ----------------------------------------------------------------------------------------------
EVENT_ACTION: Final = attribute("event.action", "string", "The action in a word.", "modified", source="ecs")
EVENT_OUTCOME: Final = attribute(
    "event.outcome", "string", "success, failure or unknown.", "success", source="ecs"
)
PROCESS_PID: Final = attribute("process.pid", "int", "Process id.", "4711", source="otel")
PROCESS_PARENT_PID: Final = attribute(
    "process.parent_pid", "int", "Parent's process id.", "4700", source="otel"
)
PROCESS_EXECUTABLE_PATH: Final = attribute(
    "process.executable.path", "string", "Full path of the executable.", "/usr/bin/vim.basic", source="otel"
)
PROCESS_EXECUTABLE_NAME: Final = attribute(
    "process.executable.name", "string", "Name of the executable.", "vim.basic", source="otel"
)
PROCESS_COMMAND: Final = attribute(
    "process.command", "string", "The command's own name (`/proc/PID/comm`).", "vim", source="otel"
)
PROCESS_CREATION_TIME: Final = attribute(
    "process.creation.time",
    "string",
    "When the process started, ISO 8601.",
    "2026-01-13T14:30:00.120Z",
    source="otel",
)
PROCESS_USER_ID: Final = attribute("process.user.id", "int", "Effective user id.", "0", source="otel")
PROCESS_USER_NAME: Final = attribute("process.user.name", "string", "Effective user.", "root", source="otel")
PROCESS_REAL_USER_ID: Final = attribute("process.real_user.id", "int", "Real user id.", "1000", source="otel")
PROCESS_REAL_USER_NAME: Final = attribute(
    "process.real_user.name", "string", "Real user.", "alice", source="otel"
)
PROCESS_PARENT_EXECUTABLE_PATH: Final = attribute(
    "process.parent.executable",
    "string",
    "Full path of the parent's executable.",
    "/usr/bin/bash",
    source="ecs",
)
PROCESS_PARENT_COMMAND: Final = attribute(
    "process.parent.name", "string", "The parent's own name.", "bash", source="ecs"
)
USER_ID: Final = attribute("user.id", "string", "Id of the acting user.", "0", source="otel")
USER_NAME: Final = attribute("user.name", "string", "Name of the acting user.", "root", source="otel")
OTEL_FIM_LOGIN_USER_ID: Final = attribute(
    "otel_fim.login.user.id",
    "int",
    "The user who logged in (`/proc/PID/loginuid`); stays the same through su and sudo.",
    "1000",
)
OTEL_FIM_LOGIN_USER_NAME: Final = attribute(
    "otel_fim.login.user.name", "string", "Name of the user who logged in.", "alice"
)
OTEL_FIM_LOGIN_SESSION_ID: Final = attribute(
    "otel_fim.login.session.id", "int", "The kernel's audit session (`/proc/PID/sessionid`).", "3"
)
OTEL_FIM_ACTOR_STATE: Final = attribute(
    "otel_fim.actor.state",
    "string",
    "running: /proc was read while the process lived; exited: it was gone, and only what is shown is known; "
    "recorded: it was gone, and what is shown was recorded while it lived.",
    "running",
)
OTEL_FIM_ACTOR_OTHERS: Final = attribute(
    "otel_fim.actor.others",
    "string[]",
    "Other processes that touched the file in the same short time, as pid and executable; at most eight.",
    "4712 /usr/bin/sed",
)

# --- ATT&CK -------------------------------------------------------------------------------------------
THREAT_FRAMEWORK: Final = attribute(
    "threat.framework", "string", "Name and version of the framework.", "MITRE ATT&CK v19.2", source="ecs"
)
THREAT_TACTIC_ID: Final = attribute("threat.tactic.id", "string[]", "Tactics.", "TA0003", source="ecs")
THREAT_TACTIC_NAME: Final = attribute(
    "threat.tactic.name", "string[]", "Tactic names.", "Persistence", source="ecs"
)
THREAT_TECHNIQUE_ID: Final = attribute(
    "threat.technique.id", "string[]", "Techniques.", "T1136", source="ecs"
)
THREAT_TECHNIQUE_NAME: Final = attribute(
    "threat.technique.name", "string[]", "Technique names.", "Create Account", source="ecs"
)
THREAT_TECHNIQUE_SUBTECHNIQUE_ID: Final = attribute(
    "threat.technique.subtechnique.id", "string[]", "Sub-techniques.", "T1136.001", source="ecs"
)
THREAT_TECHNIQUE_SUBTECHNIQUE_NAME: Final = attribute(
    "threat.technique.subtechnique.name", "string[]", "Sub-technique names.", "Local Account", source="ecs"
)
OTEL_FIM_THREAT_CONFIDENCE: Final = attribute(
    "otel_fim.threat.confidence",
    "string",
    "How well the evidence supports the technique: low, medium, high.",
    "medium",
)
OTEL_FIM_THREAT_EVIDENCE: Final = attribute(
    "otel_fim.threat.evidence", "string", "What the mapping rests on.", "/etc/passwd was changed"
)

# --- Chain --------------------------------------------------------------------------------------------
AUDIT_SEQUENCE_STREAM_ID: Final = attribute(
    "audit.sequence.stream_id",
    "string",
    "The stream: one writer, one unbroken series.",
    "0192f1c3-7b0e-7c11-a8c0-6c0f6f0b3f5e",
    source="audit",
)
AUDIT_SEQUENCE_NUMBER: Final = attribute(
    "audit.sequence.number", "int", "Place in the stream, from 1.", "42", source="audit"
)
AUDIT_SEQUENCE_PREV_HASH: Final = attribute(
    "audit.sequence.prev_hash",
    "string",
    "Hash of the record before, hex; SHA-256 of nothing for the first.",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    source="audit",
)
OTEL_FIM_CHAIN_HASH: Final = attribute(
    "otel_fim.chain.hash",
    "string",
    "SHA-256 over the record's canonical form, hex.",
    "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9",
)
OTEL_FIM_CHAIN_VERSION: Final = attribute(
    "otel_fim.chain.version", "int", "Version of the canonical form that was hashed.", "1"
)
OTEL_FIM_STREAM_PREVIOUS: Final = attribute(
    "otel_fim.stream.previous", "string", "none: a first stream; unknown: the state before was lost.", "none"
)
OTEL_FIM_RESOURCE_HASH: Final = attribute(
    "otel_fim.resource.hash",
    "string",
    "SHA-256 over the canonical form of the resource that the stream's records carry.",
    "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
)

# --- Coverage -----------------------------------------------------------------------------------------
OTEL_FIM_COVERAGE_REASON: Final = attribute(
    "otel_fim.coverage.reason",
    "string",
    "Why something could not be seen: queue_overflow, disk_full, permission_denied, path_missing, "
    "backend_limited, watch_limit, agent_stopped, journal_torn, journal_retention, io_error, "
    "log_destroyed (a log was cut before it could be read), not_looked_at (yet), state_lost (what was learnt or "
    "counted could not be read any more), state_limit (some of it had to make room).",
    "queue_overflow",
)
OTEL_FIM_COVERAGE_SCOPE: Final = attribute(
    "otel_fim.coverage.scope", "string", "What the gap covers: a path, or a component's id.", "/etc"
)
OTEL_FIM_COVERAGE_START: Final = attribute(
    "otel_fim.coverage.start", "string", "Start of the gap, ISO 8601.", "2026-01-13T14:32:15.000000000Z"
)
OTEL_FIM_COVERAGE_END: Final = attribute(
    "otel_fim.coverage.end", "string", "End of the gap, ISO 8601.", "2026-01-13T14:32:17.000000000Z"
)
OTEL_FIM_COVERAGE_DETAIL: Final = attribute(
    "otel_fim.coverage.detail", "string", "The gap in a sentence.", "the kernel's event queue overflowed"
)
OTEL_FIM_COVERAGE_RECORDS_LOST: Final = attribute(
    "otel_fim.coverage.records_lost", "int", "Records known to be lost, where they can be counted.", "0"
)
OTEL_FIM_COMPONENT_ID: Final = attribute(
    "otel_fim.component.id", "string", "The component that the record is about.", "file_integrity"
)

# --- Storage ------------------------------------------------------------------------------------------
OTEL_FIM_TIME_UNIX_NANO: Final = attribute(
    "otel_fim.time_unix_nano",
    "string",
    "The record's time in nanoseconds since 1970, added by an exporter whose table cannot hold that time.",
    "18446744073709551615",
)

# --- Agent --------------------------------------------------------------------------------------------
ERROR_TYPE: Final = attribute(
    "error.type", "string", "Kind of failure.", "timeout", source="otel", stability="stable"
)
OTEL_FIM_AGENT_REASON: Final = attribute(
    "otel_fim.agent.reason", "string", "Why the agent started or stopped.", "SIGTERM"
)
OTEL_FIM_AGENT_PRIVILEGED: Final = attribute(
    "otel_fim.agent.privileged", "boolean", "True when the agent has the rights to see who did it.", "true"
)
OTEL_FIM_AGENT_PREVIOUS_STOP: Final = attribute(
    "otel_fim.agent.previous_stop", "string", "How the run before ended: clean, unclean or none.", "clean"
)

for _name in (
    FILE_PATH,
    FILE_SIZE,
    FILE_MODE,
    FILE_INODE,
    FILE_OWNER_ID,
    FILE_OWNER_NAME,
    FILE_GROUP_ID,
    FILE_GROUP_NAME,
    FILE_MODIFIED,
    FILE_CHANGED,
    FILE_SYMBOLIC_LINK_TARGET_PATH,
    FILE_HASH_SHA256,
    FILE_TYPE,
    OTEL_FIM_FILE_NLINK,
    OTEL_FIM_FILE_DEVICE,
    OTEL_FIM_FILE_NOT_HASHED,
    OTEL_FIM_FILE_PATH_BYTES,
):
    attribute(before(_name), "as the attribute", f"`{_name}` before the change.", "as the attribute")
