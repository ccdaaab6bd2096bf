"""A rule's detections with this project's modifiers: pySigma's objects, put together here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any, Final

from sigma.conditions import (
    ConditionIdentifier,
    ConditionItem,
    ConditionOR,
    ConditionSelector,
    SigmaCondition,
)
from sigma.exceptions import SigmaConditionError
from sigma.rule import SigmaDetection, SigmaDetections
from sigma.types import SigmaExpansion, SigmaType

from otel_fim.sigma.parse.expand import Placeholders
from otel_fim.sigma.parse.items import MalformedError, item_of

__all__ = ["MAX_CONDITION", "RECORDS", "MalformedError", "detection_of", "detections_of"]

RECORDS: Final = "_otel_fim_records"
"""The selection that the pipeline adds to a rule: the records of its log source."""

MAX_CONDITION: Final = 4096
"""Characters of a condition."""
_MAX_PARENTHESES: Final = 20
_MAX_CONDITIONS: Final = 100
_MAX_WORK: Final = 1_000_000
"""Values of all selections times words of all conditions: what the lowered condition may hold at most."""
_NOT_SELECTIONS: Final = ("condition", "rules", "timeframe")
_NONE: Final[Placeholders] = MappingProxyType({})
_WRAPPED: Final = re.compile(rf"{RECORDS} and \((.*)\)", re.DOTALL)
_WORD: Final = re.compile(r"[\w*-]+")
_UPPER: Final = re.compile(r"\b(?:AND|OR|NOT)\b")


def detections_of(
    section: object, what: str = "detection", placeholders: Placeholders = _NONE
) -> SigmaDetections:
    """The detections and the condition of a rule's `detection` or a filter's `filter`.

    Raises `MalformedError`.
    """
    if not isinstance(section, Mapping):
        raise MalformedError(f"{what} must be a mapping of selections and a condition")
    if "timeframe" in section:
        raise MalformedError("timeframe is Sigma 1's: write a correlation document")
    conditions = _conditions(section.get("condition"), what)
    names = [name for name in section if name not in _NOT_SELECTIONS]
    for name in names:
        if not isinstance(name, str):
            raise MalformedError(f"the selection {name!r} must have a text as its name: put it in quotes")
    names, conditions = _without_records(names, conditions)
    if not names:
        raise MalformedError(f"{what} has no selection beside the condition: write one, and name it there")
    found = {name: detection_of(section[name], name, placeholders) for name in names}
    made = SigmaDetections(detections=found, condition=conditions)
    values = sum(_count(each) for each in found.values())
    words = sum(len(each.split()) for each in conditions)
    if values * words > _MAX_WORK:
        raise MalformedError(
            f"{values} values in conditions of {words} words are too many: make it several rules"
        )
    for each in made.parsed_condition:
        _check(each, names)
    return made


def _without_records(names: list[str], conditions: list[str]) -> tuple[list[str], list[str]]:
    """Without what the pipeline has added, when it was applied before (pySigma gives such a rule with the condition
    wrapped or as it was). It is added again; a rule that says what to do with it would be about other records than
    those of its log source."""
    if RECORDS in names:
        wrapped = [_WRAPPED.fullmatch(each) for each in conditions]
        conditions = [found[1] if found else each for found, each in zip(wrapped, conditions, strict=True)]
        names = [name for name in names if name != RECORDS]
    words = {word for each in conditions for word in _WORD.findall(each) if word.startswith("_")}
    for word in sorted({*words, *names}):
        if word == RECORDS or (word in words and fnmatchcase(RECORDS, word)):
            raise MalformedError(
                f"{word!r} means the selection {RECORDS}, the records of the log source: use another name"
            )
    return names, conditions


def _check(condition: SigmaCondition, names: list[str]) -> None:
    text = condition.condition
    try:
        parsed: Any = condition.parse(postprocess=False)
    except SigmaConditionError as error:
        remedy = (
            "write and, or, not in small letters"
            if _UPPER.search(text)
            else "it has names of selections, and, or, not, parentheses, 1 of NAME* and all of NAME*"
        )
        said = str(error.args[0]).partition("  (at char")[0]
        if said.startswith("Expected {"):
            said = "a selection's name is missing"
        raise MalformedError(f"the condition {text!r} cannot be read: {said}; {remedy}") from error
    there = ", ".join(names)
    for leaf in _leaves(parsed):
        if isinstance(leaf, ConditionIdentifier):
            name = str(leaf.args[0])
            if name not in names:
                raise MalformedError(
                    f"the condition names {name!r}, and there is no such selection; there are {there}"
                )
        elif not leaf.resolve_referenced_detections(condition.detections):
            pattern = f"{leaf.args[0]} of {leaf.args[1]}"
            raise MalformedError(
                f"the condition says {pattern!r}, and no selection has such a name; there are {there} (names that "
                "begin with _ are met only by patterns that do)"
            )


def _leaves(item: Any) -> Iterable[ConditionIdentifier | ConditionSelector]:
    if isinstance(item, ConditionIdentifier | ConditionSelector):
        yield item
    elif isinstance(item, ConditionItem):
        for each in item.args:
            yield from _leaves(each)


def detection_of(definition: object, name: str, placeholders: Placeholders = _NONE) -> SigmaDetection:
    """One selection: a mapping of fields, a list of mappings or values, or a value."""
    if isinstance(definition, Mapping):
        if not definition:
            raise MalformedError(f"the selection {name} is empty: give it fields or keywords")
        return SigmaDetection([item_of(key, value, name, placeholders) for key, value in definition.items()])
    if isinstance(definition, list):
        if not definition:
            raise MalformedError(f"the selection {name} is empty: give it fields or keywords")
        if any(isinstance(each, Mapping | list) for each in definition):
            return SigmaDetection(
                [detection_of(each, name, placeholders) for each in definition], item_linking=ConditionOR
            )
        return SigmaDetection([item_of("", definition, name, placeholders)])
    return SigmaDetection([item_of("", definition, name, placeholders)])


def _conditions(condition: object, what: str) -> list[str]:
    if condition is None:
        raise MalformedError(f"{what} has no condition")
    conditions = condition if isinstance(condition, list) else [condition]
    if not conditions:
        raise MalformedError(f"{what} has no condition")
    if len(conditions) > _MAX_CONDITIONS:
        raise MalformedError(f"{what} has {len(conditions)} conditions; at most {_MAX_CONDITIONS} are taken")
    for each in conditions:
        if not isinstance(each, str):
            raise MalformedError(f"the condition {each!r} must be a text")
        if len(each) > MAX_CONDITION:
            raise MalformedError(
                f"the condition has {len(each)} characters; at most {MAX_CONDITION} are read"
            )
        if _depth(each) > _MAX_PARENTHESES:
            raise MalformedError(
                f"the condition has more than {_MAX_PARENTHESES} parentheses within each other"
            )
        if "|" in each:
            raise MalformedError("a pipe in a condition is Sigma 1's: write a correlation document")
    return list(conditions)


def _count(detection: SigmaDetection) -> int:
    return sum(
        _count(each) if isinstance(each, SigmaDetection) else sum(map(_size, each.value))
        for each in detection.detection_items
    )


def _size(value: SigmaType) -> int:
    return len(value.values) if isinstance(value, SigmaExpansion) else 1


def _depth(condition: str) -> int:
    deepest = depth = 0
    for character in condition:
        depth += (character == "(") - (character == ")")
        deepest = max(deepest, depth)
    return deepest + condition.count("not not")
