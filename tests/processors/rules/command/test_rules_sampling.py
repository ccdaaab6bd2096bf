"""`rules test`: samples through the engine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from otel_fim.cli.main import main
from otel_fim.processors.rules.command.reading import library
from otel_fim.processors.rules.command.trial import Outcome, run_samples

Change = Callable[..., None]
Capture = pytest.CaptureFixture[str]


def outcomes(rules: Path) -> list[Outcome]:
    found = library([rules])
    return list(run_samples(found, found.files))


def test_all_as_expected(rules: Path, capsys: Capture) -> None:
    assert main(["rules", "test", str(rules)]) == 0
    assert capsys.readouterr().out == "5 samples of 2 rules: all as expected\n"


def test_one_file_alone(rules: Path, capsys: Capture) -> None:
    assert main(["rules", "test", str(rules / "cron_shell.yml")]) == 0
    assert capsys.readouterr().out == "2 samples of 1 rule: all as expected\n"


def test_a_sample_that_does_not_match_says_which_part_fails(
    rules: Path, change: Change, capsys: Capture
) -> None:
    change("/usr/bin/bash", "/usr/bin/vi", "cron_shell.samples.yml")
    assert main(["rules", "test", str(rules)]) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[0] == ("Cron Entry Added By A Shell: a shell writes a drop-in: expected a finding, got none")
    assert out[1] == f"    {rules}/cron_shell.samples.yml, match"
    assert out[2] == (
        '    record 1: (process.executable.path ends with one of "/bash", "/sh") must hold, and it is "/usr/bin/vi"'
    )
    assert out[-1] == "1 of 5 samples not as expected, in 1 file"


def test_a_sample_of_another_event_says_so(rules: Path, change: Change) -> None:
    change("otel_fim.file.created", "otel_fim.file.deleted", "cron_shell.samples.yml")
    failed = [outcome for outcome in outcomes(rules) if not outcome.passed]
    assert [outcome.kind for outcome in failed] == ["match"]
    assert "the records are otel_fim.file.deleted" in failed[0].why[0]


def test_a_sample_that_must_not_match_and_does(rules: Path, change: Change) -> None:
    change("/usr/bin/dpkg", "/usr/bin/sh", "cron_shell.samples.yml")
    (failed,) = [outcome for outcome in outcomes(rules) if not outcome.passed]
    assert (failed.kind, failed.expected, failed.found) == ("no_match", "no finding", 1)
    assert failed.why[0].startswith('record 1 matches: file.path starts with "/etc/cron.d/" and')


def test_numbers_of_findings_count(rules: Path, change: Change) -> None:
    change("findings: 1", "findings: 2", "failed_logins.samples.yml")
    (failed,) = [outcome for outcome in outcomes(rules) if not outcome.passed]
    assert (failed.expected, failed.found) == ("2 findings", 1)
    assert failed.why == (
        "'Failed Login' matches 6 of 6 records",
        "event_count ≥ 5 within 300 s, by source.address",
    )


def test_a_correlation_whose_rule_matches_nothing_says_why(rules: Path, change: Change) -> None:
    change("event.outcome: failure", "event.outcome: success", "failed_logins.samples.yml")
    failed = [outcome for outcome in outcomes(rules) if not outcome.passed]
    assert failed[0].why[:2] == (
        "'Failed Login' matches 0 of 6 records",
        'record 1: event.outcome is "failure" must hold, and it is "success"',
    )


def test_the_rule_can_be_named(rules: Path, change: Change) -> None:
    # A rule that feeds a correlation finds nothing by itself.
    change(
        "about: six in a minute",
        "about: six in a minute\n    rule: failed_login",
        "failed_logins.samples.yml",
    )
    (failed,) = [outcome for outcome in outcomes(rules) if not outcome.passed]
    assert (failed.rule, failed.found) == ("Failed Login", 0)
    change("rule: failed_login", "rule: other", "failed_logins.samples.yml")
    (failed,) = [outcome for outcome in outcomes(rules) if not outcome.passed]
    assert failed.why == ("no rule of the file is called 'other'",)


def test_other_rules_that_find_something_are_named(rules: Path) -> None:
    for name, old, new in (
        ("cron_shell.yml", "5d2b5f5a-31a1-4a3f-9a33-0e5a6bb2b7aa", "9c0b8a7d-31a1-4a3f-9a33-0e5a6bb2b7aa"),
    ):
        text = (rules / name).read_text().replace(old, new).replace("Cron Entry Added", "Other Entry Added")
        (rules / f"other_{name}").write_text(text)
    assert outcomes(rules)[0].also == ("Other Entry Added By A Shell",)


def test_a_rule_that_was_not_loaded_has_failed(rules: Path, change: Change, capsys: Capture) -> None:
    change("condition: selection", "condition: selektion")
    assert main(["rules", "test", str(rules)]) == 1
    out, err = capsys.readouterr()
    assert "no rule that was loaded" in out
    assert "rejected: " in err


def test_samples_that_cannot_be_read_have_failed(rules: Path, change: Change, capsys: Capture) -> None:
    change("records:", "recodrs:", "cron_shell.samples.yml")
    assert main(["rules", "test", str(rules)]) == 1
    assert "unknown key 'recodrs'" in capsys.readouterr().out


def test_json(rules: Path, change: Change, capsys: Capture) -> None:
    change("/usr/bin/bash", "/usr/bin/vi", "cron_shell.samples.yml")
    assert main(["rules", "test", "--output", "json", str(rules)]) == 1
    told = json.loads(capsys.readouterr().out)
    assert [each["passed"] for each in told] == [False, True, True, True, True]
    assert told[0]["rule_id"] == "5d2b5f5a-31a1-4a3f-9a33-0e5a6bb2b7aa"


def test_without_samples(rules: Path, tmp_path: Path, capsys: Capture) -> None:
    (rules / "cron_shell.samples.yml").unlink()
    assert main(["rules", "test", str(rules)]) == 0
    assert "1 rule file without samples" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main(["rules", "test", str(tmp_path / "empty")]) == 2
    assert "there are no samples" in capsys.readouterr().err


def test_one_case_leaves_nothing_for_the_next(rules: Path) -> None:
    # Four failures in each of two cases are not eight in one.
    (rules / "failed_logins.samples.yml").write_text(
        "no_match:\n"
        + "".join(
            f"  - about: four {number}\n    records:\n      - event: otel_fim.auth.login\n        repeat: 4\n"
            "        attributes: {event.outcome: failure, source.address: 203.0.113.7}\n"
            for number in range(3)
        )
    )
    assert [outcome.passed for outcome in outcomes(rules)] == [True] * 5


def test_a_case_of_later_does_not_make_the_next_one_late(rules: Path, change: Change) -> None:
    change(
        "records:\n", "records:\n      - {body: x, time: 2027-01-01T00:00:00Z}\n", "cron_shell.samples.yml"
    )
    assert all(outcome.passed for outcome in outcomes(rules))
