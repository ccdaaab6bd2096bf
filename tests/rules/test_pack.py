"""The project's own rules: complete, right in form, and each finding what its samples say."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

import pytest

from otel_fim.processors.attack.persistence import KINDS
from otel_fim.processors.rules.command.linting import lint
from otel_fim.processors.rules.command.reading import Library, library
from otel_fim.processors.rules.command.trial import run_samples
from otel_fim.sigma.ir import Level
from otel_fim.sigma.load import pack_path

TACTICS = ("persistence", "privilege-escalation", "stealth", "defense-impairment", "credential-access")
OTHERS = (
    "discovery", "collection", "command-and-control", "exfiltration", "lateral-movement", "initial-access",
    "execution", "impact",
)  # fmt: skip
TECHNIQUES = (
    "T1685.006", "T1685", "T1685.004", "T1686", "T1690", "T1070.003", "T1070.004", "T1070.006", "T1222.002",
    "T1053.003", "T1543.002", "T1053.006", "T1037.004", "T1098.004", "T1136.001", "T1098.007", "T1548.001",
    "T1548.003", "T1574.006", "T1556.003", "T1546.004", "T1505.003", "T1003.008", "T1554", "T1110", "T1110.001",
    "T1110.003", "T1078.003", "T1564.001", "T1036.003", "T1036.005", "T1027.001", "T1140", "T1059.004", "T1553.004",
)  # fmt: skip
"""What can be seen of a host, by the technique that it shows; T1486, T1485 and T1565.001 are in `IMPACT`."""
IMPACT = (
    "T1486", "T1485", "T1565.001", "T1490", "T1489", "T1491.002", "T1496.001", "T1498", "T1529", "T1531", "T1561.001",
    "T1561.002",
)  # fmt: skip
ON_THE_WAY = (
    "T1190", "T1195.002", "T1078", "T1059", "T1609", "T1046", "T1018", "T1082", "T1083", "T1087.001", "T1518.001",
    "T1613", "T1021.004", "T1563.001", "T1570", "T1005", "T1074.001", "T1113", "T1114.001", "T1213.006", "T1560.001",
    "T1071.004", "T1090", "T1090.001", "T1090.003", "T1095", "T1105", "T1219.002", "T1571", "T1572", "T1573", "T1048",
    "T1048.002", "T1048.003", "T1567", "T1567.002", "T1068", "T1611",
)  # fmt: skip
NOT_OF_LINUX = ("launchd_", "login_", "windows_", "periodic")
TIMEOUT = 120


@lru_cache(maxsize=1)
def pack() -> Library:
    return library([pack_path()])


def everything() -> list[str]:
    return [source.text for source in pack().sources]


def rules_in(tactic: str) -> list[Path]:
    folder = Path(str(pack_path())) / "linux" / tactic
    return [path for path in folder.glob("*.yml") if not path.name.endswith(".samples.yml")]


def test_everything_is_loaded() -> None:
    assert [str(each) for each in pack().ruleset.rejected] == []
    assert not pack().unreadable


def test_it_is_right_in_form() -> None:
    assert [str(problem) for problem in lint(pack(), house=True)] == []


@pytest.mark.timeout(TIMEOUT)
def test_every_sample_is_as_expected() -> None:
    outcomes = list(run_samples(pack(), pack().files))
    assert [f"{each.path}: {each.about}: {each.why}" for each in outcomes if not each.passed] == []
    assert len(outcomes) >= 2 * len(pack().files)


def test_there_are_enough() -> None:
    told = [rule for rule in pack().everything if rule.emits]
    assert len(told) >= 120
    assert len({rule.meta.id for rule in pack().everything}) == len(pack().everything)


def test_the_page_counts_what_there_is() -> None:
    page = (Path(str(pack_path())) / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[a-z, `-]+`) \| (\d+)", page, re.MULTILINE)
    assert len(rows) >= len(TACTICS)
    for names, count in rows:
        there_are = sum(len(rules_in(name)) for name in re.findall(r"[a-z-]+", names))
        assert int(count) <= there_are <= int(count) * 1.5, names


@pytest.mark.parametrize("tactic", [*TACTICS, *OTHERS])
def test_every_tactic_has_rules(tactic: str) -> None:
    assert len(rules_in(tactic)) >= 5


@pytest.mark.parametrize("technique", [*TECHNIQUES, *IMPACT, *ON_THE_WAY])
def test_every_technique_that_shows_on_a_host_is_covered(technique: str) -> None:
    assert [rule.meta.title for rule in pack().everything if rule.emits and technique in rule.meta.techniques]


@pytest.mark.parametrize("kind", sorted(kind for kind in KINDS if not kind.startswith(NOT_OF_LINUX)))
def test_every_kind_of_persistence_has_a_rule_of_its_own(kind: str) -> None:
    assert any(re.search(rf"\b{kind}\b", text) for text in everything())


def test_package_managers_are_the_same_everywhere() -> None:
    """`filter_packages` is copied from rule to rule, as Sigma has nothing to refer to. An older copy that asks
    less than the others is a place to hide."""
    texts = {
        found[1]
        for source in pack().sources
        if (found := re.search(r"^  filter_packages:\n((?:    .*\n)+)", source.text, re.MULTILINE))
    }
    assert len(texts) == 1, "copy filter_packages from rules/linux/persistence/cron_entry.yml"
    assert texts.pop().count("process.real_user.id: 0") == 5


def test_what_matters_is_medium_or_more() -> None:
    levels = dict.fromkeys(Level, 0)
    for rule in pack().everything:
        if rule.emits:
            levels[rule.meta.level] += 1
    assert levels[Level.CRITICAL] >= 5
    assert levels[Level.HIGH] >= 40
    # If everything is bad, nothing is.
    assert levels[Level.HIGH] + levels[Level.CRITICAL] < sum(levels.values()) / 2
