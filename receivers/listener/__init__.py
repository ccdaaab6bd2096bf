"""Tells which TCP and UDP sockets begin and end to listen, and who holds them."""

from otel_fim.receivers.listener.receiver import ListenerReceiver

__all__ = ["ListenerReceiver"]
