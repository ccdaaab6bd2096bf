"""An AnyValue in OpenTelemetry's own text form, as it stands in a ClickHouse column.

The form is that of the specification's "AnyValue representation for non-OTLP protocols" (specification 1.60,
common/README.md) and, where that leaves a choice (how a double is written, what JSON escapes, the order of
keys), that of the collector's `pcommon.Value.AsString`, because a stock collector writes it into `otel_logs`.

The two differ in one place: a double within an array or a map that is NaN or infinite. The specification
writes it as a JSON string, the collector fails on it and leaves the whole value empty. This follows the
specification.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from decimal import Decimal

import orjson

from otel_fim.otlp.errors import INT64_MAX, INT64_MIN, MAX_NESTING, integer_error, nesting_error, type_error
from otel_fim.record import AnyValue


def to_text(value: AnyValue) -> str:
    """The text of `value`: strings as they are, `true`, `42`, `1.5`, `NaN`, base64 for bytes, compact JSON with
    sorted keys for arrays and maps, nothing for the empty value.

    Raises `ValueError` for an integer beyond 64 bits, for too deep a nesting, for a type that OTLP has not and
    for text within an array or a map that is not Unicode (see `otel_fim.otlp.text`).
    """
    kind = value.__class__
    if kind is str:
        return value  # type: ignore[return-value]
    if kind is int:
        if INT64_MIN <= value <= INT64_MAX:  # type: ignore[operator]
            return str(value)
        raise ValueError(integer_error(value))  # type: ignore[arg-type]
    if value is None:
        return ""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return to_text(int(value))
    if isinstance(value, float):
        return double_text(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return b64encode(value).decode("ascii")
    return _json(value)


def double_text(value: float) -> str:
    """The shortest text that reads back as `value`, with an exponent below 1e-6 and from 1e21 on, as Go's and
    ECMAScript's JSON write it; unlike ECMAScript's, negative zero keeps its sign."""
    if value != value:
        return "NaN"
    magnitude = abs(value)
    if magnitude == float("inf"):
        return "Infinity" if value > 0 else "-Infinity"
    text = float.__repr__(value)
    if magnitude >= 1e21 or 0 < magnitude < 1e-6:
        return text.replace("e-0", "e-")
    if "e" in text:
        return format(Decimal(text), "f")
    return text.removesuffix(".0")


def _json(value: AnyValue) -> str:
    try:
        text = orjson.dumps(_plain(value, 1), option=orjson.OPT_SORT_KEYS).decode()
    except TypeError as error:
        raise ValueError(str(error)) from None
    # Go's encoder escapes the two line separators whatever it is told; orjson leaves them as they are.
    if "\u2028" in text or "\u2029" in text:
        text = text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return text


def _plain(value: AnyValue, depth: int) -> object:
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        if not INT64_MIN <= value <= INT64_MAX:
            raise ValueError(integer_error(value))
        return int(value)
    if isinstance(value, float):
        text = double_text(value)
        return text if text.endswith(("N", "y")) else orjson.Fragment(text)
    if isinstance(value, bytes | bytearray | memoryview):
        return b64encode(value).decode("ascii")
    if depth > MAX_NESTING:
        raise ValueError(nesting_error())
    if isinstance(value, Mapping):
        return {key: _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [_plain(item, depth + 1) for item in value]
    raise ValueError(type_error(value))
