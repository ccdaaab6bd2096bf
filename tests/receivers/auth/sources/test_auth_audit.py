"""The kernel's audit: its texts, its netlink messages, and the real kernel."""

from __future__ import annotations

import errno
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_fim.receivers.auth.event import Entry
from otel_fim.receivers.auth.sources import audit_socket
from otel_fim.receivers.auth.sources.audit import OFF, AuditSource, parse_message
from otel_fim.receivers.auth.sources.audit_message import (
    CONFIG_CHANGE,
    REJECTED_TEXT,
    TYPES,
    AuditText,
    number,
    parse_fields,
    parse_text,
)
from otel_fim.receivers.auth.sources.source import REASON_LIMITED, REASON_OVERFLOW

USER_LOGIN = 1112
STAMP = b"audit(1700000000.123:456): "
OUTER = "pid=7 uid=0 auid=1000 ses=3 subj=unconfined "


def test_a_login() -> None:
    entry = parse_message(
        USER_LOGIN,
        STAMP
        + OUTER.encode()
        + b"""msg='op=login acct="alice" exe="/usr/sbin/sshd" hostname=? addr=203.0.113.7 """
        + b"""terminal=ssh res=success'\0""",
    )
    assert isinstance(entry, Entry)
    assert entry == Entry(
        "audit",
        1_700_000_000_123_000_000,
        "sshd",
        "",
        7,
        0,
        True,
        {
            "type": "USER_LOGIN",
            "serial": "456",
            "pid": "7",
            "uid": "0",
            "auid": "1000",
            "ses": "3",
            "subj": "unconfined",
            "msg.op": "login",
            "msg.acct": "alice",
            "msg.exe": "/usr/sbin/sshd",
            "msg.addr": "203.0.113.7",
            "msg.terminal": "ssh",
            "msg.res": "success",
        },
        "1700000000123000000:456:1112",
    )


def test_the_kernels_own_record_of_a_session() -> None:
    text = STAMP + b"pid=7 uid=0 old-auid=4294967295 auid=1000 tty=(none) old-ses=4294967295 ses=3 res=1"
    entry = parse_message(1006, text)
    assert isinstance(entry, Entry)
    assert number(dict(entry.fields), "old-auid") is None
    assert number(dict(entry.fields), "auid") == 1000
    assert "tty" not in entry.fields


@pytest.mark.parametrize(
    ("inner", "fields"),
    [
        ("acct=6D616C20226F7279", {"msg.acct": 'mal "ory'}),
        ("acct=ZZ", {"msg.acct": "ZZ"}),
        ("hostname=CAFE addr=?", {"msg.hostname": "CAFE"}),
        ('acct="CAFE"', {"msg.acct": "CAFE"}),
        ("cmd=6C73002D6C", {"msg.cmd": "ls -l"}),
        ("acct=FF41", {"msg.acct": "\\xffA"}),
        ('acct="o\'brien" res=failed', {"msg.acct": "o'brien", "msg.res": "failed"}),
        # A sender cannot say who it is.
        ("pid=1 uid=0 auid=0 ses=1", {"msg.pid": "1", "msg.uid": "0", "msg.auid": "0", "msg.ses": "1"}),
        ("op=x' pid=1 uid=5", {"msg.op": "x'", "msg.pid": "1", "msg.uid": "5"}),
        # A host's name cannot say how it went, nor where it came from.
        (
            'acct="a" hostname=x acct="b" addr=9.9.9.9 res=success addr=1.1.1.1 terminal=ssh res=failed',
            {
                "msg.acct": "a",
                "msg.hostname": "x",
                "msg.addr": "1.1.1.1",
                "msg.terminal": "ssh",
                "msg.res": "failed",
            },
        ),
        ("", {}),
    ],
)
def test_what_the_sender_says_is_kept_apart(inner: str, fields: dict[str, str]) -> None:
    found = parse_fields(f"{OUTER}msg='{inner}'")
    assert {name: value for name, value in found.items() if name.startswith("msg.")} == fields
    assert {name: found[name] for name in ("pid", "uid", "auid", "ses")} == {
        "pid": "7",
        "uid": "0",
        "auid": "1000",
        "ses": "3",
    }


@pytest.mark.parametrize(
    "text",
    [b"", b"audit(", b"audit(1.1:1): x", b"pid=1", b"audit(99999999999999.123:1): pid=1", b"\xff" * 50],
)
def test_what_is_no_audit_text(text: bytes) -> None:
    assert parse_message(USER_LOGIN, text) == REJECTED_TEXT


def test_other_types_are_left_alone() -> None:
    assert parse_message(1300, b"anything") is None
    assert CONFIG_CHANGE not in TYPES


@given(st.binary(max_size=400), st.integers(0, 65_535))
def test_nothing_raises(data: bytes, kind: int) -> None:
    for text in (data, STAMP + data, STAMP + OUTER.encode() + b"msg='" + data):
        for which in (kind, USER_LOGIN):
            entry = parse_message(which, text)
            assert entry is None or isinstance(entry, str | Entry)
    message = audit_socket.split(data)
    assert message is None or message.text == data[16:]


@given(st.binary(max_size=400))
def test_no_sender_can_forge_what_the_kernel_says(inner: bytes) -> None:
    parsed = parse_text(STAMP + OUTER.encode() + b"msg='" + inner + b"'")
    assert isinstance(parsed, AuditText)
    kernel = {name: value for name, value in parsed.fields.items() if not name.startswith("msg.")}
    assert kernel == {"pid": "7", "uid": "0", "auid": "1000", "ses": "3", "subj": "unconfined"}


@given(st.binary(min_size=1, max_size=64).filter(lambda name: b"\0" not in name))
def test_an_account_is_read_as_libaudit_writes_it(name: bytes) -> None:
    # audit_encode_value: in hexadecimal when there is a quote, a blank, a control character or a high byte.
    plain = all(0x21 <= byte < 0x7F and byte != 0x22 for byte in name)
    written = b'"' + name + b'"' if plain else name.hex().upper().encode()
    parsed = parse_text(STAMP + b"pid=1 msg='op=login acct=" + written + b" hostname=? res=failed'\0")
    assert isinstance(parsed, AuditText)
    assert parsed.fields["msg.acct"] == name.decode("utf-8", "backslashreplace")
    assert parsed.fields["msg.res"] == "failed"


@pytest.mark.parametrize(
    ("data", "whole"),
    [
        (b"", False),
        (bytes(15), False),
        (struct.pack("=IHHII", 20, USER_LOGIN, 0, 0, 0) + b"abcd", True),
        (struct.pack("=IHHII", 4, USER_LOGIN, 0, 0, 0) + b"abcd", True),
        (struct.pack("=IHHII", 2000, USER_LOGIN, 0, 0, 0) + b"abcd", False),
        (struct.pack("=IHHII", 0, USER_LOGIN, 0, 0, 0) + b"a" * 50, False),
    ],
)
def test_netlink_messages(data: bytes, whole: bool) -> None:
    assert (audit_socket.split(data) is not None) == whole


# --- The kernel's -------------------------------------------------------------------------------------------

real = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def ask(kind: int, body: bytes) -> None:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 9) as sender:
        sender.settimeout(30)
        sender.sendto(struct.pack("=IHHII", 16 + len(body), kind, 5, 1, 0) + body, (0, 0))
        assert struct.unpack_from("=i", sender.recv(65_536), 16) == (0,)


def set_enabled(on: bool) -> None:
    ask(1001, struct.pack("=10I", 1, int(on), *[0] * 8))


@pytest.fixture
def auditing() -> Iterator[None]:
    """Turned on, and afterwards as it was."""
    before = bool(audit_socket.enabled())
    set_enabled(True)
    yield
    set_enabled(before)


def of(recorder, account: str) -> list[Entry]:
    """Others on this machine log in too."""
    return [entry for entry in recorder.got if entry.fields.get("msg.acct") == account]


@pytest.mark.root
@real
def test_hears_what_programs_tell_the_kernel(auditing, recorder) -> None:
    source = AuditSource()
    assert source.available() is None
    source.start(recorder)
    ask(USER_LOGIN, b'op=login acct="otel-fim-1" exe="/usr/sbin/sshd" addr=203.0.113.7 res=success\0')
    ask(1100, b"op=PAM:authentication acct=" + b"otel-fim 2".hex().upper().encode() + b" res=failed\0")
    recorder.wait(lambda: of(recorder, "otel-fim-1") and of(recorder, "otel-fim 2"))
    assert source.stop(30)
    (login,) = of(recorder, "otel-fim-1")
    assert (login.identifier, login.pid, login.user_id, login.trusted) == ("sshd", os.getpid(), 0, True)
    assert login.fields["type"] == "USER_LOGIN"
    assert login.fields["auid"]
    assert abs(login.time_unix_nano - time.time_ns()) < 600 * 10**9
    (authentication,) = of(recorder, "otel-fim 2")
    assert authentication.fields["type"] == "USER_AUTH"
    assert authentication.identity != login.identity


@pytest.mark.root
@real
def test_hears_a_session_being_given_by_the_kernel(auditing, recorder) -> None:
    source = AuditSource()
    source.start(recorder)
    script = "import os; open('/proc/self/loginuid', 'w').write('4242'); print(os.getpid())"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    recorder.wait(lambda: any(entry.fields["type"] == "LOGIN" for entry in recorder.got))
    assert source.stop(30)
    (login,) = [entry for entry in recorder.got if entry.pid == int(done.stdout)]
    assert login.fields["auid"] == "4242"
    assert number(dict(login.fields), "ses") is not None


@pytest.mark.root
@real
def test_says_when_auditing_is_turned_off_and_on(auditing, recorder) -> None:
    source = AuditSource()
    source.start(recorder)
    set_enabled(False)
    recorder.wait(lambda: recorder.gaps)
    assert source.available() == OFF
    assert recorder.gaps[0][:2] == (REASON_LIMITED, OFF)
    set_enabled(True)
    ask(USER_LOGIN, b'op=login acct="otel-fim-3" res=failed\0')
    recorder.wait(lambda: recorder.closed)
    assert source.stop(30)
    assert set(recorder.closed) == {REASON_LIMITED}
    assert len(of(recorder, "otel-fim-3")) == 1


@pytest.mark.root
@real
def test_types_of_no_interest_do_not_reach_the_agent(auditing) -> None:
    with audit_socket.open_group([USER_LOGIN]) as listener:
        ask(1101, b'op=PAM:accounting acct="otel-fim-4" res=success\0')
        ask(USER_LOGIN, b'op=login acct="otel-fim-5" res=success\0')
        listener.settimeout(30)
        seen = []
        while not seen or b"otel-fim-5" not in seen[-1]:
            message = audit_socket.receive(listener)
            assert message is not None
            seen.append(message.text)
        assert not any(b"otel-fim-4" in text for text in seen)


@pytest.mark.root
@real
def test_an_overflow_is_a_gap(auditing, recorder) -> None:
    source = AuditSource()
    with audit_socket.open_group([USER_LOGIN]) as listener:
        # So small that the kernel's own limit is reached.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        for _ in range(200):
            ask(USER_LOGIN, b'op=login acct="otel-fim-6" exe="' + b"x" * 500 + b'" res=success\0')
        deadline = time.monotonic() + 30
        while not recorder.gaps:
            assert time.monotonic() < deadline
            assert source._drain(recorder, listener, time.time_ns())
            time.sleep(0.02)
    assert recorder.reasons() == [REASON_OVERFLOW]
    assert 0 < len(of(recorder, "otel-fim-6")) < 200


_AS_NOBODY = """
import os, time
from otel_fim.receivers.auth.sources.audit import AuditSource
os.setgroups([]); os.setgid(65534); os.setuid(65534)
source = AuditSource()
print(source.available())
told = []
class Sink:
    def entries(self, entries, position): pass
    def rejected(self, *a): pass
    def gap(self, *a): told.append(a[0])
    def restored(self, *a): pass
source.start(Sink())
while not told: time.sleep(0.01)
print(told, source.stop(30))
"""


@pytest.mark.root
@real
def test_an_ordinary_user_is_told_what_it_needs() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _AS_NOBODY], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines() == [
        "the kernel's audit cannot be read without root (CAP_AUDIT_READ and CAP_AUDIT_CONTROL)",
        "['permission_denied'] True",
    ]


@pytest.mark.parametrize(
    ("number_", "words"),
    [
        (errno.EPERM, "without root"),
        (errno.EPROTONOSUPPORT, "CONFIG_AUDIT"),
        (errno.ECONNREFUSED, "namespaces"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_reasons_are_for_people(number_: int, words: str) -> None:
    assert words in audit_socket.why_not(OSError(number_, os.strerror(number_)))
