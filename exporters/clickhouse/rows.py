"""What a row consists of, and when it happened."""

from __future__ import annotations

from typing import Final

from otel_fim.record import Record

MAP_TYPE: Final = "Map(LowCardinality(String), String)"

TYPES: Final = {
    "Timestamp": "DateTime64(9)",
    "TraceId": "String",
    "SpanId": "String",
    "TraceFlags": "UInt8",
    "SeverityText": "LowCardinality(String)",
    "SeverityNumber": "UInt8",
    "ServiceName": "LowCardinality(String)",
    "Body": "String",
    "ResourceSchemaUrl": "LowCardinality(String)",
    "ResourceAttributes": MAP_TYPE,
    "ScopeSchemaUrl": "LowCardinality(String)",
    "ScopeName": "LowCardinality(String)",
    "ScopeVersion": "LowCardinality(String)",
    "ScopeAttributes": MAP_TYPE,
    "LogAttributes": MAP_TYPE,
    "EventName": "LowCardinality(String)",
}
"""The columns that are written and the types that they are sent as. The server converts where the table's own
type is another; what repeats from row to row goes as LowCardinality, which is shorter."""

NUMBER_COLUMN: Final = "otel_fim_number"
"""A column that is sent and compared but not stored: the record's place in its stream."""

MAX_TIME: Final = 4_294_967_295_999_999_999
"""The last nanosecond of ClickHouse's DateTime, in 2106. Partition, order and TTL go through that type, and a
later Timestamp would wrap to another century there."""


def event_time(record: Record) -> int:
    """When it happened, in nanoseconds: when it was seen where that is unknown, as the collector does."""
    return record.time_unix_nano or record.observed_time_unix_nano


def timestamp(record: Record) -> int:
    """The row's Timestamp in nanoseconds: `event_time` within what ClickHouse can hold."""
    time = record.time_unix_nano or record.observed_time_unix_nano
    return time if 0 <= time <= MAX_TIME else min(max(time, 0), MAX_TIME)
