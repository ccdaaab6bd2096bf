"""The canonical form, version 1: the bytes that a record's hash covers. Specified in docs/evidence-format.md.

It is RFC 8785 JSON in which every value is a string, in the text form of `otel_fim.otlp.anyvalue`. That is what
makes it the same whether it is built from a record, from a line of the journal or from a row of `otel_logs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import orjson
import rfc8785

from otel_fim import names
from otel_fim.otlp.anyvalue import to_text
from otel_fim.otlp.bounded import Computed
from otel_fim.record import AnyValue, Record, Scope

CANONICAL_VERSION: Final = 1

_HASH: Final = names.OTEL_FIM_CHAIN_HASH


def canonical_record(record: Record) -> bytes:
    """The canonical form of a record; `otel_fim.chain.hash` itself is left out.

    Raises `ValueError` for what OTLP cannot carry (`otel_fim.otlp.clean_record` makes it fit).
    """
    try:
        attributes = _texts(record.attributes)
        attributes.pop(_HASH, None)
        return _canonical(
            attributes,
            to_text(record.body),
            record.event_name,
            _SCOPES[record.scope],
            str(int(record.severity_number)),
            record.severity_text,
            str(int(record.time_unix_nano or record.observed_time_unix_nano)),
        )
    except TypeError as error:
        raise ValueError(f"record {record.event_name!r} has no canonical form: {error}") from None


def canonical_row(
    *,
    timestamp_unix_nano: int,
    severity_number: int,
    severity_text: str,
    body: str,
    event_name: str,
    scope_name: str,
    scope_version: str,
    scope_attributes: Mapping[str, str],
    log_attributes: Mapping[str, str],
) -> bytes:
    """The canonical form of the record that a row of `otel_logs` holds: the columns Timestamp (nanoseconds since
    the epoch), SeverityNumber, SeverityText, Body, EventName, ScopeName, ScopeVersion, ScopeAttributes and
    LogAttributes. Raises `ValueError` for text that is not Unicode."""
    attributes = dict(log_attributes)
    attributes.pop(_HASH, None)
    try:
        return _canonical(
            attributes,
            body,
            event_name,
            _scope(scope_name, scope_version, scope_attributes),
            str(severity_number),
            severity_text,
            str(timestamp_unix_nano),
        )
    except TypeError as error:
        raise ValueError(f"row {event_name!r} has no canonical form: {error}") from None


def canonical_resource(attributes: Mapping[str, AnyValue]) -> bytes:
    """The canonical form of a resource, given by its attributes or by the column ResourceAttributes.

    Raises `ValueError` for what OTLP cannot carry.
    """
    try:
        return _dumps({"attributes": _map(_texts(attributes))})
    except TypeError as error:
        raise ValueError(f"the resource has no canonical form: {error}") from None


def _canonical(
    attributes: dict[str, str],
    body: str,
    event_name: str,
    scope: orjson.Fragment,
    severity_number: str,
    severity_text: str,
    time_unix_nano: str,
) -> bytes:
    return _dumps(
        {
            "attributes": _map(attributes),
            "body": body,
            "event_name": event_name,
            "scope": scope,
            "severity_number": severity_number,
            "severity_text": severity_text,
            "time": time_unix_nano,
        }
    )


def _scope(name: str, version: str, attributes: Mapping[str, AnyValue]) -> orjson.Fragment:
    return orjson.Fragment(_dumps({"attributes": _map(_texts(attributes)), "name": name, "version": version}))


def _map(texts: dict[str, str]) -> dict[str, str] | orjson.Fragment:
    """What orjson writes as RFC 8785 has it.

    RFC 8785 sorts keys by UTF-16 code units and orjson by UTF-8 bytes. The two orders can differ only where a
    key is not ASCII, so such objects go through `rfc8785` and all others, ten times as fast, through orjson.
    """
    return texts if "".join(texts).isascii() else orjson.Fragment(rfc8785.dumps(texts))


def _dumps(value: Mapping[str, object]) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _texts(attributes: Mapping[str, AnyValue]) -> dict[str, str]:
    return {key: value if value.__class__ is str else to_text(value) for key, value in attributes.items()}


_SCOPES: Final = Computed[Scope, orjson.Fragment](
    lambda scope: _scope(scope.name, scope.version, scope.attributes), 64
)
