"""The receiver as a whole, on real processes, with both backends."""

from __future__ import annotations

import hashlib
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from otel_fim import names
from otel_fim.component import Health, StartError
from otel_fim.host.procfs import CLOCK_TICKS_PER_SECOND
from otel_fim.names import events, metrics
from otel_fim.pipeline.coverage import timestamp

root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
TRUE = os.path.realpath("/bin/true")
SH = os.path.realpath("/bin/sh")


def sha256(path: str | Path) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def run(*command: str, **options: Any) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, **options)
    process.communicate(timeout=30)
    return process


@pytest.mark.root
@root
class TestTold:
    def test_a_program_from_start_to_end(self, host: Any) -> None:
        host.start()
        assert host.health[-1] == (Health.OK, "")
        before = time.time_ns()
        process = run("/bin/true", cwd="/tmp", start_new_session=True)
        host.exited(process.pid)
        started, exited = host.of(process.pid)
        attributes = started.attributes
        assert (started.event_name, exited.event_name) == (events.PROCESS_STARTED, events.PROCESS_EXITED)
        assert before - 10**7 <= started.time_unix_nano <= exited.time_unix_nano <= time.time_ns()
        assert attributes[names.EVENT_ACTION] == "exec"
        assert attributes[names.PROCESS_EXECUTABLE_PATH] == TRUE
        assert attributes[names.PROCESS_EXECUTABLE_NAME] == "true"
        assert attributes[names.PROCESS_HASH_SHA256] == sha256(TRUE)
        assert attributes[names.PROCESS_COMMAND] == "true"
        assert attributes[names.PROCESS_PARENT_PID] == os.getpid()
        assert attributes[names.PROCESS_USER_ID] == 0
        assert attributes[names.PROCESS_USER_NAME] == "root"
        assert attributes[names.PROCESS_GROUP_ID] == "0"
        assert attributes[names.PROCESS_SESSION_LEADER_PID] == process.pid
        assert attributes[names.PROCESS_INTERACTIVE] is False
        assert attributes[names.OTEL_FIM_PROCESS_BACKEND] == "proc_connector"
        ancestors = attributes[names.OTEL_FIM_PROCESS_ANCESTORS]
        assert isinstance(ancestors, tuple)
        assert ancestors[0] == f"{os.getpid()} {os.path.realpath(sys.executable)}"
        assert names.PROCESS_COMMAND_LINE not in attributes
        for key in (names.PROCESS_ENTITY_ID, names.PROCESS_CREATION_TIME, names.PROCESS_WORKING_DIRECTORY):
            assert attributes[key] == exited.attributes[key]
        assert exited.attributes[names.PROCESS_EXIT_CODE] == 0
        assert exited.attributes[names.PROCESS_EXIT_TIME] == timestamp(exited.time_unix_nano)
        duration = exited.attributes[names.OTEL_FIM_PROCESS_DURATION]
        assert isinstance(duration, float)
        assert 0 < duration < 30

    def test_the_session_of_the_parent(self, host: Any) -> None:
        """0, where this one has been started by init without a session or from another pid namespace."""
        host.start()
        with subprocess.Popen(["sleep", "300"]) as process:
            host.wait(lambda: host.of(process.pid))
            process.kill()
        for attributes in (host.exited(process.pid).attributes, host.of(process.pid)[0].attributes):
            assert attributes.get(names.PROCESS_SESSION_LEADER_PID) == (os.getsid(0) or None)
            assert attributes.get(names.PROCESS_GROUP_LEADER_PID) == (os.getpgid(0) or None)
            assert attributes[names.PROCESS_INTERACTIVE] is (names.OTEL_FIM_PROCESS_TERMINAL in attributes)
            missing = attributes.get(names.OTEL_FIM_PROCESS_MISSING, ())
            assert not {names.PROCESS_SESSION_LEADER_PID, names.PROCESS_GROUP_LEADER_PID} & set(missing)

    def test_the_table_says_the_same(self, host: Any) -> None:
        host.start()
        with subprocess.Popen(["sleep", "60"], cwd="/tmp") as process:
            host.wait(lambda: host.of(process.pid))
            found = host.table.find(process.pid)
            assert host.table.catch_up(time.time_ns(), 20)
            attributes = host.of(process.pid)[0].attributes
            assert found.entity_id == attributes[names.PROCESS_ENTITY_ID]
            assert timestamp(found.created_unix_nano) == attributes[names.PROCESS_CREATION_TIME]
            assert found.executable_sha256 == attributes[names.PROCESS_HASH_SHA256]
            assert found.working_directory == "/tmp"
            process.terminate()
        at = time.time_ns()
        assert host.table.catch_up(at, 20)
        assert host.table.find(process.pid) is None
        ended = host.table.find(process.pid, created_unix_nano=found.created_unix_nano)
        assert ended.exit_status == signal.SIGTERM
        assert host.table.find(process.pid, at_unix_nano=ended.ended_unix_nano - 1) == ended
        assert host.table.find(process.pid, at_unix_nano=at, within_nano=at - ended.ended_unix_nano) == ended

    def test_a_shell_that_becomes_another_program(self, host: Any) -> None:
        host.start()
        with subprocess.Popen(
            ["/bin/sh", "-c", "read go; exec /bin/sleep 300"], stdin=subprocess.PIPE
        ) as process:
            host.wait(lambda: host.of(process.pid))
            process.stdin.write(b"go\n")
            process.stdin.flush()
            host.wait(lambda: len(host.of(process.pid)) == 2)
            process.kill()
        host.exited(process.pid)
        records = host.of(process.pid)
        assert host.actions(process.pid) == ["exec", "exec", "exited"]
        paths = [each.attributes[names.PROCESS_EXECUTABLE_PATH] for each in records]
        assert paths == [SH, os.path.realpath("/bin/sleep"), os.path.realpath("/bin/sleep")]
        assert len({each.attributes[names.PROCESS_ENTITY_ID] for each in records}) == 1

    def test_a_subshell_is_a_fork(self, host: Any) -> None:
        host.start()
        process = run("/bin/sh", "-c", "(exit 3); true; cd /; (exit 0); sleep 0.5 & wait")
        host.exited(process.pid)
        children = [r for r in host.records if r.attributes.get(names.PROCESS_PARENT_PID) == process.pid]
        forks = [r for r in children if r.attributes[names.EVENT_ACTION] == "fork"]
        assert len(forks) == 2
        assert {r.attributes[names.PROCESS_EXECUTABLE_PATH] for r in forks} == {SH}
        pid = forks[0].attributes[names.PROCESS_PID]
        assert host.actions(pid) == ["fork", "exited"]
        assert host.of(pid)[1].attributes[names.PROCESS_EXIT_CODE] == 3
        parent = host.of(process.pid)[0].attributes
        assert forks[0].attributes[names.PROCESS_PARENT_ENTITY_ID] == parent[names.PROCESS_ENTITY_ID]

    def test_a_fork_that_stays(self, host: Any) -> None:
        host.start()
        process = run(
            "/bin/sh", "-c", "(read x < /dev/zero) & sleep 1.8; kill -KILL $!", stdin=subprocess.DEVNULL
        )
        host.exited(process.pid)
        forks = [
            r
            for r in host.records
            if r.attributes.get(names.PROCESS_PARENT_PID) == process.pid
            and r.attributes[names.EVENT_ACTION] == "fork"
        ]
        assert len(forks) == 1
        ended = host.exited(forks[0].attributes[names.PROCESS_PID]).attributes
        assert ended[names.OTEL_FIM_PROCESS_EXIT_SIGNAL] == "SIGKILL"
        assert names.PROCESS_EXIT_CODE not in ended

    def test_forks_and_exits_can_be_left_out(self, host: Any) -> None:
        host.start(forks=False, exits=False)
        process = run("/bin/sh", "-c", "(exit 3); /bin/true")
        last = run("/bin/true")
        host.wait(lambda: host.of(last.pid))
        assert host.actions(process.pid) == ["exec"]
        assert {r.attributes[names.EVENT_ACTION] for r in host.records} == {"exec"}

    def test_other_users(self, host: Any) -> None:
        host.start()
        script = "import os; os.setgid(65534); os.seteuid(1); os.seteuid(0); os.setuid(65534)\n"
        script += "os.execv('/bin/true', ['t'])"
        process = run(sys.executable, "-c", script)
        host.exited(process.pid)
        first, second = host.of(process.pid)[:2]
        assert first.attributes[names.PROCESS_USER_ID] == 0
        assert second.attributes[names.PROCESS_USER_ID] == 65534
        assert second.attributes[names.PROCESS_REAL_USER_ID] == 65534
        assert second.attributes[names.PROCESS_GROUP_ID] == "65534"

    def test_a_setuid_program(self, host: Any, tmp_path: Path) -> None:
        program = tmp_path / "setuid"
        shutil.copy("/bin/sleep", program)
        program.chmod(0o4755)
        for directory in (tmp_path, *tmp_path.parents[:3]):
            if directory.stat().st_uid == 0 and str(directory).startswith("/tmp/"):
                directory.chmod(0o755)
        host.start()
        with subprocess.Popen([program, "300"], user=65534, group=65534, extra_groups=[]) as process:
            host.wait(lambda: host.of(process.pid))
            process.kill()
        record = host.exited(process.pid)
        assert record.attributes[names.PROCESS_USER_ID] == 0
        assert record.attributes[names.PROCESS_REAL_USER_ID] == 65534
        assert record.attributes[names.PROCESS_SAVED_USER_ID] == 0

    def test_a_terminal_makes_it_interactive(self, host: Any) -> None:
        host.start()
        pid, terminal = pty.fork()
        if pid == 0:
            os.execv("/bin/sleep", ["sleep", "1"])
        host.wait(lambda: host.of(pid))
        name = os.readlink(f"/proc/{pid}/fd/0")
        os.waitpid(pid, 0)
        os.close(terminal)
        alone = run("setsid", "-w", "/bin/sh", "-c", "sleep 0.2")
        attributes = host.exited(pid).attributes
        assert attributes[names.OTEL_FIM_PROCESS_TERMINAL] == name
        assert attributes[names.PROCESS_INTERACTIVE] is True
        assert attributes[names.PROCESS_SESSION_LEADER_PID] == pid
        attributes = host.exited(alone.pid).attributes
        assert attributes[names.PROCESS_SESSION_LEADER_PID] == alone.pid
        assert attributes[names.PROCESS_INTERACTIVE] is False
        assert names.OTEL_FIM_PROCESS_TERMINAL not in attributes

    @pytest.mark.parametrize(
        ("setting", "expected"),
        [
            ("none", None),
            ("redacted", "mysql -c 'read x' '' '-p[REDACTED]' 'a b'"),
            ("full", "mysql -c 'read x' '' -phunter2 'a b'"),
        ],
    )
    def test_command_lines(self, host: Any, setting: str, expected: str | None) -> None:
        host.start(command_line=setting)
        arguments = ["mysql", "-c", "read x", "", "-phunter2", "a b"]
        waiting = subprocess.Popen(arguments, executable="/bin/sh", stdin=subprocess.PIPE)
        host.wait(lambda: host.of(waiting.pid))
        waiting.communicate(timeout=20)
        host.exited(waiting.pid)
        attributes = host.of(waiting.pid)[0].attributes
        if expected is None:
            assert names.PROCESS_COMMAND_LINE not in attributes
            assert names.PROCESS_ARGS_COUNT not in attributes
        else:
            assert attributes[names.PROCESS_COMMAND_LINE] == expected
            assert attributes[names.PROCESS_ARGS_COUNT] == 6
        if setting != "full":
            assert "hunter2" not in repr(host.records)

    @pytest.mark.parametrize("before", [True, False])
    @pytest.mark.parametrize("setting", ["none", "redacted"])
    def test_parents_command_lines(self, host: Any, before: bool, setting: str) -> None:
        arguments = ["mysql", "-c", "read x; sleep 0.3; exit 0", "-phunter2"]
        started = subprocess.Popen(arguments, executable="/bin/sh", stdin=subprocess.PIPE) if before else None
        host.start(command_line=setting)
        parent = started or subprocess.Popen(arguments, executable="/bin/sh", stdin=subprocess.PIPE)
        if not before:
            host.wait(lambda: host.of(parent.pid))
        parent.communicate(b"\n", timeout=20)
        host.exited(parent.pid)

        def children() -> list[Any]:
            return [r for r in host.records if r.attributes.get(names.PROCESS_PARENT_PID) == parent.pid]

        host.wait(lambda: len(children()) >= 2)
        expected = None if setting == "none" else "mysql -c 'read x; sleep 0.3; exit 0' '-p[REDACTED]'"
        for record in children():
            assert record.attributes.get(names.PROCESS_PARENT_COMMAND_LINE) == expected

    def test_filters(self, host: Any, tmp_path: Path) -> None:
        program = tmp_path / "wanted"
        shutil.copy("/bin/sh", program)
        host.start(
            include={"executables": [f"{tmp_path}/*", "true"], "users": ["root", "12345"]},
            exclude={"executables": ["true"], "parents": ["*/wanted"]},
        )
        process = run(str(program), "-c", "sleep 0.3; /bin/true; exit 0")
        other = run("/bin/true")
        run("/bin/false")
        host.exited(process.pid)
        host.exited(other.pid)
        told = {r.attributes.get(names.PROCESS_EXECUTABLE_PATH) for r in host.records}
        assert told - {None} == {str(program), TRUE}
        children = [r for r in host.records if r.attributes.get(names.PROCESS_PARENT_PID) == process.pid]
        assert children == []

    def test_the_agents_own_are_not_told(self, host: Any) -> None:
        host.start(own_pid=None)
        since = time.time_ns()
        process = run("/bin/sh", "-c", "/bin/true; (exit 0)")
        pid = os.posix_spawn("/bin/true", ["true"], {})
        os.waitpid(pid, 0)
        at = time.time_ns()
        assert host.table.catch_up(at, 20)
        found = host.table.find(pid, at_unix_nano=at, within_nano=at - since)
        assert found is not None
        assert found.ancestors[0].pid == os.getpid()
        host.stop()
        own = (process.pid, pid)
        assert not [r for r in host.records if r.attributes.get(names.PROCESS_PID) in own]
        assert not [
            r for r in host.records if r.attributes.get(names.PROCESS_PARENT_PID) in (os.getpid(), *own)
        ]

    def test_an_executable_that_is_gone_or_replaced(self, host: Any, tmp_path: Path) -> None:
        host.start()
        program = tmp_path / "program"
        shutil.copy("/bin/sleep", program)
        digest = sha256(program)
        # Once to have it hashed, once from the cache with the file gone.
        first = run(str(program), "0.3")
        with subprocess.Popen([program, "0.5"]) as second:
            while not host.of(second.pid):
                time.sleep(0.01)
            program.unlink()
        for pid in (first.pid, second.pid):
            assert host.exited(pid).attributes[names.PROCESS_EXECUTABLE_PATH] == str(program)
            assert host.exited(pid).attributes[names.PROCESS_HASH_SHA256] == digest

    def test_what_is_too_large_is_not_hashed(self, host: Any) -> None:
        host.start(hash_max_size=100)
        record = host.exited(run("/bin/true").pid)
        assert record.attributes[names.OTEL_FIM_PROCESS_NOT_HASHED] == "too_large"
        assert names.PROCESS_HASH_SHA256 not in record.attributes

    def test_hashing_can_be_left_out(self, host: Any) -> None:
        host.start(hash=False)
        record = host.exited(run("/bin/true").pid)
        assert names.PROCESS_HASH_SHA256 not in record.attributes
        assert names.OTEL_FIM_PROCESS_NOT_HASHED not in record.attributes

    def test_hostile_names(self, host: Any, tmp_path: Path) -> None:
        name = os.fsencode(tmp_path) + b"/) R 1 (\n\x1b[31m\xff'\""
        shutil.copy(b"/bin/sleep", name)
        host.start(command_line="redacted")
        with subprocess.Popen(
            [
                name,
                b"0.3",
            ]
        ) as process:
            pass
        path = host.exited(process.pid).attributes[names.PROCESS_EXECUTABLE_PATH]
        assert path == name.decode("utf-8", "backslashreplace")

    def test_those_that_run_already(self, host: Any) -> None:
        with subprocess.Popen(["sleep", "60"]) as process:
            host.start(existing=True)
            host.wait(lambda: host.of(process.pid))
            found = host.of(process.pid)[0].attributes
            assert found[names.EVENT_ACTION] == "scan"
            assert found[names.OTEL_FIM_PROCESS_BACKEND] == "scan"
            assert found[names.PROCESS_HASH_SHA256] == sha256(os.path.realpath("/bin/sleep"))
            process.kill()
        ended = host.exited(process.pid).attributes
        assert ended[names.PROCESS_ENTITY_ID] == found[names.PROCESS_ENTITY_ID]
        assert ended[names.OTEL_FIM_PROCESS_EXIT_SIGNAL] == "SIGKILL"
        assert not [r for r in host.records if r.attributes.get(names.PROCESS_PID) == 2]

    def test_a_process_whose_first_thread_ends_goes_on(self, host: Any) -> None:
        host.start()
        script = (
            "import ctypes, threading, time, os\n"
            "threading.Thread(target=lambda: (time.sleep(2.5), os._exit(5))).start()\n"
            "ctypes.CDLL(None).syscall(60, 0)\n"
        )
        began = time.monotonic()
        process = run(sys.executable, "-c", script)
        lived = time.monotonic() - began
        ended = host.exited(process.pid).attributes
        assert host.actions(process.pid) == ["exec", "exited"]
        assert float(ended[names.OTEL_FIM_PROCESS_DURATION]) > min(lived, 2.0) / 2

    def test_slow_pipelines_lose_records_and_say_so(self, host: Any) -> None:
        host.start(max_pending=256)
        stuck = time.monotonic() + 3
        host.emit_hook = lambda: time.sleep(max(0.0, stuck - time.monotonic()))
        run("/bin/sh", "-c", "i=0; while [ $i -lt 600 ]; do (:); i=$((i+1)); done")
        host.wait(lambda: any(names.OTEL_FIM_COVERAGE_RECORDS_LOST in r.attributes for r in host.coverage()))
        gap = next(r for r in host.coverage() if names.OTEL_FIM_COVERAGE_RECORDS_LOST in r.attributes)
        assert gap.attributes[names.OTEL_FIM_COVERAGE_REASON] == "queue_overflow"
        assert host.counts[metrics.COVERAGE_GAPS] >= 1
        assert host.exited(run("/bin/true").pid)

    def test_nothing_runs_on_after_the_stop(self, host: Any) -> None:
        host.start()
        host.stop()
        assert host.health[-1][0] is Health.STOPPED
        run("/bin/true")
        count = len(host.records)
        assert host.table.catch_up(time.time_ns(), 0)
        assert len(host.records) == count


def test_looking_every_now_and_then(host: Any) -> None:
    host.start(backend="psutil", interval=0.1, command_line="full")
    (gap,) = [r for r in _soon(host) if r.event_name == events.COVERAGE_GAP]
    assert gap.attributes[names.OTEL_FIM_COVERAGE_REASON] == "backend_limited"
    with subprocess.Popen(["sh", "-c", "read x; exec sleep 60"], stdin=subprocess.PIPE) as process:
        host.wait(lambda: host.of(process.pid))
        process.stdin.write(b"\n")  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]
        host.wait(lambda: len(host.of(process.pid)) == 2)
        process.kill()
    record = host.exited(process.pid)
    first, second, _ = host.of(process.pid)
    assert host.actions(process.pid) == ["exec", "exec", "exited"]
    assert first.attributes[names.PROCESS_EXECUTABLE_PATH] == SH
    assert first.attributes[names.PROCESS_COMMAND_LINE] == "sh -c 'read x; exec sleep 60'"
    assert second.attributes[names.PROCESS_EXECUTABLE_PATH] == os.path.realpath("/bin/sleep")
    assert second.attributes[names.OTEL_FIM_PROCESS_BACKEND] == "psutil"
    assert second.attributes[names.PROCESS_HASH_SHA256] == sha256(os.path.realpath("/bin/sleep"))
    assert record.attributes[names.PROCESS_ENTITY_ID] == first.attributes[names.PROCESS_ENTITY_ID]
    assert names.PROCESS_EXIT_CODE not in record.attributes


def _soon(host: Any) -> list[Any]:
    host.wait(host.coverage)
    return host.coverage()


def test_psutil_reads_the_same_as_proc() -> None:
    from otel_fim.host.snapshot import read_snapshot
    from otel_fim.receivers.process.psutil_reading import pids, read_with_psutil

    own = os.getpid()
    assert own in pids()
    one, other = read_with_psutil(own), read_snapshot(own)
    assert one is not None
    assert other is not None
    # On Linux psutil takes the time of boot from a file that has it in seconds.
    assert abs(one.stat.start_ticks - other.stat.start_ticks) <= 2 * CLOCK_TICKS_PER_SECOND
    assert one.stat.parent_pid == other.stat.parent_pid
    for field in ("executable", "credentials", "working_directory"):
        assert getattr(one, field) == getattr(other, field)
    assert read_with_psutil(10_000_000) is None


@pytest.mark.root
@root
def test_in_a_container_it_says_why_and_looks_instead(tmp_path: Path) -> None:
    script = """
import logging, sys
sys.path.insert(0, sys.argv[1])
from otel_fim.receivers.process.connector import Connector, UnavailableError
try:
    Connector(100000)
except UnavailableError as error:
    print(error)
"""
    command = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", script, str(Path.cwd())]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "namespace of its own" in found.stdout, found.stderr
    user = ["unshare", "--user", sys.executable, "-c", script, str(Path.cwd())]
    found = subprocess.run(user, capture_output=True, text=True, timeout=60)
    assert "namespace of its own" in found.stdout, found.stderr


@pytest.mark.root
@root
def test_where_the_backend_is_demanded_its_absence_is_an_error(
    host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import otel_fim.receivers.process.connector as connector

    monkeypatch.setattr(connector, "_INIT_PID_NAMESPACE", 1)
    with pytest.raises(StartError, match=r"process\.backend: .*take the backend psutil"):
        host.start(backend="proc_connector")
    host.receiver = None


THREAD_EXECUTES = """
import os, threading, time
threading.Thread(target=lambda: (time.sleep(0.2), os.execv("/bin/sleep", ["sleep", "0.3"]))).start()
time.sleep(20)
"""
LAST_THREAD = """
import ctypes, os, threading, time
threading.Thread(target=lambda: (time.sleep(0.5), os._exit(3))).start()
time.sleep(0.1)
ctypes.CDLL(None).pthread_exit(None)
"""


@pytest.mark.root
@root
def test_a_thread_that_starts_a_program_ends_no_process(host: Any) -> None:
    host.start()
    process = subprocess.Popen([sys.executable, "-S", "-c", THREAD_EXECUTES])
    assert process.wait(30) == 0
    host.wait(lambda: host.actions(process.pid).count("exec") == 2 and "exited" in host.actions(process.pid))
    assert host.actions(process.pid) == ["exec", "exec", "exited"]
    assert len({r.attributes[names.PROCESS_ENTITY_ID] for r in host.of(process.pid)}) == 1
    assert host.of(process.pid)[-1].attributes[names.PROCESS_EXECUTABLE_NAME] == "sleep"


@pytest.mark.root
@root
def test_of_a_process_that_outlives_its_first_thread_no_exit_code_is_made_up(host: Any) -> None:
    host.start()
    process = subprocess.Popen([sys.executable, "-S", "-c", LAST_THREAD])
    process.wait(30)
    record = host.exited(process.pid)
    assert host.actions(process.pid) == ["exec", "exited"]
    assert record.attributes.get(names.PROCESS_EXIT_CODE) in (None, process.returncode)


@pytest.mark.root
@root
def test_of_a_program_that_was_followed_at_once_no_name_is_told(host: Any) -> None:
    """What was read may have been of the next one."""
    host.start()
    for _ in range(20):
        process = subprocess.Popen(["/bin/sh", "-c", "exec sleep 0.05"])
        process.wait(30)
        host.exited(process.pid)
        first = host.of(process.pid)[0].attributes
        assert first[names.EVENT_ACTION] == "exec"
        assert first.get(names.PROCESS_COMMAND) in (None, "sh")
        assert first.get(names.PROCESS_EXECUTABLE_PATH) in (None, os.path.realpath("/bin/sh"))
