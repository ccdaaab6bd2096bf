"""What lint says, one fault at a time, in a folder that is right otherwise."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from otel_fim.cli.main import main
from otel_fim.processors.rules.command.linting import lint
from otel_fim.processors.rules.command.reading import library

Change = Callable[..., None]


def said(folder: Path) -> list[str]:
    return [f"{problem.check}: {problem.message}" for problem in lint(library([folder]), house=True)]


def test_a_good_folder_has_no_problems(rules: Path) -> None:
    assert said(rules) == []


FAULTS = [
    ("id: 5d2b5f5a-31a1-4a3f-9a33-0e5a6bb2b7aa\n", "", "id: it has no `id`"),
    ("5d2b5f5a-31a1-4a3f", "5d2b5f5a-31a1-1a3f", "id: the id 5d2b5f5a-31a1-1a3f-9a33-0e5a6bb2b7aa is no"),
    ("id: 5d2b5f5a-31a1-4a3f-9a33-0e5a6bb2b7aa", "id: five", "id: the id 'five' is no UUID"),
    ("title: Cron Entry Added By A Shell", "title: Cron", "title: the title has 4 characters; 8 to 80"),
    ("By A Shell", "By A Shell" + " Again" * 20, "title: the title has"),
    ("By A Shell", "By A Shell.", "title: the title ends with a full stop"),
    ("falsepositives:", "false_positives:", "keys: unknown key 'false_positives'; did you mean 'falsepositives'?"),
    ("author: The otel-fim authors\n", "", "author: it has no `author`"),
    ("author: The otel-fim authors", "author: Somebody", "author: the author is 'Somebody'"),
    ("license: Apache-2.0\n", "", "license: it has no `license`"),
    ("license: Apache-2.0", "license: DRL-1.1", "license: the licence is 'DRL-1.1'"),
    ("date: 2026-11-21\n", "", "date: it has no `date`"),
    ("date: 2026-11-21", "date: 21 November", "date: `date` is '21 November'"),
    ("date: 2026-11-21", "date: 2026-11-21\nmodified: 2026-01-01", "date: it was modified before its date"),
    ("A shell wrote a cron entry. Look at what it runs and at who was logged in.", "Cron.", "description: the descr"),
    ("level: high\n", "", "level: it has no `level`"),
    ("level: high", "level: urgent", "level: the level is 'urgent'"),
    ("status: experimental\n", "", "status: the status is None"),
    ("confidence: medium\n", "", "confidence: `confidence` is None; there are low, medium, high"),
    ("confidence: medium", "confidence: certain", "confidence: `confidence` is 'certain'"),
    ("https://attack", "see attack", "references: 'see attack.mitre.org/techniques/T1053/003/' is no address"),
    ("An administrator with an editor that is a shell", "Unknown", "false positives: 'Unknown' says nothing"),
    ("  - attack.t1053.003\n", "", "attack: it names no technique: add its tag, or `attack: none`"),
    ("attack.t1053.003", "attack.t1070.002", "attack: T1070.002 was revoked: it is T1685.006 (Clear"),
    ("attack.t1053.003", "attack.t1053.004", "attack: T1053.004 (Launchd) was withdrawn without a successor"),
    ("attack.t1053.003", "attack.t9053.003", "attack: attack.t9053.003 is neither a technique"),
    ("attack.persistence", "attack.persistance", "attack: attack.persistance is neither a technique nor a tactic"),
    ("  - attack.persistence\n", "", "attack: it names no tactic; its techniques belong to attack.exe"),
    ("attack.persistence", "attack.privilege_escalation", "attack: attack.privilege_escalation: tactics are wri"),
    ("attack.persistence", "attack.defense_evasion", "attack: attack.defense_evasion was split: write"),
    ("attack.persistence", "attack.impact", "attack: none of its techniques belongs to impact"),
    ("level: high", "level: high\nattack: none", "attack: it says `attack: none` and names a technique"),
    ("level: high", "level: high\nattack: T1053", "attack: `attack` is 'T1053'"),
    ("  - pci_dss.11.5.2\n", "", "compliance: it serves no control"),
    ("pci_dss.11.5.2", "pci_dss.13.1", "compliance: pci_dss.13.1: '13.1' is no control of pci_dss"),
    ("pci_dss.11.5.2", "nist_800_53.si_7", "compliance: nist_800_53.si_7: 'si_7' is no control of nist_800_53"),
    ("pci_dss.11.5.2", "pci_dss.11.5.2\n  - pci_dss.11.5.2", "tags: pci_dss.11.5.2 stands there twice"),
    ("pci_dss.11.5.2", "pci_dss.11.5.2\n  - Cron", "tags: 'Cron' is no tag"),
    ("Image|endswith", "process.image|endswith", "fields: no record has 'process.image'"),
    ("condition: selection", "filter: {Image: x}\n  condition: selection", "detection: the condition does not use"),
    ("condition: selection", "condition: selektion", "load:"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "expected"), FAULTS)
def test_each_fault_is_told(rules: Path, change: Change, old: str, new: str, expected: str) -> None:
    change(old, new)
    assert any(message.startswith(expected) for message in said(rules)), said(rules)


def test_no_technique_can_be_meant(rules: Path, change: Change) -> None:
    change("  - attack.persistence\n  - attack.t1053.003\n", "")
    change("level: high", "level: high\nattack: none")
    assert said(rules) == []


def test_selections_are_used_by_pattern_and_by_them(rules: Path, change: Change) -> None:
    change("condition: selection", "filter_one: {Image: x}\n  condition: selection and not 1 of filter_*")
    assert said(rules) == []
    change("condition: selection and not 1 of filter_*", "condition: all of them")
    assert said(rules) == []


def test_an_id_that_two_rules_have(rules: Path) -> None:
    shutil.copy(rules / "cron_shell.yml", rules / "cron_shell_too.yml")
    shutil.copy(rules / "cron_shell.samples.yml", rules / "cron_shell_too.samples.yml")
    messages = [message for message in said(rules) if message.startswith("id: ")]
    assert len(messages) == 2
    assert "is also that of 'Cron Entry Added By A Shell' in" in messages[0]


def test_files_have_plain_names(rules: Path) -> None:
    (rules / "cron_shell.yml").rename(rules / "Cron-Shell.yml")
    (rules / "cron_shell.samples.yml").rename(rules / "Cron-Shell.samples.yml")
    assert [message.partition(":")[0] for message in said(rules)] == ["file name"]


def test_samples_must_be_there(rules: Path) -> None:
    (rules / "cron_shell.samples.yml").unlink()
    assert said(rules) == ["samples: it has no samples: write cron_shell.samples.yml beside it"]
    (rules / "cron_shell.yml").unlink()
    (rules / "cron.samples.yml").write_text("match: []")
    assert said(rules) == ["samples: there is no rule beside these samples: are they called like its file?"]


SAMPLE_FAULTS = [
    ("no_match:", "nomatch:", "unknown key 'nomatch'"),
    ("no_match:\n  - about: dpkg writes it", "  - about: dpkg writes it", "there is no case of `no_match`"),
    (
        "about: dpkg writes it",
        "about: a shell writes a drop-in",
        "two cases are about 'a shell writes a drop-in'",
    ),
    ("file.path", "file.pth", "no record has 'file.pth'; did you mean 'file.path'?"),
    ("otel_fim.file.created", "otel_fim.file.create", "there is no event 'otel_fim.file.create'"),
    ("file.path: /etc/cron.d/x", "process.pid: '7'", "process.pid is '7', and in records it is of type int"),
    (
        "/usr/bin/dpkg",
        "[/usr/bin/dpkg]",
        "process.executable.path is ['/usr/bin/dpkg'], and in records it is of",
    ),
]


@pytest.mark.parametrize(("old", "new", "expected"), SAMPLE_FAULTS)
def test_samples_must_be_right(rules: Path, change: Change, old: str, new: str, expected: str) -> None:
    change(old, new, "cron_shell.samples.yml")
    assert any(expected in message for message in said(rules)), said(rules)


def test_a_rule_that_feeds_a_correlation_needs_less(rules: Path, change: Change) -> None:
    change(
        "generate: true" if False else "timespan: 5m", "timespan: 5m\n  generate: true", "failed_logins.yml"
    )
    messages = said(rules)
    assert any(message.startswith("description: it has no `description`") for message in messages)


def test_rules_of_others_are_asked_less(rules: Path, change: Change) -> None:
    change("author: The otel-fim authors", "author: Somebody Else")
    change("license: Apache-2.0", "license: DRL-1.1")
    change("  - pci_dss.11.5.2\n", "")
    change("confidence: medium\n", "")
    (rules / "cron_shell.samples.yml").unlink()
    assert [str(problem) for problem in lint(library([rules]))] == []


def test_what_rules_of_others_lack_is_a_warning(rules: Path, change: Change) -> None:
    change("license: Apache-2.0\n", "")
    change("https://attack", "see attack")
    change("  - attack.t1053.003\n", "")
    problems = list(lint(library([rules])))
    assert [problem.check for problem in problems] == ["license", "references", "attack"]
    assert not any(problem.is_error for problem in problems)


def test_files_that_are_no_rules(rules: Path) -> None:
    (rules / "broken.yml").write_text("title: [")
    (rules / "list.yml").write_text("- a\n- b\n")
    messages = said(rules)
    assert any("broken.yml" in message and message.startswith("load: ") for message in messages)
    assert any("the document is a list" in message for message in messages)


def test_the_command(rules: Path, change: Change, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "lint", str(rules)]) == 0
    assert capsys.readouterr().err == "3 rules in 2 files: 0 errors, 0 warnings\n"
    change("attack.persistence", "attack.impact")
    assert main(["rules", "lint", str(rules)]) == 0
    assert main(["rules", "lint", "--strict", str(rules)]) == 1
    capsys.readouterr()
    change("attack.t1053.003", "attack.t1070.002")
    assert main(["rules", "lint", "--output", "json", str(rules)]) == 1
    first = json.loads(capsys.readouterr().out)[0]
    assert (first["line"], first["check"], first["is_error"]) == (1, "attack", True)
    assert main(["rules", "lint", str(rules)]) == 1
    assert f"{rules}/cron_shell.yml:1: error: T1070.002 was revoked" in capsys.readouterr().out


def test_nothing_to_look_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "lint", str(tmp_path)]) == 2
    assert main(["rules", "lint", str(tmp_path / "missing")]) == 1
    assert "there is no such file or folder" in capsys.readouterr().out
