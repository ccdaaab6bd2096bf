"""The risk processor: how much a finding matters, folding of duplicates, suppressions."""

from otel_fim.processors.risk.config import RiskConfig
from otel_fim.processors.risk.processor import RiskProcessor

__all__ = ["RiskConfig", "RiskProcessor"]
