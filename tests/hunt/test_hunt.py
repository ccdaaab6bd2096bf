"""`otel-fim hunt` against a real store."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from otel_fim.cli.main import main
from otel_fim.hunt.times import parse_time
from otel_fim.sigma.load import load_rules, pack_path
from tests.sigma.parity.table import Table

Hunt = Callable[..., Any]
HOUR = 3_600_000_000_000


def test_a_rule_of_a_file(hunt: Hunt, rules: Path) -> None:
    ran = hunt(rules, "--since", "1h")
    assert ran.status == 1
    # The rule feeds a correlation and makes no findings of its own.
    assert ran.out.count("findings") + ran.out.count("finding\n") == 1
    assert "critical  Many Cron Entries: 1 finding" in ran.out
    assert "web-1" in ran.out
    assert "1 rule asked, 1 found something" in ran.err


def test_what_is_printed_moves_no_cursor_and_names_the_author(hunt: Hunt, rules: Path) -> None:
    rules.write_text(rules.read_text().partition("---")[0])
    ran = hunt(rules, "--since", "1h")
    assert ran.status == 1
    assert "\x1b" not in ran.out
    lines = ran.out.splitlines()
    assert lines[0] == "high  Cron Entry Added: 3 findings"
    assert lines[1].strip() == (
        "rule 2f1f0c1f-6f2c-4a51-9c8c-5d8bd1ee9f57; author Jane \\x1b[31mDoe; licence DRL-1.1; T1053.003"
    )
    assert lines[2].split() == ["time", "host", "user", "executable", "path", "event", "body"]
    assert len(lines) == 6
    assert "/etc/cron.d/b\\n\\x1b[2J" in lines[4]


def test_json_has_everything(hunt: Hunt, rules: Path) -> None:
    rules.write_text(rules.read_text().partition("---")[0])
    ran = hunt(rules, "--since", "1h", "--output", "json")
    found = [json.loads(line) for line in ran.out.splitlines()]
    assert [each["path"] for each in found] == ["/etc/cron.d/a", "/etc/cron.d/b\n\x1b[2J", "/etc/cron.d/c"]
    assert found[0]["evidence"] == ["stream/0"]
    assert found[0]["author"] == "Jane \x1b[31mDoe"
    assert found[0]["license"] == "DRL-1.1"
    assert found[0]["time"].endswith("Z")
    assert len(found[0]["time"]) == len("2026-01-13T14:32:15.123456789Z")


def test_a_correlation_in_json(hunt: Hunt, rules: Path) -> None:
    (found,) = map(json.loads, hunt(rules, "--since", "1h", "--output", "json").out.splitlines())
    assert found["group"] == {"host.name": "web-1"}
    assert (found["value"], found["count"], found["kind"]) == (3.0, 3, "value_count")
    assert found["evidence"] == ["stream/0", "stream/1", "stream/2"]


def test_only_the_time_asked_for(hunt: Hunt, rules: Path) -> None:
    rules.write_text(rules.read_text().partition("---")[0])
    assert hunt(rules, "--since", "1h", "--until", "45m").status == 0
    assert "1 finding\n" in hunt(rules, "--since", "3d", "--until", "1d").out
    assert "4 findings" in hunt(rules, "--since", "3d").out


def test_a_limit_is_said(hunt: Hunt, rules: Path) -> None:
    rules.write_text(rules.read_text().partition("---")[0])
    assert "more than 2 findings" in hunt(rules, "--since", "3d", "--limit", 2).out


def test_rules_of_the_pack(hunt: Hunt) -> None:
    pack = load_rules([pack_path()])
    rule = next(each for each in pack.rules if each.emits)
    for name in (rule.meta.id, rule.meta.title, rule.meta.title.upper()):
        ran = hunt(name, "--since", "1h")
        assert ran.status in (0, 1), ran.err
        assert "1 rule asked" in ran.err


def test_the_whole_pack(hunt: Hunt) -> None:
    ran = hunt("--all", "--since", "1h")
    assert ran.status in (0, 1), ran.err
    assert "could not" not in ran.err


def test_sql_is_printed_and_not_run(rules: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hunt", str(rules), "--sql", "--table", "default.otel_logs"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("-- Many Cron Entries (value_count, level critical)")
    assert "FROM `default`.`otel_logs`" in out
    assert out.rstrip().endswith(";")


def test_printed_sql_runs(hunt: Hunt, rules: Path, table: Table, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hunt", str(rules), "--sql", "--since", "1h", "--database", "real"]) == 0
    sql = capsys.readouterr().out.strip().rstrip(";")
    (row,) = table.rows(sql)
    assert row["value"] == 3.0


def test_a_query(hunt: Hunt) -> None:
    ran = hunt(
        "--query",
        "SELECT `file.path` AS p, count() AS n FROM (SELECT LogAttributes['file.path'] AS `file.path` "
        "FROM otel_logs) GROUP BY p ORDER BY p;",
    )
    assert ran.status == 1
    assert ran.out.splitlines()[0].split() == ["p", "n"]
    assert "\x1b" not in ran.out
    assert hunt("--query", "SELECT 1 WHERE 0").status == 0
    assert json.loads(hunt("--query", "SELECT 1 AS a, 'x' AS b", "--output", "json").out) == {
        "a": 1,
        "b": "x",
    }


def test_a_view(hunt: Hunt, rules: Path) -> None:
    rules.write_text(rules.read_text().partition("---")[0])
    assert "3 findings" in hunt(rules, "--since", "1h", "--table", "otel_fim_files").out


# --- What could not be done -----------------------------------------------------------------------------------


def test_a_rejected_rule_is_named_and_the_others_run(hunt: Hunt, broken: Path) -> None:
    ran = hunt(broken, "--since", "1h")
    assert ran.status == 1
    assert "'Broken'" in ran.err
    assert "look-around" in ran.err
    assert "1 could not be read" in ran.err
    assert hunt(broken, "--since", "1s").status == 2


def test_nothing_but_a_rejected_rule(hunt: Hunt, broken: Path) -> None:
    broken.write_text(broken.read_text().rpartition("---")[2])
    assert hunt(broken).status == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["no such rule"], "'no such rule' is neither a file nor a rule that the agent knows"),
        (["gone.yml"], "gone.yml: there is no such file or folder"),
        ([], "name a rule"),
        (["{rules}", "--since", "soon"], "'soon' is no time"),
        (["{rules}", "--since", "1h", "--until", "2h"], "is not before"),
        (["{rules}", "--timezone", "Nowhere"], "'Nowhere' is no time zone"),
        (["{rules}", "--limit", "0"], "--limit"),
        (["{rules}", "--table", "nothing"], "--table"),
        (["{rules}", "--database", "nothing"], "no database 'nothing'"),
        (["{rules}", "--username", "somebody"], "wrong user or password"),
        (["{rules}", "--password-file", "/nowhere"], "/nowhere is not there"),
        (["{rules}", "--endpoint", "clickhouse://x"], "write http://"),
        (["--query", "SELEC 1"], "Syntax error"),
        (["--query", "DROP TABLE otel_logs"], "may not do this"),
        (["--query", "SELECT throwIf(1)"], "Value passed to 'throwIf'"),
        (["--query", "SELECT 1", "--all"], "stands for itself"),
    ],
)
def test_what_is_wrong_is_said(hunt: Hunt, rules: Path, arguments: list[str], said: str) -> None:
    ran = hunt(*(each.replace("{rules}", str(rules)) for each in arguments))
    assert (ran.status, ran.out) == (2, "")
    assert said in ran.err


def test_nobody_answers(rules: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{probe.getsockname()[1]}"
        assert main(["hunt", str(rules), "--endpoint", endpoint]) == 2
    assert "Connection refused" in capsys.readouterr().err


def test_no_embedded_store_has_run(
    rules: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["hunt", str(rules)]) == 2
    said = capsys.readouterr().err
    assert "otel-fim run" in said
    assert str(tmp_path) in said


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_who_may_not_read_the_password_is_told_who_may(tmp_path: Path) -> None:
    password = tmp_path / "otel-fim-data/store/reader.password"
    password.parent.mkdir(parents=True)
    password.write_text("secret")
    password.chmod(0)
    # Without its capabilities even root may not; another user could not read this environment's Python either.
    ran = subprocess.run(
        [
            *(
                "setpriv",
                "--bounding-set",
                "-dac_override,-dac_read_search",
                sys.executable,
                "-m",
                "otel_fim",
                "hunt",
            ),
            *("--query", "SELECT 1", "--set", "exporters.clickhouse.endpoint=http://127.0.0.1:9"),
            *("--set", "extensions.embedded_store.listen=127.0.0.1:9"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 2
    assert "as the user that the agent runs as" in ran.stderr


def test_the_configurations_store_is_asked_as_its_reader(
    table: Table, rules: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        f"extensions: {{embedded_store: {{listen: '{table.host}:{table.port}', data: '{table.directory}'}}}}\n"
        "receivers: {file_integrity: {}}\n"
        f"exporters: {{clickhouse: {{endpoint: 'http://{table.host}:{table.port}', username: writer, "
        "password_file: nowhere, database: real}}\n"
        f"service:\n  state_directory: {tmp_path}\n  extensions: [embedded_store]\n"
        "  pipelines: {logs: {receivers: [file_integrity], exporters: [clickhouse]}}\n"
    )
    assert main(["hunt", str(rules), "-c", str(config), "--since", "1h"]) == 1
    assert "Many Cron Entries" in capsys.readouterr().out


def test_times() -> None:
    now = 1_768_314_735_000_000_000
    assert parse_time("now", now) == now
    assert parse_time("2h", now) == now - 2 * HOUR
    assert parse_time("2026-01-13", now) == parse_time("2026-01-13T00:00:00Z", now)
    assert parse_time("2026-01-13T01:00", now, "Europe/Berlin") == parse_time("2026-01-13T00:00:00Z", now)
    assert parse_time("2026-01-13T00:00:00.123456789Z", now) % 1_000_000_000 == 123_456_789
    with pytest.raises(ValueError, match="write how long ago"):
        parse_time("yesterday", now)


# --- What the configuration says of rules ---------------------------------------------------------------------


@pytest.fixture
def configured(table: Table, tmp_path: Path) -> Callable[[str], list[str]]:
    """The arguments for a configuration with these settings of the rules processor."""

    def write(settings: str) -> list[str]:
        config = tmp_path / "config.yaml"
        config.write_text(
            f"extensions: {{embedded_store: {{listen: '{table.host}:{table.port}', data: '{table.directory}'}}}}\n"
            f"receivers: {{file_integrity: {{}}}}\nprocessors: {{rules: {settings}}}\n"
            f"exporters: {{clickhouse: {{endpoint: 'http://{table.host}:{table.port}', username: writer, "
            "password_file: nowhere, database: real}}\n"
            f"service:\n  state_directory: {tmp_path}\n  extensions: [embedded_store]\n"
            "  pipelines: {logs: {receivers: [file_integrity], processors: [rules], exporters: [clickhouse]}}\n"
        )
        return ["hunt", "-c", str(config), "--since", "1h"]

    return write


def test_all_is_what_the_configuration_runs(
    configured: Callable[[str], list[str]], rules: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = f"pack: false, paths: ['{rules}']"
    assert main([*configured(f"{{{own}}}"), "--all"]) == 1
    captured = capsys.readouterr()
    assert "Many Cron Entries" in captured.out
    assert "1 rule asked" in captured.err
    for less in ("exclude: [Many Cron Entries]", "exclude: [3f1f0c1f-6f2c-4a51-9c8c-5d8bd1ee9f57]"):
        assert main([*configured(f"{{{own}, {less}}}"), "--all"]) == 2
        assert "there is no rule in the rules processor's pack and paths" in capsys.readouterr().err
    rules.write_text(rules.read_text().replace("level: critical", "level: low"))
    assert main([*configured(f"{{{own}, min_level: medium}}"), "--all"]) == 2
    capsys.readouterr()
    # What is excluded can still be asked by its name.
    assert main([*configured(f"{{{own}, min_level: medium}}"), "many cron entries"]) == 1


def test_placeholders_and_the_time_zone_are_the_configurations(
    configured: Callable[[str], list[str]],
    rules: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rules.write_text(
        rules.read_text()
        .partition("---")[0]
        .replace("TargetFilename|startswith: /etc/cron.d/", "TargetFilename|expand: '%places%/a'")
    )
    assert main([*configured("{placeholders: {places: [/etc/cron.d]}}"), str(rules)]) == 1
    assert "1 finding" in capsys.readouterr().out
    rules.write_text(rules.read_text().replace("TargetFilename|expand: '%places%/a'", "timestamp|hour: 3"))
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    for settings, zone in (("{timezone: Europe/Berlin}", "Europe/Berlin"), ("{}", "Asia/Kathmandu")):
        assert main([*configured(settings), str(rules), "--sql"]) == 0
        printed = capsys.readouterr().out
        assert f"'{zone}'" in printed
        assert "FROM `real`.`otel_logs`" in printed


def test_names_of_tables_are_what_they_are(hunt: Hunt, rules: Path, table: Table) -> None:
    odd = "odd`name;--'"
    quoted = "`odd\\`name;--'`"
    table.run(f"CREATE TABLE real.{quoted} AS real.otel_logs ENGINE = Memory")
    try:
        assert hunt(rules, "--table", odd).status == 0
        assert hunt(rules, "--table", "odd\\`name;--'").status == 2
    finally:
        table.run(f"DROP TABLE real.{quoted}")
