"""What a destination answers, and what follows from it: the rules of the OTLP specification 1.60.

Nothing here sends anything. A refusal that may pass becomes `RetryableError`, one that will not
`PermanentError`, and a request that is too large `TooLargeError`.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final

import orjson
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

from otel_fim.component import PermanentError, RetryableError

_MAX_WAIT_SECONDS: Final = 3600.0
"""A destination that asks for more is asked again after this long."""
_MAX_TEXT: Final = 500
_RETRYABLE_STATUS: Final = frozenset({429, 502, 503, 504})
_TOO_LARGE_STATUS: Final = 413
_RETRYABLE_CODES: Final = frozenset({
    "CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS",
})  # fmt: skip
_EXHAUSTED_CODE: Final = "RESOURCE_EXHAUSTED"
_TOO_LARGE_TEXT: Final = re.compile(r"larger than max|too large|exceed\w* .*(?:size|limit)", re.IGNORECASE)
_JSON: Final = "application/json"
_PROTOBUF: Final = "application/x-protobuf"


class TooLargeError(Exception):
    """The destination takes requests, but not one of this size."""


@dataclass(slots=True, frozen=True)
class Reply:
    """The destination took the request; `rejected` records of it were refused for good, as `message` says."""

    rejected: int = 0
    message: str = ""


def shown(text: str) -> str:
    """A stranger's text for a message: one line, not long."""
    printable = "".join(c if c.isprintable() else " " for c in text[: 4 * _MAX_TEXT])
    plain = " ".join(printable.split())
    return plain if len(plain) <= _MAX_TEXT else plain[:_MAX_TEXT] + "…"


def http_reply(status: int, headers: dict[str, str], body: bytes, destination: str) -> Reply:
    """Reads an HTTP answer; the names of `headers` are in lower case.

    Raises `RetryableError`, `PermanentError` or `TooLargeError`.
    """
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if 200 <= status < 300:
        if body and kind == "text/html":
            raise RetryableError(f"{destination} answered {status} with a web page: it does not speak OTLP")
        return _success(kind, body)
    reason = _http_reason(kind, headers, body)
    message = f"{destination} answered {status}" + (f": {reason}" if reason else "")
    if status == _TOO_LARGE_STATUS:
        raise TooLargeError(message)
    if status in _RETRYABLE_STATUS:
        raise RetryableError(message, retry_after=retry_after(headers.get("retry-after")))
    raise PermanentError(message)


def grpc_failure(code: str, details: str, status_details: bytes | None, destination: str) -> Exception:
    """The exception for a gRPC status other than OK; `status_details` is `grpc-status-details-bin`."""
    message = f"{destination}: {code}" + (f": {shown(details)}" if details else "")
    wait = _retry_info(status_details)
    if code in _RETRYABLE_CODES or (code == _EXHAUSTED_CODE and wait is not None):
        return RetryableError(message, retry_after=wait)
    if code == _EXHAUSTED_CODE and _TOO_LARGE_TEXT.search(details):
        return TooLargeError(message)
    return PermanentError(message)


def protobuf_reply(body: bytes) -> Reply:
    """Reads an `ExportLogsServiceResponse`. An unreadable one is a warning: the records were taken, and sending
    them again would double them."""
    try:
        partial = ExportLogsServiceResponse.FromString(body).partial_success
    except DecodeError:
        return Reply(message="the answer was unreadable, though the status was success")
    return Reply(max(0, partial.rejected_log_records), shown(partial.error_message))


def retry_after(value: str | None, now: float | None = None) -> float | None:
    """Seconds from `Retry-After`, which is a number of seconds or a date (RFC 9110, 10.2.3); None when it is not
    there or is neither."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text), _MAX_WAIT_SECONDS)
    try:
        moment = parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(0.0, moment - (time.time() if now is None else now)), _MAX_WAIT_SECONDS)


def _success(kind: str, body: bytes) -> Reply:
    if not body or kind == _PROTOBUF:
        return protobuf_reply(body)
    if kind == _JSON:
        return _json_reply(body)
    return Reply(message=f"the answer was of type {shown(kind) or 'unknown'} and was not read")


def _json_reply(body: bytes) -> Reply:
    try:
        partial = orjson.loads(body).get("partialSuccess") or {}
        return Reply(
            max(0, int(partial.get("rejectedLogRecords") or 0)), shown(str(partial.get("errorMessage") or ""))
        )
    except (ValueError, AttributeError, TypeError):
        return Reply(message="the answer was unreadable, though the status was success")


def _http_reason(kind: str, headers: dict[str, str], body: bytes) -> str:
    """The message of the google.rpc.Status in an error's body, or what else the answer says."""
    if kind == _PROTOBUF:
        try:
            return shown(Status.FromString(body).message)
        except DecodeError:
            return ""
    if kind == _JSON:
        try:
            status: Any = orjson.loads(body)
            return shown(str(status.get("message") or ""))
        except (ValueError, AttributeError):
            return ""
    if location := headers.get("location"):
        return f"it redirects to {shown(location)}; set that as the endpoint if you trust it"
    return shown(body.decode("utf-8", "replace")) if kind == "text/plain" else ""


def _retry_info(status_details: bytes | None) -> float | None:
    """Seconds from google.rpc.RetryInfo, None when it is not there."""
    if not status_details:
        return None
    try:
        for detail in Status.FromString(status_details).details:
            info = RetryInfo()
            if detail.Unpack(info):
                seconds: float = info.retry_delay.seconds + info.retry_delay.nanos / 1e9
                return min(max(0.0, seconds), _MAX_WAIT_SECONDS)
    except DecodeError:
        return None
    return None
