"""The journal: its JSON, and a real journald in a mount namespace of its own, read through the real journalctl."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_fim.receivers.auth.sources import audit_socket
from otel_fim.receivers.auth.sources.journal_entry import (
    REJECTED_CURSOR,
    REJECTED_JSON,
    REJECTED_TIME,
    JournalEntry,
    parse_line,
)
from otel_fim.receivers.auth.sources.journalctl import LONGEST_LINE, Journalctl
from otel_fim.receivers.auth.sources.journald import JournaldSource
from otel_fim.receivers.auth.sources.source import REASON_DESTROYED, REASON_ERROR, REASON_LIMITED

JOURNALD = "/lib/systemd/systemd-journald"


def line(**fields: object) -> bytes:
    return json.dumps({"__CURSOR": "s=1;i=1", "__REALTIME_TIMESTAMP": "1700000000000001", **fields}).encode()


def test_an_entry() -> None:
    parsed = parse_line(
        line(
            MESSAGE="Accepted",
            SYSLOG_IDENTIFIER="sshd",
            _PID="7",
            _UID="0",
            _EXE="/usr/sbin/sshd",
            _SOURCE_REALTIME_TIMESTAMP="1700000000000000",
            _AUDIT_SESSION="3",
            _TRANSPORT="syslog",
            _CMDLINE="sshd: secret",
        )
    )
    assert isinstance(parsed, JournalEntry)
    entry = parsed.entry
    assert (parsed.cursor, parsed.realtime, entry.identity) == ("s=1;i=1", 1_700_000_000_000_001, "s=1;i=1")
    assert entry.time_unix_nano == 1_700_000_000_000_000_000
    assert (entry.identifier, entry.message, entry.pid, entry.user_id) == ("sshd", "Accepted", 7, 0)
    assert entry.trusted
    assert entry.fields == {"_EXE": "/usr/sbin/sshd", "_AUDIT_SESSION": "3", "_TRANSPORT": "syslog"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain\0text\n", "plaintext\n"),
        (None, ""),
        ([], ""),
        ([97, 255, 98], "a\\xffb"),
        (["first", "second"], "first"),
        ([None, "second"], ""),
        ([[97, 98], "second"], "ab"),
        ([97, 256], ""),
        ([97, "x"], ""),
        ([[[1]]], ""),
        ({"a": 1}, ""),
        (7, ""),
        (True, ""),
        ("x" * 40_000, "x" * 32_768),
        ([120] * 40_000, "x" * 32_768),
    ],
)
def test_values(value: object, text: str) -> None:
    parsed = parse_line(line(MESSAGE=value))
    assert isinstance(parsed, JournalEntry)
    assert parsed.entry.message == text
    assert not parsed.entry.trusted


def test_what_the_sender_repeats_is_not_trusted() -> None:
    parsed = parse_line(line(_PID=["7", "8"], _UID=["0"]))
    assert isinstance(parsed, JournalEntry)
    assert (parsed.entry.pid, parsed.entry.user_id, parsed.entry.trusted) == (None, None, False)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", REJECTED_JSON),
        (b"{", REJECTED_JSON),
        (b"[1]", REJECTED_JSON),
        (b"[" * 5000, REJECTED_JSON),
        (b'{"a": "\xff"}', REJECTED_JSON),
        (b"{}", REJECTED_CURSOR),
        (b'{"__CURSOR": ["x"]}', REJECTED_CURSOR),
        (b'{"__CURSOR": "x"}', REJECTED_TIME),
        (b'{"__CURSOR": "x", "__REALTIME_TIMESTAMP": "99999999999999999999"}', REJECTED_TIME),
        (b'{"__CURSOR": "x", "__REALTIME_TIMESTAMP": "-1"}', REJECTED_TIME),
    ],
)
def test_what_is_no_entry(data: bytes, reason: str) -> None:
    assert parse_line(data) == reason


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.text(max_size=20)
    | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(
    (
        *("__CURSOR", "__REALTIME_TIMESTAMP", "MESSAGE", "SYSLOG_IDENTIFIER", "_PID", "_UID", "_TRANSPORT"),
        *("_EXE", "_AUDIT_TYPE", "_SOURCE_REALTIME_TIMESTAMP", "_BOOT_ID", "SYSLOG_FACILITY"),
    )
)


@given(st.dictionaries(names, values), st.binary(max_size=100), st.integers(0, 200))
def test_nothing_raises(fields: dict[str, object], data: bytes, cut: int) -> None:
    whole = orjson.dumps({"__CURSOR": "c", "__REALTIME_TIMESTAMP": "1", **fields})
    for text in (data, whole, whole[:cut], whole[:cut] + data + whole[cut:], orjson.dumps(fields)):
        parsed = parse_line(text)
        assert isinstance(parsed, str | JournalEntry)


@given(st.text(max_size=200), st.text(max_size=20), st.integers(0, 2**31), st.integers(0, 2**52))
def test_what_is_written_is_read(message: str, identifier: str, number: int, moment: int) -> None:
    encoded: object = message
    parsed = parse_line(
        line(
            MESSAGE=encoded,
            SYSLOG_IDENTIFIER=identifier,
            _PID=str(number),
            _UID=str(number),
            __REALTIME_TIMESTAMP=str(moment),
        )
    )
    assert isinstance(parsed, JournalEntry)
    assert parsed.entry.message == message.replace("\0", "")
    assert parsed.entry.identifier == identifier.replace("\0", "")
    assert (parsed.entry.pid, parsed.entry.time_unix_nano) == (number, moment * 1000)


def test_says_what_is_missing(tmp_path: Path, monkeypatch) -> None:
    source = JournaldSource(directory=str(tmp_path))
    assert source.available() == f"there is no journal in {tmp_path}"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert source.available() == "journalctl is not installed"


_AS_NOBODY = """
import os, sys
from otel_fim.receivers.auth.sources.journald import JournaldSource
os.setgroups([]); os.setgid(65534); os.setuid(65534)
print(JournaldSource(directory=sys.argv[1]).available())
"""


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_says_that_the_journal_needs_root() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        os.chmod(directory, 0o755)
        file = Path(directory, "system.journal")
        file.touch(0o600)
        done = subprocess.run(
            [sys.executable, "-c", _AS_NOBODY, directory],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    assert (
        done.stdout.strip() == "the system's journal cannot be read without root or the group systemd-journal"
    )


# --- A real journald ------------------------------------------------------------------------------------------

_RUN = """
mount --bind "$1" /run
[ -z "$2" ] || mount --bind "$2" /proc/sys/kernel/random/boot_id
exec {journald}
"""


class Journal:
    """A journald whose /run is a directory of ours."""

    def __init__(self, audit: bool) -> None:
        self.run = tempfile.mkdtemp(prefix="otel-fim-journal-", dir="/tmp")
        self.directory = os.path.join(self.run, "log/journal")
        for name in ("systemd/journald.conf.d", "systemd/journal", "log/journal"):
            os.makedirs(os.path.join(self.run, name))
        Path(self.run, "systemd/journald.conf.d/test.conf").write_text(
            f"[Journal]\nStorage=volatile\nReadKMsg=no\nRateLimitIntervalSec=0\nSystemMaxFileSize=8M\n"
            f"Audit={'yes' if audit else ''}\n"
        )
        self.socket = os.path.join(self.run, "systemd/journal/dev-log")
        self.start("")

    def start(self, boot: str) -> None:
        """`boot` is a file with another boot's id in it."""
        self.process = subprocess.Popen(
            ["unshare", "-m", "sh", "-c", _RUN.format(journald=JOURNALD), "sh", self.run, boot],
            stderr=subprocess.DEVNULL,
        )
        wait_for(lambda: os.path.exists(self.socket) and self.files())

    def reboot(self, identifier: str) -> None:
        self.process.terminate()
        self.process.wait(30)
        os.unlink(self.socket)
        file = Path(self.run, "boot_id")
        file.write_text(identifier + "\n")
        self.start(str(file))

    def files(self) -> list[Path]:
        return sorted(Path(self.directory).glob("*/*.journal"))

    def log(self, *messages: str, tag: str = "sshd", facility: str = "authpriv") -> None:
        for message in messages:
            subprocess.run(
                ["logger", "--socket", self.socket, "-t", tag, "-p", f"{facility}.info", "--", message],
                check=True,
                timeout=30,
            )

    def wait_for(self, message: str) -> None:
        """Until journald has taken it."""
        command = ["journalctl", f"--directory={self.directory}", "--quiet", "--output=cat"]
        wait_for(
            lambda: message in subprocess.run(command, capture_output=True, text=True, timeout=30).stdout
        )

    def rotate(self) -> None:
        before = set(self.files())
        self.process.send_signal(signal.SIGUSR2)
        wait_for(lambda: set(self.files()) - before)

    def vacuum(self) -> None:
        """Leaves nothing but the file that is being written."""
        self.rotate()
        subprocess.run(
            ["journalctl", f"--directory={self.directory}", "--vacuum-files=1", "--quiet"],
            check=True,
            timeout=30,
            capture_output=True,
        )
        wait_for(lambda: len(self.files()) == 1)

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(30)
        shutil.rmtree(self.run)


def said(recorder) -> list[str]:
    """Without what the kernel's audit told journald: other processes of this machine may have turned it on."""
    return [entry.message for entry in recorder.got if entry.fields.get("_TRANSPORT") != "audit"]


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


real = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(not os.path.exists(JOURNALD), reason="needs systemd-journald"),
]


def with_marks(function):
    for mark in real:
        function = mark(function)
    return function


@pytest.fixture
def journal() -> Iterator[Journal]:
    made = Journal(audit=False)
    yield made
    made.end()


@with_marks
def test_follows_the_journal(journal: Journal, recorder, new_recorder) -> None:
    journal.log("before the start")
    journal.wait_for("before the start")
    source = JournaldSource(directory=journal.directory)
    assert source.available() is None
    source.start(recorder)
    recorder.wait(lambda: recorder.position is not None)
    journal.log("one", "two")
    journal.log("of no interest", tag="cron", facility="cron")
    journal.log("three", tag="useradd", facility="user")
    recorder.wait(lambda: len(said(recorder)) == 3)
    (child,) = source.child_pids()
    # journalctl dies; nothing is lost and nothing comes twice.
    os.kill(child, signal.SIGKILL)
    journal.log("four")
    journal.rotate()
    journal.log("five")
    recorder.wait(lambda: len(said(recorder)) == 5)
    assert source.child_pids() != [child]
    assert source.stop(30)
    assert source.child_pids() == []
    assert said(recorder) == ["one", "two", "three", "four", "five"]
    assert recorder.rejections == {}
    assert [reason for reason in recorder.reasons() if reason != REASON_LIMITED] == []
    first = next(entry for entry in recorder.got if entry.message)
    assert (first.source, first.identifier, first.user_id, first.trusted) == ("journald", "sshd", 0, True)
    assert first.pid is not None
    assert first.fields["_TRANSPORT"] == "syslog"
    assert len({entry.identity for entry in recorder.got}) == len(recorder.got)

    journal.log("while down")
    later = new_recorder()
    again = JournaldSource(directory=journal.directory)
    again.start(later, recorder.position)
    later.wait(lambda: said(later))
    assert again.stop(30)
    assert said(later) == ["while down"]
    assert later.gaps == []


@with_marks
def test_values_that_are_hard_to_write(journal: Journal, recorder) -> None:
    source = JournaldSource(directory=journal.directory, start_at="beginning")
    source.start(recorder)
    records = [
        b"SYSLOG_IDENTIFIER=sshd\nSYSLOG_FACILITY=10\nMESSAGE=a\xff\x1b[31m b\n",
        b"SYSLOG_IDENTIFIER=sshd\nSYSLOG_FACILITY=10\n",
        b"SYSLOG_IDENTIFIER=sshd\nSYSLOG_FACILITY=10\n_PID=1\n_UID=4242\nMESSAGE=forged\n",
        b"SYSLOG_IDENTIFIER=sshd\nSYSLOG_FACILITY=10\nMESSAGE=" + b"y" * 100_000 + b"\n",
        b"SYSLOG_IDENTIFIER=sshd\nSYSLOG_FACILITY=10\nMESSAGE=last\n",
    ]
    for record in records:
        send(journal, record)
    recorder.wait(lambda: "last" in said(recorder))
    assert source.stop(30)
    texts = said(recorder)
    assert texts == ["a\\xff\x1b[31m b", "", "forged", "y" * 32_768, "last"]
    assert {entry.pid for entry in recorder.got if entry.identifier == "sshd" and entry.message} == {
        os.getpid()
    }
    assert {entry.user_id for entry in recorder.got if entry.identifier == "sshd" and entry.message} == {
        os.getuid()
    }


def send(journal: Journal, record: bytes) -> None:
    """journald's own protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.sendto(record, os.path.join(journal.run, "systemd/journal/socket"))


@with_marks
def test_a_vacuumed_cursor_is_a_gap(journal: Journal, recorder, new_recorder) -> None:
    journal.log("one", "two")
    source = JournaldSource(directory=journal.directory, start_at="beginning")
    source.start(recorder)
    recorder.wait(lambda: len(said(recorder)) == 2)
    assert source.stop(30)
    journal.log("lost")
    journal.wait_for("lost")
    journal.vacuum()
    journal.log("three")
    later = new_recorder()
    again = JournaldSource(directory=journal.directory)
    again.start(later, recorder.position)
    later.wait(lambda: said(later))
    assert again.stop(30)
    assert said(later) == ["three"]
    # A journalctl that a file is taken away from may end, and is started again.
    ((_, _, start, end),) = [gap for gap in later.gaps if gap[0] != REASON_LIMITED]
    assert REASON_DESTROYED in later.reasons()
    assert start == recorder.position["time"] * 1000
    assert end is not None
    assert start < end


@with_marks
def test_goes_on_from_before_a_reboot(journal: Journal, recorder, new_recorder) -> None:
    journal.log("one")
    source = JournaldSource(directory=journal.directory, start_at="beginning")
    source.start(recorder)
    recorder.wait(lambda: said(recorder))
    assert source.stop(30)
    journal.log("while down")
    journal.wait_for("while down")
    journal.reboot("11111111-2222-4333-8444-555555555555")
    journal.log("after the reboot")
    later = new_recorder()
    again = JournaldSource(directory=journal.directory)
    again.start(later, recorder.position)
    later.wait(lambda: "after the reboot" in said(later))
    assert again.stop(30)
    assert said(later) == ["while down", "after the reboot"]
    assert later.gaps == []
    assert len({entry.fields["_BOOT_ID"] for entry in later.got}) == 2


@with_marks
def test_a_silent_journal_without_the_cursor_is_a_gap(journal: Journal, recorder, new_recorder) -> None:
    journal.log("one")
    source = JournaldSource(directory=journal.directory, start_at="beginning")
    source.start(recorder)
    recorder.wait(lambda: said(recorder))
    assert source.stop(30)
    journal.vacuum()
    later = new_recorder()
    again = JournaldSource(directory=journal.directory, confirm=0.5)
    again.start(later, recorder.position)
    later.wait(lambda: later.gaps)
    later.wait(lambda: later.position is not None)
    journal.log("two")
    later.wait(lambda: said(later))
    assert again.stop(30)
    assert said(later) == ["two"]
    assert [reason for reason in later.reasons() if reason != REASON_LIMITED] == [REASON_DESTROYED]


@with_marks
def test_a_damaged_position_is_a_gap(journal: Journal, recorder) -> None:
    source = JournaldSource(directory=journal.directory)
    source.start(recorder, {"version": 1, "cursor": 7, "time": 0})
    recorder.wait(lambda: recorder.position is not None)
    assert source.stop(30)
    assert recorder.reasons() == [REASON_ERROR]


@with_marks
def test_a_cursor_that_journalctl_refuses_does_not_stop_it(journal: Journal, recorder, monkeypatch) -> None:
    monkeypatch.setattr("otel_fim.receivers.auth.sources.journald._FIRST_WAIT", 0.05)
    source = JournaldSource(directory=journal.directory)
    source.start(recorder, {"version": 1, "cursor": "garbage", "time": time.time_ns() // 1000})
    recorder.wait(lambda: recorder.gaps)
    assert recorder.reasons() == [REASON_LIMITED]
    assert "journalctl ended with status 1" in recorder.gaps[0][1]
    assert source.stop(30)


_AGENT = """
import sys, time
from otel_fim.receivers.auth.sources.journald import JournaldSource
class Sink:
    def entries(self, entries, position): pass
    def rejected(self, *a): pass
    def gap(self, *a): pass
    def restored(self, *a): pass
source = JournaldSource(directory=sys.argv[1])
source.start(Sink())
while not source.child_pids(): time.sleep(0.01)
print(source.child_pids()[0], flush=True)
time.sleep(600)
"""


@with_marks
def test_journalctl_ends_with_an_agent_that_is_killed(journal: Journal) -> None:
    agent = subprocess.Popen(
        [sys.executable, "-c", _AGENT, journal.directory], stdout=subprocess.PIPE, text=True
    )
    assert agent.stdout is not None
    child = int(agent.stdout.readline())
    agent.kill()
    agent.wait(30)
    agent.stdout.close()

    def gone() -> bool:
        try:
            with open(f"/proc/{child}/stat") as stat:
                return stat.read().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            return True

    wait_for(gone)


@with_marks
def test_audit_records_that_journald_heard(recorder) -> None:
    before = audit_socket.enabled()
    journal = Journal(audit=True)
    try:
        source = JournaldSource(directory=journal.directory)
        source.start(recorder)
        recorder.wait(lambda: recorder.position is not None)
        wait_for(audit_socket.enabled)
        ask(1112, b'op=login acct="alice" exe="/usr/sbin/sshd" addr=203.0.113.7 terminal=ssh res=failed\0')
        recorder.wait(lambda: any(e.fields.get("msg.acct") == "alice" for e in recorder.got))
        assert source.stop(30)
    finally:
        journal.end()
        set_enabled(bool(before))
    (entry,) = [entry for entry in recorder.got if entry.fields.get("msg.acct") == "alice"]
    assert (entry.source, entry.identifier, entry.message) == ("audit", "sshd", "")
    assert (entry.pid, entry.user_id, entry.trusted) == (os.getpid(), 0, True)
    assert entry.fields["type"] == "USER_LOGIN"
    assert entry.fields["msg.res"] == "failed"


def ask(kind: int, body: bytes) -> None:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 9) as sender:
        sender.settimeout(30)
        sender.sendto(struct.pack("=IHHII", 16 + len(body), kind, 5, 1, 0) + body, (0, 0))
        assert struct.unpack_from("=i", sender.recv(65536), 16) == (0,)


def set_enabled(on: bool) -> None:
    ask(1001, struct.pack("=10I", 1, int(on), *[0] * 8))


# --- A journalctl that is not one ------------------------------------------------------------------------------


@pytest.fixture
def fake(tmp_path: Path, monkeypatch) -> Callable[[str], None]:
    """Puts a script in journalctl's place: what a broken one may do, the real one does not do on demand."""

    def write(script: str) -> None:
        program = tmp_path / "journalctl"
        program.write_text("#!/bin/sh\n" + script)
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    return write


def entry_line(number: int, message: str = "x") -> str:
    return f'{{"__CURSOR":"c{number}","__REALTIME_TIMESTAMP":"{number}","MESSAGE":"{message}"}}'


def test_garbage_is_counted(fake, recorder) -> None:
    long = LONGEST_LINE + 100_000
    fake(
        f"printf '%s\\n' '{entry_line(1)}' 'no json' '{{}}' ''\n"
        f"head -c {long} /dev/zero | tr '\\0' y; printf '\\n%s\\n%s' '{entry_line(2)}' '{entry_line(3)[:20]}'\n"
        "sleep 60 & wait $!\n"
    )
    source = JournaldSource()
    source.start(recorder)
    recorder.wait(lambda: len(recorder.got) == 2)
    assert source.stop(30)
    assert recorder.rejections == {REJECTED_JSON: 1, REJECTED_CURSOR: 1, "line_too_long": 1}
    assert recorder.position == {"version": 1, "cursor": "c2", "time": 2}


def test_a_child_that_cannot_run_is_a_gap_until_it_does(fake, recorder, monkeypatch) -> None:
    monkeypatch.setattr("otel_fim.receivers.auth.sources.journald._FIRST_WAIT", 0.05)
    monkeypatch.setattr("otel_fim.receivers.auth.sources.journald._RUNNING_SECONDS", 0.05)
    fake("echo 'it is broken' >&2; exit 3\n")
    source = JournaldSource()
    source.start(recorder)
    recorder.wait(lambda: recorder.gaps)
    assert recorder.reasons() == [REASON_LIMITED]
    assert "status 3" in recorder.gaps[0][1]
    assert "it is broken" in recorder.gaps[0][1]
    fake(f"echo '{entry_line(1)}'; sleep 60 & wait $!\n")
    recorder.wait(lambda: recorder.got and recorder.closed)
    assert source.stop(30)


def test_a_child_that_does_not_listen_to_sigterm_is_ended(fake) -> None:
    fake("trap '' TERM\necho ready\nwhile :; do sleep 60; done\n")
    child = Journalctl([])
    read, write = os.pipe()
    assert child.lines(read, 30) == [b"ready"]
    child.end()
    os.close(read)
    os.close(write)
    wait_for(lambda: not running(child.pid))


def running(group: int) -> list[str]:
    """The processes of a group that have not ended."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, in_group = stat.read_text(errors="replace").rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(in_group) == group and state != "Z":
            found.append(stat.parent.name)
    return found
