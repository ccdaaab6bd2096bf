"""The pySigma backend: Sigma rules and correlations as SQL on `otel_logs`.

pySigma's own way through a condition is not taken: a rule goes through this project's loader, so that the SQL says what
the stream does, and what the loader rejects is refused here with the same reason.
"""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, NoReturn

import yaml
from sigma.collection import SigmaCollection
from sigma.conversion.base import Backend
from sigma.correlations import SigmaCorrelationRule
from sigma.exceptions import SigmaConversionError, SigmaError
from sigma.rule import SigmaRule

from otel_fim.sigma.ir import Correlation, Rule, RuleSet
from otel_fim.sigma.load import load_rules
from otel_fim.sigma.sql.compile import compile_sql
from otel_fim.sigma.sql.layout import SqlError
from otel_fim.sigma.sql.query import by_id
from otel_fim.sigma.sql.quoting import identifier

_IDS: Final = uuid.UUID("5d8bd1ee-6f2c-4a51-9c8c-2f1f0c1f9f57")
"""Names the ids that rules without one get here, so that they can be told apart."""

AnyRule = SigmaRule | SigmaCorrelationRule
Callback = Callable[[AnyRule, str | None, int, Any, Any], Any]


def _by_the_loader(self: object, *_: object, **__: object) -> NoReturn:
    raise NotImplementedError(f"{type(self).__name__} converts whole rules: use convert or convert_rule")


class OtelFimClickHouseBackend(Backend):
    """Gives one statement for each rule that makes findings of its own.

    Options: `table` (`otel_logs`), `timezone` (`UTC`), `since` and `until` (nanoseconds since the epoch). A processing
    pipeline is applied to each rule first; this project's own is applied by the loader in any case.
    """

    name: ClassVar[str] = "ClickHouse tables of OpenTelemetry logs (otel-fim)"
    identifier: ClassVar[str] = "otel_fim"
    formats: ClassVar[dict[str, str]] = {
        "default": "SELECT statements on otel_logs",
        "view": "CREATE VIEW statements, one view a rule, called otel_fim_rule_ and the rule's name or id",
    }
    correlation_methods: ClassVar[dict[str, str] | None] = {
        "default": "sliding windows by the time of events"
    }

    def __init__(
        self,
        processing_pipeline: Any = None,
        collect_errors: bool = False,
        table: str = "otel_logs",
        timezone: str = "UTC",
        since: int | str | None = None,
        until: int | str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(processing_pipeline, collect_errors, **options)
        self._table = table
        self._timezone = timezone
        self._since = None if since is None else int(since)
        self._until = None if until is None else int(until)

    def convert(
        self,
        rule_collection: SigmaCollection,
        output_format: str | None = None,
        correlation_method: str | None = None,
        callback: Callback | None = None,
    ) -> Any:
        """A list of statements, in the order of the rules."""
        del correlation_method
        self.init_processing_pipeline(output_format)
        rule_collection.resolve_rule_references()
        wanted = [rule for rule in rule_collection.rules if isinstance(rule, AnyRule)]
        return self.finalize(
            self._converted(wanted, wanted, output_format, callback), output_format or self.default_format
        )

    def convert_rule(
        self, rule: SigmaRule, output_format: str | None = None, callback: Callback | None = None
    ) -> list[Any]:
        """The rule's statement, in a list."""
        if not hasattr(self, "last_processing_pipeline"):
            self.init_processing_pipeline(output_format)
        return self._converted([rule], [rule], output_format, callback, always=True)

    def convert_correlation_rule(
        self,
        rule: SigmaCorrelationRule,
        output_format: str | None = None,
        method: str | None = None,
        callback: Callback | None = None,
    ) -> list[Any]:
        """The correlation's statement, in a list. Its references have to be resolved already, as those of a
        collection are."""
        del method
        if not hasattr(self, "last_processing_pipeline"):
            self.init_processing_pipeline(output_format)
        return self._converted(list(_with_referred(rule)), [rule], output_format, callback, always=True)

    def finalize_output_view(self, queries: list[Any]) -> list[Any]:
        """As they are: each is a view already."""
        return queries

    def _converted(
        self,
        rules: Sequence[AnyRule],
        wanted: Sequence[AnyRule],
        output_format: str | None,
        callback: Callback | None,
        *,
        always: bool = False,
    ) -> list[Any]:
        ids = {
            id(rule): str(rule.id or uuid.uuid5(_IDS, f"{i}/{rule.title}")) for i, rule in enumerate(rules)
        }
        ruleset = self._loaded(rules, ids)
        known = by_id(ruleset)
        reasons = {each.rule_id: each.reason for each in ruleset.rejected}
        queries = []
        for rule in wanted:
            rule_id = ids[id(rule)]
            try:
                found = known.get(rule_id)
                if found is None:
                    reason = reasons.get(rule_id) or "; ".join(each.reason for each in ruleset.rejected)
                    raise SigmaConversionError(rule, rule.source, reason or "the loader did not take it")
                if not (found.emits or always):
                    continue
                result = self._statement(ruleset, found, output_format or self.default_format, rule)
            except SigmaError as error:
                if not self.collect_errors:
                    raise
                self.errors.append((rule, error))  # type: ignore[arg-type]
                continue
            if callback is not None:
                result = callback(rule, output_format, 0, None, result)
            if result is not None:
                queries.append(result)
        return queries

    def _loaded(self, rules: Sequence[AnyRule], ids: dict[int, str]) -> RuleSet:
        documents = []
        for rule in rules:
            if self.processing_pipeline is not None:
                self.last_processing_pipeline.apply(rule)
            documents.append({**_document(rule), "id": ids[id(rule)]})
        with tempfile.TemporaryDirectory(prefix="otel-fim-sigma-") as folder:
            path = Path(folder) / "rules.yml"
            path.write_text(yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True), "utf-8")
            return load_rules([path])

    def _statement(
        self, ruleset: RuleSet, found: Rule | Correlation, output_format: str, rule: AnyRule
    ) -> str:
        try:
            query = compile_sql(
                ruleset,
                found.meta.id,
                table=self._table,
                since=self._since,
                until=self._until,
                timezone=self._timezone,
            )
        except SqlError as error:
            raise SigmaConversionError(rule, rule.source, str(error)) from None
        if output_format != "view":
            return query.sql
        name = identifier(f"otel_fim_rule_{found.meta.name or found.meta.id}")
        return f"CREATE OR REPLACE VIEW {name} AS\n{query.sql}"

    # Conditions are not converted one by one.
    convert_condition_as_in_expression = _by_the_loader
    convert_condition_or = _by_the_loader
    convert_condition_and = _by_the_loader
    convert_condition_not = _by_the_loader
    convert_condition_field_eq_val_str = _by_the_loader
    convert_condition_field_eq_val_str_case_sensitive = _by_the_loader
    convert_condition_field_eq_val_num = _by_the_loader
    convert_condition_field_eq_val_timestamp_part = _by_the_loader
    convert_condition_field_eq_val_bool = _by_the_loader
    convert_condition_field_eq_val_re = _by_the_loader
    convert_condition_field_eq_val_cidr = _by_the_loader
    convert_condition_field_compare_op_val = _by_the_loader
    convert_condition_field_eq_field = _by_the_loader
    convert_condition_field_eq_val_null = _by_the_loader
    convert_condition_field_exists = _by_the_loader
    convert_condition_field_not_exists = _by_the_loader
    convert_condition_field_eq_query_expr = _by_the_loader
    convert_condition_val_str = _by_the_loader
    convert_condition_val_num = _by_the_loader
    convert_condition_val_re = _by_the_loader
    convert_condition_query_expr = _by_the_loader
    convert_correlation_event_count_rule = _by_the_loader
    convert_correlation_value_count_rule = _by_the_loader
    convert_correlation_temporal_rule = _by_the_loader
    convert_correlation_temporal_ordered_rule = _by_the_loader
    convert_correlation_extended_temporal_rule = _by_the_loader
    convert_correlation_extended_temporal_ordered_rule = _by_the_loader
    convert_correlation_value_sum_rule = _by_the_loader
    convert_correlation_value_avg_rule = _by_the_loader
    convert_correlation_value_percentile_rule = _by_the_loader
    convert_correlation_value_median_rule = _by_the_loader


def _document(rule: AnyRule) -> dict[str, Any]:
    """The rule as a document; pySigma's own leaves out what a correlation says of the rules that it refers to."""
    found = dict(rule.to_dict())
    if isinstance(rule, SigmaCorrelationRule):
        section = {**found["correlation"], "generate": bool(rule.generate)}
        found["correlation"] = {key: value for key, value in section.items() if value not in (None, [])}
    return found


def _with_referred(rule: AnyRule) -> Iterable[AnyRule]:
    """The rule after all that it refers to, each once."""
    found: dict[int, AnyRule] = {}

    def take(each: AnyRule) -> None:
        for reference in getattr(each, "referenced_rules", None) or ():
            if id(reference.rule) not in found:
                take(reference.rule)
        found[id(each)] = each

    take(rule)
    return found.values()
