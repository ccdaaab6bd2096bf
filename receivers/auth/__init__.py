"""Logins, logouts, privilege and account changes, each once, whatever number of logs tells of it."""

from otel_fim.receivers.auth.receiver import AuthReceiver

__all__ = ["AuthReceiver"]
