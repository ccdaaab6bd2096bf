"""Tags of Sigma rules, of every age."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_fim.attack import (
    TACTICS,
    TECHNIQUES,
    TagReading,
    read_tags,
    resolve_tactics,
    resolve_tag,
    technique_id,
)


@pytest.mark.parametrize(
    ("tag", "id_"),
    [
        ("attack.t1070.002", "T1685.006"),
        ("attack.T1053.003", "T1053.003"),
        ("ATTACK.t1053_003", "T1053.003"),
        ("attack.t1053-003", "T1053.003"),
        ("attack.t1053", "T1053"),
        ("attack.t1156", "T1546.004"),
    ],
)
def test_technique_tags(tag: str, id_: str) -> None:
    technique = resolve_tag(tag)
    assert technique is not None
    assert technique.id == id_


@pytest.mark.parametrize(
    "tag",
    [
        "attack.persistence",
        "attack.s0154",
        "attack.t99",
        "t1053",
        "cve.2021.44228",
        "attack.",
        "",
        "attack.t9999",
    ],
)
def test_other_tags_are_no_technique(tag: str) -> None:
    assert resolve_tag(tag) is None


def test_the_id_is_told_as_written() -> None:
    assert technique_id("attack.t1070_002") == "T1070.002"
    assert technique_id("attack.t9999") == "T9999"
    assert technique_id("attack.stealth") == ""


@pytest.mark.parametrize(
    ("tag", "ids"),
    [
        ("attack.persistence", ["TA0003"]),
        ("attack.privilege_escalation", ["TA0004"]),
        ("attack.privilege-escalation", ["TA0004"]),
        ("attack.command-and-control", ["TA0011"]),
        ("attack.ta0112", ["TA0112"]),
        ("attack.stealth", ["TA0005"]),
        ("attack.defense_impairment", ["TA0112"]),
        ("attack.defense_evasion", ["TA0005", "TA0112"]),
        ("attack.defense-evasion", ["TA0005", "TA0112"]),
        ("attack.t1053", []),
        ("attack.ta9999", []),
        ("persistence", []),
    ],
)
def test_tactic_tags(tag: str, ids: list[str]) -> None:
    assert [tactic.id for tactic in resolve_tactics(tag)] == ids


def test_what_was_defense_evasion_is_the_half_of_the_technique() -> None:
    assert read_tags(["attack.defense-evasion", "attack.t1070.002"]).tactics == ("TA0112",)
    assert read_tags(["attack.defense-evasion", "attack.t1070.004"]).tactics == ("TA0005",)
    assert read_tags(["attack.defense-evasion", "attack.t1053.003"]).tactics == ("TA0005", "TA0112")
    assert read_tags(["attack.defense-evasion"]).tactics == ("TA0005", "TA0112")
    both = read_tags(["attack.persistence", "attack.defense_evasion", "attack.t1685"])
    assert both.tactics == ("TA0003", "TA0112")


def test_all_that_tags_say() -> None:
    reading = read_tags(
        [
            "attack.t1070.002",
            "attack.t1685.006",
            "attack.t1053.004",
            "attack.g0016",
            "attack.s0154",
            "attack.dc0039",
            "attack.nonsense",
            "attack.t9999",
            "pci_dss.10.5",
            "detection.threat-hunting",
        ]
    )
    assert reading == TagReading(
        techniques=("T1685.006",),
        tactics=("TA0112",),
        redirected=(("T1070.002", "T1685.006"),),
        retired=("T1053.004",),
        unknown=("attack.nonsense", "attack.t9999"),
    )


def test_no_tags_say_nothing() -> None:
    assert read_tags([]) == TagReading()


@given(
    st.lists(
        st.one_of(st.text(max_size=12), st.from_regex(r"attack\.[ts]a?[01]\d{3}(\.00\d)?", fullmatch=True))
    )
)
def test_any_tags_give_current_ids(tags: list[str]) -> None:
    reading = read_tags(tags)
    assert set(reading.techniques) <= set(TECHNIQUES)
    assert set(reading.tactics) <= set(TACTICS)
    assert {new for _, new in reading.redirected} <= set(reading.techniques)
