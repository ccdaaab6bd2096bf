"""The table that comes with the program: complete, consistent, and what the project's own words rest on."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from otel_fim import names
from otel_fim.attack import (
    DATA_COMPONENTS,
    FRAMEWORK,
    REDIRECTS,
    RETIRED,
    TACTICS,
    TECHNIQUES,
    Tactic,
    annotate,
    data_components_for,
    resolve,
)
from otel_fim.attack.table import load
from otel_fim.names import events
from otel_fim.names.registry import EVENTS


def test_release_is_what_the_table_says() -> None:
    assert f"MITRE ATT&CK v{load().version}" == FRAMEWORK
    assert load().version == "19.2"
    assert "The MITRE Corporation" in load().notice


def test_as_many_as_mitre_published() -> None:
    # https://attack.mitre.org/resources/updates/updates-april-2026/
    sub = [technique for technique in TECHNIQUES.values() if technique.is_subtechnique]
    assert (len(TACTICS), len(TECHNIQUES) - len(sub), len(sub)) == (15, 222, 475)


def test_every_technique_is_whole() -> None:
    for id_, technique in TECHNIQUES.items():
        assert re.fullmatch(r"T\d{4}(\.\d{3})?", id_)
        assert technique.id == id_
        assert technique.name
        assert technique.tactics
        assert set(technique.tactics) <= set(TACTICS.values())
        assert technique.parent_id in TECHNIQUES


def test_old_ids_lead_to_current_ones_and_nothing_is_both() -> None:
    assert set(REDIRECTS.values()) <= set(TECHNIQUES)
    assert not set(REDIRECTS) & set(TECHNIQUES)
    assert not set(RETIRED) & (set(TECHNIQUES) | set(REDIRECTS))


# What reference/detection.md says of v19, and the tactics that MITRE gives.
KNOWN = [
    ("T1685.006", "Clear Linux or Mac System Logs", "Defense Impairment"),
    ("T1685", "Disable or Modify Tools", "Defense Impairment"),
    ("T1685.004", "Disable or Modify Linux Audit System Log", "Defense Impairment"),
    ("T1686", "Disable or Modify System Firewall", "Defense Impairment"),
    ("T1690", "Prevent Command History Logging", "Defense Impairment"),
    ("T1070.003", "Clear Command History", "Stealth"),
    ("T1070.004", "File Deletion", "Stealth"),
    ("T1070.006", "Timestomp", "Stealth"),
    ("T1222.002", "Linux and Mac Permissions", "Defense Impairment"),
    ("T1053.003", "Cron", "Execution, Persistence, Privilege Escalation"),
    ("T1543.002", "Systemd Service", "Persistence, Privilege Escalation"),
    ("T1053.006", "Systemd Timers", "Execution, Persistence, Privilege Escalation"),
    ("T1037.004", "RC Scripts", "Persistence, Privilege Escalation"),
    ("T1098.004", "SSH Authorized Keys", "Persistence, Privilege Escalation"),
    ("T1136.001", "Local Account", "Persistence"),
    ("T1098.007", "Additional Local or Domain Groups", "Persistence, Privilege Escalation"),
    ("T1548.001", "Setuid and Setgid", "Privilege Escalation"),
    ("T1548.003", "Sudo and Sudo Caching", "Privilege Escalation"),
    ("T1574.006", "Dynamic Linker Hijacking", "Execution, Stealth"),
    ("T1556.003", "Pluggable Authentication Modules", "Persistence, Defense Impairment, Credential Access"),
    ("T1546.004", "Unix Shell Configuration Modification", "Persistence, Privilege Escalation"),
    ("T1505.003", "Web Shell", "Persistence"),
    ("T1003.008", "/etc/passwd and /etc/shadow", "Credential Access"),
    ("T1554", "Compromise Host Software Binary", "Persistence"),
    ("T1486", "Data Encrypted for Impact", "Impact"),
    ("T1485", "Data Destruction", "Impact"),
    ("T1565.001", "Stored Data Manipulation", "Impact"),
    ("T1110.001", "Password Guessing", "Credential Access"),
    ("T1110.003", "Password Spraying", "Credential Access"),
    ("T1078", "Valid Accounts", "Initial Access, Persistence, Privilege Escalation, Stealth"),
    ("T1564.001", "Hidden Files and Directories", "Stealth"),
    ("T1036.005", "Match Legitimate Resource Name or Location", "Stealth"),
    ("T1027.001", "Binary Padding", "Stealth"),
    ("T1059.004", "Unix Shell", "Execution"),
    ("T1140", "Deobfuscate/Decode Files or Information", "Stealth"),
    ("T1553.004", "Install Root Certificate", "Defense Impairment"),
]


@pytest.mark.parametrize(("id_", "name", "tactics"), KNOWN)
def test_known_techniques(id_: str, name: str, tactics: str) -> None:
    technique = TECHNIQUES[id_]
    assert technique.name == name
    assert ", ".join(tactic.name for tactic in technique.tactics) == tactics


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("T1070.002", "T1685.006"),
        ("T1562", "T1685"),
        ("T1562.001", "T1685"),
        ("T1562.003", "T1690"),
        ("T1562.004", "T1686"),
        ("T1562.006", "T1685"),
        ("T1562.012", "T1685.004"),
        ("t1656", "T1684.001"),
        # Revoked twice: by T1562.001 with v7, and that by T1685 with v19.
        ("T1089", "T1685"),
        ("T1053.003", "T1053.003"),
    ],
)
def test_ids_of_older_releases_are_redirected(old: str, new: str) -> None:
    technique = resolve(old)
    assert technique is not None
    assert technique.id == new


@pytest.mark.parametrize("id_", ["T9999", "", "T1053.004", "TA0005", "cron"])
def test_what_is_no_technique_is_none(id_: str) -> None:
    assert resolve(id_) is None


def test_tactics_of_v19() -> None:
    assert TACTICS["TA0005"] == Tactic("TA0005", "Stealth", "stealth")
    assert TACTICS["TA0112"] == Tactic("TA0112", "Defense Impairment", "defense-impairment")
    assert next(iter(TACTICS)) == "TA0043"


def test_events_have_data_components_that_exist() -> None:
    assert DATA_COMPONENTS["DC0039"] == "File Creation"
    assert data_components_for(events.FILE_CREATED) == ("DC0039",)
    assert data_components_for(events.AGENT_STARTED) == ()
    for event in EVENTS:
        assert set(data_components_for(event)) <= set(DATA_COMPONENTS)


def test_a_technique_has_its_page() -> None:
    assert TECHNIQUES["T1053.003"].reference == "https://attack.mitre.org/techniques/T1053/003/"


def test_annotate_writes_ecs_lists() -> None:
    attributes: dict[str, object] = {}
    annotate(attributes, ["T1070.002", "T1053.003", "T1053"], confidence="high", evidence="seen")
    assert attributes == {
        names.THREAT_FRAMEWORK: FRAMEWORK,
        names.THREAT_TACTIC_ID: ["TA0112", "TA0002", "TA0003", "TA0004"],
        names.THREAT_TACTIC_NAME: ["Defense Impairment", "Execution", "Persistence", "Privilege Escalation"],
        names.THREAT_TECHNIQUE_ID: ["T1685", "T1053"],
        names.THREAT_TECHNIQUE_NAME: ["Disable or Modify Tools", "Scheduled Task/Job"],
        names.THREAT_TECHNIQUE_SUBTECHNIQUE_ID: ["T1685.006", "T1053.003"],
        names.THREAT_TECHNIQUE_SUBTECHNIQUE_NAME: ["Clear Linux or Mac System Logs", "Cron"],
        names.OTEL_FIM_THREAT_CONFIDENCE: "high",
        names.OTEL_FIM_THREAT_EVIDENCE: "seen",
    }


@pytest.mark.parametrize("tactic", ["TA0003", "persistence", "Persistence", "ta0003"])
def test_annotate_takes_the_tactics_that_it_is_given(tactic: str) -> None:
    attributes: dict[str, object] = {}
    annotate(attributes, ["T1053.003"], [tactic])
    assert attributes[names.THREAT_TACTIC_ID] == ["TA0003"]


def test_annotate_writes_nothing_without_a_technique_or_tactic() -> None:
    attributes: dict[str, object] = {}
    annotate(attributes, ["T9999"], ["no tactic"], "high", "seen")
    assert attributes == {}


def test_a_tactic_alone_is_written() -> None:
    attributes: dict[str, object] = {}
    annotate(attributes, [], ["Privilege Escalation"])
    assert attributes[names.THREAT_TACTIC_ID] == ["TA0004"]
    assert names.THREAT_TECHNIQUE_ID not in attributes


def test_importing_does_not_read_the_table() -> None:
    code = "from otel_fim.attack.table import load; import otel_fim.attack; print(load.cache_info().currsize)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "0"
