"""The pipeline as pySigma's own tools use it, and the tables that it is made of."""

from __future__ import annotations

import pytest
from sigma.collection import SigmaCollection
from sigma.exceptions import SigmaTransformationError
from sigma.plugins import InstalledSigmaPlugins
from sigma.rule import SigmaRule

from otel_fim.names.registry import ATTRIBUTES, EVENTS
from otel_fim.sigma.ir import Source
from otel_fim.sigma.mapping import fields, foreign, sources
from otel_fim.sigma.mapping.pipeline import otel_fim_pipeline

RULE = """
title: A rule
id: 4b1d9f0c-7d1c-4a5f-8c59-6d1b6f0c2a77
logsource: {category: process_creation, product: linux}
detection:
  selection:
    Image|endswith: /nc
    Initiated: true
    CommandLine|fieldref: ParentCommandLine
  hash: {Hashes: ['SHA256=ab', 'MD5=cd']}
  1_of_mine: {EventName: null}
  condition: 1 of them
fields: [Image, CommandLine]
"""


def test_a_rule_in_pysigmas_hands() -> None:
    rule = SigmaRule.from_yaml(RULE)
    found = otel_fim_pipeline().apply(rule)
    assert found.fields == ["process.executable.path", "process.command_line"]
    (condition,) = found.detection.parsed_condition
    assert condition.condition == "_otel_fim_records and (1 of them)"
    shown = repr(condition.parsed)
    for part in (
        "otel_fim.process.started",
        "process.executable.path",
        "egress",
        "process.parent.command_line",
        "process.hash.md5",
        "process.hash.sha256",
    ):
        assert part in shown, part
    assert "SHA256=" not in shown
    assert "CommandLine" not in shown.replace("command_line", "")


def test_a_second_time_changes_nothing() -> None:
    rule = SigmaRule.from_yaml(RULE)
    otel_fim_pipeline().apply(rule)
    once = repr(rule.detection.parsed_condition[0].parsed)
    otel_fim_pipeline().apply(rule)
    assert repr(rule.detection.parsed_condition[0].parsed) == once


def test_a_log_source_without_records_is_an_error_of_pysigmas() -> None:
    rule = SigmaRule.from_yaml(RULE.replace("linux", "windows"))
    with pytest.raises(SigmaTransformationError, match="product windows"):
        otel_fim_pipeline().apply(rule)


def test_correlations_pass() -> None:
    collection = SigmaCollection.from_yaml(
        RULE
        + """---
title: Many
correlation:
  type: event_count
  rules: [4b1d9f0c-7d1c-4a5f-8c59-6d1b6f0c2a77]
  group-by: [SourceIp]
  timespan: 5m
  condition: {gte: 5}
"""
    )
    correlation = collection.rules[-1]
    otel_fim_pipeline().apply(correlation)  # type: ignore[arg-type]
    assert correlation.group_by == ["source.address"]  # type: ignore[union-attr]


def test_the_tables_name_what_there_is() -> None:
    rows = (*fields.COMMON, *fields.BY_PROCESS, *fields.BY_AUTH)
    others = {foreign.DESTINATION_ADDRESS, foreign.DESTINATION_PORT, foreign.NETWORK_DIRECTION}
    for row in rows:
        assert row.attribute in ATTRIBUTES or row.attribute in others or row.note == foreign.NEVER, row
        assert fields.field_of(row.attribute).source in (Source.ATTRIBUTE, Source.RESOURCE)
    for row in (*sources.CATEGORIES.values(), *sources.OWN.values(), sources.ALL_OWN, sources.GENERIC):
        for each in row.detection if isinstance(row.detection, list) else [row.detection]:
            named = each.get(sources.EVENT_NAME, [])
            assert isinstance(named, list)
            assert set(named) - {None} <= set(EVENTS)


def test_pysigmas_discovery_does_not_fail_on_us() -> None:
    """Where the wheel is installed it finds the plugin (tests/house/test_wheel.py)."""
    assert InstalledSigmaPlugins.autodiscover(include_validators=False).pipelines is not None
