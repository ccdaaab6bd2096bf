"""Records as one block of rows of `otel_logs`."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence

from otel_fim import names
from otel_fim.exporters.clickhouse.attributes import Shape, Shapes
from otel_fim.exporters.clickhouse.native import Block, LowCardinalityIndex, strings
from otel_fim.exporters.clickhouse.rows import MAX_TIME, NUMBER_COLUMN, TYPES, event_time
from otel_fim.otlp import to_text
from otel_fim.record import AnyValue, Attributes, Record


class _Shared:
    """One resource or scope of a block: its map, worked out once however many records have it."""

    __slots__ = ("data", "shape", "text")

    def __init__(self, attributes: Mapping[str, AnyValue], shapes: Shapes, text: str) -> None:
        self.shape = shapes.of(attributes)
        self.data = bytes(strings(self.shape.texts(attributes)))
        self.text = text


class BlockBuilder:
    """Makes blocks. Not safe to share between threads."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns
        self._shapes = Shapes()

    def build(
        self, records: Sequence[Record], timestamps: Sequence[int], numbers: Sequence[int] | None
    ) -> bytes:
        """The block of `records`, with `NUMBER_COLUMN` as the last column where `numbers` is given.

        Raises `ValueError` (or, for a value of a type that OTLP has not, what it comes to) when a record has
        something that no column takes; `otel_fim.otlp.clean_record` mends such a record.
        """
        block = Block(len(self._columns) + (numbers is not None), len(records))
        resources = {
            id(r): _Shared(r.attributes, self._shapes, to_text(r.attributes.get(names.SERVICE_NAME)))
            for r in {id(record.resource): record.resource for record in records}.values()
        }
        scopes = {
            id(s): _Shared(s.attributes, self._shapes, s.name)
            for s in {id(record.scope): record.scope for record in records}.values()
        }
        for column in self._columns:
            self._add(block, column, records, timestamps, resources, scopes)
        if numbers is not None:
            block.add_integers(NUMBER_COLUMN, "UInt64", array("Q", numbers))
        return block.finish()

    def _add(
        self,
        block: Block,
        column: str,
        records: Sequence[Record],
        timestamps: Sequence[int],
        resources: Mapping[int, _Shared],
        scopes: Mapping[int, _Shared],
    ) -> None:
        values: Sequence[str]
        match column:
            case "Timestamp":
                return block.add_integers(column, TYPES[column], array("q", timestamps))
            case "TraceFlags":
                flags = array("B", [r.flags & 0xFF for r in records])
                return block.add_integers(column, TYPES[column], flags)
            case "SeverityNumber":
                severities = array("B", [r.severity_number & 0xFF for r in records])
                return block.add_integers(column, TYPES[column], severities)
            case "ResourceAttributes":
                return _add_shared(block, column, [resources[id(r.resource)] for r in records])
            case "ScopeAttributes":
                return _add_shared(block, column, [scopes[id(r.scope)] for r in records])
            case "LogAttributes":
                return self._add_attributes(block, column, records)
            case "TraceId":
                values = [r.trace_id.hex() for r in records]
            case "SpanId":
                values = [r.span_id.hex() for r in records]
            case "SeverityText":
                values = [r.severity_text for r in records]
            case "ServiceName":
                values = [resources[id(r.resource)].text for r in records]
            case "Body":
                values = [r.body if type(r.body) is str else to_text(r.body) for r in records]
            case "ResourceSchemaUrl":
                values = [r.resource.schema_url for r in records]
            case "ScopeSchemaUrl":
                values = [r.scope.schema_url for r in records]
            case "ScopeName":
                values = [r.scope.name for r in records]
            case "ScopeVersion":
                values = [r.scope.version for r in records]
            case "EventName":
                values = [r.event_name for r in records]
            case _:
                raise AssertionError(f"column {column} is not one that is written")
        return block.add(column, TYPES[column], values)

    def _add_attributes(self, block: Block, column: str, records: Sequence[Record]) -> None:
        shapes: dict[Shape, int] = {}
        rows: list[int] = []
        values: list[str] = []
        for attributes in _stored_attributes(records):
            shape = self._shapes.of(attributes)
            rows.append(shapes.setdefault(shape, len(shapes)))
            values += shape.texts(attributes)
        keys = [shape.keys for shape in shapes]
        lengths = [len(entry) for entry in keys]
        index = LowCardinalityIndex(keys, rows)
        block.add_map(column, [lengths[row] for row in rows], index, strings(values))


def _stored_attributes(records: Sequence[Record]) -> list[Attributes]:
    """The records' attributes, with the exact time among them where Timestamp cannot hold it."""
    return [
        record.attributes
        if event_time(record) <= MAX_TIME
        else {**record.attributes, names.OTEL_FIM_TIME_UNIX_NANO: str(event_time(record))}
        for record in records
    ]


def _add_shared(block: Block, column: str, owners: Sequence[_Shared]) -> None:
    shapes: dict[Shape, int] = {}
    rows = [shapes.setdefault(owner.shape, len(shapes)) for owner in owners]
    index = LowCardinalityIndex([shape.keys for shape in shapes], rows)
    block.add_map(
        column, [len(owner.shape.keys) for owner in owners], index, b"".join([owner.data for owner in owners])
    )
