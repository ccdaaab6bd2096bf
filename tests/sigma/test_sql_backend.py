"""The pySigma backend."""

from __future__ import annotations

from typing import Any

import pytest
from sigma.collection import SigmaCollection
from sigma.exceptions import SigmaConversionError, SigmaError
from sigma.processing.conditions import LogsourceCondition
from sigma.processing.pipeline import ProcessingItem, ProcessingPipeline
from sigma.processing.transformations import FieldMappingTransformation

from otel_fim.sigma.mapping.pipeline import otel_fim_pipeline
from otel_fim.sigma.sql import compile_sql
from otel_fim.sigma.sql.backend import OtelFimClickHouseBackend

RULES = """
title: Failed
name: failed
id: 2f1f0c1f-6f2c-4a51-9c8c-5d8bd1ee9f57
author: me
date: 2026-01-02
logsource: {product: linux, category: process_creation}
detection:
  s:
    Image|endswith: '/ba*sh'
    CommandLine|contains|all: ['%x_', "it's"]
    CommandLine|re: 'a\\d+'
  k: [one two]
  condition: s or k
---
title: Many
correlation:
  type: event_count
  rules: [failed]
  group-by: [User]
  timespan: 5m
  condition: {gte: 3}
"""


def convert(text: str, output_format: str | None = None, **options: Any) -> list[str]:
    found: list[str] = OtelFimClickHouseBackend(**options).convert(
        SigmaCollection.from_yaml(text), output_format
    )
    return found


def test_with_the_projects_own_pipeline_it_is_the_same() -> None:
    """The loader applies it in any case; pySigma's tools are given both by name."""
    text = RULES.partition("---")[0]
    assert convert(text, processing_pipeline=otel_fim_pipeline()) == convert(text)
    assert convert(RULES, processing_pipeline=otel_fim_pipeline()) == convert(RULES)


def test_a_rule() -> None:
    (sql,) = convert(RULES.partition("---")[0])
    assert sql.startswith(
        "-- Failed (event, level medium)\n-- rule 2f1f0c1f-6f2c-4a51-9c8c-5d8bd1ee9f57\n-- author: me\n"
    )
    assert "LIKE '%/ba%sh'" in sql
    assert "'it\\'s'" in sql
    assert "match(LogAttributes['process.command_line'], '(?-s)a\\\\d+')" in sql
    assert "position(lower(Body), 'one two') > 0" in sql
    assert "FROM `otel_logs`" in sql


def test_a_rule_that_a_correlation_refers_to_gives_nothing_of_its_own() -> None:
    (sql,) = convert(RULES)
    assert sql.startswith("-- Many (event_count, level medium)")
    assert "t + 300000000001" in sql
    generating = RULES.replace("timespan: 5m", "timespan: 5m\n  generate: true")
    assert len(convert(generating)) == 2


def test_aliases_fields_and_boolean_conditions() -> None:
    other = RULES.partition("---")[0].replace("failed", "other").replace("2f1f0c1f", "4f1f0c1f")
    base = RULES.partition("---")[0] + "---" + other + "---"
    (sql,) = convert(
        base
        + """
title: Spread
correlation:
  type: value_count
  rules: [failed, other]
  group-by: [who]
  aliases: {who: {failed: User, other: ParentUser}}
  timespan: 1h
  condition: {field: Image, gt: 2}
"""
    )
    assert "map('who', g[1])" in sql
    assert "value_count within 3600 s by who" in sql
    (sql,) = convert(
        base
        + """
title: One without the other
correlation: {type: temporal, timespan: 1h, condition: failed and not other}
"""
    )
    assert "AND (NOT (last_2" in sql


def test_one_by_one() -> None:
    rules = SigmaCollection.from_yaml(RULES).rules
    SigmaCollection(rules).resolve_rule_references()
    backend = OtelFimClickHouseBackend()
    (first,) = backend.convert_rule(next(rule for rule in rules if rule.title == "Failed"))
    (second,) = backend.convert_correlation_rule(next(rule for rule in rules if rule.title == "Many"))
    assert first.startswith("-- Failed")
    assert second.startswith("-- Many")


def test_options() -> None:
    (sql,) = convert(
        RULES.partition("---")[0],
        table="logs.otel_logs",
        since="1768314735000000000",
        until=1768314736000000000,
    )
    assert (
        "FROM `logs`.`otel_logs`\nWHERE Timestamp >= toDateTime64('2026-01-13 14:32:15.000000000', 9, 'UTC')"
        in sql
    )
    assert "AND Timestamp < toDateTime64('2026-01-13 14:32:16.000000000', 9, 'UTC')" in sql


def test_views() -> None:
    (sql,) = convert(RULES.partition("---")[0], "view")
    assert sql.startswith("CREATE OR REPLACE VIEW `otel_fim_rule_failed` AS\n-- Failed")


def test_a_pipeline_is_applied_first() -> None:
    pipeline = ProcessingPipeline(
        items=[
            ProcessingItem(
                FieldMappingTransformation({"CommandLine": "my.command"}),
                rule_conditions=[LogsourceCondition(category="process_creation")],
            )
        ]
    )
    (sql,) = convert(RULES.partition("---")[0], processing_pipeline=pipeline)
    assert "LogAttributes['my.command']" in sql
    assert "process.command_line" not in sql


def test_what_the_loader_rejects_is_refused_with_its_reason() -> None:
    text = RULES.partition("---")[0].replace(
        "product: linux, category: process_creation", "product: windows, category: dns"
    )
    with pytest.raises(SigmaConversionError, match="has no records here"):
        convert(text)
    backend = OtelFimClickHouseBackend(collect_errors=True)
    assert backend.convert(SigmaCollection.from_yaml(text)) == []
    assert len(backend.errors) == 1
    assert isinstance(backend.errors[0][1], SigmaError)


def test_what_sql_cannot_say() -> None:
    with pytest.raises(SigmaConversionError, match="unknown time zone 'Nowhere'"):
        convert(RULES, timezone="Nowhere")


def test_it_is_the_loaders_own_sql() -> None:
    assert compile_sql.__module__ == "otel_fim.sigma.sql.compile"
    with pytest.raises(NotImplementedError, match="converts whole rules"):
        OtelFimClickHouseBackend().convert_condition_or(None, None)  # type: ignore[arg-type]
