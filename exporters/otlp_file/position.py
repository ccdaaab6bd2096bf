"""Where a file of lines ends, and which lines of a batch stand in it already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from otel_fim import names
from otel_fim.otlp import OtlpDecodeError, decode_logs_data_json


@dataclass(slots=True, frozen=True)
class Position:
    """The last line of a file: its bytes, and the chain's stream and number of its last record, if there."""

    line: bytes
    stream: str = ""
    number: int = 0


def position_of(line: bytes) -> Position:
    """Raises `OtlpDecodeError` for what is not a line of OTLP/JSON."""
    records = decode_logs_data_json(line)
    if not records:
        return Position(line)
    attributes = records[-1].attributes
    stream = attributes.get(names.AUDIT_SEQUENCE_STREAM_ID)
    number = attributes.get(names.AUDIT_SEQUENCE_NUMBER)
    if isinstance(stream, str) and isinstance(number, int):
        return Position(line, stream, number)
    return Position(line)


def first_missing(lines: Sequence[bytes], last: Position) -> int:
    """The index of the first line that a file ending with `last` does not have.

    The file has its lines in the journal's order. So everything up to a line equal to its last one is there,
    and so is every line at the start whose records come no later in the stream of its last record: that holds
    also when the batch was cut differently the time before.
    """
    for index in range(len(lines) - 1, -1, -1):
        if lines[index] == last.line:
            return index + 1
    if not last.stream:
        return 0
    for index, line in enumerate(lines):
        try:
            position = position_of(line)
        except OtlpDecodeError:
            return index
        if position.stream != last.stream or position.number > last.number:
            return index
    return len(lines)
