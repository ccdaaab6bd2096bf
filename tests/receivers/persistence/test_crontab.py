"""Crontabs as cron reads them: real tables, real `crontab`, and anything at all."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from otel_fim.receivers.persistence.kinds.crontab import (
    MAX_LINES,
    effective_command,
    parse_anacrontab,
    parse_crontab,
)

SYSTEM = b"""# /etc/crontab: system-wide crontab
SHELL=/bin/sh
PATH = "/usr/sbin:/usr/bin"
\t
17 *\t* * *\troot\tcd / && run-parts --report /etc/cron.hourly
@reboot www-data /srv/start # not a comment
0 0 1-7,*/2 jan MON-fri backup echo 100\\%
"""


def test_a_system_table_has_variables_schedules_users_and_commands() -> None:
    lines = parse_crontab(SYSTEM, system=True)
    assert [(x.number, x.trigger, x.user, x.command, x.is_environment) for x in lines] == [
        (2, "", "", "SHELL=/bin/sh", True),
        (3, "", "", "PATH=/usr/sbin:/usr/bin", True),
        (5, "17 * * * *", "root", "cd / && run-parts --report /etc/cron.hourly", False),
        (6, "@reboot", "www-data", "/srv/start # not a comment", False),
        (7, "0 0 1-7,*/2 jan MON-fri", "backup", "echo 100%", False),
    ]
    assert all(line.valid for line in lines)


def test_a_users_table_has_no_user_in_it() -> None:
    [line] = parse_crontab(b"*/5 0-23/2 * * sun /home/a/job x\n", system=False)
    assert (line.user, line.command, line.trigger) == ("", "/home/a/job x", "*/5 0-23/2 * * sun")


def test_a_percent_sign_ends_the_command_and_begins_its_input() -> None:
    assert effective_command(b"mail -s it joe%Joe,%%Where\\%?") == "mail -s it joe <<< 'Joe,\n\nWhere%?'"
    assert effective_command(b"sh%curl evil") == "sh <<< 'curl evil'"


def test_there_are_no_continuation_lines() -> None:
    lines = parse_crontab(b"1 2 3 4 5 root a \\\n1 2 3 4 5 root b\n", system=True)
    assert [line.command for line in lines] == ["a \\", "b"]


@pytest.mark.parametrize(
    "line",
    [
        b"60 * * * * root x",
        b"* 24 * * * root x",
        b"* * 0 * * root x",
        b"* * * 13 * root x",
        b"* * * foo * root x",
        b"* * * * 8 root x",
        b"*/0 * * * * root x",
        b"5-3 * * * * root x",
        b"1,,2 * * * * root x",
        b"@never root x",
        b"* * * * * root",
        b"* * * * root",
        b"hello",
        b"\xff\xfe\x00",
    ],
)
def test_what_cron_does_not_understand_is_shown_as_it_is_and_not_valid(line: bytes) -> None:
    [found] = parse_crontab(line, system=True)
    assert not found.valid
    assert found.command


@pytest.mark.parametrize(
    "line", [b"0~30 * * * * x", b"~ * * * * x", b"-5 * * * * x", b"@every_minute x", b"@300 x", b"@Daily x"]
)
def test_what_only_some_crons_understand_is_understood(line: bytes) -> None:
    [found] = parse_crontab(line, system=False)
    assert found.valid
    assert found.command == "x"


def test_anacron_has_periods_delays_names_and_continued_lines() -> None:
    lines = parse_anacrontab(
        b"# x\nRANDOM_DELAY=45\n1\t5\tcron.daily\tnice \\\nrun-parts /etc/cron.daily\n@monthly 45 m /bin/m\nbad\n"
    )
    assert [(x.number, x.trigger, x.command, x.valid) for x in lines] == [
        (2, "", "RANDOM_DELAY=45", True),
        (3, "every 1 days, delay 5 minutes, cron.daily", "nice run-parts /etc/cron.daily", True),
        (5, "@monthly, delay 45 minutes, m", "/bin/m", True),
        (6, "", "bad", False),
    ]


@given(
    st.binary(max_size=400)
    | st.text(alphabet="*/-,~@% \t\\=#'\"\n059rootjanSHELL", max_size=200).map(str.encode),
    st.booleans(),
)
@example(b"\n" * (MAX_LINES + 5), True)
def test_nothing_that_a_table_may_hold_raises(data: bytes, system: bool) -> None:
    for lines in (parse_crontab(data, system=system), parse_anacrontab(data)):
        assert len(lines) <= MAX_LINES
        numbers = [line.number for line in lines]
        assert numbers == sorted(set(numbers))
        for line in lines:
            assert line.content
            assert line.content in data or line.content in data.replace(b"\\\n", b"")


NUMBERS = st.integers(0, 5).map(str)
FIELD = st.one_of(
    st.just("*"), NUMBERS, st.tuples(NUMBERS, NUMBERS).map("/".join), st.sampled_from(["1-5", "*/3"])
)


@given(
    st.lists(st.sampled_from(["*", "1", "1-5", "*/3", "2,4", "1-4/2"]), min_size=5, max_size=5),
    st.text(alphabet="abc /-'\"%\\", min_size=1).filter(lambda text: text.strip(" ")),
)
def test_a_well_formed_line_comes_back_as_it_was_written(fields: list[str], command: str) -> None:
    line = f"  {' '.join(fields)}\troot  {command}"
    [found] = parse_crontab(line.encode(), system=True)
    assert found.valid
    assert found.user == "root"
    assert found.trigger == " ".join(fields)
    assert found.command == effective_command(command.strip(" ").encode())


LIVE = """MAILTO=""
17 3 * * * /usr/local/bin/backup --quiet
@reboot echo hi%there
"""


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to write a crontab of another spool")
@pytest.mark.skipif(shutil.which("crontab") is None, reason="needs Debian's cron package (crontab)")
def test_what_crontab_writes_is_found_under_its_users_name(bench: Any, tmp_path: Path) -> None:
    spool = bench.root / "var/spool/cron/crontabs"
    spool.mkdir(parents=True)
    bench.write("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
    bench.start(kinds=["cron"])
    table = tmp_path / "table"

    def crontab(*arguments: str) -> None:
        # crontab writes where it was built to write: the spool of this test is put there for this one process.
        script = 'mount --bind "$1" /var/spool/cron/crontabs && shift && exec crontab "$@"'
        subprocess.run(
            ["unshare", "-m", "sh", "-c", script, "sh", str(spool), *arguments], check=True, timeout=20
        )

    table.write_text(LIVE)
    crontab(str(table))
    added = {r.attributes["otel_fim.persistence.command"]: r for r in bench.look()}
    assert set(added) == {"MAILTO=", "/usr/local/bin/backup --quiet", "echo hi <<< there"}
    backup = added["/usr/local/bin/backup --quiet"].attributes
    assert backup["otel_fim.persistence.user"] == "root"
    assert backup["otel_fim.persistence.enabled"] is True
    assert backup["otel_fim.persistence.trigger"] == "17 3 * * *"
    assert re.fullmatch(r"/var/spool/cron/crontabs/root:\d+", str(backup["otel_fim.persistence.id"]))
    table.write_text("# one more line above\n" + LIVE.replace("--quiet", "--loud"))
    crontab(str(table))
    [changed] = bench.look()
    assert changed.event_name == "otel_fim.persistence.changed"
    assert (
        changed.attributes["otel_fim.before.otel_fim.persistence.command"] == "/usr/local/bin/backup --quiet"
    )
    crontab("-r")
    assert {r.event_name for r in bench.look()} == {"otel_fim.persistence.removed"}


def test_what_editors_and_packages_leave_for_a_moment_is_no_item(bench: Any) -> None:
    bench.start(kinds=["cron", "systemd_hooks"])
    for name in (".backup.swp", "backup~", "#backup#", "backup.dpkg-new"):
        bench.write(f"/etc/cron.d/{name}", SYSTEM)
        bench.write(f"/etc/cron.daily/{name}", "#!/bin/sh\n", mode=0o755)
    bench.write("/etc/systemd/system-generators/.x.swp", "b0VIM", mode=0o755)
    assert bench.look() == []
    bench.engine.heard([bench.file_event("/etc/systemd/system-generators/.x.swp")])
    bench.engine.look_at_what_waits()
    assert bench.pipeline.told() == []


def test_names_that_are_not_run_are_not_enabled(bench: Any) -> None:
    bench.start(kinds=["cron"])
    bench.write("/etc/cron.d/backup.sh", SYSTEM)
    bench.write("/etc/cron.d/backup", SYSTEM)
    bench.write("/etc/cron.daily/script", "#!/bin/sh\n", mode=0o644)
    bench.write("/etc/cron.daily/script.sh", "#!/bin/sh\n", mode=0o755)
    bench.write("/var/spool/cron/crontabs/nobody-knows", "1 1 1 1 1 x\n")
    bench.write("/etc/cron.d/theirs", SYSTEM, mode=0o666)
    enabled = {
        r.attributes["otel_fim.persistence.id"].partition(":")[0]: r.attributes[
            "otel_fim.persistence.enabled"
        ]
        for r in bench.look()
    }
    assert enabled == {
        "/etc/cron.d/backup": os.geteuid() == 0,
        "/etc/cron.d/backup.sh": False,
        "/etc/cron.d/theirs": False,
        "/etc/cron.daily/script": False,
        "/etc/cron.daily/script.sh": False,
        "/var/spool/cron/crontabs/nobody-knows": False,
    }
    # cronie takes names with dots.
    bench.stop()
    (bench.state / "persistence.db").unlink()
    bench.write("/usr/sbin/crond", "")
    bench.start(kinds=["cron"], baseline_records=True)
    enabled = {
        r.attributes["otel_fim.persistence.id"].partition(":")[0]: r.attributes[
            "otel_fim.persistence.enabled"
        ]
        for r in bench.pipeline.take()
    }
    assert enabled["/etc/cron.d/backup.sh"] is (os.geteuid() == 0)
    assert enabled["/etc/cron.daily/script.sh"] is True
