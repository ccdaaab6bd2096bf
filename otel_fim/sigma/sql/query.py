"""A statement and what its rows are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from otel_fim.sigma.ir import Correlation, Meta, Rule, RuleSet
from otel_fim.sigma.sql.quoting import comment

COLUMNS: Final = (
    "time",
    "rule_id",
    "title",
    "level",
    "host",
    "user",
    "executable",
    "path",
    "source",
    "event",
    "body",
    "group",
    "value",
    "count",
    "evidence",
)
"""What every statement gives, one row a finding: `time` DateTime64(9, 'UTC'), `group` Map(String, String) with the
values of group-by, `value` Float64 with what met a correlation's condition, `count` UInt64 of the events behind it,
`evidence` Array(String) with up to 100 of them, oldest first, as `log.record.uid` or `stream/number`. The others are
texts, empty where the record has none; a correlation fills those that it groups by."""


@dataclass(slots=True, frozen=True)
class Query:
    """A SELECT without a semicolon at its end, and the rule that it is for."""

    sql: str
    rule: Rule | Correlation
    columns: tuple[str, ...] = COLUMNS

    @property
    def meta(self) -> Meta:
        """What the rule says of itself."""
        return self.rule.meta


def by_id(ruleset: RuleSet) -> dict[str, Rule | Correlation]:
    """Rules and correlations by their ids, in the set's order."""
    found: dict[str, Rule | Correlation] = {rule.meta.id: rule for rule in ruleset.rules}
    for correlation in ruleset.correlations:
        found[correlation.meta.id] = correlation
    return found


def heading(meta: Meta, kind: str) -> list[str]:
    """Comment lines that say which rule a statement is for, and whose it is."""
    lines = [comment(f"{meta.title} ({kind}, level {meta.level})"), comment(f"rule {meta.id}")]
    said = [
        f"author: {meta.author}" if meta.author else "",
        f"licence: {meta.license}" if meta.license else "",
    ]
    if any(said):
        lines.append(comment("; ".join(filter(None, said))))
    return lines
