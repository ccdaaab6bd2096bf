"""Watches files: what changed, who changed it, and what could not be seen."""

from otel_fim.receivers.file_integrity.receiver import FileIntegrityReceiver

__all__ = ["FileIntegrityReceiver"]
