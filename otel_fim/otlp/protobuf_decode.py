"""Protobuf `LogsData` or `ExportLogsServiceRequest` to records, read by opentelemetry-proto's own classes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.logs.v1.logs_pb2 import LogsData

from otel_fim.otlp.errors import MAX_NESTING, FieldError, OtlpDecodeError, nesting_error
from otel_fim.otlp.intern import Interned
from otel_fim.record import AnyValue, Attributes, Record, Resource, Scope

_RESOURCES: Final = Interned[Resource]()
_SCOPES: Final = Interned[Scope]()
_NO_TRACE: Final = bytes(16)
_NO_SPAN: Final = bytes(8)


def decode_logs_data(data: bytes) -> list[Record]:
    """The records in the order in which they stand. Unknown fields are ignored, missing ones take the default.

    An id that is all zeros or of the wrong length is no id, as logs.proto tells receivers. Raises
    `OtlpDecodeError` for bytes that are not the message.
    """
    message = LogsData()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise OtlpDecodeError(f"not an OTLP logs message in protobuf: {error}") from None
    records: list[Record] = []
    try:
        for resource_logs in message.resource_logs:
            resource = _resource(resource_logs)
            for scope_logs in resource_logs.scope_logs:
                scope = _scope(scope_logs)
                records += [_record(log, resource, scope) for log in scope_logs.log_records]
    except FieldError as error:
        raise OtlpDecodeError(f"record {len(records)} or one soon after it: {error}") from None
    return records


def _record(log: Any, resource: Resource, scope: Scope) -> Record:
    trace_id: bytes = log.trace_id
    span_id: bytes = log.span_id
    return Record(
        log.time_unix_nano,
        log.observed_time_unix_nano,
        log.event_name,
        log.severity_number,
        log.severity_text,
        _value(log.body, 0) if log.HasField("body") else None,
        _attributes(log.attributes),
        resource,
        scope,
        trace_id if len(trace_id) == 16 and trace_id != _NO_TRACE else b"",
        span_id if len(span_id) == 8 and span_id != _NO_SPAN else b"",
        log.flags,
        log.dropped_attributes_count,
    )


def _attributes(items: Iterable[Any], depth: int = 0) -> Attributes:
    attributes: Attributes = {}
    for item in items:
        value = item.value
        kind = value.WhichOneof("value")
        attributes[item.key] = value.string_value if kind == "string_value" else _value(value, depth, kind)
    return attributes


def _value(value: Any, depth: int, kind: str | None = None) -> AnyValue:
    kind = kind or value.WhichOneof("value")
    if kind is None or kind == "string_value_strindex":
        return None
    found = getattr(value, kind)
    if kind == "kvlist_value":
        return _attributes(found.values, _deeper(depth))
    if kind == "array_value":
        depth = _deeper(depth)
        return [_value(item, depth) for item in found.values]
    return found  # type: ignore[no-any-return]


def _deeper(depth: int) -> int:
    if depth >= MAX_NESTING:
        raise FieldError(nesting_error())
    return depth + 1


def _resource(logs: Any) -> Resource:
    resource = logs.resource
    return _RESOURCES.get(
        _key(resource, logs.schema_url),
        lambda: Resource(
            _attributes(resource.attributes), logs.schema_url, resource.dropped_attributes_count
        ),
    )


def _scope(logs: Any) -> Scope:
    scope = logs.scope
    return _SCOPES.get(
        _key(scope, logs.schema_url),
        lambda: Scope(
            scope.name,
            scope.version,
            _attributes(scope.attributes),
            logs.schema_url,
            scope.dropped_attributes_count,
        ),
    )


def _key(message: Any, schema_url: str) -> bytes:
    url: bytes = schema_url.encode()
    encoded: bytes = message.SerializeToString()
    return b"%d:%b%b" % (len(url), url, encoded)
