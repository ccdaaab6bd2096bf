"""OTLP/JSON lines to records: tolerant as the OTLP specification asks, exact about where a line is wrong.

Unknown fields are ignored, missing ones and nulls take the default, integers come as strings or numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import orjson

from otel_fim.otlp import json_scalar as scalar
from otel_fim.otlp.errors import (
    INT32_MAX,
    INT32_MIN,
    MAX_NESTING,
    UINT32_MAX,
    UINT64_MAX,
    FieldError,
    OtlpDecodeError,
    nesting_error,
)
from otel_fim.otlp.intern import Interned
from otel_fim.record import EMPTY_RESOURCE, EMPTY_SCOPE, AnyValue, Attributes, Record, Resource, Scope

_RESOURCES: Final = Interned[Resource]()
_SCOPES: Final = Interned[Scope]()


def decode_logs_data_json(line: bytes) -> list[Record]:
    """The records of one line of OTLP/JSON (`LogsData` or `ExportLogsServiceRequest`), in their order.

    Raises `OtlpDecodeError` naming the place, e.g. `resourceLogs[0].scopeLogs[0].logRecords[3].timeUnixNano`.
    """
    try:
        data = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise OtlpDecodeError(f"not JSON: {error}") from None
    records: list[Record] = []
    try:
        for_each(fields_of(data), "resourceLogs", lambda logs: _resource_logs(logs, records))
    except FieldError as error:
        raise OtlpDecodeError(f"{error.path or 'LogsData'}: {error}") from None
    return records


def fields_of(value: object) -> dict[str, Any]:
    """A JSON object's members; none for null."""
    if value.__class__ is dict:
        return value
    if value is None:
        return {}
    raise FieldError(f"an object is needed, not {scalar.show(value)}")


def for_each(fields: dict[str, Any], name: str, handle: Callable[[Any], object]) -> None:
    """Hands each item of the array `name` to `handle`; an error tells which one it was."""
    items = fields.get(name)
    if items is None:
        return
    if items.__class__ is not list:
        raise FieldError(f"an array is needed, not {scalar.show(items)}").within(name)
    index = 0
    try:
        for item in items:
            handle(item)
            index += 1
    except FieldError as error:
        raise error.within(f"{name}[{index}]") from None


def _resource_logs(logs: object, records: list[Record]) -> None:
    fields = fields_of(logs)
    raw, url = fields.get("resource"), fields.get("schemaUrl")
    resource = EMPTY_RESOURCE
    if raw or url:
        resource = _RESOURCES.get(orjson.dumps((raw, url)), lambda: _resource(fields))
    for_each(fields, "scopeLogs", lambda item: _scope_logs(item, resource, records))


def _scope_logs(logs: object, resource: Resource, records: list[Record]) -> None:
    fields = fields_of(logs)
    raw, url = fields.get("scope"), fields.get("schemaUrl")
    scope = EMPTY_SCOPE
    if raw or url:
        scope = _SCOPES.get(orjson.dumps((raw, url)), lambda: _scope(fields))
    for_each(fields, "logRecords", lambda item: records.append(_record(fields_of(item), resource, scope)))


def _resource(logs: dict[str, Any]) -> Resource:
    try:
        fields = fields_of(logs.get("resource"))
        attributes = _attributes(fields)
        dropped = scalar.unsigned(fields, "droppedAttributesCount", UINT32_MAX)
    except FieldError as error:
        raise error.within("resource") from None
    return Resource(attributes, scalar.text(logs, "schemaUrl"), dropped)


def _scope(logs: dict[str, Any]) -> Scope:
    try:
        fields = fields_of(logs.get("scope"))
        name, version = scalar.text(fields, "name"), scalar.text(fields, "version")
        attributes = _attributes(fields)
        dropped = scalar.unsigned(fields, "droppedAttributesCount", UINT32_MAX)
    except FieldError as error:
        raise error.within("scope") from None
    return Scope(name, version, attributes, scalar.text(logs, "schemaUrl"), dropped)


def _record(fields: dict[str, Any], resource: Resource, scope: Scope) -> Record:
    severity = fields.get("severityNumber")
    if severity.__class__ is not int or not INT32_MIN <= severity <= INT32_MAX:
        severity = scalar.severity(fields)
    body = fields.get("body")
    return Record(
        scalar.unsigned(fields, "timeUnixNano", UINT64_MAX),
        scalar.unsigned(fields, "observedTimeUnixNano", UINT64_MAX),
        scalar.text(fields, "eventName"),
        severity,
        scalar.text(fields, "severityText"),
        None if body is None else _body(body),
        _attributes(fields),
        resource,
        scope,
        scalar.identifier(fields, "traceId", 16) if "traceId" in fields else b"",
        scalar.identifier(fields, "spanId", 8) if "spanId" in fields else b"",
        scalar.unsigned(fields, "flags", UINT32_MAX) if "flags" in fields else 0,
        scalar.unsigned(fields, "droppedAttributesCount", UINT32_MAX)
        if "droppedAttributesCount" in fields
        else 0,
    )


def _body(body: object) -> AnyValue:
    try:
        return _value(body, 0)
    except FieldError as error:
        raise error.within("body") from None


def _attributes(fields: dict[str, Any]) -> Attributes:
    items = fields.get("attributes")
    if items is None:
        return {}
    if items.__class__ is not list:
        raise FieldError(f"an array is needed, not {scalar.show(items)}").within("attributes")
    return _pairs(items, "attributes", 0)


def _pairs(items: list[Any], name: str, depth: int) -> Attributes:
    attributes: Attributes = {}
    for index, item in enumerate(items):
        try:
            key, value = item["key"], item["value"]
            text = value.get("stringValue")
            if text.__class__ is str and key.__class__ is str:
                attributes[key] = text
                continue
        except (AttributeError, KeyError, TypeError):
            pass  # what is wrong, if anything is, the careful way below finds
        try:
            pair = fields_of(item)
            key = scalar.text(pair, "key")
            try:
                attributes[key] = _value(pair.get("value"), depth)
            except FieldError as error:
                raise error.within("value") from None
        except FieldError as error:
            raise error.within(f"{name}[{index}]") from None
    return attributes


def _value(value: object, depth: int) -> AnyValue:
    for kind, raw in fields_of(value).items():
        if raw is None:
            continue
        if kind == "arrayValue" or kind == "kvlistValue":
            try:
                return _nested(kind, fields_of(raw), depth + 1)
            except FieldError as error:
                raise error.within(kind) from None
        decode = scalar.KINDS.get(kind)
        if decode is not None:
            try:
                return decode(raw)
            except FieldError as error:
                raise error.within(kind) from None
    return None


def _nested(kind: str, fields: dict[str, Any], depth: int) -> AnyValue:
    if depth > MAX_NESTING:
        raise FieldError(nesting_error())
    if kind == "kvlistValue":
        items = fields.get("values")
        if items is not None and items.__class__ is not list:
            raise FieldError(f"an array is needed, not {scalar.show(items)}").within("values")
        return _pairs(items or [], "values", depth)
    values: list[AnyValue] = []
    for_each(fields, "values", lambda item: values.append(_value(item, depth)))
    return values
