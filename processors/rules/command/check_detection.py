"""The detection: fields that records have, selections that are used."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Final

from otel_fim.config.errors import did_you_mean
from otel_fim.names.attributes import BEFORE_PREFIX, RELAYED_PREFIX
from otel_fim.names.registry import ATTRIBUTES, EVENTS
from otel_fim.processors.rules.command.problems import Problems, Subject
from otel_fim.processors.rules.command.words import fields_of
from otel_fim.sigma.ir import Correlation, Field, Rule, Source
from otel_fim.sigma.mapping.fields import BY_AUTH, BY_PROCESS, COMMON
from otel_fim.sigma.mapping.foreign import NEVER
from otel_fim.sigma.mapping.sources import PLAIN

_MAPPED: Final = frozenset(row.attribute for row in (*COMMON, *BY_PROCESS, *BY_AUTH) if row.note != NEVER)
"""What Sigma's fields are; some of it is in records of other agents only."""
_WORD: Final = re.compile(r"[\w*.-]+")
_NOT_SELECTIONS: Final = ("condition", "timeframe")
_THEM: Final = "them"


def fields(subject: Subject) -> Problems:
    """Attributes and events that this project's records have."""
    rule = subject.source.rule
    if rule is None or not subject.own:
        return
    for name in sorted({field.name for field in _fields(rule) if field.source is Source.ATTRIBUTE}):
        if not is_known(name):
            hint = did_you_mean(name, ATTRIBUTES)
            yield subject.error("fields", f"no record has {name!r}{hint}")
    if isinstance(rule, Rule):
        for event in sorted(rule.event_names or ()):
            if event not in EVENTS and event != PLAIN:
                yield subject.error("fields", f"there is no event {event!r}{did_you_mean(event, EVENTS)}")


def is_known(name: str) -> bool:
    """Whether records have an attribute: of this project, of another's that it maps fields to, or an older value."""
    bare = name.removeprefix(BEFORE_PREFIX).removeprefix(RELAYED_PREFIX)
    return bare in ATTRIBUTES or name in _MAPPED


def _fields(rule: Rule | Correlation) -> Iterator[Field]:
    if isinstance(rule, Rule):
        yield from fields_of(rule.condition)
        return
    for key in rule.group_by:
        yield from (field for _, field in key.fields)
    yield from (field for _, field in rule.value)


def selections(subject: Subject) -> Problems:
    """Selections that no condition names: most often a typing error."""
    detection = subject.content.get("detection")
    if not isinstance(detection, dict):
        return
    condition = detection.get("condition", "")
    said = " ".join(map(str, condition)) if isinstance(condition, list) else str(condition)
    patterns = _WORD.findall(said)
    for name in detection:
        shown = str(name)
        if shown in _NOT_SELECTIONS or (_THEM in patterns and not shown.startswith("_")):
            continue
        if not any(fnmatchcase(shown, pattern) for pattern in patterns):
            yield subject.error("detection", f"the condition does not use {shown!r}")
