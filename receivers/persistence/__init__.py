"""Reports what starts by itself on a host: added, changed, removed, and by whom."""

from otel_fim.receivers.persistence.receiver import PersistenceReceiver

__all__ = ["PersistenceReceiver"]
