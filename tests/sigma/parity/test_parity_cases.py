"""Rules as people write them, and what they are to find in records that are made for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_fim import names
from otel_fim.chain import CHAIN_KEYS, EMPTY_HASH, seal
from otel_fim.names import events
from otel_fim.record import Record, Resource, Scope
from otel_fim.sigma.ir import RuleSet, TextKind
from otel_fim.sigma.load import load_rules
from otel_fim.sigma.sql import compile_sql
from tests.sigma.parity import strategies as make
from tests.sigma.parity.engines import by_stream, by_table, check
from tests.sigma.parity.reference import Finding
from tests.sigma.parity.table import Table

_SECOND = 1_000_000_000
_STEPS = """
title: A
name: a
logsource: {product: linux, category: process_creation}
detection: {s: {CommandLine: a}, condition: s}
---
title: B
name: b
logsource: {product: linux, category: process_creation}
detection: {s: {CommandLine: b}, condition: s}
---
title: C
name: c
logsource: {product: linux, category: process_creation}
detection: {s: {CommandLine: c}, condition: s}
---
"""
_ORDERED = (
    _STEPS
    + """
title: In order
name: wanted
correlation: {type: temporal_ordered, rules: [a, b, c], group-by: [User], timespan: 10s}
"""
)

Loader = Callable[[str], RuleSet]


@pytest.fixture
def load(tmp_path: Path) -> Loader:
    """Rules of a text; all of them make findings."""

    def load(text: str) -> RuleSet:
        path = tmp_path / "rules.yml"
        path.write_text(text)
        found = load_rules([path])
        assert not found.rejected, found.rejected
        return replace(
            found,
            rules=tuple(replace(each, emits=True) for each in found.rules),
            correlations=tuple(replace(each, emits=True) for each in found.correlations),
        )

    return load


def started(second: float, command_line: str, *, body: str = "started", **attributes: Any) -> Record:
    return Record(
        time_unix_nano=make.START + int(second * _SECOND),
        observed_time_unix_nano=make.START,
        event_name="otel_fim.process.started",
        body=body,
        attributes={
            "event.action": "exec",
            "process.executable.path": "/usr/bin/x",
            "process.command_line": command_line,
            "process.user.name": "root",
            **{key.replace("user__", "process.user."): value for key, value in attributes.items()},
        },
        resource=Resource({"host.name": "web-1"}),
        scope=Scope(),
    )


def _of(found: set[Finding], rules: RuleSet, name: str) -> list[Finding]:
    ids = {rule.meta.id for rule in (*rules.rules, *rules.correlations) if rule.meta.name == name}
    return sorted((each for each in found if each.rule_id in ids), key=lambda each: each.time)


@pytest.mark.parametrize(
    ("order", "count"),
    [
        ("abc", 1),
        ("acb", 0),
        ("cba", 0),
        ("aabbcc", 1),
        ("acbc", 1),
        ("abab", 0),
        ("abcabc", 1),
    ],
)
def test_order(table: Table, load: Loader, order: str, count: int) -> None:
    rules = load(_ORDERED)
    found = check(table, rules, [started(second, step) for second, step in enumerate(order)])
    assert len(_of(found, rules, "wanted")) == count


def test_another_groups_events_never_count(table: Table, load: Loader) -> None:
    rules = load(_ORDERED)
    records = [started(0, "a"), started(1, "b", user__name="eve"), started(2, "c")]
    assert not _of(check(table, rules, records), rules, "wanted")


def test_events_of_one_instant_follow_each_other(table: Table, load: Loader) -> None:
    rules = load(_ORDERED)
    records = [started(1, "c"), started(1, "b"), started(1, "a")]
    assert len(_of(check(table, rules, records), rules, "wanted")) == 1


@pytest.mark.parametrize(("last", "count"), [(10.0, 1), (10.000000001, 0)])
def test_the_window_has_both_its_ends(table: Table, load: Loader, last: float, count: int) -> None:
    rules = load(_ORDERED)
    records = [started(0, "a"), started(5, "b"), started(0, "c")]
    records[2].time_unix_nano = make.START + 10 * _SECOND + (last > 10)
    assert len(_of(check(table, rules, records), rules, "wanted")) == count


def test_an_attack_is_one_finding_and_the_next_another(table: Table, load: Loader) -> None:
    rules = load(
        _STEPS
        + """
title: Many
name: wanted
correlation: {type: event_count, rules: [a], group-by: [host.name], timespan: 10s, condition: {gte: 3}}
"""
    )
    records = [started(second, "a") for second in (*range(8), *range(30, 33))]
    found = _of(check(table, rules, records), rules, "wanted")
    assert [(each.time - make.START) // _SECOND for each in found] == [2, 32]
    assert [(each.value, each.count, len(each.evidence)) for each in found] == [(3.0, 3, 3)] * 2


def test_a_chain(table: Table, load: Loader) -> None:
    rules = load(
        _STEPS
        + """
title: Many
name: many
correlation: {type: event_count, rules: [a], group-by: [host.name, User], timespan: 10s, condition: {gte: 2}}
---
title: Many of many
name: wanted
correlation:
  type: value_count
  rules: [many]
  group-by: [host.name]
  timespan: 1m
  condition: {field: User, gte: 2}
"""
    )
    records = [started(s, "a", user__name=user) for s, user in enumerate(["eve", "eve", "bob", "eve", "bob"])]
    (found,) = _of(check(table, rules, records), rules, "wanted")
    assert (found.value, found.count, len(found.evidence), found.group) == (2.0, 4, 4, ("web-1",))


def test_evidence_is_the_newest_hundred(table: Table, load: Loader) -> None:
    rules = load(
        _STEPS
        + """
title: Many
name: wanted
correlation: {type: event_count, rules: [a], timespan: 1h, condition: {gte: 130}}
"""
    )
    (found,) = _of(check(table, rules, [started(s, "a") for s in range(130)]), rules, "wanted")
    assert (found.count, len(found.evidence)) == (130, 100)


@pytest.mark.parametrize("since", [0, 1, 7, 10, 11, 12, 14, 20, 21, 25])
def test_what_began_before_is_not_found_again(table: Table, load: Loader, since: int) -> None:
    """A part of the time has the findings that the whole has in it."""
    rules = load(
        _STEPS
        + """
title: Many
name: many
correlation: {type: event_count, rules: [a], group-by: [User], timespan: 3s, condition: {gte: 2}}
---
title: More
name: wanted
correlation: {type: event_count, rules: [many, b], timespan: 6s, condition: {gte: 2}}
"""
    )
    records = [
        started(s, "ab"[s % 7 == 3], user__name=str(s % 2))
        for s in (*range(9), 10, 11, 12, 17, *range(20, 30))
    ]
    whole = check(table, rules, records)
    start, end = make.START + since * _SECOND, make.START + 26 * _SECOND
    found = by_table(table, rules, since=start, until=end)
    assert found == {each for each in whole if start <= each.time < end}


@pytest.mark.parametrize(
    ("detection", "matching", "other"),
    [
        ("s: {CommandLine|contains: 'One TWO'}", ["x one two", "ONE TWO"], ["one  two", "onetwo"]),
        ("s: {CommandLine|cased: 'One'}", ["One"], ["one", "ONE"]),
        (r"s: {CommandLine: 'a*b?c'}", ["aXXb.c", "ab\nc", "A%B_C"], ["abc", "ab..c"]),
        (r"s: {CommandLine: 'a\*b\?c'}", ["a*b?c"], ["aXb.c"]),
        (r"s: {CommandLine: 'a\\*'}", ["a\\", "a\\x"], ["a*", "a"]),
        ("s: {CommandLine|contains: '100%_'}", ["x100%_"], ["100%x", "1000_"]),
        ('s: {CommandLine|contains: "it\'s"}', ["IT'S"], ["its"]),
        ("s: {CommandLine|re: '^a.b$'}", ["axb"], ["a\nb", "AXB", "xaxb"]),
        ("s: {CommandLine|re|i|s: '^a.b$'}", ["a\nb", "AXB"], ["ab"]),
        ("s: {CommandLine|startswith: ['ä', 'Σ']}", ["ÄX", "σα", "Σ"], ["aX", "ς"]),
        ("s: {ProcessId|gte: 10}", [], ["10"]),
        ("s: {CommandLine|gte: 10}", ["10", "1e1", "+11.5"], ["9.99", "10x", " 10", "1e999"]),
        ("k: [one two, 'x*y']", ["is one two here", "x and y"], ["onetwo", "yx"]),
        ("k: {'|all': [one, two]}", ["two one"], ["one"]),
        ("s: {CommandLine: null}", [""], ["x"]),
        ("s: {CommandLine: ''}", [""], ["x"]),
        ("s: {CommandLine|fieldref: User}", ["root", "ROOT"], ["eve"]),
        (
            "s: {CommandLine|cidr: 10.0.0.0/8}",
            ["10.1.2.3", "::ffff:10.0.0.1"],
            ["11.0.0.1", "x", "10.1.2.3.4"],
        ),
    ],
)
def test_values(table: Table, load: Loader, detection: str, matching: list[str], other: list[str]) -> None:
    name = detection.partition(":")[0]
    rules = load(
        "title: T\nname: wanted\nlogsource: {product: linux, category: process_creation}\n"
        f"detection:\n  {detection}\n  condition: {name}\n"
    )
    records = [started(s, text, body="nothing") for s, text in enumerate([*matching, *other])]
    found = {(each.time - make.START) // _SECOND for each in check(table, rules, records)}
    assert found == set(range(len(matching)))


def test_a_list_matches_with_one_element(table: Table, load: Loader) -> None:
    rules = load(
        "title: T\nlogsource: {product: linux, category: process_creation}\n"
        "detection:\n  s: {otel_fim.novelty.first_seen: executable}\n  condition: s\n"
    )
    values: list[Any] = [["user", "executable"], ["Executable"], ["executable_hash"], [], ['it\'s "x"']]
    records = [started(s, "x", **{"otel_fim.novelty.first_seen": value}) for s, value in enumerate(values)]
    records.append(started(9, "x"))
    assert {(each.time - make.START) // _SECOND for each in check(table, rules, records)} == {0, 1}


def test_keywords_are_not_looked_for_in_the_seal(table: Table, load: Loader) -> None:
    found = started(0, "nothing", body="")
    before = {*found.attributes, names.PROCESS_COMMAND_LINE}
    by_stream(RuleSet((make.rule("all", make.Const(True)),)), [found])  # gives it its id
    seal(found, "stream", 77, EMPTY_HASH, bound_resource_hash=EMPTY_HASH)
    added = {name: str(value) for name, value in found.attributes.items() if name not in before}
    assert len(added) == len(CHAIN_KEYS) + 1
    keywords = [
        make.rule(f"{kind}{name}", make.Keyword(make.Text(kind, value)))
        for name, value in added.items()
        for kind in (TextKind.CONTAINS, TextKind.EQUALS)
    ]
    present = make.rule("seen", make.Keyword(make.Text(TextKind.EQUALS, "nothing")))
    assert {each.rule_id for each in check(table, RuleSet((*keywords, present)), [found])} == {"seen"}


def test_findings_are_no_events_of_rules_that_name_none(table: Table) -> None:
    made = [started(0, "x"), started(1, "y")]
    made[1].event_name = events.FINDING
    rules = RuleSet(
        (
            make.rule("all", make.Const(True)),
            make.rule("named", make.Const(True), frozenset({events.FINDING})),
        )
    )
    assert {(each.rule_id, each.time) for each in check(table, rules, made)} == {
        ("all", make.START),
        ("named", make.START + _SECOND),
    }


def test_views_find_what_the_table_does(table: Table, load: Loader) -> None:
    rules = load(_STEPS)
    records = [started(0, "a"), started(1, "b")]
    whole = check(table, rules, records)
    table.run(
        "CREATE OR REPLACE VIEW otel_fim_processes AS SELECT Timestamp AS time, substring(EventName, 18) AS event, "
        "SeverityText AS severity, Body AS body, LogAttributes AS attributes, ResourceAttributes AS resource, "
        "'root' AS user FROM otel_logs WHERE startsWith(EventName, 'otel_fim.process.')"
    )
    assert by_table(table, rules, name="otel_fim_processes") == whole
    assert by_table(table, rules, name="default.otel_fim_processes") == whole


def test_a_table_that_is_called_as_a_part_of_the_statement(table: Table, load: Loader) -> None:
    rules = load(_ORDERED)
    records = [started(second, step) for second, step in enumerate("abc")]
    whole = check(table, rules, records)
    table.run("CREATE OR REPLACE VIEW events AS SELECT * FROM otel_logs")
    assert by_table(table, rules, name="events") == whole
    assert "events_2 AS" in compile_sql(rules, rules.correlations[0].meta.id, table="events").sql


# --- Rules as YAML, at random ---------------------------------------------------------------------------------

_FIELDS = ("CommandLine", "User", "Image", "ProcessId")
_MODIFIERS = (
    "",
    "|contains",
    "|startswith",
    "|endswith",
    "|cased",
    "|contains|cased",
    "|exists",
    "|re",
    "|all|contains",
)
_VALUES = (
    "a",
    "A",
    "*",
    "a*",
    "?",
    r"\*",
    r"\\",
    "%",
    "_",
    "a b",
    "Ä",
    "root",
    "'",
    "10",
    "/usr/bin/x",
    "[a]",
)


@st.composite
def detections(draw: st.DrawFn) -> str:
    items = []
    for field in draw(st.lists(st.sampled_from(_FIELDS), min_size=1, max_size=2, unique=True)):
        modifier = draw(st.sampled_from(_MODIFIERS))
        values = draw(st.lists(st.sampled_from(_VALUES), min_size=1, max_size=3))
        if modifier == "|exists":
            items.append(f"{field}|exists: {draw(st.sampled_from(('true', 'false')))}")
            continue
        if modifier == "|re":
            values = ["^a.?", "[aA]b?"]
        quoted = ", ".join("'" + value.replace("'", "''") + "'" for value in values)
        items.append(f"'{field}{modifier}': [{quoted}]")
    return "{" + ", ".join(items) + "}"


@st.composite
def documents(draw: st.DrawFn) -> str:
    made = []
    for i in range(4):
        condition = draw(st.sampled_from(("s", "not s", "s or k", "s and not k", "1 of them", "all of them")))
        lines = [
            f"title: R{i}",
            f"name: r{i}",
            "logsource: {product: linux, category: process_creation}",
            "detection:",
            f"  s: {draw(detections())}",
            f"  k: {draw(st.one_of(detections(), st.just('[a b, Ä]')))}",
            f"  condition: {condition}",
        ]
        made.append("\n".join(lines))
    kind = draw(st.sampled_from(("event_count", "temporal", "temporal_ordered")))
    condition = ", condition: {gte: 2}" if kind == "event_count" else ""
    made.append(
        f"title: C\ncorrelation: {{type: {kind}, rules: [r0, r1], group-by: [User], timespan: 2s{condition}}}"
    )
    return "\n---\n".join(made) + "\n"


_texts = st.lists(
    st.sampled_from((*"aAbB %_*?'\\", "Ä", "ä", "root", "/usr/bin/x", "10", "\n")), max_size=3
).map("".join)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(documents(), st.lists(st.tuples(_texts, _texts, st.integers(0, 20)), min_size=1, max_size=60))
def test_written_rules_find_the_same(
    table: Table, load: Loader, text: str, drawn: list[tuple[str, str, int]]
) -> None:
    records = [started(second, line, user__name=user) for line, user, second in drawn]
    for record in records[::5]:
        del record.attributes["process.command_line"]
    check(table, load(text), records)
