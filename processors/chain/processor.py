"""Seals every record into the pipeline's stream; always the last processor."""

from __future__ import annotations

from otel_fim import names
from otel_fim.chain import carries_chain, resource_hash, seal, set_aside, unseal
from otel_fim.component import Health, Processor, ProcessorContext, StartError
from otel_fim.names import events
from otel_fim.otlp import clean_record
from otel_fim.otlp.errors import check_fields
from otel_fim.processors.chain.config import ChainConfig
from otel_fim.processors.chain.stream import (
    STATE_FILE,
    Position,
    find_position,
    remember_stream,
    remembered_stream,
)
from otel_fim.record import Record, Severity, make_event


class ChainProcessor(Processor[ChainConfig]):
    """One stream, one writer: numbers the records and chains their hashes, across restarts.

    The records are sealed in place. A batch that fails is given back as it was, and the stream does not move.
    """

    Config = ChainConfig

    def __init__(self, config: ChainConfig, context: ProcessorContext) -> None:
        super().__init__(config, context)
        self._last_record = context.last_record
        self._position: Position | None = None
        self._is_remembered = False
        self._remember_from = 0

    def start(self) -> None:
        """Finds the end of the stream. A stream that cannot go on is an error in the log, not on start: a new
        one begins and says so in its first record."""
        try:
            remembered = remembered_stream(self.context.state_directory)
        except OSError as error:
            raise StartError(
                f"{self.context.id}: {self.context.state_directory / STATE_FILE} cannot be read: "
                f"{error.strerror}; the agent must own its state directory"
            ) from error
        position = find_position(self._last_record(), remembered)
        self._position = position
        self._is_remembered = remembered == position.stream_id
        # A first stream is written down once its first batch lies in the journal: an agent that is killed before
        # that has lost nothing and must not say so at its next start.
        self._remember_from = 1 if remembered is None else 0
        if position.reason:
            self.context.logger.error(
                "%s; a new stream %s begins, and what was before it is unknown",
                position.reason,
                position.stream_id,
            )
        self.context.report(Health.OK, f"stream {position.stream_id} from number {position.number + 1}")

    def process(self, records: list[Record]) -> list[Record]:
        if self._position is None:
            raise RuntimeError("the chain has not been started")
        if not records:
            return records
        position = self._position
        if position.number == 0:
            records = [self._opening(position), *records]
        self._remember(position)
        number, last_hash, bound = position.number, position.hash, position.resource_hash
        try:
            for record in records:
                number += 1
                last_hash, bound = _seal(record, position.stream_id, number, last_hash, bound)
        except BaseException:
            # The pipeline tries the records again one by one, and none may look as if sealed elsewhere.
            for record in records[: number - position.number]:
                unseal(record)
            raise
        position.number, position.hash, position.resource_hash = number, last_hash, bound
        return records

    def _opening(self, position: Position) -> Record:
        body = "A new stream begins; there was none before."
        severity = Severity.INFO
        if position.previous != "none":
            body = f"A new stream begins; what was before it is unknown: {position.reason}."
            severity = Severity.WARN
        return make_event(
            events.STREAM_STARTED,
            {names.OTEL_FIM_STREAM_PREVIOUS: position.previous},
            resource=self.context.resource,
            scope=self.context.scope,
            severity=severity,
            body=body,
        )

    def stop(self, timeout: float) -> None:  # noqa: ARG002 - there is nothing to wait for
        # With nothing in the journal, a full disk kept even the first batch out: there is no stream to remember.
        if self._position is not None and self._last_record() is not None:
            self._remember(self._position)

    def _remember(self, position: Position) -> None:
        """A stream whose id cannot be written down goes on: what is lost is that a lost journal is noticed."""
        if self._is_remembered or position.number < self._remember_from:
            return
        try:
            remember_stream(self.context.state_directory, position.stream_id)
            self._is_remembered = True
        except OSError as error:
            self.context.logger.warning(
                "the stream's id could not be written to %s: %s; it is tried again with the next batch",
                self.context.state_directory / STATE_FILE,
                error,
            )


def _seal(record: Record, stream_id: str, number: int, last_hash: str, bound: str) -> tuple[str, str]:
    """The record's hash and the resource hash that holds from here on."""
    if carries_chain(record.attributes):
        record.attributes = set_aside(record.attributes)
    try:
        check_fields(record)
        current = resource_hash(record.resource)
        return seal(record, stream_id, number, last_hash, current if current != bound else ""), current
    except (ValueError, TypeError):
        # What OTLP cannot carry is made to fit before it is sealed, so that the journal keeps what was sealed.
        unseal(record)
        clean_record(record)
        current = resource_hash(record.resource)
        return seal(record, stream_id, number, last_hash, current if current != bound else ""), current
