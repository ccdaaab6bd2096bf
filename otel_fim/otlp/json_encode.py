"""Records to OTLP/JSON, one line (the OTLP specification's JSON encoding, the file exporter's line format).

Ids are hex, 64-bit integers are strings, enumerations are numbers, bytes are base64; defaults are left out.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import orjson

from otel_fim.otlp.bounded import Computed
from otel_fim.otlp.errors import (
    INT64_MAX,
    INT64_MIN,
    MAX_NESTING,
    FieldError,
    check_fields,
    integer_error,
    nesting_error,
    record_error,
    type_error,
)
from otel_fim.otlp.group import encode_groups
from otel_fim.otlp.text import clean_resource, clean_scope, cleaned
from otel_fim.record import AnyValue, Record, Resource, Scope

_dumps = orjson.dumps


def encode_logs_data_json(records: Iterable[Record]) -> bytes:
    """One line of OTLP/JSON `LogsData`, without the newline.

    The records keep their order; neighbours with the same resource and scope share one group. Raises
    `ValueError` naming the attribute or field for what OTLP cannot carry; lone surrogates are replaced.
    """
    groups = encode_groups(records, _encode_record, _RESOURCES, _SCOPES, _close_scope, _close_resource)
    return b'{"resourceLogs":[' + b",".join(groups) + b"]}"


def _close_scope(around: bytes, records: list[bytes]) -> bytes:
    return around + b'"logRecords":[' + b",".join(records) + b"]}"


def _close_resource(around: bytes, groups: list[bytes]) -> bytes:
    return around + b'"scopeLogs":[' + b",".join(groups) + b"]}"


def _encode_record(record: Record) -> bytes:
    try:
        fields = _fields(record)
    except FieldError as error:
        raise record_error(record, error) from None
    try:
        return _dumps(fields)
    except TypeError:
        # What orjson says of a lone surrogate; where it stands it does not say.
        return _dumps(_fields(cleaned(record)))


def _fields(record: Record) -> dict[str, Any]:
    check_fields(record)
    fields: dict[str, Any] = {}
    if record.time_unix_nano:
        fields["timeUnixNano"] = str(record.time_unix_nano)
    if record.observed_time_unix_nano:
        fields["observedTimeUnixNano"] = str(record.observed_time_unix_nano)
    if record.severity_number:
        fields["severityNumber"] = int(record.severity_number)
    if record.severity_text:
        fields["severityText"] = record.severity_text
    if record.event_name:
        fields["eventName"] = record.event_name
    if record.body is not None:
        fields["body"] = _value(record.body, 0)
    if record.attributes:
        fields["attributes"] = _attributes(record.attributes)
    if record.dropped_attributes_count:
        fields["droppedAttributesCount"] = record.dropped_attributes_count
    if record.flags:
        fields["flags"] = record.flags
    if record.trace_id:
        fields["traceId"] = record.trace_id.hex()
    if record.span_id:
        fields["spanId"] = record.span_id.hex()
    return fields


def _attributes(attributes: Mapping[str, AnyValue]) -> list[dict[str, Any]]:
    return [
        {"key": key, "value": {"stringValue": value} if value.__class__ is str else _keyed(key, value)}
        for key, value in attributes.items()
    ]


def _keyed(key: str, value: AnyValue) -> dict[str, Any]:
    try:
        return _value(value, 0)
    except FieldError as error:
        raise FieldError(f"attribute {key!r}: {error}") from None


def _value(value: AnyValue, depth: int) -> dict[str, Any]:
    if value is None:
        return {}
    if isinstance(value, str):
        return {"stringValue": value}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        if not INT64_MIN <= value <= INT64_MAX:
            raise FieldError(integer_error(value))
        return {"intValue": str(int(value))}
    if isinstance(value, float):
        return {"doubleValue": _double(value)}
    if isinstance(value, bytes | bytearray | memoryview):
        return {"bytesValue": b64encode(value).decode("ascii")}
    if depth >= MAX_NESTING:
        raise FieldError(nesting_error())
    if isinstance(value, Mapping):
        pairs = [{"key": key, "value": _value(item, depth + 1)} for key, item in value.items()]
        return {"kvlistValue": {"values": pairs}}
    if isinstance(value, Sequence):
        return {"arrayValue": {"values": [_value(item, depth + 1) for item in value]}}
    raise FieldError(type_error(value))


def _double(value: float) -> float | str:
    if value - value == 0:
        return value
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"


def _around_resource(resource: Resource) -> bytes:
    """ResourceLogs up to its groups."""
    try:
        fields: dict[str, Any] = {"attributes": _attributes(resource.attributes)}
        check_fields(Record(dropped_attributes_count=resource.dropped_attributes_count))
    except FieldError as error:
        raise ValueError(f"resource: {error}") from None
    if resource.dropped_attributes_count:
        fields["droppedAttributesCount"] = resource.dropped_attributes_count
    try:
        return _open({"resource": fields}, resource.schema_url)
    except TypeError:
        return _around_resource(clean_resource(resource))


def _around_scope(scope: Scope) -> bytes:
    """ScopeLogs up to its records."""
    fields: dict[str, Any] = {}
    try:
        if scope.name:
            fields["name"] = scope.name
        if scope.version:
            fields["version"] = scope.version
        if scope.attributes:
            fields["attributes"] = _attributes(scope.attributes)
        check_fields(Record(dropped_attributes_count=scope.dropped_attributes_count))
    except FieldError as error:
        raise ValueError(f"scope {scope.name!r}: {error}") from None
    if scope.dropped_attributes_count:
        fields["droppedAttributesCount"] = scope.dropped_attributes_count
    try:
        return _open({"scope": fields}, scope.schema_url)
    except TypeError:
        return _around_scope(clean_scope(scope))


def _open(fields: dict[str, Any], schema_url: str) -> bytes:
    if schema_url:
        fields["schemaUrl"] = schema_url
    return _dumps(fields)[:-1] + b","


_RESOURCES: Final = Computed[Resource, bytes](_around_resource, 64)
_SCOPES: Final = Computed[Scope, bytes](_around_scope, 64)
