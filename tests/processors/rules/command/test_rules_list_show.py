"""Lists of rules, and all about one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from otel_fim.cli.main import main

Change = Callable[..., None]
Capture = pytest.CaptureFixture[str]


def listed(rules: Path, capsys: Capture, *options: str) -> list[str]:
    assert main(["rules", "list", "--path", str(rules), "--output", "json", *options]) == 0
    return [rule["title"] for rule in json.loads(capsys.readouterr().out)]


def test_the_table_has_the_most_severe_first_and_counts_at_the_end(rules: Path, capsys: Capture) -> None:
    assert main(["rules", "list", "--path", str(rules)]) == 0
    out, err = capsys.readouterr()
    lines = [line.split("  ") for line in out.splitlines()]
    assert [cell.strip() for cell in lines[0] if cell.strip()] == [
        *("LEVEL", "TITLE", "TACTIC", "TECHNIQUE", "LOG SOURCE", "ID")
    ]
    assert [cell.strip() for cell in lines[1] if cell.strip()] == [
        *("high", "Cron Entry Added By A Shell", "persistence", "T1053.003", "linux/file_event"),
        "5d2b5f5a-31a1-4a3f-9a33-0e5a6bb2b7aa",
    ]
    assert "event_count" in out.splitlines()[2]
    assert "Failed Login (feeds correlations only)" in out.splitlines()[3]
    assert out.splitlines()[-1] == (
        "3 rules (1 high, 1 medium, 1 informational), 1 of them correlations; "
        "2 techniques in 2 tactics (MITRE ATT&CK v19.2)"
    )
    assert err == ""


CRON, BURST, LOGIN = "Cron Entry Added By A Shell", "Many Failed Logins From One Address", "Failed Login"


@pytest.mark.parametrize(
    ("options", "titles"),
    [
        ((), [CRON, BURST, LOGIN]),
        (("--level", "high"), [CRON]),
        (("--level", "high", "--level", "medium"), [CRON, BURST]),
        (("--tactic", "Persistence"), [CRON]),
        (("--tactic", "credential_access"), [BURST]),
        (("--tactic", "defense-evasion"), []),
        (("--technique", "T1053"), [CRON]),
        (("--technique", "t1110.001"), [BURST]),
        (("--technique", "T1070.002"), []),
        (("--compliance", "pci_dss"), [CRON]),
        (("--compliance", "pci_dss.11.5"), [CRON]),
        (("--compliance", "pci_dss.11.5.2.1"), []),
        (("--compliance", "NIST_800_53.ac-7"), [BURST]),
    ],
)
def test_filters(rules: Path, capsys: Capture, options: tuple[str, ...], titles: list[str]) -> None:
    assert listed(rules, capsys, *options) == titles


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--tactic", "persistance"), "there is no such tactic; there are reconnaissance,"),
        (("--technique", "T9999"), "MITRE ATT&CK v19.2 has no such technique"),
        (("--level", "urgent"), "invalid choice: 'urgent'"),
    ],
)
def test_filters_that_mean_nothing(rules: Path, capsys: Capture, options: tuple[str, ...], said: str) -> None:
    assert main(["rules", "list", "--path", str(rules), *options]) != 0
    assert said in capsys.readouterr().err


def test_rejected_rules_are_told_with_their_reasons(rules: Path, change: Change, capsys: Capture) -> None:
    change("condition: selection", "condition: selektion")
    assert main(["rules", "list", "--path", str(rules)]) == 0
    out, err = capsys.readouterr()
    assert CRON not in out
    assert "rejected: " in err
    assert "cron_shell.yml" in err
    assert err.endswith("1 rejected\n")


def test_no_rule_at_all(tmp_path: Path, capsys: Capture) -> None:
    assert main(["rules", "list", "--path", str(tmp_path / "missing")]) == 2
    assert "there is no such file or folder" in capsys.readouterr().err


def test_the_pack_is_listed_without_a_path(capsys: Capture) -> None:
    assert main(["rules", "list", "--level", "critical"]) == 0
    assert "critical" in capsys.readouterr().out


def test_show_says_everything(rules: Path, capsys: Capture) -> None:
    assert main(["rules", "show", "cron entry added", "--path", str(rules)]) == 0
    out = capsys.readouterr().out
    for text in (
        "id                5d2b5f5a-31a1-4a3f-9a33-0e5a6bb2b7aa",
        "level             high (confidence medium)",
        "author            The otel-fim authors",
        "licence           Apache-2.0",
        "techniques        T1053.003 Cron, https://attack.mitre.org/techniques/T1053/003/",
        "tactics           persistence",
        "compliance        pci_dss.11.5.2",
        "false positives   An administrator with an editor that is a shell",
        "events            otel_fim.file.created",
        "data components   DC0039 File Creation, DC0061 File Modification",
        "fields            TargetFilename is file.path",
        "                  Image is process.executable.path",
        "samples           1 that must match, 1 that must not",
        'file.path starts with "/etc/cron.d/"',
        "title: Cron Entry Added By A Shell\n",
        "    TargetFilename|startswith: /etc/cron.d/\n",
    ):
        assert text in out


@pytest.mark.parametrize("rule", ["0a9b8c7d-6e5f-4a3b-92c1-d0e1f2a3b4c5", BURST, "FROM ONE ADDRESS"])
def test_a_correlation_is_found_by_id_and_title(rules: Path, capsys: Capture, rule: str) -> None:
    assert main(["rules", "show", rule, "--path", str(rules)]) == 0
    out = capsys.readouterr().out
    assert "event_count ≥ 5 within 5m for each source.address, of 'Failed Login'" in " ".join(out.split())
    # Only its own document, not the rule that stands before it in the file.
    assert "name: failed_login" not in out


def test_by_name_and_what_it_feeds(rules: Path, capsys: Capture) -> None:
    assert main(["rules", "show", "failed_login", "--path", str(rules)]) == 0
    out = capsys.readouterr().out
    assert "nothing by itself: it feeds correlations" in " ".join(out.split())
    assert "correlation:" not in out


def test_old_ids_are_told(rules: Path, change: Change, capsys: Capture) -> None:
    change("attack.t1053.003", "attack.t1070.002")
    assert main(["rules", "show", "cron", "--path", str(rules)]) == 0
    assert "old ids           T1070.002 is now T1685.006" in capsys.readouterr().out


def test_show_as_json_and_as_sql(rules: Path, capsys: Capture) -> None:
    assert main(["rules", "show", "cron", "--path", str(rules), "--output", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["fields"] == {"TargetFilename": "file.path", "Image": "process.executable.path"}
    assert told["source"].startswith("title: Cron Entry")
    assert main(["rules", "show", "cron", "--path", str(rules), "--sql"]) == 0
    assert "SELECT" in capsys.readouterr().out


def test_show_what_there_is_not(rules: Path, change: Change, capsys: Capture) -> None:
    assert main(["rules", "show", "nothing", "--path", str(rules)]) == 1
    assert "there is no rule with the id, name or title 'nothing'" in capsys.readouterr().err
    assert main(["rules", "show", "a", "--path", str(rules)]) == 1
    assert "say which by its id" in capsys.readouterr().err
    change("condition: selection", "condition: selektion")
    assert main(["rules", "show", CRON, "--path", str(rules)]) == 1
    assert "this rule was not loaded" in capsys.readouterr().err
