"""The chain: how a record is sealed into its stream, and how a stream is verified.

A stream is one writer's series of records. Each carries the stream's id, its own number from 1 on without a gap,
the hash of the record before it and the hash of its own canonical form, which covers the other three. The first
record, and each whose resource is another than that of the record before it, carry the resource's hash as well.
Specified in docs/evidence-format.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from otel_fim import names
from otel_fim.canonical import CANONICAL_VERSION, canonical_record, canonical_resource, canonical_row
from otel_fim.otlp.anyvalue import to_text
from otel_fim.otlp.bounded import Computed
from otel_fim.record import AnyValue, Attributes, Record, Resource

EMPTY_HASH: Final = sha256(b"").hexdigest()
"""The previous hash of a stream's first record: SHA-256 of nothing."""

CHAIN_KEYS: Final = frozenset(
    {
        names.AUDIT_SEQUENCE_STREAM_ID,
        names.AUDIT_SEQUENCE_NUMBER,
        names.AUDIT_SEQUENCE_PREV_HASH,
        names.OTEL_FIM_CHAIN_VERSION,
        names.OTEL_FIM_RESOURCE_HASH,
        names.OTEL_FIM_CHAIN_HASH,
    }
)
"""The attributes that sealing writes."""

_STREAM_ID: Final = names.AUDIT_SEQUENCE_STREAM_ID
_NUMBER: Final = names.AUDIT_SEQUENCE_NUMBER
_PREVIOUS: Final = names.AUDIT_SEQUENCE_PREV_HASH
_VERSION: Final = names.OTEL_FIM_CHAIN_VERSION
_RESOURCE: Final = names.OTEL_FIM_RESOURCE_HASH
_HASH: Final = names.OTEL_FIM_CHAIN_HASH
_VERSION_TEXT: Final = str(CANONICAL_VERSION)


def seal(
    record: Record, stream_id: str, number: int, previous_hash: str, bound_resource_hash: str = ""
) -> str:
    """Writes the chain attributes into `record` and gives its hash back.

    `bound_resource_hash` is given when this record binds its resource. Raises `ValueError` for what OTLP cannot
    carry; the record then holds all chain attributes but the hash.
    """
    attributes = record.attributes
    attributes[_STREAM_ID] = stream_id
    attributes[_NUMBER] = number
    attributes[_PREVIOUS] = previous_hash
    attributes[_VERSION] = CANONICAL_VERSION
    if bound_resource_hash:
        attributes[_RESOURCE] = bound_resource_hash
    found = sha256(canonical_record(record)).hexdigest()
    attributes[_HASH] = found
    return found


def unseal(record: Record) -> None:
    """Takes the chain attributes away."""
    for key in CHAIN_KEYS:
        record.attributes.pop(key, None)


def hash_of_resource(attributes: Mapping[str, AnyValue]) -> str:
    """What binds a resource: SHA-256 over its canonical form, hex. Raises `ValueError` like `canonical_resource`."""
    return sha256(canonical_resource(attributes)).hexdigest()


def resource_hash(resource: Resource) -> str:
    """`hash_of_resource` for a Resource, remembered by identity."""
    return _RESOURCE_HASHES[resource]


def carries_chain(attributes: Mapping[str, AnyValue]) -> bool:
    """Whether any of the chain's attributes is there already."""
    return not CHAIN_KEYS.isdisjoint(attributes)


def set_aside(attributes: Attributes) -> Attributes:
    """The attributes of a record that came sealed from elsewhere, its chain attributes under the prefix
    `otel_fim.relayed.`, and once more under it for each further stream that it passes."""
    return {
        names.RELAYED_PREFIX + key
        if key in CHAIN_KEYS or key.startswith(names.RELAYED_PREFIX)
        else key: value
        for key, value in attributes.items()
    }


def original(record: Record) -> Record | None:
    """The record as it came from the stream before this one, or None if it was born in this stream."""
    prefix = names.RELAYED_PREFIX
    if prefix + _HASH not in record.attributes:
        return None
    copy = record.copy()
    copy.attributes = {
        key.removeprefix(prefix): value for key, value in record.attributes.items() if key not in CHAIN_KEYS
    }
    return copy


@dataclass(slots=True, frozen=True)
class Sealed:
    """What verification needs of a record: what it claims, and what its content really hashes to.

    `bound_resource_hash` is empty unless the record binds its resource.
    """

    stream_id: str
    number: int
    previous_hash: str
    version: str
    claimed_hash: str
    content_hash: str
    bound_resource_hash: str
    resource_hash: str

    @property
    def is_whole(self) -> bool:
        """The content is what was sealed, and the version is one that is known here."""
        return self.version == _VERSION_TEXT and self.claimed_hash == self.content_hash


def sealed_record(record: Record) -> Sealed | None:
    """A record's seal; None when it has none. Raises `ValueError` for what OTLP cannot carry."""
    if _HASH not in record.attributes:
        return None
    return _sealed(record.attributes, canonical_record(record), resource_hash(record.resource))


def sealed_row(
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
    resource_attributes: Mapping[str, str],
) -> Sealed | None:
    """The seal in a row of `otel_logs`, given its columns (see `canonical_row`); None when it has none."""
    if _HASH not in log_attributes:
        return None
    canonical = canonical_row(
        timestamp_unix_nano=timestamp_unix_nano,
        severity_number=severity_number,
        severity_text=severity_text,
        body=body,
        event_name=event_name,
        scope_name=scope_name,
        scope_version=scope_version,
        scope_attributes=scope_attributes,
        log_attributes=log_attributes,
    )
    return _sealed(log_attributes, canonical, hash_of_resource(resource_attributes))


def _sealed(attributes: Mapping[str, AnyValue], canonical: bytes, resource_hash: str) -> Sealed:
    number = to_text(attributes.get(_NUMBER))
    return Sealed(
        stream_id=to_text(attributes.get(_STREAM_ID)),
        number=int(number) if number.isascii() and number.isdigit() and len(number) < 20 else 0,
        previous_hash=to_text(attributes.get(_PREVIOUS)),
        version=to_text(attributes.get(_VERSION)),
        claimed_hash=to_text(attributes.get(_HASH)),
        content_hash=sha256(canonical).hexdigest(),
        bound_resource_hash=to_text(attributes.get(_RESOURCE)),
        resource_hash=resource_hash,
    )


_RESOURCE_HASHES: Final = Computed[Resource, str](lambda resource: hash_of_resource(resource.attributes), 64)
