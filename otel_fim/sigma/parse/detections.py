"""A rule's detections with this project's modifiers: pySigma's objects, put together here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sigma.conditions import ConditionOR
from sigma.exceptions import SigmaConditionError
from sigma.modifiers import (
    SigmaEndswithModifier,
    SigmaModifier,
    SigmaRegularExpressionModifier,
    SigmaStartswithModifier,
)
from sigma.rule import SigmaDetection, SigmaDetectionItem, SigmaDetections
from sigma.types import SigmaExpansion, SigmaNumber, SigmaString, SigmaType, SpecialChars, sigma_type

from otel_fim.sigma.parse.modifiers import MODIFIERS
from otel_fim.sigma.parse.policy import POLICY

MAX_CONDITION: Final = 4096
"""Characters of a condition."""
_MAX_PARENTHESES: Final = 20
_MAX_WINDASH: Final = 500
"""Values with `windash`, each of which stands for up to 125."""
_MAX_CONDITIONS: Final = 100
_MAX_WORK: Final = 1_000_000
"""Values of all selections times words of all conditions: what the lowered condition may hold at most."""
_NOT_SELECTIONS: Final = ("condition", "rules", "timeframe")
_ANYWHERE: Final = SpecialChars.WILDCARD_MULTI


class MalformedError(ValueError):
    """A part of a rule has not the form that Sigma gives it; the message says which and what is expected."""


def detections_of(section: object, what: str = "detection") -> SigmaDetections:
    """The detections and the condition of a rule's `detection` or a filter's `filter`.

    Raises `MalformedError`, and pySigma's `SigmaError` for values that do not suit their modifiers.
    """
    if not isinstance(section, Mapping):
        raise MalformedError(f"{what} must be a mapping of selections and a condition")
    if "timeframe" in section:
        raise MalformedError("timeframe is Sigma 1's: write a correlation document")
    conditions = _conditions(section.get("condition"), what)
    found = {
        name: detection_of(definition, str(name))
        for name, definition in section.items()
        if name not in _NOT_SELECTIONS
    }
    if not found:
        raise MalformedError(f"{what} has no selection beside the condition")
    for name in found:
        if not isinstance(name, str):
            raise MalformedError(f"the selection {name!r} must have a text as its name: put it in quotes")
    made = SigmaDetections(detections=found, condition=conditions)
    values = sum(_count(each) for each in found.values())
    words = sum(len(each.split()) for each in conditions)
    if values * words > _MAX_WORK:
        raise MalformedError(
            f"{values} values in conditions of {words} words are too many: make it several rules"
        )
    for each in made.parsed_condition:
        try:
            each.parse(postprocess=False)
        except SigmaConditionError as error:
            raise MalformedError(
                f"the condition {each.condition!r} cannot be read: {error.args[0]}"
            ) from error
    return made


def detection_of(definition: object, name: str) -> SigmaDetection:
    """One selection: a mapping of fields, a list of mappings or values, or a value."""
    if isinstance(definition, Mapping):
        if not definition:
            raise MalformedError(f"the selection {name} is empty")
        return SigmaDetection([_item(key, value, name) for key, value in definition.items()])
    if isinstance(definition, list):
        if not definition:
            raise MalformedError(f"the selection {name} is empty")
        if any(isinstance(each, Mapping | list) for each in definition):
            return SigmaDetection([detection_of(each, name) for each in definition], item_linking=ConditionOR)
        return SigmaDetection([_item("", definition, name)])
    return SigmaDetection([_item("", definition, name)])


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


def _item(key: object, value: object, selection: str) -> SigmaDetectionItem:
    if not isinstance(key, str):
        raise MalformedError(f"the field {key!r} of {selection} must be a text: put it in quotes")
    field, *modifiers = key.split("|")
    kinds = [_modifier(each, key) for each in modifiers]
    values = value if isinstance(value, list) else [value]
    if not values:
        raise MalformedError(f"{key or 'the list'} of {selection} has no value")
    if "all" in modifiers and len(values) == 1 and isinstance(value, list):
        kinds.remove(MODIFIERS["all"])
    expression = SigmaRegularExpressionModifier in kinds
    if "windash" in modifiers and len(values) > _MAX_WINDASH:
        raise MalformedError(
            f"{key!r} has {len(values)} values; with windash at most {_MAX_WINDASH} are taken"
        )
    given = [_value(each, key, expression) for each in values]
    item = SigmaDetectionItem(field or None, kinds, given, policy=POLICY)
    if item.field is None and not {SigmaStartswithModifier, SigmaEndswithModifier} & {
        base for kind in kinds for base in kind.__mro__
    }:
        item.value = [_somewhere(each) for each in item.value]
    return item


def _modifier(name: str, key: str) -> type[SigmaModifier[Any, Any]]:
    found = MODIFIERS.get(name)
    if found is None:
        raise MalformedError(
            f"unknown modifier {name!r} in {key!r}; there are {', '.join(sorted(MODIFIERS))}"
        )
    return found


def _value(value: object, key: str, expression: bool) -> SigmaType:
    if isinstance(value, Mapping | list):
        raise MalformedError(f"a value of {key!r} is a {'list' if isinstance(value, list) else 'mapping'}")
    if value is not None and not isinstance(value, bool | int | float | str):
        raise MalformedError(f"a value of {key!r} is a {type(value).__name__}: put it in quotes")
    if expression:
        return SigmaString.from_str(value if isinstance(value, str) else str(value))
    made = sigma_type(value)
    if isinstance(made, SigmaNumber) and isinstance(value, int):
        made.number = value  # pySigma makes a double of what a double does not hold exactly
    return made


def _somewhere(value: SigmaType) -> SigmaType:
    """A keyword is looked for within texts, so a wildcard stands on both sides of it."""
    if isinstance(value, SigmaExpansion):
        return SigmaExpansion([_somewhere(each) for each in value.values])
    if not isinstance(value, SigmaString) or not value.s:
        return value
    if value.s[0] is not _ANYWHERE:
        value = _ANYWHERE + value
    return value if value.s[-1] is _ANYWHERE else value + _ANYWHERE
