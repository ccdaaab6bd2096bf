"""The novelty processor: what a host never saw before, and what it saw on few days only."""

from otel_fim.processors.novelty.config import NoveltyConfig
from otel_fim.processors.novelty.processor import NoveltyProcessor

__all__ = ["NoveltyConfig", "NoveltyProcessor"]
