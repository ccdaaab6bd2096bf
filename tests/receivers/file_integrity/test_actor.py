"""Who did it: real processes that live, change, end, and give their pids to others."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from otel_fim.host.exits import ExitAccounting
from otel_fim.receivers.file_integrity.actor import ActorResolver, pidfd_inodes_are_unique
from otel_fim.receivers.file_integrity.backend import Actor

SLEEP = os.path.realpath(shutil.which("sleep") or "/bin/sleep")


class Process:
    """A child with its pidfd, as an event would bring it."""

    def __init__(self, *command: str, **options: Any) -> None:
        self.popen = subprocess.Popen(command, **options)
        self.pid = self.popen.pid
        self.pidfd = os.pidfd_open(self.pid)

    def end(self) -> None:
        self.popen.kill()
        self.popen.wait(10)
        for stream in (self.popen.stdin, self.popen.stdout):
            if stream is not None:
                stream.close()

    def end_unreaped(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)


@pytest.fixture
def start() -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def make(*command: str, **options: Any) -> Process:
        started.append(Process(*command, **options))
        return started[-1]

    yield make
    for process in started:
        process.end()
        os.close(process.pidfd)


@pytest.fixture(params=[True, False], ids=["unique inodes", "before 6.9"])
def resolver(request: Any) -> ActorResolver:
    if request.param and not pidfd_inodes_are_unique():
        pytest.skip("pidfd inodes are not unique before Linux 6.9")
    resolver = ActorResolver(unique_inodes=request.param)
    resolver.begin(time.monotonic_ns())
    return resolver


def ready(process: Process, program: str) -> None:
    """Until the child runs its own program and not a copy of this one."""
    deadline = time.monotonic() + 20
    while os.readlink(f"/proc/{process.pid}/exe") != program:
        assert time.monotonic() < deadline


def test_a_living_process(resolver: ActorResolver, start: Any) -> None:
    before = time.time_ns()
    process = start("sleep", "60")
    ready(process, SLEEP)
    actor = resolver.resolve(process.pid, process.pidfd)
    assert actor is not None
    assert actor.creation_time_unix_nano is not None
    # The kernel counts in ticks of 10 ms.
    assert before - 20_000_000 <= actor.creation_time_unix_nano <= time.time_ns()
    assert actor == Actor(
        process.pid,
        exited=False,
        executable_path=SLEEP,
        command="sleep",
        effective_user_id=os.geteuid(),
        real_user_id=os.getuid(),
        parent_pid=os.getpid(),
        parent_executable_path=os.path.realpath(sys.executable),
        parent_command=Path("/proc/self/comm").read_text().rstrip("\n"),
        creation_time_unix_nano=actor.creation_time_unix_nano,
        login_user_id=actor.login_user_id,
        session_id=actor.session_id,
    )
    assert resolver.resolve(process.pid, process.pidfd) is actor
    resolver.begin(time.monotonic_ns())
    assert resolver.resolve(process.pid, process.pidfd) is actor


def test_a_process_that_becomes_another_program(resolver: ActorResolver, start: Any) -> None:
    process = start("sh", "-c", "read line; exec sleep 60", stdin=subprocess.PIPE)
    ready(process, os.path.realpath(shutil.which("sh") or "/bin/sh"))
    first = resolver.resolve(process.pid, process.pidfd)
    process.popen.stdin.write(b"\n")
    process.popen.stdin.close()
    ready(process, SLEEP)
    resolver.begin(time.monotonic_ns())
    second = resolver.resolve(process.pid, process.pidfd)
    assert first is not None
    assert second is not None
    assert (first.command, second.command) == ("sh", "sleep")
    assert second.executable_path == SLEEP
    assert first.creation_time_unix_nano == second.creation_time_unix_nano


def test_a_process_that_has_ended_but_was_not_waited_for(resolver: ActorResolver, start: Any) -> None:
    process = start("sleep", "60")
    ready(process, SLEEP)
    process.end_unreaped()
    actor = resolver.resolve(process.pid, process.pidfd)
    assert actor is not None
    assert (actor.exited, actor.executable_path, actor.command) == (True, None, "sleep")
    assert (actor.real_user_id, actor.parent_pid) == (os.getuid(), os.getpid())


def test_what_an_earlier_event_told_is_kept(resolver: ActorResolver, start: Any) -> None:
    process = start("sleep", "60")
    ready(process, SLEEP)
    earlier = resolver.resolve(process.pid, process.pidfd)
    process.end_unreaped()
    resolver.begin(time.monotonic_ns())
    later = resolver.resolve(process.pid, process.pidfd)
    assert earlier is not None
    assert later is not None
    assert later.exited
    assert (later.executable_path, later.parent_pid) == (SLEEP, os.getpid())
    assert (earlier.exited, earlier.pid) == (False, later.pid)


def test_a_process_that_is_gone_is_a_number(resolver: ActorResolver, start: Any) -> None:
    process = start("true")
    process.popen.wait(10)
    assert resolver.resolve(process.pid, process.pidfd) == Actor(process.pid, exited=True)
    assert resolver.resolve(process.pid, -1) == Actor(process.pid, exited=True)


def test_a_pid_seen_a_moment_ago_cannot_have_come_round(start: Any) -> None:
    resolver = ActorResolver()
    resolver._window = 10**12
    resolver.begin(time.monotonic_ns())
    process = start("sleep", "60")
    ready(process, SLEEP)
    resolver.resolve(process.pid, process.pidfd)
    process.end()
    resolver.begin(time.monotonic_ns())
    actor = resolver.resolve(process.pid, -1)
    assert actor is not None
    assert (actor.exited, actor.executable_path) == (True, SLEEP)
    resolver._window = 0
    resolver.begin(time.monotonic_ns())
    assert resolver.resolve(process.pid, -1) == Actor(process.pid, exited=True)


def test_processes_elsewhere_and_kernel_threads(resolver: ActorResolver) -> None:
    assert resolver.resolve(0, -1) is None
    assert resolver.resolve(-1, None) is None
    if os.geteuid() == 0 and os.path.exists("/proc/2/comm"):
        pidfd = os.pidfd_open(2)
        try:
            actor = resolver.resolve(2, pidfd)
        finally:
            os.close(pidfd)
        assert actor is not None
        assert (actor.executable_path, actor.exited) == (None, False)
        assert actor.command


def test_without_pidfds_only_what_must_be_right(start: Any) -> None:
    resolver = ActorResolver(unique_inodes=False)
    process = start("sleep", "60")
    ready(process, SLEEP)
    time.sleep(0.05)
    resolver.begin(time.monotonic_ns())
    resolver._window = 0
    actor = resolver.resolve(process.pid, None)
    assert actor is not None
    assert actor.executable_path == SLEEP
    # Started after the queue had been empty: another process may have had its pid before.
    younger = start("sleep", "60")
    ready(younger, SLEEP)
    assert resolver.resolve(younger.pid, None) == Actor(younger.pid)
    younger.end()
    assert resolver.resolve(younger.pid, None) == Actor(younger.pid, exited=True)


CLONE_WITH_PID = """
import ctypes, os, signal, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: nothing of this is left behind
wanted = (ctypes.c_int * 1)(int(sys.argv[1]))
arguments = (ctypes.c_uint64 * 11)()
arguments[4] = signal.SIGCHLD
arguments[8] = ctypes.addressof(wanted)
arguments[9] = 1
pid = libc.syscall(435, arguments, ctypes.sizeof(arguments))
if pid == 0:
    os.execv(sys.argv[2], [sys.argv[2], "60"])
if pid < 0:
    print("failed", ctypes.get_errno(), flush=True)
else:
    print(pid, flush=True)
sys.stdin.read()
os.kill(pid, signal.SIGKILL)
os.waitpid(pid, 0)
"""


@contextlib.contextmanager
def process_with_pid(pid: int) -> Iterator[None]:
    """Another process that has been given the pid of one that is gone (clone3(2), set_tid)."""
    with subprocess.Popen(
        [sys.executable, "-c", CLONE_WITH_PID, str(pid), SLEEP],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as helper:
        assert helper.stdout is not None
        answer = helper.stdout.readline().strip()
        assert answer == str(pid), answer
        deadline = time.monotonic() + 20
        while os.readlink(f"/proc/{pid}/exe") != SLEEP:
            assert time.monotonic() < deadline
        yield


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_pid_that_was_given_to_another_process(resolver: ActorResolver, start: Any) -> None:
    first = start("cat", stdin=subprocess.PIPE)
    ready(first, os.path.realpath(shutil.which("cat") or "/bin/cat"))
    resolver.resolve(first.pid, first.pidfd)
    first.end()
    with process_with_pid(first.pid):
        pidfd = os.pidfd_open(first.pid)
        try:
            for _ in range(2):
                resolver.begin(time.monotonic_ns())
                old = resolver.resolve(first.pid, first.pidfd)
                new = resolver.resolve(first.pid, pidfd)
                gone = resolver.resolve(first.pid, -1)
                assert old is not None
                assert new is not None
                assert gone is not None
                assert (old.exited, old.command) in ((True, "cat"), (True, None))
                assert (new.exited, new.command, new.executable_path) == (False, "sleep", SLEEP)
                assert (gone.exited, gone.command) in ((True, "cat"), (True, None))
        finally:
            os.close(pidfd)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_someone_elses_process(start: Any) -> None:
    process = start("sleep", "60")
    ready(process, SLEEP)
    script = f"""
import os, time
from otel_fim.receivers.file_integrity.actor import ActorResolver
pidfd = os.pidfd_open({process.pid})
resolver = ActorResolver()
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
resolver.begin(time.monotonic_ns())
for _ in range(2):
    actor = resolver.resolve({process.pid}, pidfd)
    assert (actor.exited, actor.executable_path, actor.command) == (False, None, "sleep"), actor
    assert actor.real_user_id == 0, actor
    resolver.begin(time.monotonic_ns())
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_a_hostile_name(resolver: ActorResolver, start: Any) -> None:
    name = b"a) R 1\n\x1b[31\xff"
    script = "import sys; open('/proc/self/comm', 'wb').write(bytes.fromhex(sys.argv[1])); print(flush=True); input()"
    process = start(sys.executable, "-c", script, name.hex(), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.popen.stdout.readline()
    actor = resolver.resolve(process.pid, process.pidfd)
    assert actor is not None
    assert actor.command == "a) R 1\n\x1b[31\\xff"
    assert actor.parent_pid == os.getpid()
    process.popen.stdout.close()
    process.popen.stdin.close()


@pytest.fixture
def exits() -> Iterator[ExitAccounting]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    try:
        accounting = ExitAccounting()
    except OSError as error:
        pytest.skip(f"this kernel has no taskstats: {error}")
    yield accounting
    accounting.close()


@pytest.mark.root
def test_gone_processes_are_known_from_the_accounting(exits: ExitAccounting, start: Any) -> None:
    resolver = ActorResolver(exits)
    resolver.begin(time.monotonic_ns())
    process = start(SLEEP, "0")
    process.popen.wait(10)
    actor = resolver.resolve(process.pid, -1)
    assert actor is not None
    assert (actor.exited, actor.command, actor.executable_path) == (True, "sleep", SLEEP)
    assert (actor.real_user_id, actor.parent_pid) == (os.getuid(), os.getpid())
    assert actor.parent_executable_path == os.path.realpath(sys.executable)


@pytest.mark.root
def test_an_unreaped_process_is_completed_from_the_accounting(exits: ExitAccounting, start: Any) -> None:
    resolver = ActorResolver(exits)
    resolver.begin(time.monotonic_ns())
    process = start("sleep", "60")
    ready(process, SLEEP)
    process.end_unreaped()
    actor = resolver.resolve(process.pid, process.pidfd)
    assert actor is not None
    assert (actor.exited, actor.executable_path, actor.effective_user_id) == (True, SLEEP, os.geteuid())


@pytest.mark.root
def test_two_that_had_the_pid_prove_nothing(exits: ExitAccounting, start: Any) -> None:
    resolver = ActorResolver(exits)
    since = time.monotonic_ns()
    resolver.begin(since)
    process = start("true")
    process.popen.wait(10)
    with process_with_pid(process.pid):
        actor = resolver.resolve(process.pid, -1)
        assert actor is not None
        assert actor.command == "true"
    resolver.begin(since)
    assert resolver.resolve(process.pid, -1) == Actor(process.pid, exited=True)
