"""A correlation document, read; what it refers to is looked up in `resolve`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sigma.correlations import SigmaCorrelationRule

from otel_fim.sigma import ir
from otel_fim.sigma.load.documents import Document
from otel_fim.sigma.load.meta import meta_of
from otel_fim.sigma.parse.booleans import names_in, words_in
from otel_fim.sigma.parse.detections import MalformedError
from otel_fim.sigma.values import COMPARE

_SECOND: Final = 1_000_000_000
_LONGEST: Final = 3660 * 86400
_TIMESPAN: Final = re.compile(r"0*[1-9][0-9]*[smhdwMy]", re.ASCII)
_OPERATORS: Final = {each.value: each for each in ir.Operator}
_TEMPORAL: Final = (ir.CorrelationType.TEMPORAL, ir.CorrelationType.TEMPORAL_ORDERED)
_COUNTS: Final = (ir.CorrelationType.EVENT_COUNT, *_TEMPORAL)
_KEYS: Final = ("type", "rules", "group-by", "timespan", "condition", "aliases", "generate")


@dataclass(slots=True, frozen=True)
class ReadCorrelation:
    """A correlation with the names that it uses. `expression` is a temporal correlation's boolean condition."""

    document: Document
    meta: ir.Meta
    type: ir.CorrelationType
    rules: tuple[str, ...]
    timespan_nano: int
    group_by: tuple[str, ...]
    aliases: Mapping[str, Mapping[str, str]]
    condition: ir.Condition | None
    value: str
    percentile: float
    expression: str
    generate: bool


def read_correlation(document: Document) -> ReadCorrelation:
    """A document with `correlation`. Raises `MalformedError`, and pySigma's errors."""
    section = document.content["correlation"]
    if not isinstance(section, Mapping):
        raise MalformedError("correlation must be a mapping")
    unknown = [key for key in section if key not in _KEYS]
    if unknown:
        raise MalformedError(f"correlation has no {unknown[0]!r}; there are {', '.join(_KEYS)}")
    kind = _kind(section.get("type"))
    condition = section.get("condition")
    expression = condition if isinstance(condition, str) else ""
    rules = _rules(section.get("rules"), kind, expression)
    bounds = _bounds(condition, kind)
    if kind is ir.CorrelationType.TEMPORAL_ORDERED:
        _asks_for_all(rules, bounds, expression)
    value = _value(condition, kind)
    plain = {**section, "type": kind.value, "rules": list(rules)}
    # pySigma takes one bound only, and names of letters in a boolean condition.
    plain.pop("condition", None)
    if bounds is not None and isinstance(condition, Mapping):
        compare, number = bounds.bounds[0]
        kept = {key: condition[key] for key in ("field",) if key in condition}
        plain["condition"] = {compare.value: number, **kept}
    timespan = section.get("timespan")
    if not isinstance(timespan, str) or _TIMESPAN.fullmatch(timespan) is None:
        raise MalformedError(
            f"the timespan is {'missing' if timespan is None else repr(timespan)}: write a whole number above 0 and "
            "s, m, h or d, such as 90m"
        )
    plain["generate"] = _generate(section, document.content)
    parsed = SigmaCorrelationRule.from_dict({**document.content, "correlation": plain})
    if parsed.timespan.seconds > _LONGEST:
        raise MalformedError(f"the timespan {parsed.timespan.spec} is longer than ten years: write less")
    return ReadCorrelation(
        document=document,
        meta=meta_of(parsed, document),
        type=kind,
        rules=rules,
        timespan_nano=parsed.timespan.seconds * _SECOND,
        group_by=_group_by(section.get("group-by")),
        aliases=_aliases(section.get("aliases")),
        condition=bounds,
        value=value,
        percentile=_percentile(condition, kind),
        expression=expression,
        generate=parsed.generate,
    )


def _generate(section: Mapping[str, object], content: Mapping[str, object]) -> bool:
    """Sigma's schema has `generate` beside `correlation`, pySigma's rules within it."""
    given = [each["generate"] for each in (section, content) if "generate" in each]
    if not all(isinstance(each, bool) for each in given):
        raise MalformedError("generate must be true or false")
    if len(set(given)) > 1:
        raise MalformedError(
            "generate stands within correlation and beside it, and they differ: leave one out"
        )
    return bool(given and given[0])


def _kind(value: object) -> ir.CorrelationType:
    try:
        return ir.CorrelationType(str(value))
    except ValueError:
        raise MalformedError(
            f"the type is {value!r}; correlations are {', '.join(each.value for each in ir.CorrelationType)}"
        ) from None


def _rules(value: object, kind: ir.CorrelationType, expression: str) -> tuple[str, ...]:
    if expression and kind not in _TEMPORAL:
        raise MalformedError(
            f"the condition of {kind.value} is a mapping such as `gte: 10`; a text is for temporal ones"
        )
    named = names_in(expression) if expression else ()
    if value is None and named:
        return named
    rules = [value] if isinstance(value, str) else value
    if not isinstance(rules, list) or not rules or not all(isinstance(each, str) and each for each in rules):
        raise MalformedError(
            "rules must be a list of ids and names of rules, such as `rules: [failed_login]`"
        )
    if len(set(rules)) < len(rules) and kind is not ir.CorrelationType.TEMPORAL_ORDERED:
        raise MalformedError("rules names a rule twice: leave one out")
    if named and set(named) != set(rules):
        other = sorted(set(named) ^ set(rules))
        raise MalformedError(
            f"the condition and rules must name the same rules; only one of them names {', '.join(other)}"
        )
    return tuple(rules)


def _bounds(condition: object, kind: ir.CorrelationType) -> ir.Condition | None:
    if isinstance(condition, str) or (condition is None and kind in _TEMPORAL):
        return None
    if not isinstance(condition, Mapping):
        raise MalformedError(f"{kind.value} needs a condition such as `gte: 10`")
    unknown = [key for key in condition if key not in (*_OPERATORS, "field", "percentile")]
    if unknown:
        raise MalformedError(
            f"the condition has no {unknown[0]!r}; there are {', '.join(_OPERATORS)}, field, percentile"
        )
    bounds = tuple((_OPERATORS[key], _number(key, condition[key])) for key in condition if key in _OPERATORS)
    if not bounds:
        raise MalformedError("the condition has no bound such as `gte: 10`")
    return ir.Condition(bounds)


def _asks_for_all(rules: tuple[str, ...], bounds: ir.Condition | None, expression: str) -> None:
    """An order is one of all rules: a condition that fewer of them meet would promise what does not happen."""
    words = {"or", "not"}.intersection(words_in(expression)) if expression else set()
    if words:
        raise MalformedError(
            f"temporal_ordered needs an event of every rule, so its condition has no {' and no '.join(sorted(words))}: "
            "leave the condition out, or use temporal"
        )
    if bounds is None:
        return
    fewest = next((number for number in range(1, len(rules) + 1) if _is_met(bounds, number)), None)
    if fewest != len(rules):
        raise MalformedError(
            f"temporal_ordered needs an event of each of its {len(rules)} rules, and the condition asks for "
            f"{'another number' if fewest is None else fewest}: leave it out, or use temporal"
        )


def _is_met(bounds: ir.Condition, number: int) -> bool:
    return all(COMPARE[each](number, bound) for each, bound in bounds.bounds)


def _number(key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MalformedError(f"{key} of the condition must be a number, not {value!r}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise MalformedError(f"{key} of the condition must be a finite number")
    return number


def _value(condition: object, kind: ir.CorrelationType) -> str:
    field = condition.get("field") if isinstance(condition, Mapping) else None
    if kind in _COUNTS:
        if field is not None:
            raise MalformedError(
                f"{kind.value} counts events, so its condition has no field: value_count counts values"
            )
        return ""
    if isinstance(field, list) and len(field) == 1:
        field = field[0]
    if not isinstance(field, str) or not field:
        raise MalformedError(f"{kind.value} needs the name of one field under `field` in its condition")
    return field


def _percentile(condition: object, kind: ir.CorrelationType) -> float:
    given = condition.get("percentile") if isinstance(condition, Mapping) else None
    if kind is not ir.CorrelationType.VALUE_PERCENTILE:
        if given is not None:
            raise MalformedError(f"{kind.value} has no percentile")
        return 50.0
    if given is None:
        raise MalformedError("value_percentile needs `percentile` in its condition")
    number = _number("percentile", given)
    if not 0 <= number <= 100:
        raise MalformedError("percentile must be between 0 and 100")
    return number


def _group_by(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    keys = [value] if isinstance(value, str) else value
    if not isinstance(keys, list) or not all(isinstance(each, str) and each for each in keys):
        raise MalformedError("group-by must be a list of fields")
    return tuple(dict.fromkeys(keys))


def _aliases(value: object) -> dict[str, dict[str, str]]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(
        isinstance(alias, str)
        and isinstance(fields, Mapping)
        and all(isinstance(each, str) for pair in fields.items() for each in pair)
        for alias, fields in value.items()
    ):
        raise MalformedError("aliases must give for each alias the field of each rule")
    return {alias: dict(fields) for alias, fields in value.items()}
