"""Parsing /proc: hostile names, the kernel's own files, and processes that go away."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_fim.host import procfs

COMMANDS = st.one_of(
    st.binary(max_size=15).filter(lambda name: b"\0" not in name),
    st.sampled_from([b") R 1 (", b"a) S 1 2 3", b"(", b")", b" ) ) (", b"\n", b"\x1b[2J", b"x) Z 0"]),
)
NUMBERS = st.integers(0, 2**31 - 1)


@given(NUMBERS, COMMANDS, st.sampled_from("RSDZTtXI"), NUMBERS, NUMBERS, st.integers(0, 2**63 - 1))
def test_stat_with_any_name(
    pid: int, command: bytes, state: str, parent: int, flags: int, start: int
) -> None:
    middle = " ".join(str(number) for number in range(10, 22))
    content = b"%d (%s) %s %d 5 6 7 -1 %d %s %d 0 -1 7\n" % (
        pid,
        command,
        state.encode(),
        parent,
        flags,
        middle.encode(),
        start,
    )
    stat = procfs.parse_stat(content)
    assert stat == procfs.Stat(pid, command, state.encode(), parent, flags, start, 5, 6, 7, 20)
    assert stat.exiting == (state in "ZX" or bool(flags & 4))


@given(st.binary(max_size=200))
def test_anything_else_is_a_value_error(content: bytes) -> None:
    for parse in (procfs.parse_stat, procfs.parse_user_ids, procfs.parse_credentials, procfs.parse_id):
        try:
            parse(content)
        except ValueError:
            continue


@given(st.binary(max_size=15).filter(lambda name: not set(name) & {0, 10, 92}), NUMBERS, NUMBERS)
def test_user_ids_behind_any_name(name: bytes, real: int, effective: int) -> None:
    # The kernel writes newlines in names as \n and backslashes as \\.
    status = b"Name:\t%s\\nUid:\t9\t9\t9\t9\nState:\tR\nUid:\t%d\t%d\t1\t1\nGid:\t0\t0\t0\t0\n"
    assert procfs.parse_user_ids(status % (name, real, effective)) == procfs.UserIds(real, effective)


def test_unset_ids_are_none() -> None:
    assert procfs.parse_id(b"4294967295") is None
    assert procfs.parse_id(b"1000\n") == 1000


@pytest.mark.parametrize("name", [b") R 1 (", b"new\nline", b"\xff\xfe", b"esc\x1b[31m"])
def test_a_real_process_with_a_hostile_name(name: bytes) -> None:
    script = "import sys; open('/proc/self/comm', 'wb').write(bytes.fromhex(sys.argv[1])); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", script, name.hex()], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        stat = procfs.read_stat(process.pid)
        assert (stat.pid, stat.command, stat.parent_pid) == (process.pid, name, os.getpid())
        assert procfs.read_user_ids(process.pid) == procfs.UserIds(os.getuid(), os.geteuid())
        executable = procfs.read_executable(process.pid)
        assert executable == os.fsencode(os.path.realpath(sys.executable))
        process.stdin.write(b"\n")
    with pytest.raises(OSError):  # noqa: PT011 - which error depends on the moment
        procfs.read_stat(process.pid)


def test_programs_that_have_been_removed_or_are_called_deleted(tmp_path: Path) -> None:
    for name, removed in (("program", True), ("program (deleted)", False), ("other (deleted)", True)):
        program = tmp_path / name
        shutil.copy(shutil.which("sleep") or "/bin/sleep", program)
        with subprocess.Popen([program, "60"]) as process:
            if removed:
                program.unlink()
            assert procfs.read_executable(process.pid) == os.fsencode(program)
            process.kill()


def test_a_kernel_thread_and_a_zombie_have_no_executable() -> None:
    with subprocess.Popen(["true"]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert procfs.read_executable(process.pid) is None
        assert procfs.read_stat(process.pid).state == b"Z"
    if os.geteuid() == 0 and os.path.exists("/proc/2/comm"):
        assert procfs.read_executable(2) is None


def test_text_shows_bytes_that_are_not_utf8() -> None:
    assert procfs.text(b"caf\xc3\xa9 \xff") == "café \\xff"


def test_the_start_time_is_the_same_every_time() -> None:
    clock = procfs.BootClock()
    ticks = procfs.read_stat(os.getpid()).start_ticks
    assert clock.epoch_nanoseconds(ticks) == clock.epoch_nanoseconds(ticks)
    assert (
        clock.epoch_nanoseconds(ticks + procfs.CLOCK_TICKS_PER_SECOND) - clock.epoch_nanoseconds(ticks)
        == 10**9
    )
