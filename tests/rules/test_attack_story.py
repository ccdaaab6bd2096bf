"""A real intrusion is seen, deed by deed, and told in lines that can be acted on.

`testdata/attack` holds what the agent told (`tests/rules/recording`, stories/stage.sh) of: thirty wrong passwords and
then the right one; a hole in a web server through which a script is fetched and run as root; a key for root, a cron
drop-in, a setuid copy of a shell, an account with sudo, two reverse shells, a unit that starts a program from
/dev/shm, ld.so.preload for two seconds, 500 files rewritten and renamed, a time set back, logs emptied.
"""

from __future__ import annotations

import gzip
from functools import lru_cache
from pathlib import Path

import pytest

from otel_fim.names import events
from otel_fim.otlp import decode_logs_data_json
from otel_fim.processors.rules.engine import Engine
from otel_fim.processors.rules.findings import Findings
from otel_fim.processors.rules.hits import Hit
from otel_fim.record import EMPTY_SCOPE, Record, Resource
from otel_fim.sigma.ir import Level
from otel_fim.sigma.load import load_rules, pack_path

DATA = Path(__file__).parent / "testdata" / "attack" / "attack.jsonl.gz"
URGENT = {Level.HIGH, Level.CRITICAL}
SEEN = {
    "a password guessed": (
        "Login Succeeds After Many Failures From The Same Source",
        "bob logged in from 203",
    ),
    "a hole in the web server": ("Web Server Starts A Shell Or A System Tool", "from /usr/sbin/apache2"),
    "a key for root": ("SSH Key Authorised For Root", "/root/.ssh/authorized_keys"),
    "cron": ("Network Service Leaves A Start-Up Item", "/etc/cron.d/sysupdate"),
    "what cron is to run": (
        "What Starts By Itself Downloads, Decodes Or Runs From A Temporary Directory",
        "| bash",
    ),
    "a setuid shell": ("New Program That Runs As Root For Everybody", "/usr/local/bin/sysd"),
    "sudo for everything": ("Everything As Root Without A Password", "/etc/sudoers.d/support"),
    "an account": ("Account Created", "support"),
    "the account in a group": ("User Added To A Group That Lends Root's Rights", "sudo"),
    "a reverse shell of bash": ("Shell Connected To A Network Socket", "/dev/tcp/203.0.113.9"),
    "a reverse shell of netcat": ("Netcat Hands A Connection To A Shell", "nc 203.0.113.9"),
    "a listener": ("Interpreter Or Netcat Of A Service Account Listens", "31337"),
    "a program in memory": ("Program Runs From Shared Memory", "/dev/shm/kworker"),
    "a unit": ("Systemd Service Written By Hand", "dbus-helper.service"),
    "ld.so.preload": ("Library Loaded Into Every Program", "/etc/ld.so.preload"),
    "files locked": ("Many Files Renamed With Something Added To Their Names", ".conf.locked"),
    "a time set back": ("Time Of A System File Set By Hand", "/usr/local/bin/sysd"),
    "logs emptied": ("Log Cut Before It Could Be Read", "/var/log/auth.log"),
    "a log emptied by a command": ("Command That Deletes Or Empties Logs", "/var/log/btmp"),
}
"""What was done; the finding's title and what its line has to name."""


def records() -> list[Record]:
    with gzip.open(DATA) as lines:
        return [record for line in lines for record in decode_logs_data_json(line)]


@lru_cache(maxsize=1)
def told() -> tuple[tuple[str, Level, str], ...]:
    """Title, level and line of each finding."""
    engine = Engine(load_rules([pack_path()]))
    findings = Findings(engine.uids, EMPTY_SCOPE, Resource({}), lambda: 0)
    told = []
    for each in [*engine.process(records()), *engine.flush()]:
        meta = (each.rule if isinstance(each, Hit) else each.correlation).meta
        told.append((meta.title, meta.level, str(findings.of(each).body)))
    return tuple(told)


@pytest.mark.parametrize("deed", SEEN)
def test_it_is_seen(deed: str) -> None:
    title, words = SEEN[deed]
    lines = [(level, line) for name, level, line in told() if name == title]
    assert lines, f"{title}: not found"
    assert all(level not in (Level.LOW, Level.INFORMATIONAL) for level, _ in lines)
    assert any(words in line for _, line in lines), lines


def test_what_matters_stands_out() -> None:
    """Thousands of records become a page of findings above low, half of them urgent."""
    above_low = [level for _, level, _ in told() if level not in (Level.LOW, Level.INFORMATIONAL)]
    assert len(records()) > 3000
    assert 20 <= len(above_low) <= 80
    assert sum(level in URGENT for level in above_low) >= 12


def test_the_lines_are_for_people() -> None:
    for _, _, line in told():
        assert line.isprintable()
        assert " caused " not in line
        assert "on web-1" in line


def test_the_recording_is_what_it_says() -> None:
    found = records()
    failed = [
        record
        for record in found
        if record.event_name == events.AUTH_LOGIN and record.attributes.get("event.outcome") == "failure"
    ]
    assert len(failed) >= 30
    renamed = sum(record.event_name == events.FILE_RENAMED for record in found)
    assert renamed >= 500
