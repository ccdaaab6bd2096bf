"""From what the engine found to `otel_fim.finding` records."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from otel_fim import names
from otel_fim.attack import annotate
from otel_fim.config.model import format_duration
from otel_fim.names import events
from otel_fim.pipeline.coverage import timestamp
from otel_fim.processors.rules.hits import Correlated, Hit
from otel_fim.processors.rules.match.view import text_form, time_of
from otel_fim.processors.rules.sentence import plain, sentence
from otel_fim.record import Attributes, Record, Resource, Scope, Severity
from otel_fim.sigma.ir import Correlation, CorrelationType, Level, Rule
from otel_fim.ulid import Uids

MAX_EVIDENCE: Final = 100
EVENT: Final = "event"
"""`otel_fim.rule.kind` of a rule about one record."""
_CORRELATION: Final = "correlation"
_SECOND: Final = 1_000_000_000

SEVERITIES: Final = {
    Level.INFORMATIONAL: Severity.INFO,
    Level.LOW: Severity.INFO,
    Level.MEDIUM: Severity.WARN,
    Level.HIGH: Severity.ERROR,
    Level.CRITICAL: Severity.FATAL,
}

_THREAT: Final = (
    names.THREAT_FRAMEWORK,
    names.THREAT_TACTIC_ID,
    names.THREAT_TACTIC_NAME,
    names.THREAT_TECHNIQUE_ID,
    names.THREAT_TECHNIQUE_NAME,
    names.THREAT_TECHNIQUE_SUBTECHNIQUE_ID,
    names.THREAT_TECHNIQUE_SUBTECHNIQUE_NAME,
    names.OTEL_FIM_THREAT_CONFIDENCE,
    names.OTEL_FIM_THREAT_EVIDENCE,
)

COPIED: Final = (
    # What happened to what.
    names.EVENT_ACTION,
    names.EVENT_OUTCOME,
    names.FILE_PATH,
    names.before(names.FILE_PATH),
    names.FILE_TYPE,
    names.FILE_MODE,
    names.FILE_OWNER_NAME,
    names.FILE_HASH_SHA256,
    names.FILE_SYMBOLIC_LINK_TARGET_PATH,
    names.OTEL_FIM_PERSISTENCE_KIND,
    names.OTEL_FIM_PERSISTENCE_ID,
    names.OTEL_FIM_PERSISTENCE_COMMAND,
    names.OTEL_FIM_PERSISTENCE_USER,
    names.OTEL_FIM_PERSISTENCE_TRIGGER,
    names.NETWORK_TRANSPORT,
    names.NETWORK_LOCAL_ADDRESS,
    names.NETWORK_LOCAL_PORT,
    names.OTEL_FIM_LISTENER_EXPOSURE,
    names.USER_EFFECTIVE_ID,
    names.USER_EFFECTIVE_NAME,
    names.USER_TARGET_ID,
    names.USER_TARGET_NAME,
    names.GROUP_ID,
    names.GROUP_NAME,
    # Who, and by which program.
    names.USER_ID,
    names.USER_NAME,
    names.PROCESS_REAL_USER_ID,
    names.PROCESS_REAL_USER_NAME,
    names.PROCESS_PID,
    names.PROCESS_CREATION_TIME,
    names.PROCESS_ENTITY_ID,
    names.PROCESS_EXECUTABLE_PATH,
    names.PROCESS_EXECUTABLE_NAME,
    names.PROCESS_HASH_SHA256,
    names.PROCESS_COMMAND,
    names.PROCESS_COMMAND_LINE,
    names.PROCESS_WORKING_DIRECTORY,
    names.PROCESS_INTERACTIVE,
    names.OTEL_FIM_PROCESS_TERMINAL,
    names.PROCESS_PARENT_PID,
    names.PROCESS_PARENT_ENTITY_ID,
    names.PROCESS_PARENT_EXECUTABLE_PATH,
    names.PROCESS_PARENT_COMMAND,
    names.PROCESS_PARENT_COMMAND_LINE,
    names.OTEL_FIM_PROCESS_ANCESTORS,
    names.CONTAINER_ID,
    names.OTEL_FIM_SYSTEMD_UNIT,
    names.OTEL_FIM_ACTOR_STATE,
    # From where, and how they came in.
    names.SOURCE_ADDRESS,
    names.SOURCE_PORT,
    names.OTEL_FIM_AUTH_SERVICE,
    names.OTEL_FIM_AUTH_METHOD,
    names.OTEL_FIM_AUTH_TERMINAL,
    names.OTEL_FIM_AUTH_REASON,
    names.OTEL_FIM_AUTH_USER_KNOWN,
    names.OTEL_FIM_AUTH_KEY_FINGERPRINT,
    names.OTEL_FIM_LOGIN_USER_ID,
    names.OTEL_FIM_LOGIN_USER_NAME,
    names.OTEL_FIM_LOGIN_SESSION_ID,
    names.OTEL_FIM_LOGIN_SOURCE_ADDRESS,
    names.OTEL_FIM_LOGIN_SOURCE_PORT,
    names.OTEL_FIM_LOGIN_METHOD,
    names.OTEL_FIM_LOGIN_SERVICE,
    names.OTEL_FIM_LOGIN_TERMINAL,
    names.OTEL_FIM_LOGIN_TIME,
    names.OTEL_FIM_LOGIN_BASIS,
    # How unusual it is.
    names.OTEL_FIM_NOVELTY_FIRST_SEEN,
    names.OTEL_FIM_NOVELTY_UNCERTAIN,
    names.OTEL_FIM_NOVELTY_RARE,
)
"""What a finding takes from the record that it rests on, under the same names."""


class Findings:
    """Makes records; `resource` is the agent's own, for correlations whose last record is not at hand."""

    def __init__(
        self, uids: Uids, scope: Scope, resource: Resource, clock: Callable[[], int] = time.time_ns
    ) -> None:
        self._uids = uids
        self._scope = scope
        self._resource = resource
        self._clock = clock
        self._of_rule: dict[str, Attributes] = {}

    def of(self, found: Hit | Correlated) -> Record:
        return self._of_hit(found) if isinstance(found, Hit) else self._of_correlated(found)

    def _of_hit(self, hit: Hit) -> Record:
        rule, record = hit.rule, hit.record
        moment = time_of(record)
        attributes = self._begin(rule)
        uid = text_form(record.attributes.get(names.LOG_RECORD_UID))
        attributes[names.OTEL_FIM_FINDING_EVIDENCE] = [uid] if uid else []
        attributes[names.OTEL_FIM_FINDING_EVIDENCE_COUNT] = 1
        attributes[names.OTEL_FIM_FINDING_EVENT_NAMES] = [record.event_name] if record.event_name else []
        attributes[names.OTEL_FIM_FINDING_FIRST_SEEN] = timestamp(moment)
        attributes[names.OTEL_FIM_FINDING_LAST_SEEN] = timestamp(moment)
        told = sentence(record)
        _copy(record, attributes, frozenset())
        _put_techniques(rule, attributes, record, told)
        return self._record(rule, attributes, moment, f"{plain(rule.meta.title)}: {told}", record.resource)

    def _of_correlated(self, found: Correlated) -> Record:
        correlation, last = found.correlation, found.last
        attributes = self._begin(correlation)
        evidence = found.evidence[-MAX_EVIDENCE:]
        times = [seen.time_unix_nano for seen in evidence] or [found.time_unix_nano]
        attributes[names.OTEL_FIM_FINDING_EVIDENCE] = [seen.uid for seen in evidence if seen.uid]
        attributes[names.OTEL_FIM_FINDING_EVIDENCE_COUNT] = found.count
        attributes[names.OTEL_FIM_FINDING_EVENT_NAMES] = sorted(
            {seen.event_name for seen in evidence if seen.event_name}
        )
        attributes[names.OTEL_FIM_FINDING_FIRST_SEEN] = timestamp(min(times))
        attributes[names.OTEL_FIM_FINDING_LAST_SEEN] = timestamp(max(times))
        attributes[names.OTEL_FIM_FINDING_GROUP_BY] = [key.name for key in correlation.group_by]
        attributes[names.OTEL_FIM_FINDING_VALUE] = float(found.value)
        own = frozenset(attributes)
        if last is not None:
            _copy(last, attributes, _counted(correlation))
        for key, value in zip(correlation.group_by, found.group, strict=False):
            # A number in the record stays a number.
            if key.name not in own and (
                key.name not in attributes or text_form(attributes[key.name]) != value
            ):
                attributes[key.name] = value
        told = _summary(found)
        _put_techniques(correlation, attributes, last, told)
        body = f"{plain(correlation.meta.title)}: {told}"
        if last is not None:
            body += f"; last: {sentence(last)}"
        resource = self._resource if last is None else last.resource
        return self._record(correlation, attributes, found.time_unix_nano, body, resource)

    def _begin(self, rule: Rule | Correlation) -> Attributes:
        known = self._of_rule.get(rule.meta.id)
        if known is None:
            known = self._of_rule[rule.meta.id] = _rule_attributes(rule)
        return {names.LOG_RECORD_UID: self._uids.next(), **known}

    def _record(
        self, rule: Rule | Correlation, attributes: Attributes, moment: int, body: str, resource: Resource
    ) -> Record:
        severity = SEVERITIES[rule.meta.level]
        return Record(
            time_unix_nano=moment,
            observed_time_unix_nano=self._clock(),
            event_name=events.FINDING,
            severity_number=int(severity),
            severity_text=severity.name,
            body=body,
            attributes=attributes,
            resource=resource,
            scope=self._scope,
        )


def group_of(finding: Record) -> tuple[str, int, tuple[str, ...]] | None:
    """The correlation's id, the time and the group that a finding tells of; None when no correlation made it."""
    attributes = finding.attributes
    rule_id, keys = (
        attributes.get(names.SECURITY_RULE_UUID),
        attributes.get(names.OTEL_FIM_FINDING_GROUP_BY, []),
    )
    kind = attributes.get(names.OTEL_FIM_RULE_KIND)
    if not isinstance(rule_id, str) or not isinstance(keys, list | tuple) or kind == EVENT:
        return None
    group = tuple(text_form(attributes.get(key)) for key in keys if isinstance(key, str))
    return rule_id, finding.time_unix_nano, group


def _rule_attributes(rule: Rule | Correlation) -> Attributes:
    meta = rule.meta
    category, kind = (_category(rule), EVENT) if isinstance(rule, Rule) else (_CORRELATION, str(rule.type))
    told: Attributes = {
        names.SECURITY_RULE_NAME: meta.title,
        names.SECURITY_RULE_UUID: meta.id,
        names.SECURITY_RULE_CATEGORY: category,
        names.SECURITY_RULE_DESCRIPTION: meta.description,
        names.SECURITY_RULE_LICENSE: meta.license,
        names.SECURITY_RULE_REFERENCE: meta.references[0] if meta.references else "",
        names.SECURITY_RULE_RULESET_NAME: meta.ruleset,
        names.SECURITY_RULE_VERSION: meta.modified or meta.date,
        names.RULE_AUTHOR: [author.strip() for author in meta.author.split(",") if author.strip()],
        names.OTEL_FIM_RULE_LEVEL: str(meta.level),
        names.OTEL_FIM_RULE_KIND: kind,
        names.OTEL_FIM_RULE_TAGS: list(meta.tags),
        names.OTEL_FIM_RULE_COMPLIANCE: list(meta.compliance),
        names.OTEL_FIM_RULE_FALSE_POSITIVES: list(meta.false_positives),
    }
    return {name: value for name, value in told.items() if value not in ("", [])}


def _category(rule: Rule) -> str:
    source = rule.logsource
    return source.category or "/".join(part for part in (source.product, source.service) if part)


def _copy(record: Record, attributes: Attributes, without: frozenset[str]) -> None:
    given = record.attributes
    for name in COPIED:
        if name in given and name not in without:
            value = given[name]
            attributes[name] = list(value) if isinstance(value, list) else value


def _counted(correlation: Correlation) -> frozenset[str]:
    """What a correlation counts the different values of: that of the last record says nothing about the others."""
    if correlation.type is not CorrelationType.VALUE_COUNT:
        return frozenset()
    counted = {field.name for _, field in correlation.value}
    return frozenset(
        counted | {f"{name.removesuffix('.name')}.id" for name in counted if name.endswith(".name")}
    )


def _put_techniques(
    rule: Rule | Correlation, attributes: Attributes, record: Record | None, told: str
) -> None:
    """The rule's techniques; a rule that names none leaves the record's own."""
    meta = rule.meta
    if meta.techniques or meta.tactics:
        annotate(attributes, meta.techniques, meta.tactics, meta.confidence, told)
    elif record is not None:
        for name in _THREAT:
            if name in record.attributes:
                attributes[name] = record.attributes[name]


def _summary(found: Correlated) -> str:
    correlation = found.correlation
    what = _VALUES[correlation.type].format(
        value=f"{found.value:g}", field=correlation.value_name or "the value", count=found.count
    )
    within = format_duration(correlation.timespan_nano / _SECOND)
    # The host is named by the sentence about the last record.
    group = ", ".join(
        f"{key.name} {plain(value)}"
        for key, value in zip(correlation.group_by, found.group, strict=False)
        if key.name != names.HOST_NAME or found.last is None
    )
    return f"{what} within {within}" + (f" for {group}" if group else "")


_VALUES: Final = {
    CorrelationType.EVENT_COUNT: "{value} events",
    CorrelationType.VALUE_COUNT: "{value} different values of {field}",
    CorrelationType.VALUE_SUM: "{field} adds up to {value}",
    CorrelationType.VALUE_AVG: "{field} is {value} on average",
    CorrelationType.VALUE_PERCENTILE: "the percentile of {field} is {value}",
    CorrelationType.VALUE_MEDIAN: "the median of {field} is {value}",
    CorrelationType.TEMPORAL: "{count} events that belong together",
    CorrelationType.TEMPORAL_ORDERED: "{count} events, one after another,",
}
