"""What a failure means: try again, mend something first, or a record that the server will never take."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from otel_fim.exporters.clickhouse.config import ClickHouseConfig

_LONGEST_CAUSE: Final = 300
_EXCEPTION: Final = re.compile(r"DB::Exception: (.*)", re.DOTALL)
_VERSION: Final = re.compile(r"\s*\(version [^)]*(\([^)]*\))?\)")
_SYSTEM: Final = re.compile(r"\[Errno -?\d+\] ([^'\")>]+)")
_STATUS: Final = re.compile(r"HTTP status (\d{3})")


class Kind(Enum):
    """What to do about a failure."""

    UNREACHABLE = "try again"
    RIGHTS = "wait for other credentials or rights"
    SCHEMA = "look at the table again"
    BUSY = "try again later"
    DATA = "find the record"


@dataclass(slots=True, frozen=True)
class Failure:
    """A failure, with a sentence that names host, cause and remedy."""

    kind: Kind
    message: str


# The server's numbers, from src/Common/ErrorCodes.cpp.
UNKNOWN_TABLE: Final = 60
UNKNOWN_DATABASE: Final = 81
ALREADY_RUNNING: Final = 216
_TOO_MANY_PARTS: Final = 252
_TOO_MANY_PARTITIONS_TEXT: Final = "partitions for single INSERT block"
_AUTHENTICATION: Final = frozenset({192, 193, 194, 516})
_ACCESS: Final = frozenset({164, 291, 497})
_SCHEMA: Final = frozenset({10, 16, 20, 36, 44, 46, 47, 62, 115, 218})
NO_INPUT: Final = frozenset({46, 48, 344, 497})
"""What a server answers that cannot do INSERT SELECT FROM input(), or does not let this user: the function is
unknown, not implemented, disabled or denied."""
DATA_LOST: Final = 395
"""What `Table.arrival_statement` fails with when its data does not arrive."""
_DATA: Final = frozenset(
    # The value does not convert to the column's type, or a constraint does not hold. Errors that a request
    # damaged on its way causes too (26, 27, 32, 33, 117, 131) are not among these: no record is given up for them.
    {6, 38, 41, 53, 69, 70, 72, 321, 349, 395, 407, 469}
)


def failure(error: Exception, config: ClickHouseConfig, table: str) -> Failure:
    """What `error`, raised by clickhouse-connect or below it, means for `table`."""
    where = config.endpoint
    code: int | None = getattr(error, "code", None)
    said = cause(str(error))
    if code is None:
        return _without_code(str(error), where, said)
    if code in _AUTHENTICATION:
        who = f"user {config.username!r}"
        key = "password_file" if config.password_file else "password"
        return Failure(Kind.RIGHTS, f"{where} does not let {who} in: {said}; check username and {key}")
    if code in _ACCESS:
        return Failure(
            Kind.RIGHTS,
            f"{where}: user {config.username!r} may not do this: {said}; the rights that the exporter needs "
            "are in its README",
        )
    if code in (UNKNOWN_TABLE, UNKNOWN_DATABASE):
        return Failure(Kind.SCHEMA, f"{where}: {absent(table, config)}")
    if code in _SCHEMA:
        return Failure(Kind.SCHEMA, f"{where}: table {table} does not fit: {said}")
    if code == ALREADY_RUNNING:
        return Failure(
            Kind.BUSY,
            f"{where} still works on an insert of the same stream into {table}: an earlier attempt, or a second "
            "agent that was started with a copy of this one's state",
        )
    if code in _DATA or (code == _TOO_MANY_PARTS and _TOO_MANY_PARTITIONS_TEXT in str(error)):
        return Failure(Kind.DATA, f"{where}, table {table}: {said}")
    return Failure(Kind.BUSY, f"{where} cannot take records now: {said}")


def absent(table: str, config: ClickHouseConfig) -> str:
    """The sentence for a table that does not exist."""
    remedy = (
        "it will be created"
        if config.create_schema
        else f"create it (`otel-fim schema --database {config.database} --table {config.logs_table_name}` prints "
        "how) or set create_schema: true"
    )
    return f"table {table} does not exist; {remedy}"


def _without_code(text: str, where: str, said: str) -> Failure:
    """The server said nothing that is ClickHouse's: a proxy, the network, or no server at all."""
    status = _STATUS.search(text)
    if status is None:
        remedy = "is the server running and the endpoint right?"
        if "CERTIFICATE" in text.upper():
            remedy = "set tls.ca_file to the authority that signed the server's certificate"
        return Failure(Kind.UNREACHABLE, f"cannot reach {where}: {said}; {remedy}")
    if status[1] in ("401", "403"):
        return Failure(Kind.RIGHTS, f"{where} answers HTTP {status[1]}: {said}; check username and password")
    if status[1] == "413":
        return Failure(
            Kind.DATA, f"{where} answers HTTP 413: the request is too large for the server or a proxy"
        )
    return Failure(Kind.UNREACHABLE, f"{where} answers HTTP {status[1]}: {said}")


def cause(text: str) -> str:
    """The server's own words, short and on one line, with nothing in them that moves a terminal."""
    refused = _SYSTEM.findall(text)
    if refused and _EXCEPTION.search(text) is None:
        # The client wraps the one word that matters, such as "Connection refused", in several layers.
        return str(refused[-1])
    match = _EXCEPTION.search(text)
    said = _VERSION.split(match[1] if match else text)[0].strip()
    said = "".join(c if c.isprintable() else repr(c)[1:-1] for c in " ".join(said.split()))
    return said if len(said) <= _LONGEST_CAUSE else f"{said[:_LONGEST_CAUSE]}…"
