"""`processors.chain`: there is nothing to set; a chain that could be told to cover less would prove less."""

from __future__ import annotations

from otel_fim.config.model import ComponentConfig


class ChainConfig(ComponentConfig):
    """The chain has no settings."""
