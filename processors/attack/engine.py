"""From a record to the techniques that it shows."""

from __future__ import annotations

from functools import cache

from otel_fim.processors.attack import behaviours, table_access, table_defence
from otel_fim.processors.attack.change import Change, Effect, changes
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
    found: dict[str, Match] = {}
    for change in changes(record):
        for match in _of(change):
            known = found.get(match.technique.id)
            if match.confidence >= least and (known is None or match.confidence > known.confidence):
                found[match.technique.id] = match
    if len(found) < 2:
        return list(found.values())
    return sorted(found.values(), key=lambda match: -match.confidence)


def _of(change: Change) -> list[Match]:
    matches = list(behaviours.find(change))
    # A new directory starts nothing; what is put into it does.
    if not change.is_directory:
        for row in path_index().find(change.path):
            if row.holds(change):
                matches.append(Match(row.technique, row.confidence, describe(change, row.reason)))
                break
    if not matches and change.effect is Effect.ATTRIBUTES:
        fallback = behaviours.permissions(change)
        if fallback is not None:
            matches.append(fallback)
    return matches
