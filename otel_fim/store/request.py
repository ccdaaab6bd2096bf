"""A request to the query endpoint, taken apart.

Parameters are ClickHouse's (https://clickhouse.com/docs/interfaces/http): the ones below mean something to the
HTTP interface, `param_*` are query parameters, and every other name is a setting.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl

from otel_fim.store.errors import BAD_ARGUMENTS, NOT_IMPLEMENTED, StoreError

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_QUERY_ID: Final = re.compile(r"[\x21-\x7e]{1,128}")
_IGNORED: Final = frozenset(
    # Sessions (there are none), and settings that only concern the HTTP interface of ClickHouse itself.
    {"session_id", "session_timeout", "session_check", "quota_key", "stacktrace", "user", "password"}
    | {"send_progress_in_http_headers", "http_headers_progress_interval_ms", "http_wait_end_of_query"}
    | {"cancel_http_readonly_queries_on_client_close", "add_http_cors_header", "log_comment", "log_queries"}
)
MAX_PARAMETERS: Final = 2000


@dataclass(slots=True)
class Options:
    """What the parameters and headers of a request ask for. Texts are bytes: SQL need not be UTF-8."""

    query: bytes = b""
    database: str = ""
    default_format: str = ""
    query_id: str = ""
    compress: bool = False
    decompress: bool = False
    wait_end_of_query: bool = False
    protocol: int = 0
    http_compression: bool = True
    settings: list[tuple[str, bytes]] = field(default_factory=list)
    """Settings and `param_` values, in the order given."""

    def setting(self, name: str) -> bytes | None:
        """The value given for a setting."""
        return next((value for key, value in reversed(self.settings) if key == name), None)


def headers_of(scope: Mapping[str, Any]) -> dict[str, str]:
    """The request's headers by lower-case name; of a repeated one the last."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


def parameters_of(scope: Mapping[str, Any]) -> list[tuple[str, bytes]]:
    """The URL's parameters, values byte for byte. Raises `StoreError` for too many."""
    try:
        pairs = parse_qsl(
            scope["query_string"].decode("latin-1"),
            keep_blank_values=True,
            encoding="latin-1",
            max_num_fields=MAX_PARAMETERS,
        )
    except ValueError:
        raise StoreError(BAD_ARGUMENTS, f"more than {MAX_PARAMETERS} parameters in the URL") from None
    return [(name, value.encode("latin-1")) for name, value in pairs]


def options_of(parameters: list[tuple[str, bytes]], headers: Mapping[str, str]) -> Options:
    """The parameters' meaning. Raises `StoreError` for values that make no sense."""
    options = Options(
        database=headers.get("x-clickhouse-database", ""),
        default_format=headers.get("x-clickhouse-format", ""),
    )
    for name, value in parameters:
        _apply(options, name, value)
    if not options.query_id:
        token = secrets.token_hex(16)
        options.query_id = "-".join((token[:8], token[8:12], token[12:16], token[16:20], token[20:]))
    return options


def _apply(options: Options, name: str, value: bytes) -> None:
    if name == "query":
        options.query = value
    elif name in {"database", "default_format"}:
        setattr(options, name, _text(name, value))
    elif name == "query_id":
        options.query_id = _text(name, value)
        if options.query_id and not _QUERY_ID.fullmatch(options.query_id):
            raise StoreError(BAD_ARGUMENTS, "query_id must be up to 128 printable characters without spaces")
    elif name in {"compress", "decompress", "wait_end_of_query"}:
        setattr(options, name, _flag(name, value))
    elif name == "enable_http_compression":
        options.http_compression = _flag(name, value)
    elif name == "client_protocol_version":
        if not value.isdigit() or len(value) > 9:
            raise StoreError(BAD_ARGUMENTS, "client_protocol_version must be a number")
        options.protocol = int(value)
    elif name == "buffer_size" or name in _IGNORED:
        pass
    elif name == "role":
        raise StoreError(NOT_IMPLEMENTED, "the embedded store has no roles")
    elif not _NAME.fullmatch(name):
        raise StoreError(BAD_ARGUMENTS, f"parameter {name!r} is no name of a setting")
    else:
        options.settings.append((name, value))


def _text(name: str, value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise StoreError(BAD_ARGUMENTS, f"{name} is not UTF-8") from None


def _flag(name: str, value: bytes) -> bool:
    if value.lower() in {b"1", b"true", b"yes"}:
        return True
    if value.lower() in {b"0", b"false", b"no", b""}:
        return False
    raise StoreError(BAD_ARGUMENTS, f"{name} must be 0 or 1")
