"""Syslog lines: what is in them, when they were written, and that nothing in them raises."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_fim.receivers.auth.event import Entry
from otel_fim.receivers.auth.sources.syslog_line import REJECTED_HEADER, REJECTED_TIME, parse_line
from otel_fim.receivers.auth.sources.syslog_time import Clock

BERLIN = ZoneInfo("Europe/Berlin")
SECOND = 1_000_000_000


def at(
    year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0, zone=UTC, fold=0
) -> int:
    moment = datetime(year, month, day, hour, minute, second, tzinfo=zone, fold=fold)
    return int(moment.timestamp()) * SECOND


def parse(line: bytes, latest: int = at(2026, 11, 21, 12), clock: Clock | None = None) -> Entry | str:
    return parse_line(line, "/var/log/auth.log", clock or Clock(UTC), latest)


def test_traditional_line() -> None:
    entry = parse(b"Nov 21 00:01:02 web-1 sshd[123]: Accepted password for alice from ::1 port 22 ssh2")
    assert entry == Entry(
        "/var/log/auth.log",
        at(2026, 11, 21, 0, 1, 2),
        "sshd",
        "Accepted password for alice from ::1 port 22 ssh2",
        123,
        fields={"host": "web-1"},
    )


def test_line_with_iso_time() -> None:
    entry = parse(b"2026-11-21T01:01:02.123456+01:00 web-1 sudo:    alice : TTY=pts/0 ; COMMAND=/bin/ls")
    assert isinstance(entry, Entry)
    assert entry.time_unix_nano == at(2026, 11, 21, 0, 1, 2) + 123_456_000
    assert (entry.identifier, entry.pid, entry.trusted) == ("sudo", None, False)
    assert entry.message == "   alice : TTY=pts/0 ; COMMAND=/bin/ls"


def test_rfc_5424_line() -> None:
    line = b'<86>1 2026-11-21T00:01:02Z web-1 sshd 123 - [a@1 x="q \\" ] y"][b c="d"] \xef\xbb\xbfFailed none for x'
    entry = parse(line)
    assert isinstance(entry, Entry)
    assert (entry.identifier, entry.pid, entry.message) == ("sshd", 123, "Failed none for x")
    assert entry.fields == {"priority": "86", "host": "web-1"}


@pytest.mark.parametrize(
    ("line", "identifier", "message"),
    [
        (b"<38>Nov  1 00:01:02 h su: x", "su", "x"),
        (b"Nov 21 00:01:02 h polkitd(authority=local)[7]: x", "polkitd(authority=local)", "x"),
        (b"Nov 21 00:01:02 h /usr/sbin/cron[7]: x", "/usr/sbin/cron", "x"),
        (b"Nov 21 00:01:02 h last message repeated 2 times", "", "last message repeated 2 times"),
        (
            b"Nov 21 00:01:02 h sshd[1]: message repeated 2 times: [ x]",
            "sshd",
            "message repeated 2 times: [ x]",
        ),
        (b"Nov 21 00:01:02 h sshd[1]: a#012b\x1b[31m\tc", "sshd", "a#012b\x1b[31m\tc"),
        (b"Nov 21 00:01:02 h sshd[1]: \0a\0b", "sshd", "ab"),
        (b"Nov 21 00:01:02 h sshd[1]: \xff\xc3\xa9", "sshd", "\\xff\u00e9"),
        (b"Nov 21 00:01:02 h sshd[1]: sshd[2]: Accepted", "sshd", "sshd[2]: Accepted"),
    ],
)
def test_identifier_and_message(line: bytes, identifier: str, message: str) -> None:
    entry = parse(line)
    assert isinstance(entry, Entry)
    assert (entry.identifier, entry.message) == (identifier, message)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"", REJECTED_TIME),
        (b"-- journal begins --", REJECTED_TIME),
        (b"Nov 31 00:01:02 h sshd: x", REJECTED_TIME),
        (b"Nox 21 00:01:02 h sshd: x", REJECTED_TIME),
        (b"Nov 21 25:01:02 h sshd: x", REJECTED_TIME),
        (b"2026-13-01T00:00:00Z h sshd: x", REJECTED_TIME),
        (b"2026-11-01T00:00:00+99:99 h sshd: x", REJECTED_TIME),
        (b"0001-01-01T00:00:00Z h sshd: x", REJECTED_TIME),
        (b"Nov 21 00:01:02 ", REJECTED_HEADER),
        (b"<86>1 2026-11-21T00:01:02Z h sshd", REJECTED_HEADER),
        (b"<86>1 2026-11-21T00:01:02Z h sshd 1 - [open x", REJECTED_HEADER),
    ],
)
def test_what_is_no_line(line: bytes, reason: str) -> None:
    assert parse(line) == reason


def test_the_year_is_the_latest_that_is_not_in_the_future() -> None:
    def year(line: bytes, latest: int) -> int:
        entry = parse(line + b" 23:59:59 h sshd: x", latest)
        assert isinstance(entry, Entry)
        return datetime.fromtimestamp(entry.time_unix_nano // SECOND, UTC).year

    assert year(b"Dec 31", at(2027, 1, 1)) == 2026
    assert year(b"Jan  1", at(2027, 1, 2)) == 2027
    # A clock a little ahead of the file's.
    assert year(b"Jan  1", at(2026, 12, 31, 23, 59, 59)) == 2026 + 1
    assert year(b"Nov 23", at(2026, 11, 21)) == 2025
    assert year(b"Feb 29", at(2026, 11, 21)) == 2024
    assert year(b"Feb 29", at(2024, 2, 29, 23, 59, 59)) == 2024


def test_the_hour_that_comes_twice() -> None:
    # On 25 October 2026 at 3:00 the clock goes back to 2:00.
    first, second = at(2026, 10, 25, 2, 30, zone=BERLIN), at(2026, 10, 25, 2, 30, zone=BERLIN, fold=1)
    assert second - first == 3600 * SECOND

    def read(clock: Clock, time: bytes, latest: int) -> int:
        entry = parse(b"Oct 25 " + time + b" h sshd: x", latest, clock)
        assert isinstance(entry, Entry)
        return entry.time_unix_nano

    # Live: the file's time decides.
    assert read(Clock(BERLIN), b"02:30:00", first + SECOND) == first
    assert read(Clock(BERLIN), b"02:30:00", second + SECOND) == second
    # Afterwards: the lines before decide.
    clock, later = Clock(BERLIN), at(2026, 10, 26)
    read(clock, b"01:59:00", later)
    assert [read(clock, time, later) for time in (b"02:30:00", b"02:59:00", b"02:30:00", b"02:59:00")] == [
        first,
        first + 29 * 60 * SECOND,
        second,
        second + 29 * 60 * SECOND,
    ]
    assert read(clock, b"03:00:00", later) == second + 30 * 60 * SECOND


def test_a_leap_second_is_the_next_second() -> None:
    entry = parse(b"2016-12-31T23:59:60Z h sshd: x")
    assert isinstance(entry, Entry)
    assert entry.time_unix_nano == at(2017, 1, 1)


@given(st.binary(max_size=300), st.integers(-(2**70), 2**70))
def test_nothing_raises(line: bytes, latest: int) -> None:
    for prefix in (b"", b"Nov 21 00:01:02 ", b"<1>1 2026-11-21T00:01:02Z ", b"Oct 25 02:30:00 h sshd[1]"):
        for clock in (Clock(), Clock(BERLIN)):
            entry = parse(prefix + line, latest, clock)
            assert isinstance(entry, str) or (entry.time_unix_nano >= 0 and "\0" not in entry.message)


words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\n"), max_size=60)
tags = st.from_regex(r"[A-Za-z0-9_./()=-]{1,20}", fullmatch=True)


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)),  # noqa: DTZ001
    st.integers(-14 * 60, 14 * 60),
    tags,
    st.none() | st.integers(1, 4_194_304),
    words,
    st.booleans(),
)
def test_what_is_written_is_read(
    moment: datetime, offset: int, tag: str, pid: int | None, message: str, modern: bool
) -> None:
    moment = moment.replace(tzinfo=timezone(timedelta(minutes=offset)))
    whole = moment.replace(microsecond=0)
    pid_text = "" if pid is None else f"[{pid}]"
    if modern:
        stamp, zone, expected = moment.isoformat(timespec="microseconds"), UTC, moment
    else:
        stamp, zone, expected = f"{whole:%b} {whole.day:>2} {whole:%H:%M:%S}", whole.tzinfo, whole
    latest = int(whole.timestamp()) * SECOND + SECOND
    entry = parse(f"{stamp} h {tag}{pid_text}: {message}".encode(), latest, Clock(zone))
    assert isinstance(entry, Entry)
    assert entry.time_unix_nano // 1000 == round(expected.timestamp() * 1_000_000)
    assert (entry.identifier, entry.pid, entry.message) == (tag, pid, message)
