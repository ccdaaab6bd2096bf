"""Events and stories as JSON, for the state file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, Final

from otel_fim.receivers.auth.event import AuthEvent, Kind, Weight

_FIELDS: Final = {each.name: each for each in fields(AuthEvent)}
_DEFAULTS: Final = {name: each.default for name, each in _FIELDS.items() if each.default is not MISSING}
_NUMBERS: Final = frozenset(name for name, each in _FIELDS.items() if str(each.type) in ("int", "int | None"))
_FLAGS: Final = frozenset(name for name, each in _FIELDS.items() if str(each.type).startswith("bool"))
_LISTS: Final = frozenset(name for name, each in _FIELDS.items() if str(each.type).startswith("tuple"))


def to_json(event: AuthEvent, *, short: bool = False) -> dict[str, Any]:
    """What is not the default. `short` leaves out what only the record needs."""
    found: dict[str, Any] = {}
    for name in _FIELDS:
        value = getattr(event, name)
        if name in _DEFAULTS and value == _DEFAULTS[name]:
            continue
        if short and name in ("original", "command", "working_directory", "changes"):
            continue
        found[name] = value.value if isinstance(value, Kind) else list(value) if name in _LISTS else value
    return found


def from_json(row: object) -> AuthEvent | None:
    """The event, None when it is not of that form."""
    if not isinstance(row, Mapping) or not set(row) <= set(_FIELDS):
        return None
    values: dict[str, Any] = {}
    for name, value in row.items():
        if name in _NUMBERS and not (isinstance(value, int) and not isinstance(value, bool)):
            return None
        if name in _FLAGS and not isinstance(value, bool):
            return None
        if name in _LISTS:
            if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
                return None
            value = tuple(value)
        values[name] = value
    try:
        values["kind"] = Kind(values["kind"])
        if "weight" in values:
            values["weight"] = Weight(values["weight"])
        event = AuthEvent(**values)
    except (KeyError, ValueError, TypeError):
        return None
    return event if event.sources else None
