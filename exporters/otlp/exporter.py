"""Sends batches to an OTLP destination, split where they are too large, each part counted once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from otel_fim.component import (
    Batch,
    Exporter,
    ExporterContext,
    ExportResult,
    Health,
    PermanentError,
    StartError,
)
from otel_fim.exporters.otlp.config import OtlpConfig
from otel_fim.exporters.otlp.grpc_transport import GrpcTransport
from otel_fim.exporters.otlp.http_transport import HttpTransport
from otel_fim.exporters.otlp.reply import TooLargeError
from otel_fim.exporters.otlp.transport import Transport
from otel_fim.otlp import clean_record
from otel_fim.record import Record


@dataclass(slots=True)
class _Progress:
    """How far a batch has come, so that a part that was taken is not sent again when a later one fails."""

    batch: Batch
    sent: int = 0
    rejected: int = 0
    refused: int = 0
    messages: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


class OtlpExporter(Exporter[OtlpConfig]):
    """OTLP over gRPC or HTTP.

    A batch counts as delivered when the destination has taken it; of a partial success the rest is counted
    and never sent again. A part that is refused for good does not keep the others of its batch from being
    sent; the batch is then set aside as a whole.
    """

    Config = OtlpConfig

    def __init__(self, config: OtlpConfig, context: ExporterContext) -> None:
        super().__init__(config, context)
        self._transport: Transport | None = None
        self._progress: _Progress | None = None
        self._limit = config.max_request_size
        """Bytes in a request; becomes less when the destination takes less."""

    def start(self) -> None:
        self._transport = (
            GrpcTransport(self.config) if self.config.protocol == "grpc" else HttpTransport(self.config)
        )
        if self.config.tls.insecure_skip_verify:
            self.context.logger.warning(
                "tls.insecure_skip_verify: whoever is between here and %s can read and change the records",
                self._transport.destination,
            )
        self.context.report(Health.OK, f"sends to {self._transport.destination}")

    def stop(self, timeout: float) -> None:
        del timeout
        if self._transport is not None:
            self._transport.close()

    def export(self, batch: Batch) -> ExportResult:
        if self._transport is None:
            raise StartError("the OTLP exporter has not been started")
        progress = self._progress
        if progress is None or progress.batch is not batch:
            progress = self._progress = _Progress(batch)
        records = batch.records
        while progress.sent < len(records):
            end = min(len(records), progress.sent + self.config.max_batch_records)
            self._send(records[progress.sent : end], progress, self._transport)
        self._progress = None
        if progress.refused:
            raise PermanentError(
                f"{progress.refused} of {len(records)} records refused: {_joined(progress.errors)}"
            )
        return ExportResult(progress.rejected, _joined(progress.messages))

    def _send(self, records: Sequence[Record], progress: _Progress, transport: Transport) -> None:
        """Sends all of `records`, halved as often as is needed, and notes each part that has been settled."""
        request = _encode(records, transport)
        try:
            # One record is always tried: only the destination knows that it is too large.
            if len(request) > self._limit and len(records) > 1:
                raise TooLargeError("more than max_request_size")
            reply = transport.send(request)
        except TooLargeError as error:
            if len(request) <= self._limit and len(records) > 1:
                # Three quarters let a half through, which is a little more than half the bytes.
                self._limit = len(request) * 3 // 4
                self.context.logger.info("%s; requests are made smaller from here on", error)
            if len(records) == 1:
                progress.refused += 1
                progress.errors.append(f"a single record is too large: {error}")
                progress.sent += 1
                return
            middle = len(records) // 2
            self._send(records[:middle], progress, transport)
            self._send(records[middle:], progress, transport)
            return
        except PermanentError as error:
            progress.refused += len(records)
            progress.errors.append(str(error))
        else:
            progress.rejected += min(reply.rejected, len(records))
            if reply.message:
                progress.messages.append(reply.message)
        progress.sent += len(records)


def _encode(records: Sequence[Record], transport: Transport) -> bytes:
    try:
        return transport.encode(records)
    except ValueError:
        # What OTLP cannot carry is made to fit; the journal has it as it was.
        fitting = [record.copy() for record in records]
        for record in fitting:
            clean_record(record)
        return transport.encode(fitting)


def _joined(messages: list[str]) -> str:
    return "; ".join(dict.fromkeys(messages))
