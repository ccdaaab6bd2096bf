"""With `use_pty` sudo gives its command a terminal of its own, and a row in utmp that is no login."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from otel_fim.receivers.auth.event import Entry, Kind

SECOND = 10**9
LOGIN = Entry(
    "utmp",
    1_768_305_600 * SECOND,
    "",
    "",
    700,
    trusted=True,
    fields={
        "type": "USER_PROCESS",
        "user": "alice",
        "line": "pts/0",
        "host": "203.0.113.7",
        "state": "added",
    },
)
OF_SUDO = replace(
    LOGIN,
    pid=800,
    time_unix_nano=LOGIN.time_unix_nano + SECOND,
    fields={**LOGIN.fields, "line": "pts/1"},
)
GONE = replace(
    OF_SUDO,
    time_unix_nano=OF_SUDO.time_unix_nano + SECOND,
    fields={**OF_SUDO.fields, "type": "DEAD_PROCESS", "state": "removed"},
)


@pytest.mark.parametrize(("program", "logins"), [("sudo", 1), ("sudo-rs", 1), ("login", 2), (None, 2)])
def test_it_is_no_login(
    desk: Callable[[], Any], monkeypatch: pytest.MonkeyPatch, program: str | None, logins: int
) -> None:
    made = desk()
    monkeypatch.setattr(made.sessions, "program_of", lambda pid, at: program if pid == 800 else "sshd")
    told = made.records([LOGIN, OF_SUDO, GONE])
    assert sum(event.kind is Kind.LOGIN for event in told) == logins
    assert sum(event.kind is Kind.LOGOUT for event in told) == logins - 1
