"""The chain processor: seals every record into the pipeline's stream."""

from otel_fim.processors.chain.config import ChainConfig
from otel_fim.processors.chain.processor import ChainProcessor

__all__ = ["ChainConfig", "ChainProcessor"]
