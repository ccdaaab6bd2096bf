"""A correlation made ready to run: where its events come from, and what its condition asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final, TypeAlias

from otel_fim.processors.rules.match.view import ABSENT, Getter, getter, text_form
from otel_fim.record import Record
from otel_fim.sigma.ir import (
    Condition,
    Correlation,
    CorrelationType,
    Field,
    Rule,
    RuleAnd,
    RuleExpression,
    RuleNot,
    RuleOr,
    RuleRef,
    RuleSet,
)
from otel_fim.sigma.values import COMPARE, number_of

Key: TypeAlias = tuple[str, ...]
"""The values of `group-by`."""
Value: TypeAlias = "str | float | None"
"""What is counted (a text), summed or put in order (a number); None where the correlation looks at no value."""
KeyOf: TypeAlias = "Callable[[Record], Key | None]"
TextOf: TypeAlias = "Callable[[Record], str | None]"

LONG: Final = 64
"""A longer text is counted by its digest: only whether two are the same matters."""


@dataclass(slots=True, eq=False)
class Plan:
    """A correlation; `index` is its place in the rule set, behind everything that it refers to. `places` is the number
    of rules that it refers to: for temporal_ordered as written, otherwise without repetitions."""

    index: int
    correlation: Correlation
    fingerprint: str
    places: int
    span: int
    meets: Callable[[float], bool]
    expression: Callable[[Sequence[bool]], bool] | None
    chained: bool
    """Whether it refers to a correlation."""
    outers: list[ChainedFeed] = field(default_factory=list)
    """The correlations that refer to this one."""


@dataclass(slots=True, eq=False)
class Feed:
    """How matches of the rule `rule_id` become events of a correlation; `places` is where the rule stands in it."""

    plan: Plan
    rule_id: str
    places: tuple[int, ...]
    key: KeyOf
    value: Callable[[Record], Value] | None


@dataclass(slots=True, eq=False)
class ChainedFeed:
    """How findings of a correlation become events of another: which of its group's values are that one's."""

    plan: Plan
    rule_id: str
    places: tuple[int, ...]
    keys: tuple[int, ...]
    value: int | None

    def key_of(self, group: Key) -> Key:
        return tuple([group[index] for index in self.keys])

    def value_of(self, group: Key) -> Value:
        """The value that counts; None when it is no number and has to be one."""
        if self.value is None:
            return None
        return _converted(self.plan.correlation.type, group[self.value])


def compile_plans(ruleset: RuleSet) -> tuple[list[Plan], dict[str, list[Feed]]]:
    """The plans in the rule set's order, and the feeds of each rule's id."""
    rules = {rule.meta.id: rule for rule in ruleset.rules}
    plans: dict[str, Plan] = {}
    feeds: dict[str, list[Feed]] = {}
    for index, correlation in enumerate(ruleset.correlations):
        ordered = correlation.type is CorrelationType.TEMPORAL_ORDERED
        referred = correlation.rules if ordered else tuple(dict.fromkeys(correlation.rules))
        plan = Plan(
            index,
            correlation,
            _fingerprint(correlation, rules, plans),
            len(referred),
            correlation.timespan_nano,
            _bounds(correlation),
            _expression(correlation.expression, referred),
            chained=any(rule_id in plans for rule_id in referred),
        )
        for rule_id in dict.fromkeys(referred):
            places = tuple(place for place, each in enumerate(referred) if each == rule_id)
            if rule_id in plans:
                chained = _chained_feed(plan, plans[rule_id], rule_id, places)
                if chained is not None:
                    plans[rule_id].outers.append(chained)
            elif rule_id in rules:
                feed = _feed(plan, rule_id, places)
                if feed is not None:
                    feeds.setdefault(rule_id, []).append(feed)
        plans[correlation.meta.id] = plan
    return list(plans.values()), feeds


def has_value(correlation: Correlation) -> bool:
    """Whether events need a value of their own."""
    return correlation.type.startswith("value_")


# --- Where values come from --------------------------------------------------------------------------------


def _feed(plan: Plan, rule_id: str, places: tuple[int, ...]) -> Feed | None:
    """None when no event of this rule can have what is asked for."""
    fields = [dict(key.fields).get(rule_id) for key in plan.correlation.group_by]
    if None in fields:
        return None
    key = _key_of([each for each in fields if each is not None])
    if not has_value(plan.correlation):
        return Feed(plan, rule_id, places, key, None)
    counted = dict(plan.correlation.value).get(rule_id)
    if counted is None:
        return None
    return Feed(plan, rule_id, places, key, _value_of(plan.correlation.type, counted))


def _chained_feed(plan: Plan, inner: Plan, rule_id: str, places: tuple[int, ...]) -> ChainedFeed | None:
    known = [key.name for key in inner.correlation.group_by]
    names = [key.name for key in plan.correlation.group_by]
    value_name = plan.correlation.value_name
    wants_value = has_value(plan.correlation)
    if any(name not in known for name in names) or (wants_value and value_name not in known):
        return None
    value = known.index(value_name) if wants_value else None
    return ChainedFeed(plan, rule_id, places, tuple(known.index(name) for name in names), value)


def _text_of(wanted: Field) -> TextOf:
    get: Getter = getter(wanted)

    def text(record: Record) -> str | None:
        value = get(record)
        return None if value is ABSENT else text_form(value)  # type: ignore[arg-type]

    return text


def _key_of(fields: Sequence[Field]) -> KeyOf:
    if not fields:
        return lambda _: ()
    getters = [_text_of(each) for each in fields]
    if len(getters) == 1:
        only = getters[0]

        def one(record: Record) -> Key | None:
            text = only(record)
            return None if text is None else (text,)

        return one

    def several(record: Record) -> Key | None:
        texts = []
        for get in getters:
            text = get(record)
            if text is None:
                return None
            texts.append(text)
        return tuple(texts)

    return several


def _value_of(kind: CorrelationType, wanted: Field) -> Callable[[Record], Value]:
    get = _text_of(wanted)

    def value(record: Record) -> Value:
        text = get(record)
        return None if text is None else _converted(kind, text)

    return value


def _converted(kind: CorrelationType, text: str) -> Value:
    if kind is not CorrelationType.VALUE_COUNT:
        return number_of(text)
    return text if len(text) <= LONG else digest_of(text)


def digest_of(text: str) -> str:
    """What stands for a long text; its mark keeps it apart from a text that looks like one."""
    return "\0" + blake2b(text.encode("utf-8", "surrogatepass")).hexdigest()


# --- What is asked ------------------------------------------------------------------------------------------


def _bounds(correlation: Correlation) -> Callable[[float], bool]:
    condition: Condition | None = correlation.condition
    bounds = [(COMPARE[each], number) for each, number in condition.bounds] if condition else []
    if len(bounds) == 1:
        compare, bound = bounds[0]
        return lambda value: compare(value, bound)
    return lambda value: all(compare(value, bound) for compare, bound in bounds)


def _expression(
    expression: RuleExpression | None, referred: Sequence[str]
) -> Callable[[Sequence[bool]], bool] | None:
    if expression is None:
        return None
    match expression:
        case RuleRef(rule_id=rule_id):
            if rule_id not in referred:
                return lambda _: False
            place = referred.index(rule_id)
            return lambda seen: seen[place]
        case RuleNot(item=item):
            inner = _expression(item, referred)
            return lambda seen: not inner(seen)  # type: ignore[misc]
        case RuleAnd(items=items):
            parts = [_expression(each, referred) for each in items]
            return lambda seen: all(part(seen) for part in parts)  # type: ignore[misc]
        case RuleOr(items=items):
            parts = [_expression(each, referred) for each in items]
            return lambda seen: any(part(seen) for part in parts)  # type: ignore[misc]


def _fingerprint(correlation: Correlation, rules: dict[str, Rule], plans: dict[str, Plan]) -> str:
    """Says whether a window that was filled by one definition can be gone on with by another."""
    digest = blake2b(digest_size=16)

    def put(*parts: object) -> None:
        for part in parts:
            digest.update(f"{part!r}\n".encode("utf-8", "surrogatepass"))

    put(correlation.meta.id, correlation.type, correlation.rules, correlation.timespan_nano)
    put(correlation.group_by, correlation.condition, correlation.value, correlation.value_name)
    put(correlation.percentile, correlation.expression)
    for rule_id in correlation.rules:
        if rule_id in plans:
            put(plans[rule_id].fingerprint)
        elif rule_id in rules:
            rule = rules[rule_id]
            names = None if rule.event_names is None else sorted(rule.event_names)
            put(rule.condition, names)
    return digest.hexdigest()
