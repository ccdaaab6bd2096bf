"""Making a record one that OTLP can carry.

File names and command lines are bytes; Python shows a byte that is not UTF-8 as a lone surrogate, which no
encoder takes. Here such a byte becomes `\\xNN`: visible, searchable, and recognisable to whoever has to undo it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from otel_fim.otlp.anyvalue import to_text
from otel_fim.otlp.bounded import Computed
from otel_fim.otlp.errors import INT32_MAX, INT64_MAX, INT64_MIN, MAX_NESTING, UINT32_MAX, UINT64_MAX
from otel_fim.record import AnyValue, Attributes, Record, Resource, Scope

_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def _replacement(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else "\ufffd"


def clean_text(text: str) -> str:
    """`text` as Unicode: a byte that was not UTF-8 (Python's surrogateescape) becomes `\\xNN`, any other lone
    surrogate U+FFFD. Text that is Unicode comes back as it is."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub(_replacement, text)
    return text


def clean_record(record: Record) -> bool:
    """Makes `record` one that every encoder takes, in place; true when something had to change.

    Text becomes Unicode as in `clean_text`. An integer beyond 64 bits becomes its decimal text, as OpenTelemetry's
    attribute mapping has it; arrays and maps nested too deeply become text; a value of a type that OTLP has not
    becomes `str()` of it. A number or id that does not fit its field is taken as unknown (0 or empty).
    """
    fields = (
        _unsigned(record.time_unix_nano, UINT64_MAX),
        _unsigned(record.observed_time_unix_nano, UINT64_MAX),
        clean_text(record.event_name),
        _unsigned(record.severity_number, INT32_MAX),
        clean_text(record.severity_text),
        _clean_value(record.body, 0),
        _clean_attributes(record.attributes),
        _RESOURCES[record.resource],
        _SCOPES[record.scope],
        record.trace_id if len(record.trace_id) in (0, 16) else b"",
        record.span_id if len(record.span_id) in (0, 8) else b"",
        _unsigned(record.flags, UINT32_MAX),
        _unsigned(record.dropped_attributes_count, UINT32_MAX),
    )
    changed = False
    for name, value in zip(Record.__slots__, fields, strict=True):
        if getattr(record, name) is not value:
            setattr(record, name, value)
            changed = True
    return changed


def cleaned(record: Record) -> Record:
    """A copy of `record` that every encoder takes."""
    copy = record.copy()
    clean_record(copy)
    return copy


def _unsigned(value: int, maximum: int) -> int:
    return value if 0 <= value <= maximum else 0


def _clean_attributes(attributes: Mapping[str, AnyValue]) -> Attributes:
    """The same object when nothing had to change."""
    return _clean_mapping(attributes, 0)  # type: ignore[return-value]


def _clean_mapping(mapping: Mapping[str, AnyValue], depth: int) -> Mapping[str, AnyValue]:
    result: dict[str, AnyValue] = {}
    changed = False
    for key, value in mapping.items():
        new_key = clean_text(key) if isinstance(key, str) else clean_text(str(key))
        new_value = _clean_value(value, depth)
        if new_key is not key:
            while new_key in mapping or new_key in result:
                new_key += "_"
        changed = changed or new_key is not key or new_value is not value
        result[new_key] = new_value
    return result if changed else mapping


def _clean_value(value: AnyValue, depth: int) -> AnyValue:
    if isinstance(value, str):
        return clean_text(value)
    if value is None or isinstance(value, bool | float | bytes):
        return value
    if isinstance(value, int):
        return value if INT64_MIN <= value <= INT64_MAX else str(value)
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if isinstance(value, Mapping | Sequence):
        if depth >= MAX_NESTING:
            return clean_text(_deep_text(value))
        if isinstance(value, Mapping):
            return _clean_mapping(value, depth + 1)
        items = [_clean_value(item, depth + 1) for item in value]
        same = all(new is old for new, old in zip(items, value, strict=True))
        return value if same else items
    return clean_text(str(value))  # type: ignore[unreachable] # a plugin may put anything in


def _deep_text(value: AnyValue) -> str:
    try:
        return to_text(value)
    except ValueError:
        return "(nested too deeply)"


def clean_resource(resource: Resource) -> Resource:
    """`resource`, or one like it that every encoder takes."""
    attributes = _clean_attributes(resource.attributes)
    schema_url = clean_text(resource.schema_url)
    dropped = _unsigned(resource.dropped_attributes_count, UINT32_MAX)
    same = attributes is resource.attributes and schema_url is resource.schema_url
    if same and dropped == resource.dropped_attributes_count:
        return resource
    return Resource(attributes, schema_url, dropped)


def clean_scope(scope: Scope) -> Scope:
    """`scope`, or one like it that every encoder takes."""
    attributes = _clean_attributes(scope.attributes)
    texts = (clean_text(scope.name), clean_text(scope.version), clean_text(scope.schema_url))
    dropped = _unsigned(scope.dropped_attributes_count, UINT32_MAX)
    same = attributes is scope.attributes and texts == (scope.name, scope.version, scope.schema_url)
    if same and dropped == scope.dropped_attributes_count:
        return scope
    return Scope(texts[0], texts[1], attributes, texts[2], dropped)


# By identity, so that records that shared a resource still share one after they were repaired.
_RESOURCES: Final = Computed[Resource, Resource](clean_resource, 64)
_SCOPES: Final = Computed[Scope, Scope](clean_scope, 64)
