"""From records to resource groups to scope groups, the shape that both OTLP encodings have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from otel_fim.record import Record, Resource, Scope

Around = TypeVar("Around")


def encode_groups(
    records: Iterable[Record],
    encode: Callable[[Record], bytes],
    resources: Mapping[Resource, Around],
    scopes: Mapping[Scope, Around],
    close_scope: Callable[[Around, list[bytes]], bytes],
    close_resource: Callable[[Around, list[bytes]], bytes],
) -> list[bytes]:
    """The encoded ResourceLogs, in the records' order; neighbours that share resource and scope share a group.

    `resources` and `scopes` give the encoded resource and scope. They are what is compared when two objects
    are not the same one, because Python takes 1, 1.0 and True for equal and OTLP does not.
    """
    out: list[bytes] = []
    groups: list[bytes] = []
    lines: list[bytes] = []
    resource: Resource | None = None
    scope: Scope | None = None
    current: tuple[Around, Around] | None = None
    for record in records:
        if record.resource is not resource or record.scope is not scope:
            resource, scope = record.resource, record.scope
            following = (resources[resource], scopes[scope])
            if current is not None and following != current:
                groups.append(close_scope(current[1], lines))
                lines = []
                if following[0] != current[0]:
                    out.append(close_resource(current[0], groups))
                    groups = []
            current = following
        lines.append(encode(record))
    if current is not None:
        groups.append(close_scope(current[1], lines))
        out.append(close_resource(current[0], groups))
    return out
