"""Rules about one record, compiled: `compile_rules(...).match(record)` gives those that it matches."""

from otel_fim.processors.rules.match.matcher import Failure, Matcher, compile_rules

__all__ = ["Failure", "Matcher", "compile_rules"]
