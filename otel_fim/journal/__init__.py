"""The journal: append-only OTLP/JSON segments that are audit log, persistent queue and evidence in one."""
