"""Conditions, log sources and filters: from a document to one expression."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from otel_fim.sigma.ir import (
    And,
    Compare,
    Expression,
    Field,
    Keyword,
    Level,
    LogSource,
    Match,
    Not,
    Operator,
    Or,
    RuleSet,
    Source,
    Text,
    TextKind,
)

Load = Callable[..., RuleSet]


def attribute(name: str, value: str, kind: TextKind = TextKind.EQUALS) -> Match:
    return Match(Field(Source.ATTRIBUTE, name), Text(kind, value))


A, B, C, D = (attribute("file.path", each) for each in "abcd")
SELECTIONS = """
sel_a: {file.path: a}
sel_b: {file.path: b}
filter_c: {file.path: c}
filter_d: {file.path: d}
"""


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("sel_a", A),
        ("sel_a and sel_b", And((A, B))),
        ("sel_a or sel_b or filter_c", Or((A, B, C))),
        ("sel_a and (sel_b and filter_c)", And((A, B, C))),
        ("sel_a or sel_b and filter_c", Or((A, And((B, C))))),
        ("not sel_a and sel_b", And((Not(A), B))),
        ("not (sel_a or sel_b)", Not(Or((A, B)))),
        ("not not sel_a", A),
        ("1 of sel_*", Or((A, B))),
        ("any of sel_*", Or((A, B))),
        ("all of sel_*", And((A, B))),
        ("1 of them", Or((A, B, C, D))),
        ("all of them", And((A, B, C, D))),
        ("1 of *_c", C),
        ("all of sel_* and not 1 of filter_*", And((A, B, Not(Or((C, D)))))),
        ("sel_a and sel_a", A),
        ("sel_a or not sel_a", Or((A, Not(A)))),
    ],
)
def test_conditions(condition: Callable[..., Expression], written: str, expected: Expression) -> None:
    assert condition(f"{SELECTIONS}condition: {written}") == expected


def test_a_list_of_conditions_is_any_of_them(condition: Callable[..., Expression]) -> None:
    assert condition(f"{SELECTIONS}condition: [sel_a, sel_b and filter_c]") == Or((A, And((B, C))))


def test_fields_are_all_and_maps_in_a_list_any(condition: Callable[..., Expression]) -> None:
    assert condition("file.path: a\nuser.name: b") == And((A, attribute("user.name", "b")))
    assert condition("- file.path: a\n  user.name: b\n- file.path: c") == Or(
        (And((A, attribute("user.name", "b"))), C)
    )


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("nothing", "names 'nothing', and there is no such selection; there are sel_a"),
        ("1 of nothing_*", "no selection has such a name"),
        ("sel_a and", "cannot be read"),
        ("sel_a sel_b", "cannot be read"),
        ("", "cannot be read"),
        ("sel_a | count() > 5", "correlation"),
        ("[]", "no condition"),
        ("{a: b}", "must be a text"),
        ("5", "must be a text"),
        ("(" * 30 + "sel_a" + ")" * 30, "parentheses"),
        ("sel_a or " * 1000 + "sel_a", "characters"),
        ("null", "no condition"),
        ("sel_a AND sel_b", "in small letters"),
        ("2 of sel_*", "cannot be read"),
        ("not _otel_fim_records", "use another name"),
        ("1 of _*", "use another name"),
        ("sel_a or 1 of _otel*", "use another name"),
    ],
)
def test_conditions_that_are_none(reason: Callable[..., str], written: str, words: str) -> None:
    quoted = written if written[:1] in ("[", "{") or written in ("5", "null") else f"'{written}'"
    assert words in reason(
        f"{SELECTIONS}condition: {quoted.replace(chr(39) + 'nothing', chr(39) + 'nothing')}"
    )


@pytest.mark.parametrize(
    ("logsource", "names", "rest"),
    [
        (
            "category: process_creation",
            {"otel_fim.process.started"},
            And((attribute("event.action", "exec"), attribute("process.executable.path", "x"))),
        ),
        (
            "{category: file_event, product: linux}",
            {"otel_fim.file.created", "otel_fim.file.modified", "otel_fim.file.renamed"},
            attribute("process.executable.path", "x"),
        ),
        ("category: file_delete", {"otel_fim.file.deleted"}, attribute("process.executable.path", "x")),
        (
            "{product: otel_fim, service: listener}",
            {"otel_fim.listener.opened", "otel_fim.listener.closed"},
            attribute("process.executable.path", "x"),
        ),
        (
            "{product: linux, service: sshd}",
            {
                "",
                "otel_fim.auth.account",
                "otel_fim.auth.login",
                "otel_fim.auth.logout",
                "otel_fim.auth.privilege",
            },
            None,
        ),
    ],
)
def test_log_sources(load: Load, logsource: str, names: set[str], rest: Expression | None) -> None:
    ruleset = load(
        f"""
        title: A rule
        logsource: {logsource if logsource.startswith("{") else "{" + logsource + "}"}
        detection: {{selection: {{Image: x}}, condition: selection}}
        """
    )
    (rule,) = ruleset.rules
    assert rule.event_names == names
    if rest is not None:
        assert rule.condition == rest
    else:
        assert attribute("otel_fim.auth.service", "sshd") in _leaves(rule.condition)
        assert Keyword(Text(TextKind.CONTAINS, "sshd")) in _leaves(rule.condition)


def _leaves(expression: Expression) -> list[Expression]:
    if isinstance(expression, And | Or):
        return [leaf for each in expression.items for leaf in _leaves(each)]
    return _leaves(expression.item) if isinstance(expression, Not) else [expression]


@pytest.mark.parametrize(
    ("logsource", "words"),
    [
        ("{product: windows, category: process_creation}", "product windows"),
        ("{product: linux, service: auditd}", "raw audit records"),
        ("{category: registry_set}", "no record is a registry_set"),
        ("{product: otel_fim, service: files}", "no service files"),
        ("{definition: x}", "can't be empty"),
        ("[]", "logsource"),
        ("text", "logsource"),
        ("{product: [linux]}", "must be string"),
        ("{category: file_event, product: linux, service: sshd}", "leave service sshd out"),
        ("{product: linux, servce: sshd}", "no 'servce'"),
    ],
)
def test_log_sources_without_records(load: Load, logsource: str, words: str) -> None:
    ruleset = load(
        f"""
        title: A rule
        logsource: {logsource}
        detection: {{selection: {{Image: x}}, condition: selection}}
        """
    )
    assert not ruleset.rules
    assert words in ruleset.rejected[0].reason


def test_event_names_of_a_rule_narrow_those_of_its_log_source(load: Load) -> None:
    ruleset = load(
        """
        title: Deleted
        logsource: {product: otel_fim, service: file}
        detection:
          selection: {EventName: otel_fim.file.deleted, file.path|startswith: /etc/}
          condition: selection
        ---
        title: Impossible
        logsource: {product: otel_fim, service: file}
        detection: {selection: {EventName: otel_fim.auth.login}, condition: selection}
        """
    )
    (rule,) = ruleset.rules
    assert rule.event_names == {"otel_fim.file.deleted"}
    assert rule.condition == attribute("file.path", "/etc/", TextKind.STARTSWITH)
    assert "can never be true" in ruleset.rejected[0].reason


def test_lines_of_logs_are_records_without_an_event_name(load: Load) -> None:
    ruleset = load(
        """
        title: A line
        logsource: {product: linux, service: syslog}
        detection: {selection: [word], condition: selection}
        ---
        title: None
        logsource: {product: linux}
        detection: {selection: {EventName: null, user.name: x}, condition: selection}
        """
    )
    line, none = ruleset.rules
    assert line.event_names == none.event_names == {""}
    assert line.condition == Keyword(Text(TextKind.CONTAINS, "word"))
    assert none.condition == attribute("user.name", "x")


def test_hashes_are_looked_for_where_their_algorithm_is(load: Load) -> None:
    ruleset = load(
        """
        title: Hashes
        logsource: {category: process_creation}
        detection:
          any: {Hashes|contains: ['SHA256=AB', 'MD5=CD']}
          bare: {sha256: ef}
          condition: any or bare
        ---
        title: All
        logsource: {category: file_event}
        detection:
          all: {Hashes|contains|all: ['SHA256=AB', 'MD5=CD']}
          condition: all
        """
    )
    first, second = ruleset.rules
    contains = TextKind.CONTAINS
    assert set(_leaves(first.condition)) >= {
        attribute("process.hash.sha256", "AB", contains),
        attribute("process.hash.md5", "CD", contains),
        attribute("process.hash.sha256", "ef"),
    }
    assert second.condition == And(
        (attribute("file.hash.sha256", "AB", contains), attribute("file.hash.md5", "CD", contains))
    )


def test_what_a_rule_says_of_itself(load: Load) -> None:
    ruleset = load(
        """
        title: Logs cleared
        id: 11111111-2222-4333-8444-555555555555
        name: logs_cleared
        status: experimental
        description: |
          What it looks for.
        author: Somebody
        license: Apache-2.0
        references: [https://example.com]
        date: 2026-01-02
        modified: 2026/02/03
        tags: [attack.defense-evasion, attack.t1070.002, pci_dss.10.5, nist_800_53.au-9, cve.2021-1]
        logsource: {category: file_delete, product: linux}
        detection: {selection: {TargetFilename|startswith: /var/log/}, condition: selection}
        falsepositives: [Rotation]
        level: high
        confidence: low
        """
    )
    (rule,) = ruleset.rules
    meta = rule.meta
    assert (meta.id, meta.name, meta.level) == (
        "11111111-2222-4333-8444-555555555555",
        "logs_cleared",
        Level.HIGH,
    )
    assert (meta.date, meta.modified, meta.confidence) == ("2026-01-02", "2026-02-03", "low")
    assert meta.techniques == ("T1685.006",)
    assert meta.redirected == (("T1070.002", "T1685.006"),)
    assert meta.tactics
    assert meta.compliance == ("pci_dss.10.5", "nist_800_53.au-9")
    assert (meta.ruleset, meta.path) == ("rules", "one.yml")
    assert meta.description == "What it looks for."
    assert rule.logsource == LogSource("file_delete", "linux", "")


def test_a_rule_without_an_id_gets_one_that_stays(load: Load) -> None:
    text = """
        title: A rule
        logsource: {product: linux}
        detection: {selection: [x], condition: selection}
        """
    assert load(text).rules[0].meta.id == load(text).rules[0].meta.id


FILTERED = """
title: A rule
name: a_rule
id: 11111111-2222-4333-8444-555555555555
logsource: {{category: process_creation, product: linux}}
detection: {{selection: {{Image: x}}, condition: selection}}
---
title: Another rule
logsource: {{category: file_event, product: linux}}
detection: {{selection: {{Image: x}}, condition: selection}}
---
title: A filter
logsource: {{category: process_creation}}
filter:
  rules: {rules}
  selection: {{User|startswith: adm_}}
  condition: not selection
"""
FILTER = Not(attribute("process.user.name", "adm_", TextKind.STARTSWITH))


@pytest.mark.parametrize("rules", ["any", "[a_rule]", "a_rule", "[11111111-2222-4333-8444-555555555555]"])
def test_filters_are_part_of_the_rules_that_they_mean(load: Load, rules: str) -> None:
    ruleset = load(FILTERED.format(rules=rules))
    assert not ruleset.rejected
    filtered, other = ruleset.rules
    assert filtered.condition == And(
        (attribute("event.action", "exec"), attribute("process.executable.path", "x"), FILTER)
    )
    assert FILTER not in _leaves(other.condition)
    assert other.condition == attribute("process.executable.path", "x")


@pytest.mark.parametrize(
    ("rules", "words"),
    [("[nobody]", "'nobody'"), ("null", "rules: any"), ("[]", "rules: any"), ("[1]", "ids and names")],
)
def test_filters_that_mean_nothing(load: Load, rules: str, words: str) -> None:
    ruleset = load(FILTERED.format(rules=rules))
    assert len(ruleset.rules) == 2
    assert words in ruleset.rejected[0].reason


def test_a_port_is_a_number(load: Load) -> None:
    ruleset = load(
        """
        title: A rule
        logsource: {category: network_connection, product: linux}
        detection: {selection: {DestinationPort: [4444, '1-5'], Initiated: 'true'}, condition: selection}
        """
    )
    leaves = _leaves(ruleset.rules[0].condition)
    assert Match(Field(Source.ATTRIBUTE, "destination.port"), Compare(Operator.EQ, 4444.0)) in leaves
    assert attribute("network.direction", "egress") in leaves


def test_a_filter_that_is_rejected_has_changed_no_rule(load: Load) -> None:
    rules = """
        title: Logins
        logsource: {product: linux, service: sshd}
        detection: {selection: {User: x}, condition: selection}
        ---
        title: Files
        logsource: {product: linux, category: file_event}
        detection: {selection: {User: x}, condition: selection}
        """
    unfiltered = load(rules).rules
    ruleset = load(
        rules
        + """
        ---
        title: A filter
        logsource: {product: linux}
        filter: {rules: any, selection: {TTY: x}, condition: not selection}
        """
    )
    assert ruleset.rules == unfiltered
    assert "'A filter': the field 'TTY'" in ruleset.rejected[0].reason


def test_a_filter_that_leaves_nothing(load: Load) -> None:
    ruleset = load(
        """
        title: Files
        logsource: {product: linux, category: file_event}
        detection: {selection: {User: x}, condition: selection}
        ---
        title: A filter
        logsource: {product: linux}
        filter: {rules: any, selection: {EventName: otel_fim.process.started}, condition: selection}
        """
    )
    assert len(ruleset.rules) == 1
    assert "nothing would be left of 'Files'" in ruleset.rejected[0].reason


def test_a_rule_that_went_through_the_pipeline_is_the_same(load: Load) -> None:
    rule = """
        title: Files
        logsource: {{product: linux, category: file_event}}
        detection:
          selection: {{file.path: x}}
          {more}
        """
    plain = load(rule.format(more="condition: selection")).rules
    again = load(
        rule.format(
            more="_otel_fim_records: {EventName: x}\n          condition: _otel_fim_records and (selection)"
        )
    )
    assert again.rules == plain
    assert (
        load(rule.format(more="_otel_fim_records: {EventName: x}\n          condition: selection")).rules
        == plain
    )
    for condition in ("_otel_fim_records", "1 of _*", "_otel_fim_records or (selection)"):
        left = load(
            rule.format(more=f"_otel_fim_records: {{EventName: x}}\n          condition: {condition}")
        )
        assert "use another name" in left.rejected[0].reason


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("taxonomy: ecs", "taxonomy is 'ecs'"),
        ("status: unsupported", "cannot be used"),
        ("level: huge", "informational, low, medium, high, critical"),
        ("status: odd", "stable"),
        ("id: '1'", "write one, or leave id out"),
        ("id: ''", "leave id out"),
    ],
)
def test_what_a_rule_says_of_itself_wrongly(load: Load, more: str, words: str) -> None:
    ruleset = load(
        f"""
        title: Files
        logsource: {{category: file_event}}
        detection: {{selection: {{User: x}}, condition: selection}}
        {more}
        """
    )
    assert words in ruleset.rejected[0].reason


def test_titles_and_doubles(load: Load) -> None:
    rule = "logsource: {category: file_event}\ndetection: {selection: {User: x}, condition: selection}\n"
    ruleset = load(f"title: ''\n{rule}---\ntitle: Same\n{rule}---\ntitle: Same\n{rule}")
    assert len(ruleset.rules) == 1
    assert "the title is missing" in ruleset.rejected[0].reason
    assert "it has no id, and is called the same as 'Same' in rules/one.yml" in ruleset.rejected[1].reason


def test_the_end_of_a_command_line_may_stand_before_a_closing_quote(load: Load) -> None:
    ruleset = load(
        """
        title: A rule
        logsource: {category: process_creation}
        detection:
          selection:
            CommandLine|endswith: '| sh'
            ParentCommandLine: bash -i
          other:
            process.command_line|endswith: x
          condition: selection or other
        """
    )
    assert ruleset.rules[0].condition == And(
        (
            attribute("event.action", "exec"),
            Or(
                (
                    And(
                        (
                            Or(
                                (
                                    attribute("process.command_line", "| sh", TextKind.ENDSWITH),
                                    attribute("process.command_line", "| sh'", TextKind.ENDSWITH),
                                )
                            ),
                            attribute("process.parent.command_line", "bash -i"),
                        )
                    ),
                    attribute("process.command_line", "x", TextKind.ENDSWITH),
                )
            ),
        )
    )
