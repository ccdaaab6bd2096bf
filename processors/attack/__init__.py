"""The ATT&CK processor: the technique that an event shows, with confidence and evidence."""

from otel_fim.processors.attack.config import AttackConfig
from otel_fim.processors.attack.processor import AttackProcessor

__all__ = ["AttackConfig", "AttackProcessor"]
