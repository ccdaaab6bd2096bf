"""Attribute names of findings: the rule, what it rests on, how much it matters, and what is new on a host."""

from __future__ import annotations

from typing import Final

from otel_fim.names.registry import attribute

# --- The rule (OpenTelemetry's security_rule registry; the author from the Elastic Common Schema) --------
SECURITY_RULE_NAME: Final = attribute(
    "security_rule.name", "string", "The rule's title.", "Cron Entry Added By A Shell", source="otel"
)
SECURITY_RULE_UUID: Final = attribute(
    "security_rule.uuid", "string", "The rule's id.", "5d2b5f5a-31a1-4a3f-9a33-0e5a6bb2b7aa", source="otel"
)
SECURITY_RULE_CATEGORY: Final = attribute(
    "security_rule.category",
    "string",
    "What the rule is about: Sigma's log source as category, or product/service, or correlation.",
    "file_event",
    source="otel",
)
SECURITY_RULE_DESCRIPTION: Final = attribute(
    "security_rule.description", "string", "What the rule looks for.", "A new cron entry", source="otel"
)
SECURITY_RULE_LICENSE: Final = attribute(
    "security_rule.license", "string", "The licence that the rule is under.", "DRL-1.1", source="otel"
)
SECURITY_RULE_REFERENCE: Final = attribute(
    "security_rule.reference",
    "string",
    "The rule's first reference.",
    "https://attack.mitre.org/techniques/T1053/003/",
    source="otel",
)
SECURITY_RULE_RULESET_NAME: Final = attribute(
    "security_rule.ruleset.name", "string", "Where the rule came from.", "otel-fim", source="otel"
)
SECURITY_RULE_VERSION: Final = attribute(
    "security_rule.version",
    "string",
    "The rule's date of change, or its version.",
    "2026-11-21",
    source="otel",
)
RULE_AUTHOR: Final = attribute(
    "rule.author", "string[]", "Who wrote the rule.", "The otel-fim authors", source="ecs"
)
OTEL_FIM_RULE_LEVEL: Final = attribute(
    "otel_fim.rule.level", "string", "informational, low, medium, high or critical.", "high"
)
OTEL_FIM_RULE_KIND: Final = attribute(
    "otel_fim.rule.kind",
    "string",
    "event for a rule about one record, or the correlation's type.",
    "event_count",
)
OTEL_FIM_RULE_TAGS: Final = attribute(
    "otel_fim.rule.tags", "string[]", "The rule's tags, as written.", "attack.t1053.003, pci_dss.11.5.2"
)
OTEL_FIM_RULE_COMPLIANCE: Final = attribute(
    "otel_fim.rule.compliance",
    "string[]",
    "Controls that the rule serves: pci_dss, nist_800_53, hipaa, soc2 and cis tags.",
    "nist_800_53.si-7, pci_dss.11.5.2",
)
OTEL_FIM_RULE_FALSE_POSITIVES: Final = attribute(
    "otel_fim.rule.false_positives", "string[]", "What else looks like this.", "Configuration management"
)

# --- What the finding rests on ---------------------------------------------------------------------------
LOG_RECORD_UID: Final = attribute(
    "log.record.uid",
    "string",
    "The record's own id (a ULID): given to findings, and to records that a rule matched.",
    "01JD6W1M4E3YQ5T7R9VX2B4C6D",
    source="otel",
)
OTEL_FIM_FINDING_EVIDENCE: Final = attribute(
    "otel_fim.finding.evidence",
    "string[]",
    "`log.record.uid` of the records that the finding rests on, oldest first; at most 100.",
    "01JD6W1M4E3YQ5T7R9VX2B4C6D",
)
OTEL_FIM_FINDING_EVIDENCE_COUNT: Final = attribute(
    "otel_fim.finding.evidence_count", "int", "How many records the finding rests on.", "12"
)
OTEL_FIM_FINDING_EVENT_NAMES: Final = attribute(
    "otel_fim.finding.event_names", "string[]", "Event names of these records.", "otel_fim.auth.login"
)
OTEL_FIM_FINDING_FIRST_SEEN: Final = attribute(
    "otel_fim.finding.first_seen",
    "string",
    "Time of the first record, ISO 8601.",
    "2026-01-13T14:32:15.000000000Z",
)
OTEL_FIM_FINDING_LAST_SEEN: Final = attribute(
    "otel_fim.finding.last_seen",
    "string",
    "Time of the last record, ISO 8601.",
    "2026-01-13T14:32:47.000000000Z",
)
OTEL_FIM_FINDING_GROUP_BY: Final = attribute(
    "otel_fim.finding.group_by",
    "string[]",
    "Names of the attributes that the correlation groups by; their values stand beside them.",
    "source.address",
)
OTEL_FIM_FINDING_VALUE: Final = attribute(
    "otel_fim.finding.value", "double", "The count, sum, average or percentile that met the condition.", "12"
)
OTEL_FIM_FINDING_KEY: Final = attribute(
    "otel_fim.finding.key",
    "string",
    "The same for findings of one rule about one entity and one path: what duplicates are folded by.",
    "9f86d081884c7d65",
)
OTEL_FIM_FINDING_COUNT: Final = attribute(
    "otel_fim.finding.count", "int", "How often this finding was made since the first, with this one.", "100"
)
OTEL_FIM_FINDING_DUPLICATE_OF: Final = attribute(
    "otel_fim.finding.duplicate_of",
    "string",
    "`log.record.uid` of the first finding of a series, in the records that tell how the series goes on.",
    "01JD6W1M4E3YQ5T7R9VX2B4C6D",
)

# --- Suppressions ----------------------------------------------------------------------------------------
OTEL_FIM_SUPPRESSION_NAME: Final = attribute(
    "otel_fim.suppression.name", "string", "The suppression that this finding met.", "backup-writes-cron"
)
OTEL_FIM_SUPPRESSION_OWNER: Final = attribute(
    "otel_fim.suppression.owner", "string", "Who answers for the suppression.", "ops@example.com"
)
OTEL_FIM_SUPPRESSION_REASON: Final = attribute(
    "otel_fim.suppression.reason", "string", "Why it was made.", "the backup writes its own cron file"
)
OTEL_FIM_SUPPRESSION_EXPIRES: Final = attribute(
    "otel_fim.suppression.expires", "string", "When it ends, ISO 8601.", "2026-12-31T00:00:00Z"
)

# --- Risk ------------------------------------------------------------------------------------------------
EVENT_RISK_SCORE: Final = attribute(
    "event.risk_score", "double", "The finding's score, 0 to 100.", "73", source="ecs"
)
OTEL_FIM_RISK_DRIVERS: Final = attribute(
    "otel_fim.risk.drivers",
    "string[]",
    "What the score is made of, as `+10 first_seen`; the numbers add up to the score.",
    "+56 level, +10 first_seen, +7 privileged",
)
OTEL_FIM_RISK_EXPLANATION: Final = attribute(
    "otel_fim.risk.explanation",
    "string",
    "The drivers in words.",
    "A rule of level high matched, with medium confidence (+56). New on this host: the program (+10).",
)
USER_RISK_SCORE: Final = attribute(
    "user.risk.calculated_score_norm",
    "double",
    "The score of who logged in, when that is known, and otherwise of the user; 0 to 100.",
    "42.5",
    source="ecs",
)
HOST_RISK_SCORE: Final = attribute(
    "host.risk.calculated_score_norm", "double", "The host's score, 0 to 100.", "61.2", source="ecs"
)
OTEL_FIM_EXECUTABLE_RISK_SCORE: Final = attribute(
    "otel_fim.executable.risk.calculated_score_norm", "double", "The executable's score, 0 to 100.", "38.0"
)

# --- Novelty ---------------------------------------------------------------------------------------------
NOVELTY_KINDS: Final = (
    "user",
    "source",
    "user_source",
    "privilege",
    "executable",
    "executable_hash",
    "parent_child",
    "user_executable",
    "listener",
    "persistence",
    "persistence_kind",
)
"""The words of the attributes below. Lists of them keep this order."""
OTEL_FIM_NOVELTY_FIRST_SEEN: Final = attribute(
    "otel_fim.novelty.first_seen",
    "string[]",
    f"What this host never saw before, after its learning period: {', '.join(NOVELTY_KINDS)}.",
    "executable, user_executable",
)
OTEL_FIM_NOVELTY_UNCERTAIN: Final = attribute(
    "otel_fim.novelty.uncertain",
    "string[]",
    "Those of `otel_fim.novelty.first_seen` of which something had to be forgotten that was seen in the last 30 days: "
    "this may be it.",
    "executable",
)
OTEL_FIM_NOVELTY_RARE: Final = attribute(
    "otel_fim.novelty.rare",
    "string[]",
    "What this host saw on few days only; the same words.",
    "executable",
)
OTEL_FIM_NOVELTY_LEARNING: Final = attribute(
    "otel_fim.novelty.learning",
    "boolean",
    "True for what is seen for the first time while the host is still being learnt.",
    "true",
)
