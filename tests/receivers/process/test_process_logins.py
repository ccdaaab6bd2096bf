"""A process has the login that its parent had when it was made, whatever the parent does after that."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from otel_fim import names
from otel_fim.receivers.process.logins import Login, login_at_start

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

LATER = """
import os, sys, time
def child():
    ready, told = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        os.read(told[0], 1)
        os._exit(0)
    return pid, told[1]
before, free = child()
# Its fork has been told before the parent gets its login.
sys.stdin.read(1)
with open("/proc/self/loginuid", "w") as login:
    login.write("54321")
after, free_too = child()
print(before, after, open("/proc/self/sessionid").read(), flush=True)
sys.stdin.read(1)
os.write(free, b"x"); os.write(free_too, b"x")
os.wait(); os.wait()
"""


def test_a_login_after_the_fork_is_not_the_childs(host: Any) -> None:
    """sshd: the one that looks at passwords is made before the login that it lets in."""
    host.start()
    with subprocess.Popen(
        [sys.executable, "-c", LATER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=0
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        tracker = host.receiver._watching._tracker
        host.wait(
            lambda: any(each.process.parent_pid == parent.pid for each in list(tracker._lives.values()))
        )
        parent.stdin.write("x")
        before, after, session = (int(word) for word in parent.stdout.readline().split())
        parent.stdin.write("x")
        assert parent.wait(30) == 0
    records = [*host.of(before), host.exited(before)]
    assert not any(names.OTEL_FIM_LOGIN_SESSION_ID in r.attributes for r in records)
    assert not any(names.OTEL_FIM_LOGIN_USER_ID in r.attributes for r in records)
    assert not any(
        names.OTEL_FIM_LOGIN_USER_ID in r.attributes.get(names.OTEL_FIM_PROCESS_MISSING, ()) for r in records
    )
    told = host.exited(after).attributes
    assert told[names.OTEL_FIM_LOGIN_SESSION_ID] == session
    assert told[names.OTEL_FIM_LOGIN_USER_ID] == 54321


def test_of_a_parent_that_changed_in_between_nothing_is_taken() -> None:
    """The child is gone when its start is read; this process is the parent."""
    pid, forked = os.getpid(), 1_000
    same = login_at_start(None, (pid, None), 0)[1]
    assert same is not None
    known = same._replace(since_ns=forked - 1)
    assert login_at_start(None, (pid, known), forked) == (known._replace(since_ns=forked), known)
    # Found to have it only after the fork: it may have got it in between.
    late = same._replace(since_ns=forked + 1)
    assert login_at_start(None, (pid, late), forked) == (None, late)
    # It had another one before.
    other = Login(4, -5, forked - 1)
    login, now = login_at_start(None, (pid, other), forked)
    assert login is None
    assert now is not None
    assert now[:2] == same[:2]
    assert now.since_ns > forked
    # What the child itself is found with counts at any time.
    own = login_at_start(pid, (pid, late), forked)
    assert own == (late, late)


def test_when_both_are_gone_no_login_is_not_proven() -> None:
    gone = 2**22 + 7
    assert login_at_start(None, (gone, Login(None, None, 5)), 10) == (None, None)
    known = Login(1000, 7, 5)
    assert login_at_start(None, (gone, known), 10) == (known, None)
    assert login_at_start(None, None, 10) == (None, None)
