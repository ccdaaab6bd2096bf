"""Errors in ClickHouse's form: a number, a name, a text, and the HTTP status that goes with the number."""

from __future__ import annotations

import re
from typing import Final

_ENGINE_MESSAGE: Final = re.compile(r"Code: (\d+)\. DB::Exception: (.*)", re.DOTALL)
_NAME_AT_END: Final = re.compile(r"\s*\(([A-Z][A-Z0-9_]+)\)(?:\s*\(version [^)]*\))?\s*$")

_MAX_MESSAGE: Final = 8192

# Names and numbers are ClickHouse's (src/Common/ErrorCodes.cpp).
BAD_ARGUMENTS: Final = (36, "BAD_ARGUMENTS")
NOT_IMPLEMENTED: Final = (48, "NOT_IMPLEMENTED")
LOGICAL_ERROR: Final = (49, "LOGICAL_ERROR")
SYNTAX_ERROR: Final = (62, "SYNTAX_ERROR")
READONLY: Final = (164, "READONLY")
TOO_MANY_SIMULTANEOUS_QUERIES: Final = (202, "TOO_MANY_SIMULTANEOUS_QUERIES")
SOCKET_TIMEOUT: Final = (209, "SOCKET_TIMEOUT")
QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING: Final = (216, "QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING")
NOT_ENOUGH_SPACE: Final = (243, "NOT_ENOUGH_SPACE")
QUERY_IS_TOO_LARGE: Final = (229, "QUERY_IS_TOO_LARGE")
UNKNOWN_COMPRESSION_METHOD: Final = (89, "UNKNOWN_COMPRESSION_METHOD")
CANNOT_DECOMPRESS: Final = (271, "CANNOT_DECOMPRESS")
CHECKSUM_DOESNT_MATCH: Final = (40, "CHECKSUM_DOESNT_MATCH")
ACCESS_DENIED: Final = (497, "ACCESS_DENIED")
AUTHENTICATION_FAILED: Final = (516, "AUTHENTICATION_FAILED")

# The numbers' statuses are those of src/Server/HTTP/exceptionCodeToHTTPStatus.cpp; the numbers were read from
# the engine (`errorCodeToName`). Two differences, both deliberate: a wrong password is 401 with a challenge,
# as HTTP means it, where ClickHouse says 403; and "too many queries" is 503, which clients and proxies know
# to try again, where ClickHouse says 500.
_BAD_REQUEST: Final = (
    *(6, 8, 15, 25, 26, 27, 36, 37, 38, 41, 44, 53, 62, 72, 117, 123),
    *(167, 168, 223, 321, 376, 427, 441, 675, 676),
)
_NOT_FOUND: Final = (46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 152, 336, 511)
_STATUS: Final[dict[int, int]] = {
    **dict.fromkeys(_BAD_REQUEST, 400),
    **dict.fromkeys(_NOT_FOUND, 404),
    **dict.fromkeys((192, 193, 497, 512), 403),
    **dict.fromkeys((194, 516), 401),
    **dict.fromkeys((76, 202, 209, 439), 503),
    48: 501,
    159: 408,
    229: 413,
    381: 411,
    779: 415,
}


class StoreError(Exception):
    """A failed request: `code` and `name` are ClickHouse's, `message` is the sentence without them."""

    def __init__(self, kind: tuple[int, str], message: str) -> None:
        super().__init__(message)
        self.code, self.name = kind
        self.message = message

    @classmethod
    def from_engine(cls, text: str) -> StoreError:
        """The engine's own message, taken apart. A text without a code counts as LOGICAL_ERROR."""
        found = _ENGINE_MESSAGE.search(text)
        if found is None:
            return cls(LOGICAL_ERROR, text.strip() or "the engine failed without a message")
        message = found[2]
        name = "UNKNOWN"
        if at_end := _NAME_AT_END.search(message):
            name = at_end[1]
            message = message[: at_end.start()]
        return cls((int(found[1]), name), message.strip())

    @property
    def status(self) -> int:
        """The HTTP status that ClickHouse's server answers with."""
        return _STATUS.get(self.code, 500)

    def text(self, version: str) -> str:
        """The body of the answer, one line and a newline, as ClickHouse's server writes it."""
        message = self.message
        if len(message) > _MAX_MESSAGE:
            message = f"{message[:_MAX_MESSAGE]}… ({len(message)} characters)"
        return f"Code: {self.code}. DB::Exception: {message} ({self.name}) (version {version})\n"
