"""Sigma: rules are read and lowered here to one form (`ir`), which both the stream (`otel_fim.processors.rules`) and
the table (`otel_fim.sigma.sql`) run. docs/detection.md states what each part of a rule means."""
