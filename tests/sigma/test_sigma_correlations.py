"""Correlation documents: references, keys, bounds, order, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from otel_fim.sigma.ir import (
    Condition,
    Correlation,
    CorrelationType,
    Field,
    GroupKey,
    Operator,
    RuleAnd,
    RuleNot,
    RuleOr,
    RuleRef,
    RuleSet,
    Source,
)

Load = Callable[..., RuleSet]
BASE = "11111111-2222-4333-8444-555555555555"
OTHER = "21111111-2222-4333-8444-555555555555"
RULES = f"""
title: Failed
name: failed
id: {BASE}
logsource: {{product: linux, service: auth}}
detection: {{selection: {{event.outcome: failure}}, condition: selection}}
---
title: Started
name: started
id: {OTHER}
logsource: {{category: process_creation, product: linux}}
detection: {{selection: {{Image|endswith: /sh}}, condition: selection}}
---
title: A correlation
name: many
correlation:
"""
USER = Field(Source.ATTRIBUTE, "user.name")
PROCESS_USER = Field(Source.ATTRIBUTE, "process.user.name")
HOST = Field(Source.RESOURCE, "host.name")


def one(load: Load, body: str) -> Correlation:
    ruleset = load(RULES + "\n".join(f"  {line}" for line in body.strip("\n").splitlines()))
    assert not ruleset.rejected, ruleset.rejected
    return ruleset.correlations[-1]


def why(load: Load, body: str) -> str:
    ruleset = load(RULES + "\n".join(f"  {line}" for line in body.strip("\n").splitlines()))
    assert len(ruleset.rules) == 2
    return ruleset.rejected[0].reason


def test_event_count(load: Load) -> None:
    found = one(
        load,
        "type: event_count\nrules: [failed]\ngroup-by: [User, host.name]\ntimespan: 5m\ncondition: {gte: 10}",
    )
    assert found.type is CorrelationType.EVENT_COUNT
    assert found.rules == (BASE,)
    assert found.timespan_nano == 300 * 10**9
    assert found.group_by == (
        GroupKey("user.name", ((BASE, USER),)),
        GroupKey("host.name", ((BASE, HOST),)),
    )
    assert found.condition == Condition(((Operator.GTE, 10.0),))
    assert found.emits


def test_ranges_have_several_bounds(load: Load) -> None:
    found = one(
        load, "type: event_count\nrules: failed\ntimespan: 1d\ncondition: {gt: 100, lte: 200, neq: 150.5}"
    )
    assert found.condition == Condition(((Operator.GT, 100.0), (Operator.LTE, 200.0), (Operator.NEQ, 150.5)))
    assert found.group_by == ()


@pytest.mark.parametrize(
    "kind", ["value_count", "value_sum", "value_avg", "value_median", "value_percentile"]
)
def test_values(load: Load, kind: str) -> None:
    percentile = ", percentile: 99.5" if kind == "value_percentile" else ""
    found = one(
        load,
        f"type: {kind}\nrules: [failed]\ngroup-by: host.name\ntimespan: 1h\n"
        f"condition: {{field: User, gt: 3{percentile}}}",
    )
    assert found.type.value == kind
    assert found.value == ((BASE, USER),)
    assert found.value_name == "user.name"
    assert found.percentile == (99.5 if percentile else 50.0)


def test_each_rule_has_a_field_as_its_own_records_have_it(load: Load) -> None:
    found = one(load, "type: temporal\nrules: [failed, started]\ngroup-by: [User]\ntimespan: 30s")
    assert found.group_by == (GroupKey("user.name", ((BASE, USER), (OTHER, PROCESS_USER))),)
    assert found.condition is None


def test_aliases(load: Load) -> None:
    found = one(
        load,
        """
type: temporal_ordered
rules: [failed, started, failed]
group-by: [who]
timespan: 30s
aliases:
  who: {failed: TargetUserName, started: ParentImage}
condition: {gte: 3}
""",
    )
    assert found.rules == (BASE, OTHER, BASE)
    assert found.group_by == (
        GroupKey(
            "who",
            (
                (BASE, Field(Source.ATTRIBUTE, "user.target.name")),
                (OTHER, Field(Source.ATTRIBUTE, "process.parent.executable")),
            ),
        ),
    )


def test_boolean_conditions(load: Load) -> None:
    found = one(
        load,
        f"type: temporal\ngroup-by: [User]\ntimespan: 30s\ncondition: failed and not ({OTHER} or started) or failed",
    )
    assert found.rules == (BASE, OTHER)
    inner = RuleNot(RuleOr((RuleRef(OTHER), RuleRef(OTHER))))
    assert found.expression == RuleOr((RuleAnd((RuleRef(BASE), inner)), RuleRef(BASE)))


CHAIN = """
title: Many
name: many
correlation:
  type: event_count
  rules: [failed]
  group-by: [{inner}, host.name]
  timespan: 5m
  condition: {{gte: 10}}
---
title: Failed
name: failed
id: {id}
logsource: {{product: linux, service: auth}}
detection: {{selection: {{event.outcome: failure}}, condition: selection}}
---
title: Chained
correlation:
  type: temporal_ordered
  rules: [many, {second}]
  group-by: [{outer}]
  timespan: 1h
  generate: {generate}
"""


def test_chained_correlations_come_after_what_they_refer_to(load: Load) -> None:
    text = CHAIN.format(inner="User", outer="User", second="failed", id=BASE, generate="false")
    blocks = text.split("---")
    ruleset = load("---".join((blocks[2], "\n" + blocks[0], "\n" + blocks[1])))
    assert not ruleset.rejected, ruleset.rejected
    many, chained = ruleset.correlations
    assert (many.meta.title, chained.meta.title) == ("Many", "Chained")
    assert chained.group_by == (GroupKey("user.name", ((BASE, USER),)),)
    assert (ruleset.rules[0].emits, many.emits, chained.emits) == (False, False, True)


def test_generate_lets_what_is_referred_to_speak(load: Load) -> None:
    ruleset = load(CHAIN.format(inner="User", outer="User", second="failed", id=BASE, generate="true"))
    many, chained = ruleset.correlations
    assert (ruleset.rules[0].emits, many.emits, chained.emits) == (True, True, True)


def test_generate_beside_the_correlation_is_what_the_schema_has(load: Load) -> None:
    inside = CHAIN.format(inner="User", outer="User", second="failed", id=BASE, generate="true")
    beside = inside.replace("  generate: true", "generate: true")
    assert beside != inside
    assert load(beside) == load(inside)
    both = load(inside.replace("  generate: true", "  generate: true\ngenerate: false"))
    assert "they differ" in both.rejected[0].reason


def test_a_key_that_the_referred_correlation_has_not(load: Load) -> None:
    ruleset = load(CHAIN.format(inner="User", outer="SourceIp", second="failed", id=BASE, generate="false"))
    assert [each.meta.title for each in ruleset.correlations] == ["Many"]
    assert "groups by it too" in ruleset.rejected[0].reason


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("type: event_count\nrules: [nobody]\ntimespan: 5m\ncondition: {gte: 1}", "'nobody'"),
        ("type: event_count\nrules: [many]\ntimespan: 5m\ncondition: {gte: 1}", "circle"),
        ("type: event_counts\nrules: [failed]\ntimespan: 5m\ncondition: {gte: 1}", "'event_counts'"),
        ("type: [a]\nrules: [failed]\ntimespan: 5m\ncondition: {gte: 1}", "the type is"),
        ("rules: [failed]\ntimespan: 5m\ncondition: {gte: 1}", "the type is None"),
        (
            "type: event_count\nrules: [failed]\ncondition: {gte: 1}",
            "timespan is missing: write a whole number",
        ),
        ("type: event_count\nrules: [failed]\ntimespan: 5 minutes\ncondition: {gte: 1}", "'5 minutes'"),
        (
            "type: event_count\nrules: [failed]\ntimespan: 99999999999999y\ncondition: {gte: 1}",
            "longer than ten years",
        ),
        (
            "type: event_count\nrules: [failed]\ntimespan: 0s\ncondition: {gte: 1}",
            "timespan is '0s': write a whole number above 0",
        ),
        ("type: event_count\nrules: [failed]\ntimespan: 5m", "needs a condition"),
        ("type: event_count\nrules: [failed]\ntimespan: 5m\ncondition: {}", "no bound"),
        ("type: event_count\nrules: [failed]\ntimespan: 5m\ncondition: {gte: x}", "must be a number"),
        ("type: event_count\nrules: [failed]\ntimespan: 5m\ncondition: {gte: .nan}", "finite"),
        ("type: event_count\nrules: [failed]\ntimespan: 5m\ncondition: {more: 5}", "'more'"),
        ("type: event_count\nrules: [failed]\ntimespan: 5m\ncondition: failed", "a mapping such as"),
        ("type: event_count\nrules: [failed]\ntimespan: 5m\ncondition: {gte: 1, field: User}", "value_count"),
        ("type: event_count\nrules: []\ntimespan: 5m\ncondition: {gte: 1}", "rules must be a list"),
        ("type: event_count\nrules: [failed, failed]\ntimespan: 5m\ncondition: {gte: 1}", "twice"),
        ("type: event_count\nrules: [failed]\ntimespan: 5m\nwindow: 3\ncondition: {gte: 1}", "'window'"),
        (
            "type: event_count\nrules: [failed]\ngroup-by: {a: b}\ntimespan: 5m\ncondition: {gte: 1}",
            "group-by",
        ),
        (
            "type: event_count\nrules: [failed]\ngroup-by: [Nobody]\ntimespan: 5m\ncondition: {gte: 1}",
            "'Nobody'",
        ),
        (
            "type: event_count\nrules: [failed]\ngroup-by: [User, user.name]\ntimespan: 5m\ncondition: {gte: 1}",
            "one attribute",
        ),
        ("type: value_count\nrules: [failed]\ntimespan: 5m\ncondition: {gte: 1}", "under `field`"),
        ("type: value_count\nrules: [failed]\ntimespan: 5m\ncondition: {gte: 1, field: [a, b]}", "one field"),
        (
            "type: value_percentile\nrules: [failed]\ntimespan: 5m\ncondition: {gte: 1, field: User}",
            "percentile",
        ),
        (
            "type: value_percentile\nrules: [failed]\ntimespan: 5m\ncondition: {gte: 1, field: User, percentile: 101}",
            "between",
        ),
        (
            "type: temporal\nrules: [failed, started]\ntimespan: 5m\ncondition: failed and (started",
            "parenthesis",
        ),
        ("type: temporal\nrules: [failed, started]\ntimespan: 5m\ncondition: failed", "only one of them"),
        (
            "type: temporal\nrules: [failed, started]\ntimespan: 5m\ncondition: failed and and started",
            "lacks a rule",
        ),
        ("type: temporal\nrules: [failed, started]\ntimespan: 5m\ncondition: failed started", "goes on"),
        (
            "type: temporal\nrules: [failed, started]\ntimespan: 5m\ncondition: failed & started",
            "cannot be read",
        ),
        (
            "type: temporal_ordered\nrules: [failed, started]\ntimespan: 5m\ncondition: failed or started",
            "temporal_ordered needs an event of every rule, so its condition has no or",
        ),
        (
            "type: temporal_ordered\nrules: [failed, started]\ntimespan: 5m\ncondition: not (failed or started)",
            "no not and no or",
        ),
        (
            "type: temporal_ordered\nrules: [failed, started]\ntimespan: 5m\ncondition: {gte: 1}",
            "each of its 2 rules, and the condition asks for 1",
        ),
        (
            "type: temporal_ordered\nrules: [failed, started]\ntimespan: 5m\ncondition: {gt: 2}",
            "asks for another number",
        ),
        ("type: temporal\nrules: [failed]\naliases: [a]\ntimespan: 5m", "aliases"),
        (
            "type: temporal\nrules: [failed, started]\naliases: {a: {failed: User}}\ngroup-by: a\ntimespan: 5m",
            "names no field",
        ),
    ],
)
def test_what_is_wrong_is_said(load: Load, body: str, words: str) -> None:
    told = why(load, body)
    assert words in told, told
    assert "'A correlation'" in told


def test_circles_are_named(load: Load) -> None:
    link = """
title: {0}
name: {0}
correlation: {{type: event_count, rules: [{1}], timespan: 5m, condition: {{gte: 1}}}}
"""
    ruleset = load("---".join(link.format(*pair) for pair in ("ab", "bc", "ca", "da")))
    assert len(ruleset.rejected) == 4
    assert "'a' → 'b' → 'c' → 'a'" in ruleset.rejected[0].reason


def test_a_correlation_of_a_rejected_rule_is_rejected_and_its_other_rules_stay_silent(load: Load) -> None:
    ruleset = load(
        RULES.replace("endswith: /sh", "upper: /sh")
        + "  type: temporal\n  rules: [failed, started]\n  timespan: 5m\n"
    )
    assert [each.meta.title for each in ruleset.rules] == ["Failed"]
    assert not ruleset.rules[0].emits
    assert "'started' ('Started')" in ruleset.rejected[1].reason or "(Started)" in ruleset.rejected[1].reason


def test_a_long_chain_is_no_recursion(load: Load) -> None:
    documents = [RULES.rpartition("---")[0]]
    documents += [
        f"\ntitle: c{number}\nname: c{number}\ncorrelation: {{type: event_count, rules: "
        f"[{f'c{number - 1}' if number else 'failed'}], timespan: 5m, condition: {{gte: 1}}}}\n"
        for number in range(400)
    ]
    ruleset = load("---".join([documents[0], *reversed(documents[1:])]))
    assert len(ruleset.correlations) == 400
