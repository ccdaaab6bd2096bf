"""The identity processor: the process behind a record, its parents, and the login it came out of."""

from otel_fim.processors.identity.config import IdentityConfig
from otel_fim.processors.identity.processor import IdentityProcessor

__all__ = ["IdentityConfig", "IdentityProcessor"]
