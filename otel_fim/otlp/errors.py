"""Errors and limits that the encoders and decoders share."""

from __future__ import annotations

from typing import Final

from otel_fim.record import Record

MAX_NESTING: Final = 30
"""Arrays and maps may lie this deep within each other. Protobuf's readers give up at 100 messages within each
other, five of which lead to an attribute and three of which make one level of a map."""

INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1
UINT64_MAX: Final = 2**64 - 1
UINT32_MAX: Final = 2**32 - 1
INT32_MIN: Final = -(2**31)
INT32_MAX: Final = 2**31 - 1


class OtlpDecodeError(ValueError):
    """The data is not OTLP logs; the message names the place where that shows."""


class FieldError(ValueError):
    """A value that OTLP cannot carry; turned into a message that names where it stands.

    `path` grows on the error's way out: `attributes[2].value`.
    """

    path = ""

    def within(self, step: str) -> FieldError:
        """This error, seen from one level further out."""
        self.path = f"{step}.{self.path}" if self.path else step
        return self


def integer_error(value: int) -> str:
    """The sentence for an integer that does not fit."""
    return f"{value} is outside OTLP's signed 64-bit integers"


def nesting_error() -> str:
    """The sentence for a value that is nested too deeply."""
    return f"arrays and maps lie more than {MAX_NESTING} deep within each other"


def type_error(value: object) -> str:
    """The sentence for a value of a type that OTLP has not."""
    return f"a value of type {type(value).__name__} has no OTLP form"


def check_fields(record: Record) -> None:
    """Raises `FieldError` naming the field whose number or id does not fit."""
    if (
        0 <= record.time_unix_nano <= UINT64_MAX
        and 0 <= record.observed_time_unix_nano <= UINT64_MAX
        and INT32_MIN <= record.severity_number <= INT32_MAX
        and 0 <= record.flags <= UINT32_MAX
        and 0 <= record.dropped_attributes_count <= UINT32_MAX
        and len(record.trace_id) in (0, 16)
        and len(record.span_id) in (0, 8)
    ):
        return
    for name, low, high in (
        ("time_unix_nano", 0, UINT64_MAX),
        ("observed_time_unix_nano", 0, UINT64_MAX),
        ("severity_number", INT32_MIN, INT32_MAX),
        ("flags", 0, UINT32_MAX),
        ("dropped_attributes_count", 0, UINT32_MAX),
    ):
        if not low <= getattr(record, name) <= high:
            raise FieldError(f"{name}: {getattr(record, name)} is not between {low} and {high}")
    for name, size in (("trace_id", 16), ("span_id", 8)):
        if (found := len(getattr(record, name))) not in (0, size):
            raise FieldError(f"{name}: {found} bytes, but {size} or none are needed")


def record_error(record: Record, cause: object) -> ValueError:
    """The error for a record that OTLP cannot carry."""
    return ValueError(
        f"record {record.event_name!r} at {record.time_unix_nano}: {cause}; clean_record makes it fit"
    )
