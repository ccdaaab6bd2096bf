"""From a record to the techniques that it shows."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final

from otel_fim.names import events
from otel_fim.processors.attack import access, behaviours, persistence, table_access, table_defence
from otel_fim.processors.attack.change import EFFECTS, Change, Effect, changes
from otel_fim.processors.attack.index import PathIndex
from otel_fim.processors.attack.mapping import Confidence, Mapping, Match, describe
from otel_fim.record import Record


@cache
def path_index() -> PathIndex[Mapping]:
    """The table of paths; built once and not changed."""
    index: PathIndex[Mapping] = PathIndex()
    for row, patterns in table_defence.ROWS + table_access.ROWS:
        index.add(patterns, row)
    return index


def find(record: Record, least: Confidence = Confidence.LOW) -> list[Match]:
    """What the record shows, the best supported technique first, each technique once; often nothing."""
    finder = FINDERS.get(record.event_name)
    if finder is None:
        return []
    found: dict[str, Match] = {}
    for match in finder(record):
        known = found.get(match.technique.id)
        if match.confidence >= least and (known is None or match.confidence > known.confidence):
            found[match.technique.id] = match
    if len(found) < 2:
        return list(found.values())
    return sorted(found.values(), key=lambda match: -match.confidence)


def _file(record: Record) -> list[Match]:
    return [match for change in changes(record) for match in _of(change)]


def _persistence(record: Record) -> list[Match]:
    if not persistence.is_change(record):
        return []
    by_kind = persistence.find(record)
    if by_kind is not None:
        return [by_kind]
    # A kind without a row of its own: the place says it.
    change = persistence.as_change(record)
    return [] if change is None else _by_path(change)


def _by_path(change: Change) -> list[Match]:
    for row in path_index().find(change.path):
        if row.holds(change):
            return [Match(row.technique, row.confidence, describe(change, row.reason))]
    return []


def _of(change: Change) -> list[Match]:
    matches = list(behaviours.find(change))
    # A new directory starts nothing; what is put into it does.
    if not change.is_directory:
        matches += _by_path(change)
    if not matches and change.effect is Effect.ATTRIBUTES:
        fallback = behaviours.permissions(change)
        if fallback is not None:
            matches.append(fallback)
    return matches


FINDERS: Final[dict[str, Callable[[Record], list[Match]]]] = {
    **dict.fromkeys(EFFECTS, _file),
    events.PERSISTENCE_ADDED: _persistence,
    events.PERSISTENCE_CHANGED: _persistence,
    events.AUTH_LOGIN: access.login,
    events.AUTH_PRIVILEGE: access.privilege,
    events.AUTH_ACCOUNT: access.account,
}
"""By event name; every other event shows no technique. Listeners are left out on purpose: an open port says nothing of
what it is for, and T1571 (Non-Standard Port) is about traffic."""
