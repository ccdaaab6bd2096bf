"""Event names: the LogRecord field EventName. They are static, dotted and lower-case."""

from __future__ import annotations

from typing import Final

from otel_fim.names import attributes as a
from otel_fim.names.registry import event

_FILE: Final = (
    a.FILE_PATH,
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
    a.OTEL_FIM_FILE_NOT_HASHED,
    a.OTEL_FIM_FILE_BACKEND,
    a.OTEL_FIM_FILE_WHILE_DOWN,
)
_ACTOR: Final = (
    a.PROCESS_PID,
    a.PROCESS_EXECUTABLE_PATH,
    a.PROCESS_COMMAND,
    a.USER_ID,
    a.USER_NAME,
    a.PROCESS_PARENT_PID,
    a.OTEL_FIM_LOGIN_USER_ID,
    a.OTEL_FIM_LOGIN_USER_NAME,
    a.OTEL_FIM_LOGIN_SESSION_ID,
    a.OTEL_FIM_ACTOR_STATE,
    a.OTEL_FIM_ACTOR_OTHERS,
)
_CHANGE: Final = (a.OTEL_FIM_FILE_CHANGED_ATTRIBUTES, a.OTEL_FIM_FILE_REPLACED)
_GAP: Final = (
    a.OTEL_FIM_COVERAGE_REASON,
    a.OTEL_FIM_COVERAGE_SCOPE,
    a.OTEL_FIM_COVERAGE_START,
    a.OTEL_FIM_COVERAGE_END,
    a.OTEL_FIM_COVERAGE_DETAIL,
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
