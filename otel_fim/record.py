"""What flows: a `Record`, which is one OTLP LogRecord with the Resource and Scope that it belongs to.

Shapes follow opentelemetry-proto 1.11, `logs.proto` and `common.proto`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, TypeAlias

from otel_fim.version import __version__

# An OTLP AnyValue in Python's own types: None is the empty AnyValue, a sequence that is neither str nor
# bytes is an arrayValue, a mapping is a kvlistValue. Integers are signed 64-bit.
AnyValue: TypeAlias = "bool | int | float | str | bytes | Sequence[AnyValue] | Mapping[str, AnyValue] | None"
Attributes: TypeAlias = dict[str, AnyValue]

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.44.0"
"""The semantic conventions that the attribute names come from."""


class Severity(IntEnum):
    """OTLP SeverityNumber; the first number of each range, as the log data model recommends."""

    UNSPECIFIED = 0
    TRACE = 1
    DEBUG = 5
    INFO = 9
    WARN = 13
    ERROR = 17
    FATAL = 21


@dataclass(slots=True, frozen=True, eq=True)
class Resource:
    """Who speaks: shared by all records of a batch, compared by identity first and by value second.

    Treat `attributes` as immutable: it is shared between records and threads.
    """

    attributes: Mapping[str, AnyValue] = field(default_factory=dict)
    schema_url: str = ""
    dropped_attributes_count: int = 0

    __hash__ = object.__hash__


@dataclass(slots=True, frozen=True, eq=True)
class Scope:
    """The instrumentation scope: which part of the agent produced the record."""

    name: str = ""
    version: str = ""
    attributes: Mapping[str, AnyValue] = field(default_factory=dict)
    schema_url: str = ""
    dropped_attributes_count: int = 0

    __hash__ = object.__hash__


EMPTY_RESOURCE: Final = Resource()
EMPTY_SCOPE: Final = Scope()


def component_scope(component: str) -> Scope:
    """The scope of one component of this project, e.g. `otel_fim.receivers.file_integrity`."""
    return Scope(name=component, version=__version__, schema_url=SCHEMA_URL)


@dataclass(slots=True)
class Record:
    """One OTLP LogRecord.

    `time_unix_nano` is when it happened and `observed_time_unix_nano` when the agent saw it, both in
    nanoseconds since the epoch (0 = unknown, as in OTLP). `trace_id` has 0 or 16 bytes, `span_id` 0 or 8.
    `attributes` belongs to this record alone; `resource` and `scope` are shared.
    """

    time_unix_nano: int = 0
    observed_time_unix_nano: int = 0
    event_name: str = ""
    severity_number: int = 0
    severity_text: str = ""
    body: AnyValue = None
    attributes: Attributes = field(default_factory=dict)
    resource: Resource = EMPTY_RESOURCE
    scope: Scope = EMPTY_SCOPE
    trace_id: bytes = b""
    span_id: bytes = b""
    flags: int = 0
    dropped_attributes_count: int = 0

    def copy(self) -> Record:
        """A record whose attributes can be changed without changing this one's."""
        return Record(
            self.time_unix_nano,
            self.observed_time_unix_nano,
            self.event_name,
            self.severity_number,
            self.severity_text,
            self.body,
            dict(self.attributes),
            self.resource,
            self.scope,
            self.trace_id,
            self.span_id,
            self.flags,
            self.dropped_attributes_count,
        )


def make_event(
    event_name: str,
    attributes: Attributes,
    *,
    resource: Resource,
    scope: Scope,
    severity: Severity = Severity.INFO,
    body: str | None = None,
    time_unix_nano: int | None = None,
) -> Record:
    """A record for something that happened now, or at `time_unix_nano`, seen now."""
    now = time.time_ns()
    return Record(
        time_unix_nano=now if time_unix_nano is None else time_unix_nano,
        observed_time_unix_nano=now,
        event_name=event_name,
        severity_number=int(severity),
        severity_text=severity.name,
        body=body,
        attributes=attributes,
        resource=resource,
        scope=scope,
    )
