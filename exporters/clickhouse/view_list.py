"""The typed views: which columns each one has."""

from __future__ import annotations

from typing import Final

from otel_fim import names
from otel_fim.exporters.clickhouse.views import View, ViewColumn
from otel_fim.names import events

_NUMBER: Final = "toInt64OrNull(*)"
_DECIMAL: Final = "toFloat64OrNull(*)"
_LIST: Final = "JSONExtract(*, 'Array(String)')"
_TRUE: Final = "(* = 'true')"
_TIME: Final = "parseDateTime64BestEffortOrNull(*, 9, 'UTC')"


def _both(name: str, key: str, convert: str = "") -> tuple[ViewColumn, ViewColumn]:
    """The value, and the one before the change."""
    return ViewColumn(name, key, convert), ViewColumn(f"{name}_before", names.before(key), convert)


_WHO: Final = (
    ViewColumn("user", names.USER_NAME),
    ViewColumn("executable", names.PROCESS_EXECUTABLE_PATH),
    ViewColumn("command", names.PROCESS_COMMAND),
    ViewColumn("pid", names.PROCESS_PID, _NUMBER),
    ViewColumn("process_id", names.PROCESS_ENTITY_ID),
    ViewColumn("parent_executable", names.PROCESS_PARENT_EXECUTABLE_PATH),
    ViewColumn("ancestors", names.OTEL_FIM_PROCESS_ANCESTORS, _LIST),
    ViewColumn("container", names.CONTAINER_ID),
    ViewColumn("unit", names.OTEL_FIM_SYSTEMD_UNIT),
)
"""The process behind a record."""
_LOGIN: Final = (
    ViewColumn("login_user", names.OTEL_FIM_LOGIN_USER_NAME),
    ViewColumn("session_id", names.OTEL_FIM_LOGIN_SESSION_ID, _NUMBER),
    ViewColumn("login_source", names.OTEL_FIM_LOGIN_SOURCE_ADDRESS),
    ViewColumn("login_method", names.OTEL_FIM_LOGIN_METHOD),
)
"""The login behind the process."""
_THREAT: Final = (
    ViewColumn("tactics", names.THREAT_TACTIC_NAME, _LIST),
    ViewColumn("techniques", names.THREAT_TECHNIQUE_ID, _LIST),
    ViewColumn("subtechniques", names.THREAT_TECHNIQUE_SUBTECHNIQUE_ID, _LIST),
    ViewColumn("confidence", names.OTEL_FIM_THREAT_CONFIDENCE),
)

FILES: Final = View(
    "otel_fim_files",
    events.FILE_CREATED.removesuffix("created"),
    (
        *_both("path", names.FILE_PATH),
        ViewColumn("type", names.FILE_TYPE),
        *_both("sha256", names.FILE_HASH_SHA256),
        *_both("size", names.FILE_SIZE, _NUMBER),
        *_both("mode", names.FILE_MODE),
        *_both("owner", names.FILE_OWNER_NAME),
        *_both("group", names.FILE_GROUP_NAME),
        *_both("link_target", names.FILE_SYMBOLIC_LINK_TARGET_PATH),
        ViewColumn("changed", names.OTEL_FIM_FILE_CHANGED_ATTRIBUTES, _LIST),
        *_WHO,
        *_LOGIN,
        *_THREAT,
        ViewColumn("backend", names.OTEL_FIM_FILE_BACKEND),
        ViewColumn("while_down", names.OTEL_FIM_FILE_WHILE_DOWN, _TRUE),
    ),
)

COVERAGE: Final = View(
    "otel_fim_coverage",
    events.COVERAGE_GAP.removesuffix("gap"),
    (
        ViewColumn("component", names.OTEL_FIM_COMPONENT_ID),
        ViewColumn("reason", names.OTEL_FIM_COVERAGE_REASON),
        ViewColumn("scope", names.OTEL_FIM_COVERAGE_SCOPE),
        ViewColumn("start", names.OTEL_FIM_COVERAGE_START, _TIME),
        ViewColumn("end", names.OTEL_FIM_COVERAGE_END, _TIME),
        ViewColumn("detail", names.OTEL_FIM_COVERAGE_DETAIL),
        ViewColumn("records_lost", names.OTEL_FIM_COVERAGE_RECORDS_LOST, _NUMBER),
    ),
)

PROCESSES: Final = View(
    "otel_fim_processes",
    events.PROCESS_STARTED.removesuffix("started"),
    (
        ViewColumn("action", names.EVENT_ACTION),
        *_WHO,
        ViewColumn("command_line", names.PROCESS_COMMAND_LINE),
        ViewColumn("sha256", names.PROCESS_HASH_SHA256),
        ViewColumn("parent_pid", names.PROCESS_PARENT_PID, _NUMBER),
        ViewColumn("parent_process_id", names.PROCESS_PARENT_ENTITY_ID),
        ViewColumn("real_user", names.PROCESS_REAL_USER_NAME),
        ViewColumn("working_directory", names.PROCESS_WORKING_DIRECTORY),
        ViewColumn("terminal", names.OTEL_FIM_PROCESS_TERMINAL),
        ViewColumn("exit_code", names.PROCESS_EXIT_CODE, _NUMBER),
        ViewColumn("exit_signal", names.OTEL_FIM_PROCESS_EXIT_SIGNAL),
        ViewColumn("seconds", names.OTEL_FIM_PROCESS_DURATION, _DECIMAL),
        *_LOGIN,
        *_THREAT,
        ViewColumn("backend", names.OTEL_FIM_PROCESS_BACKEND),
        ViewColumn("missing", names.OTEL_FIM_PROCESS_MISSING, _LIST),
    ),
)

AUTH: Final = View(
    "otel_fim_auth",
    events.AUTH_LOGIN.removesuffix("login"),
    (
        ViewColumn("action", names.EVENT_ACTION),
        ViewColumn("outcome", names.EVENT_OUTCOME),
        ViewColumn("user", names.USER_NAME),
        ViewColumn("user_known", names.OTEL_FIM_AUTH_USER_KNOWN, "(* != 'false')"),
        ViewColumn("effective_user", names.USER_EFFECTIVE_NAME),
        ViewColumn("target_user", names.USER_TARGET_NAME),
        ViewColumn("group", names.GROUP_NAME),
        ViewColumn("source", names.SOURCE_ADDRESS),
        ViewColumn("source_port", names.SOURCE_PORT, _NUMBER),
        ViewColumn("service", names.OTEL_FIM_AUTH_SERVICE),
        ViewColumn("method", names.OTEL_FIM_AUTH_METHOD),
        ViewColumn("reason", names.OTEL_FIM_AUTH_REASON),
        ViewColumn("terminal", names.OTEL_FIM_AUTH_TERMINAL),
        ViewColumn("key", names.OTEL_FIM_AUTH_KEY_FINGERPRINT),
        ViewColumn("command_line", names.PROCESS_COMMAND_LINE),
        ViewColumn("duration_ns", names.EVENT_DURATION, _NUMBER),
        ViewColumn("pid", names.PROCESS_PID, _NUMBER),
        ViewColumn("process_id", names.PROCESS_ENTITY_ID),
        *_LOGIN,
        *_THREAT,
        ViewColumn("told_by", names.OTEL_FIM_AUTH_SOURCES, _LIST),
    ),
)

LISTENERS: Final = View(
    "otel_fim_listeners",
    events.LISTENER_OPENED.removesuffix("opened"),
    (
        ViewColumn("action", names.EVENT_ACTION),
        ViewColumn("transport", names.NETWORK_TRANSPORT),
        ViewColumn("address", names.NETWORK_LOCAL_ADDRESS),
        ViewColumn("port", names.NETWORK_LOCAL_PORT, _NUMBER),
        ViewColumn("exposure", names.OTEL_FIM_LISTENER_EXPOSURE),
        *_WHO,
        *_LOGIN,
        *_THREAT,
        ViewColumn("while_down", names.OTEL_FIM_LISTENER_WHILE_DOWN, _TRUE),
    ),
)

PERSISTENCE: Final = View(
    "otel_fim_persistence",
    events.PERSISTENCE_ADDED.removesuffix("added"),
    (
        ViewColumn("kind", names.OTEL_FIM_PERSISTENCE_KIND),
        ViewColumn("item", names.OTEL_FIM_PERSISTENCE_ID),
        ViewColumn("path", names.FILE_PATH),
        *_both("runs", names.OTEL_FIM_PERSISTENCE_COMMAND),
        *_both("runs_as", names.OTEL_FIM_PERSISTENCE_USER),
        *_both("trigger", names.OTEL_FIM_PERSISTENCE_TRIGGER),
        ViewColumn("enabled", names.OTEL_FIM_PERSISTENCE_ENABLED, "(* != 'false')"),
        *_both("hash", names.OTEL_FIM_PERSISTENCE_HASH),
        ViewColumn("owner", names.FILE_OWNER_NAME),
        ViewColumn("changed", names.OTEL_FIM_PERSISTENCE_CHANGED_ATTRIBUTES, _LIST),
        *_WHO,
        *_LOGIN,
        *_THREAT,
        ViewColumn("backend", names.OTEL_FIM_PERSISTENCE_BACKEND),
        ViewColumn("while_down", names.OTEL_FIM_PERSISTENCE_WHILE_DOWN, _TRUE),
    ),
)

FINDINGS: Final = View(
    "otel_fim_findings",
    events.FINDING,
    (
        ViewColumn("rule", names.SECURITY_RULE_NAME),
        ViewColumn("rule_id", names.SECURITY_RULE_UUID),
        ViewColumn("level", names.OTEL_FIM_RULE_LEVEL),
        ViewColumn("score", names.EVENT_RISK_SCORE, _DECIMAL),
        ViewColumn("explanation", names.OTEL_FIM_RISK_EXPLANATION),
        ViewColumn("drivers", names.OTEL_FIM_RISK_DRIVERS, _LIST),
        *_WHO,
        ViewColumn("command_line", names.PROCESS_COMMAND_LINE),
        ViewColumn("path", names.FILE_PATH),
        ViewColumn("source", names.SOURCE_ADDRESS),
        ViewColumn("effective_user", names.USER_EFFECTIVE_NAME),
        ViewColumn("target_user", names.USER_TARGET_NAME),
        ViewColumn("persistence_item", names.OTEL_FIM_PERSISTENCE_ID),
        ViewColumn("port", names.NETWORK_LOCAL_PORT, _NUMBER),
        *_LOGIN,
        *_THREAT,
        ViewColumn("threat_evidence", names.OTEL_FIM_THREAT_EVIDENCE),
        ViewColumn("first_seen", names.OTEL_FIM_FINDING_FIRST_SEEN, _TIME),
        ViewColumn("last_seen", names.OTEL_FIM_FINDING_LAST_SEEN, _TIME),
        ViewColumn("count", names.OTEL_FIM_FINDING_COUNT, "greatest(1, toInt64OrZero(*))"),
        ViewColumn("evidence", names.OTEL_FIM_FINDING_EVIDENCE, _LIST),
        ViewColumn("evidence_count", names.OTEL_FIM_FINDING_EVIDENCE_COUNT, _NUMBER),
        ViewColumn("evidence_events", names.OTEL_FIM_FINDING_EVENT_NAMES, _LIST),
        ViewColumn("value", names.OTEL_FIM_FINDING_VALUE, _DECIMAL),
        ViewColumn("group_by", names.OTEL_FIM_FINDING_GROUP_BY, _LIST),
        ViewColumn("finding_id", names.LOG_RECORD_UID),
        ViewColumn("duplicate_of", names.OTEL_FIM_FINDING_DUPLICATE_OF),
        ViewColumn("key", names.OTEL_FIM_FINDING_KEY),
        ViewColumn("suppression", names.OTEL_FIM_SUPPRESSION_NAME),
        ViewColumn("suppression_owner", names.OTEL_FIM_SUPPRESSION_OWNER),
        ViewColumn("suppression_reason", names.OTEL_FIM_SUPPRESSION_REASON),
        ViewColumn("suppression_expires", names.OTEL_FIM_SUPPRESSION_EXPIRES, _TIME),
        ViewColumn("user_score", names.USER_RISK_SCORE, _DECIMAL),
        ViewColumn("host_score", names.HOST_RISK_SCORE, _DECIMAL),
        ViewColumn("executable_score", names.OTEL_FIM_EXECUTABLE_RISK_SCORE, _DECIMAL),
        ViewColumn("novel", names.OTEL_FIM_NOVELTY_FIRST_SEEN, _LIST),
        ViewColumn("rare", names.OTEL_FIM_NOVELTY_RARE, _LIST),
        ViewColumn("compliance", names.OTEL_FIM_RULE_COMPLIANCE, _LIST),
        ViewColumn("false_positives", names.OTEL_FIM_RULE_FALSE_POSITIVES, _LIST),
        ViewColumn("rule_kind", names.OTEL_FIM_RULE_KIND),
        ViewColumn("rule_category", names.SECURITY_RULE_CATEGORY),
        ViewColumn("rule_author", names.RULE_AUTHOR, _LIST),
        ViewColumn("rule_license", names.SECURITY_RULE_LICENSE),
        ViewColumn("rule_reference", names.SECURITY_RULE_REFERENCE),
        ViewColumn("ruleset", names.SECURITY_RULE_RULESET_NAME),
    ),
)
"""What is open: `WHERE duplicate_of = '' AND suppression = '' ORDER BY score DESC`."""

SESSIONS: Final = View(
    "otel_fim_sessions",
    "otel_fim.",
    (
        *_LOGIN,
        ViewColumn("login_time", names.OTEL_FIM_LOGIN_TIME, _TIME),
        ViewColumn("login_terminal", names.OTEL_FIM_LOGIN_TERMINAL),
        ViewColumn("outcome", names.EVENT_OUTCOME),
        *_WHO,
        ViewColumn("command_line", names.PROCESS_COMMAND_LINE),
        ViewColumn("path", names.FILE_PATH),
        ViewColumn("port", names.NETWORK_LOCAL_PORT, _NUMBER),
    ),
    present=names.OTEL_FIM_LOGIN_SESSION_ID,
)
"""Whatever came out of a login, in one place: `WHERE session_id = 3 ORDER BY time`."""

VIEWS: Final = (FILES, PROCESSES, AUTH, LISTENERS, PERSISTENCE, FINDINGS, SESSIONS, COVERAGE)
