"""The line for programs: a record as one flat JSON object."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from otel_fim.pipeline.coverage import timestamp
from otel_fim.record import AnyValue, Record

_OWN_KEYS: Final = ("time", "event", "severity", "body")


def format_json(record: Record) -> str:
    """One line without its end, in ASCII: `time` (ISO 8601, nanoseconds), `event`, `severity`, `body` where
    there is one, then the attributes by name. An attribute of one of these four names gets a leading `_`.
    Bytes are base64, and numbers that JSON does not have are strings."""
    found: dict[str, Any] = {"time": _iso(record.time_unix_nano or record.observed_time_unix_nano)}
    found["event"] = record.event_name
    if record.severity_text:
        found["severity"] = record.severity_text
    if record.body is not None:
        found["body"] = _plain(record.body)
    for key, value in record.attributes.items():
        found["_" + key if key in _OWN_KEYS else key] = _plain(value)
    # ASCII also escapes what would turn the reading direction; DEL is the one control character it leaves.
    return json.dumps(found, ensure_ascii=True, allow_nan=False, separators=(",", ":")).replace(
        "\x7f", "\\u007f"
    )


def _iso(nanoseconds: int) -> str | None:
    if nanoseconds <= 0:
        return None
    try:
        return timestamp(nanoseconds)
    except (OverflowError, OSError, ValueError):
        return str(nanoseconds)


def _plain(value: AnyValue) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value
