"""What a rule means: the one form that both engines run. docs/detection.md states the semantics in words.

Everything is immutable and hashable, and `otel_fim.sigma.ir_json` writes and reads it. A value is looked at in its text
form (`otel_fim.sigma.values.text_of`), because text is what a table's row has too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeAlias

IR_VERSION: Final = 1

# --- Where a value is ------------------------------------------------------------------------------------


class Source(StrEnum):
    """The part of a record that holds a value."""

    ATTRIBUTE = "attribute"
    RESOURCE = "resource"
    EVENT_NAME = "event_name"
    BODY = "body"
    SEVERITY_TEXT = "severity_text"
    SEVERITY_NUMBER = "severity_number"
    TIME = "time"


@dataclass(slots=True, frozen=True)
class Field:
    """A value of a record. `name` is the attribute's name for ATTRIBUTE and RESOURCE, and empty otherwise. `many` is
    true for attributes that hold a list of strings: a test holds when it holds for any element."""

    source: Source
    name: str = ""
    many: bool = False


# --- Tests of one value ----------------------------------------------------------------------------------


class TextKind(StrEnum):
    EQUALS = "equals"
    STARTSWITH = "startswith"
    ENDSWITH = "endswith"
    CONTAINS = "contains"


@dataclass(slots=True, frozen=True)
class Text:
    """Compares with a literal; without `cased` both sides go through `otel_fim.sigma.values.fold` first."""

    kind: TextKind
    value: str
    cased: bool = False


class Wildcard(StrEnum):
    ANY = "*"
    """Any number of characters, newlines too."""
    ONE = "?"
    """One character."""


@dataclass(slots=True, frozen=True)
class Glob:
    """A whole-value pattern of literals and wildcards that is none of the four kinds of `Text`."""

    parts: tuple[str | Wildcard, ...]
    cased: bool = False


@dataclass(slots=True, frozen=True)
class Regex:
    """An RE2 expression that is searched for anywhere in the value (Sigma's `re` is not anchored)."""

    pattern: str
    ignore_case: bool = False
    multiline: bool = False
    dotall: bool = False


@dataclass(slots=True, frozen=True)
class Cidr:
    """The value is an address in this network (`192.0.2.0/24`, `2001:db8::/32`); anything else does not match. An
    IPv4-mapped IPv6 address counts as the IPv4 address."""

    network: str


class Operator(StrEnum):
    EQ = "eq"
    NEQ = "neq"
    LT = "lt"
    LTE = "lte"
    GT = "gt"
    GTE = "gte"


@dataclass(slots=True, frozen=True)
class Compare:
    """Compares as a number; a text that is no decimal number (`values.number_of`) does not match, whatever the
    operator."""

    operator: Operator
    number: float


@dataclass(slots=True, frozen=True)
class Present:
    """The record has the field, whatever its value (`exists: true`)."""


@dataclass(slots=True, frozen=True)
class Filled:
    """The record has the field and its text is not empty. `null` in a rule is Not(Filled)."""


@dataclass(slots=True, frozen=True)
class SameAs:
    """`fieldref`: compares with another field's value; false when either is missing."""

    kind: TextKind
    other: Field
    cased: bool = False


class TimePart(StrEnum):
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEKDAY = "weekday"
    """1 (Monday) to 7 (Sunday), as ISO 8601 counts; this project's own (`timestamp_weekday`)."""
    WEEK = "week"
    """ISO 8601 week."""
    MONTH = "month"
    YEAR = "year"


@dataclass(slots=True, frozen=True)
class InTime:
    """A part of a time (the record's, or ISO 8601 text in an attribute), in the engine's time zone, against a
    number."""

    part: TimePart
    operator: Operator
    number: int


Test: TypeAlias = Text | Glob | Regex | Cidr | Compare | Present | Filled | SameAs | InTime

# --- Expressions -----------------------------------------------------------------------------------------


@dataclass(slots=True, frozen=True)
class Const:
    value: bool


@dataclass(slots=True, frozen=True)
class Match:
    """True when the record has the field and the test holds for its value (for any element when `many`)."""

    field: Field
    test: Test


@dataclass(slots=True, frozen=True)
class Keyword:
    """True when the test holds for the body's text or for the text of any attribute of the record (not of the
    resource). Only `Text`, `Glob` and `Regex` are used; plain keywords are CONTAINS."""

    test: Test


@dataclass(slots=True, frozen=True)
class Not:
    item: Expression


@dataclass(slots=True, frozen=True)
class And:
    """All of at least one item."""

    items: tuple[Expression, ...]


@dataclass(slots=True, frozen=True)
class Or:
    """Any of at least one item."""

    items: tuple[Expression, ...]


Expression: TypeAlias = Const | Match | Keyword | Not | And | Or

# --- Rules -----------------------------------------------------------------------------------------------


class Level(StrEnum):
    INFORMATIONAL = "informational"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


@dataclass(slots=True, frozen=True)
class LogSource:
    category: str = ""
    product: str = ""
    service: str = ""


@dataclass(slots=True, frozen=True)
class Meta:
    """What a rule says of itself. `id` is the rule's UUID, or one made from its ruleset and file when it has none;
    `techniques` are current ATT&CK ids (`T1053.003`), `redirected` the (old, current) pairs among its tags."""

    id: str
    title: str
    level: Level = Level.MEDIUM
    name: str = ""
    description: str = ""
    status: str = ""
    author: str = ""
    license: str = ""
    references: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    false_positives: tuple[str, ...] = ()
    date: str = ""
    modified: str = ""
    techniques: tuple[str, ...] = ()
    tactics: tuple[str, ...] = ()
    redirected: tuple[tuple[str, str], ...] = ()
    compliance: tuple[str, ...] = ()
    confidence: str = "medium"
    """How well a match supports the techniques: low, medium or high (custom attribute `confidence` of a rule)."""
    ruleset: str = ""
    path: str = ""
    """The file that it came from, relative to the ruleset's folder."""


@dataclass(slots=True, frozen=True)
class Rule:
    """A rule about one record. It can only match records whose event name is in `event_names` (None: any): `condition`
    already contains everything else that the log source asks for. `emits` is false for a rule that only feeds
    correlations."""

    meta: Meta
    condition: Expression
    logsource: LogSource = LogSource()
    event_names: frozenset[str] | None = None
    emits: bool = True


class CorrelationType(StrEnum):
    EVENT_COUNT = "event_count"
    VALUE_COUNT = "value_count"
    VALUE_SUM = "value_sum"
    VALUE_AVG = "value_avg"
    VALUE_PERCENTILE = "value_percentile"
    VALUE_MEDIAN = "value_median"
    TEMPORAL = "temporal"
    TEMPORAL_ORDERED = "temporal_ordered"


@dataclass(slots=True, frozen=True)
class GroupKey:
    """One column of `group-by`: `name` is what findings call it (the alias, or the attribute's name), and `fields` says
    for each referred rule's id which field holds it. A referred correlation hands on its own key of the same name; its
    entry is absent."""

    name: str
    fields: tuple[tuple[str, Field], ...]


@dataclass(slots=True, frozen=True)
class Condition:
    """All bounds must hold for the count, the value, or (temporal) the number of referred rules that were seen."""

    bounds: tuple[tuple[Operator, float], ...]


@dataclass(slots=True, frozen=True)
class RuleRef:
    """A leaf of `Correlation.expression`: the referred rule was seen in the window."""

    rule_id: str


@dataclass(slots=True, frozen=True)
class RuleNot:
    item: RuleExpression


@dataclass(slots=True, frozen=True)
class RuleAnd:
    items: tuple[RuleExpression, ...]


@dataclass(slots=True, frozen=True)
class RuleOr:
    items: tuple[RuleExpression, ...]


RuleExpression: TypeAlias = RuleRef | RuleNot | RuleAnd | RuleOr


@dataclass(slots=True, frozen=True)
class Correlation:
    """A rule about what other rules (or correlations) found. `rules` are their ids, in the order written.

    `value` gives, for the value_ types, the field that is counted or summed for each referred rule's id (a referred
    correlation's own group key of that name when its entry is absent, called `value_name`). `expression` is set for a
    temporal correlation with a boolean condition. `percentile` is between 0 and 100.
    """

    meta: Meta
    type: CorrelationType
    rules: tuple[str, ...]
    timespan_nano: int
    group_by: tuple[GroupKey, ...] = ()
    condition: Condition | None = None
    value: tuple[tuple[str, Field], ...] = ()
    value_name: str = ""
    percentile: float = 50.0
    expression: RuleExpression | None = None
    generate: bool = False
    emits: bool = True


@dataclass(slots=True, frozen=True)
class Rejected:
    """A document that is no rule here, and why: the sentence names the file, the rule and the cause."""

    path: str
    title: str
    reason: str
    rule_id: str = ""


@dataclass(slots=True, frozen=True)
class RuleSet:
    """Rules that run, with correlations after everything that they refer to, and what was left out."""

    rules: tuple[Rule, ...] = ()
    correlations: tuple[Correlation, ...] = ()
    rejected: tuple[Rejected, ...] = field(default=())
