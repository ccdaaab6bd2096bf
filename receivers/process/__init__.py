"""Watches processes: which programs were started, by whom, and how they ended."""

from otel_fim.receivers.process.receiver import ProcessReceiver

__all__ = ["ProcessReceiver"]
