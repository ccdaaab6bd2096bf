"""From a rule to a statement. docs/detection.md says what is to come out, and a test holds the stream against it."""

from __future__ import annotations

from otel_fim.sigma.ir import Rule, RuleSet
from otel_fim.sigma.sql.conditions import Conditions
from otel_fim.sigma.sql.correlations import Correlations
from otel_fim.sigma.sql.events import Reader
from otel_fim.sigma.sql.layout import Layout, SqlError, layout_of
from otel_fim.sigma.sql.query import Query, by_id, heading


def compile_sql(
    ruleset: RuleSet,
    rule_id: str,
    *,
    table: str = "otel_logs",
    since: int | None = None,
    until: int | None = None,
    timezone: str = "UTC",
    layout: Layout | None = None,
    limit: int | None = None,
) -> Query:
    """The statement that finds what the rule or correlation with this id finds in [`since`, `until`), oldest first.

    Times are nanoseconds since the epoch; None leaves that end open. A correlation also reads what lies before `since`
    by twice its timespan (more when it is chained), so that the first windows are whole and what had begun before is
    not found again. `table` may be qualified; for one of the typed views (`otel_fim_files` …) the layout follows from
    its name. `limit` is the highest number of rows.

    Raises `SqlError` for an unknown rule, an unknown time zone, and what cannot be said in SQL.
    """
    wanted = by_id(ruleset).get(rule_id)
    if wanted is None:
        raise SqlError(f"there is no rule {rule_id!r}")
    conditions = Conditions(layout or layout_of(table), timezone)
    reader = Reader(table, layout or layout_of(table), conditions, until)
    if isinstance(wanted, Rule):
        kind, lines = "event", reader.findings(wanted, since)
    else:
        kind, lines = wanted.type.value, Correlations(ruleset, reader).findings(wanted, since)
    lines = [*heading(wanted.meta, kind), *lines]
    if limit is not None:
        lines.append(f"LIMIT {limit}")
    if conditions.settings:
        said = ", ".join(f"{name} = {value}" for name, value in sorted(conditions.settings.items()))
        lines.append(f"SETTINGS {said}")
    return Query("\n".join(lines), wanted)
