"""The agent's own metrics, under the collector's names where it has them."""

from __future__ import annotations

from typing import Final

from otel_fim.names.registry import metric

RECEIVER_ACCEPTED: Final = metric(
    "otelcol_receiver_accepted_log_records",
    "counter",
    "{records}",
    "Records that a receiver handed to its pipelines.",
)
RECEIVER_REFUSED: Final = metric(
    "otelcol_receiver_refused_log_records", "counter", "{records}", "Records that the pipelines did not take."
)
RECEIVER_FAILED: Final = metric(
    "otelcol_receiver_failed_log_records", "counter", "{records}", "Records that failed inside the receiver."
)
RECEIVER_REJECTED_INPUTS: Final = metric(
    "otel_fim_receiver_rejected_inputs",
    "counter",
    "{inputs}",
    "Inputs that a receiver could not read: malformed log lines, kernel messages, file entries.",
)
PROCESSOR_INCOMING: Final = metric(
    "otelcol_processor_incoming_items", "counter", "{items}", "Records given to a processor."
)
PROCESSOR_OUTGOING: Final = metric(
    "otelcol_processor_outgoing_items", "counter", "{items}", "Records that came out of a processor."
)
PROCESSOR_FAILED: Final = metric(
    "otel_fim_processor_failed_batches",
    "counter",
    "{batches}",
    "Batches that a processor raised an error on.",
)
EXPORTER_SENT: Final = metric(
    "otelcol_exporter_sent_log_records", "counter", "{records}", "Records that the destination acknowledged."
)
EXPORTER_SEND_FAILED: Final = metric(
    "otelcol_exporter_send_failed_log_records",
    "counter",
    "{records}",
    "Records that the destination refused for good; they are in the dead-letter file.",
)
EXPORTER_RETRIES: Final = metric(
    "otel_fim_exporter_retries", "counter", "{attempts}", "Deliveries that failed and were tried again."
)
EXPORTER_QUEUE_SIZE: Final = metric(
    "otelcol_exporter_queue_size",
    "gauge",
    "{records}",
    "Records in the journal that this exporter has yet to deliver.",
)
EXPORTER_QUEUE_CAPACITY: Final = metric(
    "otelcol_exporter_queue_capacity",
    "gauge",
    "By",
    "Bytes that the journal may hold before retention is forced.",
)
PIPELINE_QUEUE_SIZE: Final = metric(
    "otel_fim_pipeline_queue_size", "gauge", "{records}", "Records waiting for the processors."
)
JOURNAL_APPENDED: Final = metric(
    "otel_fim_journal_appended_records", "counter", "{records}", "Records on disk in the journal."
)
JOURNAL_BYTES: Final = metric("otel_fim_journal_size", "gauge", "By", "Bytes that the journal takes on disk.")
COVERAGE_GAPS: Final = metric("otel_fim_coverage_gaps", "counter", "{gaps}", "Coverage gaps recorded.")
COMPONENT_LOG_SUPPRESSED: Final = metric(
    "otel_fim_log_messages_suppressed", "counter", "{messages}", "Log messages that the rate limit held back."
)
PROCESS_TABLE_EVICTED: Final = metric(
    "otel_fim_process_table_evicted",
    "counter",
    "{processes}",
    "Processes that had to make room in the process table.",
)

RULES_FINDINGS: Final = metric(
    "otel_fim_rules_findings", "counter", "{findings}", "Findings that rules made, by level."
)
RULES_REJECTED: Final = metric(
    "otel_fim_rules_rejected", "counter", "{rules}", "Rules that could not be loaded; the log names each."
)
RULES_LATE_EVENTS: Final = metric(
    "otel_fim_rules_late_events",
    "counter",
    "{events}",
    "Events that came too late for a correlation's window (`lateness`).",
)
RULES_EVICTED_GROUPS: Final = metric(
    "otel_fim_rules_evicted_groups",
    "counter",
    "{groups}",
    "Groups that correlations forgot because their state was at its bound.",
)
FINDINGS_FOLDED: Final = metric(
    "otel_fim_findings_folded",
    "counter",
    "{findings}",
    "Findings that were counted as duplicates of an earlier one.",
)
FINDINGS_SUPPRESSED: Final = metric(
    "otel_fim_findings_suppressed", "counter", "{findings}", "Findings that met a suppression."
)
RISK_EVICTED: Final = metric(
    "otel_fim_risk_evicted",
    "counter",
    "{entries}",
    "Users, hosts and programs whose score was forgotten, and series of duplicates that ended early, at the bound.",
)
NOVELTY_EVICTED: Final = metric(
    "otel_fim_novelty_evicted",
    "counter",
    "{entries}",
    "What was learnt of a host and forgotten at the bound.",
)
