"""The table, as data definition language.

The columns, codecs, indexes, partitions and order are those of the collector's clickhouseexporter from 0.151
on (`internal/sqltemplates/logs_table.sql`), so that either program can create the table and both can write to
it. What is added here is added as MATERIALIZED and ALIAS columns and an index, which an insert that lists its
columns does not see: the hot keys of this project and `TimestampTime`, which queries written for tables of
collectors up to 0.150 ask for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from otel_fim import names
from otel_fim.exporters.clickhouse.sql import identifier, literal, qualified

IndexKind = Literal["bloom_filter", "text"]

MATERIALIZED_PREFIX: Final = "__otel_materialized_"
"""The collector's prefix for columns that hold one key of a map."""

_STRING: Final = "String CODEC(ZSTD(1))"
_LOW_CARDINALITY: Final = "LowCardinality(String) CODEC(ZSTD(1))"
_MAP: Final = "Map(LowCardinality(String), String) CODEC(ZSTD(1))"

_COLUMNS: Final = (
    ("Timestamp", "DateTime64(9) CODEC(Delta(8), ZSTD(1))"),
    ("TraceId", _STRING),
    ("SpanId", _STRING),
    ("TraceFlags", "UInt8"),
    ("SeverityText", _LOW_CARDINALITY),
    ("SeverityNumber", "UInt8"),
    ("ServiceName", _LOW_CARDINALITY),
    ("Body", _STRING),
    ("ResourceSchemaUrl", _LOW_CARDINALITY),
    ("ResourceAttributes", _MAP),
    ("ScopeSchemaUrl", _LOW_CARDINALITY),
    ("ScopeName", _STRING),
    ("ScopeVersion", _LOW_CARDINALITY),
    ("ScopeAttributes", _MAP),
    ("LogAttributes", _MAP),
    ("EventName", _STRING),
)

_COLLECTOR_KEYS: Final = (
    "k8s.cluster.name",
    "k8s.container.name",
    "k8s.deployment.name",
    "k8s.namespace.name",
    "k8s.node.name",
    "k8s.pod.name",
    "k8s.pod.uid",
    "deployment.environment.name",
)
"""Resource attributes that the collector's table materializes; they are its names, not this project's."""


@dataclass(slots=True, frozen=True)
class HotKey:
    """One key of a map that has a column of its own.

    `convert` is the function that makes the column's type of the map's text, or nothing for text.
    """

    source: str
    key: str
    type: str
    convert: str = ""

    @property
    def column(self) -> str:
        """The column's name, unquoted."""
        return MATERIALIZED_PREFIX + self.key

    @property
    def expression(self) -> str:
        """The value taken from the map."""
        value = f"{self.source}[{literal(self.key)}]"
        return f"{self.convert}({value})" if self.convert else value

    @property
    def definition(self) -> str:
        """The column's line in CREATE TABLE."""
        return f"{identifier(self.column)} {self.type.replace('*', f'MATERIALIZED {self.expression}')}"


STREAM_KEY: Final = HotKey(
    "LogAttributes", names.AUDIT_SEQUENCE_STREAM_ID, "LowCardinality(String) * CODEC(ZSTD(1))"
)
NUMBER_KEY: Final = HotKey(
    "LogAttributes", names.AUDIT_SEQUENCE_NUMBER, "UInt64 * CODEC(Delta(8), ZSTD(1))", "toUInt64OrZero"
)
HOT_KEYS: Final = (
    STREAM_KEY,
    NUMBER_KEY,
    HotKey("ResourceAttributes", names.HOST_NAME, "LowCardinality(String) * CODEC(ZSTD(1))"),
    HotKey("LogAttributes", names.FILE_PATH, "String * CODEC(ZSTD(1))"),
)
"""This project's: a record's place in its stream, which every insert looks up, and what people filter by."""

_BLOOM: Final = (
    ("idx_trace_id", "TraceId", "bloom_filter(0.001) GRANULARITY 1"),
    ("idx_res_attr_key", "mapKeys(ResourceAttributes)", "bloom_filter(0.01) GRANULARITY 1"),
    ("idx_res_attr_value", "mapValues(ResourceAttributes)", "bloom_filter(0.01) GRANULARITY 1"),
    ("idx_scope_attr_key", "mapKeys(ScopeAttributes)", "bloom_filter(0.01) GRANULARITY 1"),
    ("idx_scope_attr_value", "mapValues(ScopeAttributes)", "bloom_filter(0.01) GRANULARITY 1"),
    ("idx_log_attr_key", "mapKeys(LogAttributes)", "bloom_filter(0.01) GRANULARITY 1"),
    ("idx_log_attr_value", "mapValues(LogAttributes)", "bloom_filter(0.01) GRANULARITY 1"),
    ("idx_lower_body", "lower(Body)", "tokenbf_v1(32768, 3, 0) GRANULARITY 8"),
)
_TEXT: Final = tuple(
    (name, on, f"text(tokenizer = '{'splitByNonAlpha' if name == 'idx_lower_body' else 'array'}')")
    for name, on, _ in _BLOOM
)


def create_database(database: str) -> str:
    """CREATE DATABASE, without a semicolon."""
    return f"CREATE DATABASE IF NOT EXISTS {identifier(database)}"


def create_table(database: str, table: str, *, ttl: float = 0.0, indexes: IndexKind = "bloom_filter") -> str:
    """CREATE TABLE, without a semicolon.

    `ttl` is in seconds, 0 keeps rows for ever. `indexes` = text needs ClickHouse 26.2 or newer; the collector
    takes it there, at the price of slower inserts and more bytes a row.
    """
    lines = [f"{identifier(name)} {definition}" for name, definition in _COLUMNS]
    lines.append("`TimestampTime` DateTime ALIAS toDateTime(Timestamp)")
    lines += [
        HotKey("ResourceAttributes", key, "LowCardinality(String) * CODEC(ZSTD(1))").definition
        for key in _COLLECTOR_KEYS
    ]
    lines += [key.definition for key in HOT_KEYS]
    lines += [f"INDEX {name} {on} TYPE {kind}" for name, on, kind in (_TEXT if indexes == "text" else _BLOOM)]
    lines.append(f"INDEX idx_sequence_number {identifier(NUMBER_KEY.column)} TYPE minmax GRANULARITY 1")
    body = ",\n".join(f"    {line}" for line in lines)
    expiry = f"{ttl_clause(ttl)}\n" if ttl > 0 else ""
    return (
        f"CREATE TABLE IF NOT EXISTS {qualified(database, table)} (\n{body}\n) ENGINE = MergeTree()\n"
        "PARTITION BY toDate(Timestamp)\n"
        "ORDER BY (toStartOfFiveMinutes(Timestamp), ServiceName, Timestamp)\n"
        f"{expiry}"
        "SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1"
    )


def ttl_clause(seconds: float) -> str:
    """TTL that removes a row `seconds` (rounded up) after its Timestamp.

    The collector adds an interval to a DateTime, which wraps in 2106: with a long TTL, or a clock that is far
    ahead, the row would be gone at once. This one stops there.
    """
    whole = max(1, -int(-seconds // 1))
    return f"TTL toDateTime(least(toUnixTimestamp(Timestamp) + {whole}, 4294967295))"


def add_event_name(database: str, table: str) -> str:
    """The collector's own upgrade of a table from before it had `EventName`, without a semicolon."""
    return f"ALTER TABLE {qualified(database, table)} ADD COLUMN IF NOT EXISTS `EventName` {_STRING}"
