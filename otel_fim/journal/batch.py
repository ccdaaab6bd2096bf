"""What a reader hands out: lines, and their records once somebody asks for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from otel_fim.journal.cursor import Position
from otel_fim.otlp import OtlpDecodeError, decode_logs_data_json
from otel_fim.record import Record


class JournalBatch:
    """Lines of one segment, in order; implements `otel_fim.component.Batch`.

    It lies between the places `start` and `end`. `byte_count` is the size of the lines.
    """

    def __init__(
        self,
        lines: tuple[bytes, ...],
        record_count: int,
        start: Position,
        end: Position,
        undecodable: Callable[[bytes, OtlpDecodeError], None],
    ) -> None:
        self.start = start
        self.end = end
        self._lines = lines
        self._record_count = record_count
        self._undecodable = undecodable
        self._records: list[Record] | None = None

    @property
    def lines(self) -> Sequence[bytes]:
        """The journal's lines, without newlines."""
        return self._lines

    @property
    def record_count(self) -> int:
        """Number of records in the lines."""
        return self._record_count

    @property
    def byte_count(self) -> int:
        """Size of the lines."""
        return sum(map(len, self._lines))

    @property
    def records(self) -> Sequence[Record]:
        """The records, decoded on first use. A line that is JSON but not OTLP is reported and left out."""
        if self._records is None:
            records: list[Record] = []
            for line in self._lines:
                try:
                    records += decode_logs_data_json(line)
                except OtlpDecodeError as error:
                    self._undecodable(line, error)
            self._records = records
        return self._records
