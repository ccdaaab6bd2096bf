"""The agent: builds the configured components, starts them in order, stops them in order."""

from otel_fim.agent.agent import Agent

__all__ = ["Agent"]
