"""Event names: the LogRecord field EventName. They are static, dotted and lower-case."""

from __future__ import annotations

from typing import Final

from otel_fim.names import attributes as a
from otel_fim.names import auth, network, process
from otel_fim.names import finding as f
from otel_fim.names import persistence as p
from otel_fim.names.registry import event

_FILE: Final = (
    a.FILE_PATH,
    a.FILE_NAME,
    a.FILE_TYPE,
    a.FILE_SIZE,
    a.FILE_MODE,
    a.FILE_INODE,
    a.FILE_OWNER_ID,
    a.FILE_OWNER_NAME,
    a.FILE_GROUP_ID,
    a.FILE_GROUP_NAME,
    a.FILE_MODIFIED,
    a.FILE_CHANGED,
    a.FILE_HASH_SHA256,
    a.FILE_SYMBOLIC_LINK_TARGET_PATH,
    a.OTEL_FIM_FILE_NOT_HASHED,
    a.OTEL_FIM_FILE_BACKEND,
    a.OTEL_FIM_FILE_WHILE_DOWN,
)
_LOGIN: Final = (
    a.OTEL_FIM_LOGIN_USER_ID,
    a.OTEL_FIM_LOGIN_USER_NAME,
    a.OTEL_FIM_LOGIN_SESSION_ID,
    process.OTEL_FIM_LOGIN_SOURCE_ADDRESS,
    process.OTEL_FIM_LOGIN_SOURCE_PORT,
    process.OTEL_FIM_LOGIN_METHOD,
    process.OTEL_FIM_LOGIN_SERVICE,
    process.OTEL_FIM_LOGIN_TERMINAL,
    process.OTEL_FIM_LOGIN_TIME,
    process.OTEL_FIM_LOGIN_BASIS,
)
_ACTOR: Final = (
    a.PROCESS_PID,
    a.PROCESS_CREATION_TIME,
    process.PROCESS_ENTITY_ID,
    a.PROCESS_EXECUTABLE_PATH,
    a.PROCESS_EXECUTABLE_NAME,
    a.PROCESS_COMMAND,
    process.PROCESS_HASH_SHA256,
    a.USER_ID,
    a.USER_NAME,
    a.PROCESS_REAL_USER_ID,
    a.PROCESS_REAL_USER_NAME,
    process.PROCESS_WORKING_DIRECTORY,
    process.OTEL_FIM_PROCESS_TERMINAL,
    process.CONTAINER_ID,
    process.OTEL_FIM_SYSTEMD_UNIT,
    a.PROCESS_PARENT_PID,
    process.PROCESS_PARENT_ENTITY_ID,
    a.PROCESS_PARENT_EXECUTABLE_PATH,
    a.PROCESS_PARENT_COMMAND,
    process.OTEL_FIM_PROCESS_ANCESTORS,
    *_LOGIN,
    a.OTEL_FIM_ACTOR_STATE,
    a.OTEL_FIM_ACTOR_OTHERS,
)
_NOVELTY: Final = (
    f.OTEL_FIM_NOVELTY_FIRST_SEEN,
    f.OTEL_FIM_NOVELTY_UNCERTAIN,
    f.OTEL_FIM_NOVELTY_RARE,
    f.OTEL_FIM_NOVELTY_LEARNING,
)
_CHANGE: Final = (a.OTEL_FIM_FILE_CHANGED_ATTRIBUTES, a.OTEL_FIM_FILE_REPLACED)
_GAP: Final = (
    a.OTEL_FIM_COVERAGE_REASON,
    a.OTEL_FIM_COVERAGE_SCOPE,
    a.OTEL_FIM_COVERAGE_START,
    a.OTEL_FIM_COVERAGE_END,
    a.OTEL_FIM_COVERAGE_DETAIL,
    a.OTEL_FIM_COVERAGE_RECORDS_LOST,
    a.OTEL_FIM_COMPONENT_ID,
)

FILE_CREATED: Final = event("otel_fim.file.created", "A file, directory or link appeared.", _FILE + _ACTOR)
FILE_MODIFIED: Final = event(
    "otel_fim.file.modified",
    "Content, or a link's target, changed.",
    _FILE + _CHANGE + _ACTOR,
    severity="WARN",
)
FILE_DELETED: Final = event(
    "otel_fim.file.deleted",
    "It is gone; the `otel_fim.before.` attributes tell what it was.",
    _FILE + _ACTOR,
    severity="WARN",
)
FILE_RENAMED: Final = event(
    "otel_fim.file.renamed",
    "It moved within what is watched; `otel_fim.before.file.path` is where it was.",
    (*_FILE, a.before(a.FILE_PATH), *_ACTOR),
)
FILE_ATTRIBUTES_CHANGED: Final = event(
    "otel_fim.file.attributes_changed",
    "Metadata changed and the content did not.",
    _FILE + _CHANGE + _ACTOR,
)

_PROCESS: Final = (
    a.EVENT_ACTION,
    a.PROCESS_PID,
    a.PROCESS_CREATION_TIME,
    process.PROCESS_ENTITY_ID,
    a.PROCESS_EXECUTABLE_PATH,
    a.PROCESS_EXECUTABLE_NAME,
    a.PROCESS_COMMAND,
    process.PROCESS_COMMAND_LINE,
    process.PROCESS_ARGS_COUNT,
    process.PROCESS_HASH_SHA256,
    process.OTEL_FIM_PROCESS_NOT_HASHED,
    a.USER_ID,
    a.USER_NAME,
    a.PROCESS_USER_ID,
    a.PROCESS_USER_NAME,
    a.PROCESS_REAL_USER_ID,
    a.PROCESS_REAL_USER_NAME,
    process.PROCESS_SAVED_USER_ID,
    process.PROCESS_SAVED_USER_NAME,
    process.PROCESS_GROUP_ID,
    process.PROCESS_GROUP_NAME,
    process.PROCESS_REAL_GROUP_ID,
    process.PROCESS_REAL_GROUP_NAME,
    process.PROCESS_WORKING_DIRECTORY,
    process.PROCESS_INTERACTIVE,
    process.OTEL_FIM_PROCESS_TERMINAL,
    process.PROCESS_SESSION_LEADER_PID,
    process.PROCESS_GROUP_LEADER_PID,
    process.PROCESS_LINUX_CGROUP,
    process.CONTAINER_ID,
    process.OTEL_FIM_SYSTEMD_UNIT,
    a.PROCESS_PARENT_PID,
    process.PROCESS_PARENT_ENTITY_ID,
    a.PROCESS_PARENT_EXECUTABLE_PATH,
    a.PROCESS_PARENT_COMMAND,
    process.PROCESS_PARENT_COMMAND_LINE,
    process.OTEL_FIM_PROCESS_ANCESTORS,
    *_LOGIN,
    process.OTEL_FIM_PROCESS_BACKEND,
    process.OTEL_FIM_PROCESS_MISSING,
)
PROCESS_STARTED: Final = event(
    "otel_fim.process.started",
    "A process runs a program: `event.action` is exec for a new program, fork for a process that goes on with its "
    "parent's, scan for one that was found running.",
    (*_PROCESS, *_NOVELTY),
)
PROCESS_EXITED: Final = event(
    "otel_fim.process.exited",
    "A process ended.",
    (
        *_PROCESS,
        process.PROCESS_EXIT_CODE,
        process.OTEL_FIM_PROCESS_EXIT_SIGNAL,
        process.PROCESS_EXIT_TIME,
        process.OTEL_FIM_PROCESS_DURATION,
    ),
)

_AUTH: Final = (
    a.EVENT_ACTION,
    a.EVENT_OUTCOME,
    a.USER_ID,
    a.USER_NAME,
    auth.OTEL_FIM_AUTH_USER_KNOWN,
    auth.SOURCE_ADDRESS,
    auth.SOURCE_PORT,
    auth.OTEL_FIM_AUTH_SERVICE,
    auth.OTEL_FIM_AUTH_METHOD,
    auth.OTEL_FIM_AUTH_TERMINAL,
    auth.OTEL_FIM_AUTH_REASON,
    auth.OTEL_FIM_AUTH_SOURCES,
    auth.OTEL_FIM_AUTH_COUNT,
    auth.LOG_RECORD_ORIGINAL,
    a.PROCESS_PID,
    process.PROCESS_ENTITY_ID,
    *_LOGIN,
)
AUTH_LOGIN: Final = event(
    "otel_fim.auth.login",
    "Someone logged in or tried to; a failure is a WARN.",
    (*_AUTH, auth.OTEL_FIM_AUTH_KEY_FINGERPRINT, auth.OTEL_FIM_AUTH_KEY_TYPE, *_NOVELTY),
)
AUTH_LOGOUT: Final = event("otel_fim.auth.logout", "A login ended.", (*_AUTH, auth.EVENT_DURATION))
AUTH_PRIVILEGE: Final = event(
    "otel_fim.auth.privilege",
    "Someone used or tried to use another user's rights (sudo, su, doas, pkexec); a refusal is a WARN.",
    (
        *_AUTH,
        auth.USER_EFFECTIVE_ID,
        auth.USER_EFFECTIVE_NAME,
        process.PROCESS_COMMAND_LINE,
        process.PROCESS_WORKING_DIRECTORY,
        *_NOVELTY,
    ),
)
AUTH_ACCOUNT: Final = event(
    "otel_fim.auth.account",
    "An account or group changed; `event.action` is user_created, user_changed, user_deleted, group_created, "
    "group_changed, group_deleted, password_changed, locked, unlocked, group_member_added, group_member_removed.",
    (
        *_AUTH,
        auth.USER_TARGET_ID,
        auth.USER_TARGET_NAME,
        auth.GROUP_ID,
        auth.GROUP_NAME,
        auth.OTEL_FIM_AUTH_CHANGES,
    ),
    severity="WARN",
)

_LISTENER: Final = (
    a.EVENT_ACTION,
    network.NETWORK_TRANSPORT,
    network.NETWORK_TYPE,
    network.NETWORK_LOCAL_ADDRESS,
    network.NETWORK_LOCAL_PORT,
    network.OTEL_FIM_LISTENER_IPV6_ONLY,
    network.OTEL_FIM_LISTENER_EXPOSURE,
    network.OTEL_FIM_LISTENER_BACKEND,
    network.OTEL_FIM_LISTENER_NETWORK_NAMESPACE,
    network.OTEL_FIM_LISTENER_WHILE_DOWN,
    network.OTEL_FIM_LISTENER_PROCESSES,
    *_ACTOR,
)
LISTENER_OPENED: Final = event(
    "otel_fim.listener.opened",
    "A socket takes connections or datagrams; `event.action` is opened, or scan for one that was there at the first "
    "start. A WARN when it is new and can be reached from other hosts.",
    (*_LISTENER, *_NOVELTY),
)
LISTENER_CLOSED: Final = event("otel_fim.listener.closed", "A listening socket is gone.", _LISTENER)

_PERSISTENCE: Final = (
    a.EVENT_ACTION,
    p.OTEL_FIM_PERSISTENCE_KIND,
    p.OTEL_FIM_PERSISTENCE_ID,
    p.OTEL_FIM_PERSISTENCE_COMMAND,
    p.OTEL_FIM_PERSISTENCE_USER,
    p.OTEL_FIM_PERSISTENCE_TRIGGER,
    p.OTEL_FIM_PERSISTENCE_ENABLED,
    p.OTEL_FIM_PERSISTENCE_HASH,
    p.OTEL_FIM_PERSISTENCE_BACKEND,
    p.OTEL_FIM_PERSISTENCE_WHILE_DOWN,
    a.EVENT_ACTION,
    a.FILE_PATH,
    a.FILE_OWNER_ID,
    a.FILE_OWNER_NAME,
    a.FILE_GROUP_ID,
    a.FILE_GROUP_NAME,
    a.FILE_MODE,
    a.FILE_HASH_SHA256,
    *_ACTOR,
)
PERSISTENCE_ADDED: Final = event(
    "otel_fim.persistence.added",
    "Something new starts by itself; `event.action` is added, or scan for what was there at the first start (INFO).",
    (*_PERSISTENCE, *_NOVELTY),
    severity="WARN",
)
PERSISTENCE_CHANGED: Final = event(
    "otel_fim.persistence.changed",
    "What starts by itself was changed; the `otel_fim.before.` attributes tell what it was.",
    (*_PERSISTENCE, p.OTEL_FIM_PERSISTENCE_CHANGED_ATTRIBUTES),
    severity="WARN",
)
PERSISTENCE_REMOVED: Final = event(
    "otel_fim.persistence.removed",
    "It no longer starts by itself; the `otel_fim.before.` attributes tell what it was.",
    _PERSISTENCE,
)

FINDING: Final = event(
    "otel_fim.finding",
    "A rule matched. Who did what to which file stands in the same attributes as in the record that it rests on; "
    "severity follows the rule's level: INFO for informational and low, WARN, ERROR, FATAL for critical.",
    (
        f.LOG_RECORD_UID,
        f.SECURITY_RULE_NAME,
        f.SECURITY_RULE_UUID,
        f.SECURITY_RULE_CATEGORY,
        f.SECURITY_RULE_DESCRIPTION,
        f.SECURITY_RULE_LICENSE,
        f.SECURITY_RULE_REFERENCE,
        f.SECURITY_RULE_RULESET_NAME,
        f.SECURITY_RULE_VERSION,
        f.RULE_AUTHOR,
        f.OTEL_FIM_RULE_LEVEL,
        f.OTEL_FIM_RULE_KIND,
        f.OTEL_FIM_RULE_TAGS,
        f.OTEL_FIM_RULE_COMPLIANCE,
        f.OTEL_FIM_RULE_FALSE_POSITIVES,
        a.THREAT_FRAMEWORK,
        a.THREAT_TACTIC_ID,
        a.THREAT_TACTIC_NAME,
        a.THREAT_TECHNIQUE_ID,
        a.THREAT_TECHNIQUE_NAME,
        a.THREAT_TECHNIQUE_SUBTECHNIQUE_ID,
        a.THREAT_TECHNIQUE_SUBTECHNIQUE_NAME,
        a.OTEL_FIM_THREAT_CONFIDENCE,
        a.OTEL_FIM_THREAT_EVIDENCE,
        f.OTEL_FIM_FINDING_EVIDENCE,
        f.OTEL_FIM_FINDING_EVIDENCE_COUNT,
        f.OTEL_FIM_FINDING_EVENT_NAMES,
        f.OTEL_FIM_FINDING_FIRST_SEEN,
        f.OTEL_FIM_FINDING_LAST_SEEN,
        f.OTEL_FIM_FINDING_GROUP_BY,
        f.OTEL_FIM_FINDING_VALUE,
        f.OTEL_FIM_FINDING_KEY,
        f.OTEL_FIM_FINDING_COUNT,
        f.OTEL_FIM_FINDING_DUPLICATE_OF,
        f.OTEL_FIM_SUPPRESSION_NAME,
        f.OTEL_FIM_SUPPRESSION_OWNER,
        f.OTEL_FIM_SUPPRESSION_REASON,
        f.OTEL_FIM_SUPPRESSION_EXPIRES,
        f.EVENT_RISK_SCORE,
        f.OTEL_FIM_RISK_DRIVERS,
        f.OTEL_FIM_RISK_EXPLANATION,
        f.USER_RISK_SCORE,
        f.HOST_RISK_SCORE,
        f.OTEL_FIM_EXECUTABLE_RISK_SCORE,
        f.OTEL_FIM_NOVELTY_FIRST_SEEN,
        f.OTEL_FIM_NOVELTY_UNCERTAIN,
        f.OTEL_FIM_NOVELTY_RARE,
    ),
    severity="WARN",
)

COVERAGE_GAP: Final = event(
    "otel_fim.coverage.gap",
    "Something could not be seen. Without `otel_fim.coverage.end` the gap is still open.",
    _GAP,
    severity="WARN",
)
COVERAGE_RESTORED: Final = event("otel_fim.coverage.restored", "A gap has been closed.", _GAP)

STREAM_STARTED: Final = event(
    "otel_fim.stream.started",
    "The first record of a stream; it binds the resource.",
    (a.AUDIT_SEQUENCE_STREAM_ID, a.OTEL_FIM_STREAM_PREVIOUS, a.OTEL_FIM_RESOURCE_HASH),
)
AGENT_STARTED: Final = event(
    "otel_fim.agent.started",
    "The agent started.",
    (a.OTEL_FIM_AGENT_REASON, a.OTEL_FIM_AGENT_PRIVILEGED, a.OTEL_FIM_AGENT_PREVIOUS_STOP),
)
AGENT_STOPPED: Final = event(
    "otel_fim.agent.stopped", "The agent stopped in order.", (a.OTEL_FIM_AGENT_REASON,)
)
AGENT_HEARTBEAT: Final = event("otel_fim.agent.heartbeat", "The agent is alive.", ())
