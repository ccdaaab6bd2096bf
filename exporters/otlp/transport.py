"""What the exporter needs of a protocol."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from otel_fim.exporters.otlp.reply import Reply
from otel_fim.record import Record


class Transport(ABC):
    """Encodes records and sends them, one request at a time, from one thread."""

    destination: str
    """The endpoint, for messages."""

    @abstractmethod
    def encode(self, records: Sequence[Record]) -> bytes:
        """An `ExportLogsServiceRequest`, not compressed. Raises `ValueError` for what OTLP cannot carry."""

    @abstractmethod
    def send(self, request: bytes) -> Reply:
        """Sends a request and waits for the answer. Raises `RetryableError`, `PermanentError`, `TooLargeError`."""

    @abstractmethod
    def close(self) -> None:
        """Ends the connection; a call under way fails."""
