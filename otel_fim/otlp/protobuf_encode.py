"""Records to protobuf `LogsData`, written by hand because building message objects costs several times as much.

Fields stand in the order of their numbers and defaults are left out, so the bytes are those that protobuf's own
deterministic writer gives (opentelemetry-proto 1.11, logs.proto).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

from otel_fim.otlp.bounded import Computed, short
from otel_fim.otlp.errors import FieldError, check_fields, record_error
from otel_fim.otlp.group import encode_groups
from otel_fim.otlp.protobuf_value import KeyHeads, append_attributes, encode_value
from otel_fim.otlp.text import clean_resource, clean_scope, cleaned
from otel_fim.otlp.wire import LENGTHS, message, number, text, varint
from otel_fim.record import Record, Resource, Scope

_time: Final = struct.Struct("<BQ").pack
_flags: Final = struct.Struct("<BI").pack
_LOG_ATTRIBUTES: Final = KeyHeads(b"\x32")
_RESOURCE_ATTRIBUTES: Final = KeyHeads(b"\x0a")
_SCOPE_ATTRIBUTES: Final = KeyHeads(b"\x1a")

_Around = tuple[bytes, bytes]
"""What stands before and after the repeated field of ResourceLogs or ScopeLogs."""


def encode_logs_data(records: Iterable[Record]) -> bytes:
    """The bytes of `LogsData`, which are also those of `ExportLogsServiceRequest`.

    The records keep their order; neighbours with the same resource and scope share one group. Raises
    `ValueError` naming the attribute or field for what OTLP cannot carry; lone surrogates are replaced.
    """
    return b"".join(
        encode_groups(records, _encode_record, _RESOURCES, _SCOPES, _close_scope, _close_resource)
    )


def _close_scope(around: _Around, records: list[bytes]) -> bytes:
    return message(b"\x12", b"".join((around[0], *records, around[1])))


def _close_resource(around: _Around, groups: list[bytes]) -> bytes:
    return message(b"\x0a", b"".join((around[0], *groups, around[1])))


def _encode_record(record: Record) -> bytes:
    try:
        content = _encode_fields(record)
    except UnicodeEncodeError:
        content = _encode_fields(cleaned(record))
    size = len(content)
    return b"\x12" + (LENGTHS[size] if size < 16384 else varint(size)) + content


def _encode_fields(record: Record) -> bytes:
    parts: list[bytes] = []
    append = parts.append
    try:
        if record.time_unix_nano:
            append(_time(0x09, record.time_unix_nano))
        append(_SEVERITIES[record.severity_number, record.severity_text])
        if record.body is not None:
            append(message(b"\x2a", encode_value(record.body)))
        append_attributes(record.attributes, _LOG_ATTRIBUTES, append)
        if record.trace_id or record.span_id or record.flags or record.dropped_attributes_count:
            check_fields(record)
            append(number(b"\x38", record.dropped_attributes_count))
            append(_flags(0x45, record.flags) if record.flags else b"")
            append(message(b"\x4a", record.trace_id) if record.trace_id else b"")
            append(message(b"\x52", record.span_id) if record.span_id else b"")
        if record.observed_time_unix_nano:
            append(_time(0x59, record.observed_time_unix_nano))
        if record.event_name:
            append(_EVENT_NAMES[record.event_name])
        return b"".join(parts)
    except UnicodeEncodeError:
        raise
    except (ValueError, struct.error) as error:
        cause: Exception = error
        try:
            check_fields(record)
        except FieldError as found:
            cause = found
        raise record_error(record, cause) from None


def _severity(severity: tuple[int, str]) -> bytes:
    check_fields(Record(severity_number=severity[0]))
    return number(b"\x10", severity[0]) + text(b"\x1a", severity[1])


def _short_severity(severity: tuple[int, str]) -> bool:
    return short(severity[1])


def _dropped(tag: bytes, value: int) -> bytes:
    check_fields(Record(dropped_attributes_count=value))
    return number(tag, value)


def _around_resource(resource: Resource) -> _Around:
    parts: list[bytes] = []
    try:
        append_attributes(resource.attributes, _RESOURCE_ATTRIBUTES, parts.append)
        parts.append(_dropped(b"\x10", resource.dropped_attributes_count))
        return message(b"\x0a", b"".join(parts)), text(b"\x1a", resource.schema_url)
    except UnicodeEncodeError:
        return _around_resource(clean_resource(resource))
    except FieldError as error:
        raise ValueError(f"resource: {error}") from None


def _around_scope(scope: Scope) -> _Around:
    try:
        parts = [text(b"\x0a", scope.name), text(b"\x12", scope.version)]
        append_attributes(scope.attributes, _SCOPE_ATTRIBUTES, parts.append)
        parts.append(_dropped(b"\x20", scope.dropped_attributes_count))
        return message(b"\x0a", b"".join(parts)), text(b"\x1a", scope.schema_url)
    except UnicodeEncodeError:
        return _around_scope(clean_scope(scope))
    except FieldError as error:
        raise ValueError(f"scope {scope.name!r}: {error}") from None


_SEVERITIES: Final = Computed[tuple[int, str], bytes](_severity, 256, _short_severity)
_EVENT_NAMES: Final = Computed[str, bytes](lambda name: text(b"\x62", name), 1024, short)
_RESOURCES: Final = Computed[Resource, _Around](_around_resource, 64)
_SCOPES: Final = Computed[Scope, _Around](_around_scope, 64)
