"""The rules processor: Sigma rules and correlations, run on the stream."""

from otel_fim.processors.rules.config import RulesConfig
from otel_fim.processors.rules.processor import RulesProcessor

__all__ = ["RulesConfig", "RulesProcessor"]
