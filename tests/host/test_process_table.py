"""The process table: real processes read on demand, and a model of what it must and must not say."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from otel_fim.host.process import MAX_ANCESTORS, Process
from otel_fim.host.table import CREATION_TOLERANCE_NANOSECONDS, ProcessTable

SECOND = 10**9
FAR = 10_000_000
"""Pids that no kernel gives out: /proc knows nothing of them."""


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"], cwd="/") as process:
        while os.readlink(f"/proc/{process.pid}/exe") == os.path.realpath(sys.executable):
            time.sleep(0.001)
        yield process
        process.kill()


def make(table: ProcessTable, pid: int, created: int, ended: int | None = None) -> Process:
    return Process(pid, created, table.entity_id(pid, created), ended_unix_nano=ended)


def test_a_process_is_read_when_it_is_asked_for(child: subprocess.Popen[bytes]) -> None:
    table = ProcessTable()
    found = table.find(child.pid)
    assert found is not None
    assert found.executable_path == os.path.realpath("/bin/sleep")
    assert (found.command, found.working_directory, found.parent_pid) == ("sleep", "/", os.getpid())
    assert (found.real_user_id, found.effective_group_id) == (os.getuid(), os.getegid())
    own = table.find(os.getpid())
    assert own is not None
    assert found.ancestors[0] == own.as_ancestor()
    assert found.ancestors[1:] == own.ancestors[: MAX_ANCESTORS - 1]
    assert found.entity_id == table.entity_id(child.pid, found.created_unix_nano)
    now = time.time_ns()
    assert table.find(child.pid, at_unix_nano=now) == found
    assert table.find(child.pid, created_unix_nano=found.created_unix_nano + 1) == found
    assert table.find(child.pid, at_unix_nano=found.created_unix_nano - SECOND) is None
    assert table.find(child.pid, created_unix_nano=found.created_unix_nano - SECOND) is None


def test_two_tables_agree(child: subprocess.Popen[bytes]) -> None:
    one, other = ProcessTable().find(child.pid), ProcessTable().find(child.pid)
    assert one is not None
    assert other is not None
    assert one.entity_id == other.entity_id


def test_after_its_end_it_is_known_by_its_creation_only() -> None:
    table = ProcessTable()
    with subprocess.Popen(["sleep", "60"]) as process:
        found = table.find(process.pid)
        process.kill()
    assert found is not None
    assert table.find(process.pid) is None
    assert table.find(process.pid, at_unix_nano=time.time_ns()) is None
    assert table.find(process.pid, created_unix_nano=found.created_unix_nano) == found


def test_without_a_feeder_a_new_program_is_noticed() -> None:
    table = ProcessTable()
    command = ["sh", "-c", "read line; exec sleep 60"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        before = table.find(process.pid)
        process.stdin.write(b"\n")
        process.stdin.flush()
        deadline = time.monotonic() + 20
        while os.readlink(f"/proc/{process.pid}/exe") != os.path.realpath("/bin/sleep"):
            assert time.monotonic() < deadline
            time.sleep(0.005)
        after = table.find(process.pid)
        process.kill()
    assert before is not None
    assert after is not None
    assert after.executable_path == os.path.realpath("/bin/sleep")
    assert (after.entity_id, after.created_unix_nano) == (before.entity_id, before.created_unix_nano)


def test_nobody_has_that_pid() -> None:
    table = ProcessTable()
    assert table.find(FAR) is None
    assert table.find(FAR, at_unix_nano=1) is None
    assert table.find(FAR, created_unix_nano=1) is None


def test_one_that_has_just_ended_is_found_within() -> None:
    table = ProcessTable()
    table.feed_with(lambda: None)
    now = time.time_ns() + SECOND
    table.put(make(table, FAR, now, now + 10**8))
    table.fed(now + 2 * SECOND)
    late = now + 2 * 10**8
    assert table.find(FAR, at_unix_nano=late) is None
    found = table.find(FAR, at_unix_nano=late, within_nano=2 * 10**8)
    assert found is not None
    assert found.created_unix_nano == now
    # Two had the pid in that time: nobody can say which of them it was.
    table.put(make(table, FAR, now + 15 * 10**7))
    assert table.find(FAR, at_unix_nano=late, within_nano=2 * 10**8) is None
    assert table.find(FAR, at_unix_nano=late, within_nano=4 * 10**7) is not None


def test_within_needs_to_know_all_of_that_time() -> None:
    table = ProcessTable()
    table.feed_with(lambda: None)
    started = time.time_ns()
    table.put(make(table, FAR, started - SECOND, started - SECOND // 2))
    table.fed(started + SECOND)
    # Before the feeder came, others may have had the pid.
    assert table.find(FAR, at_unix_nano=started, within_nano=SECOND * 2) is None


def test_catch_up() -> None:
    table = ProcessTable()
    assert table.catch_up(time.time_ns(), 0)
    pokes = threading.Event()
    table.feed_with(pokes.set)
    assert not table.catch_up(time.time_ns(), 0.01)
    assert pokes.is_set()
    until = time.time_ns()

    def feed() -> None:
        pokes.wait(20)
        table.fed(until)

    pokes.clear()
    feeder = threading.Thread(target=feed)
    feeder.start()
    assert table.catch_up(until, 20)
    feeder.join()
    waiting = threading.Thread(target=table.catch_up, args=(until + SECOND, 60))
    waiting.start()
    table.feed_with(None)
    waiting.join(20)
    assert not waiting.is_alive()


def test_what_others_put_in_stays() -> None:
    table = ProcessTable()
    process = make(table, FAR, SECOND).but(executable_path="/bin/a")
    table.put(process)
    table.learn_program(process, "/bin/a", "00ff")
    assert table.amend(process, real_user_id=7).executable_sha256 == "00ff"
    now = table.amend(process, executable_path="/bin/b", executable_sha256=None)
    table.learn_program(process, "/bin/a", "00ff")
    assert table.known(FAR) == now
    with pytest.raises(KeyError):
        process.but(nothing=1)


class Model(RuleBasedStateMachine):
    """Processes with a few pids, told in any order; the model remembers all of them."""

    LIMIT = 6

    def __init__(self) -> None:
        super().__init__()
        self.table = ProcessTable(self.LIMIT)
        self.table.feed_with(lambda: None)
        self.now = time.time_ns()
        self.all: dict[str, Process] = {}
        self.running: dict[int, Process] = {}
        self.put_count = 0

    def tick(self, ticks: int) -> int:
        self.now += ticks * 3 * CREATION_TOLERANCE_NANOSECONDS
        self.table.fed(self.now)
        return self.now

    def put(self, process: Process) -> None:
        self.put_count += process.entity_id not in self.all
        self.all[process.entity_id] = process
        self.table.put(process)

    @rule(pid=st.integers(FAR, FAR + 3), ticks=st.integers(1, 5))
    def fork(self, pid: int, ticks: int) -> None:
        self.tick(ticks)
        earlier = self.running.get(pid)
        if earlier is not None:
            # Its end was not told.
            self.all[earlier.entity_id] = earlier.but(ended_unix_nano=self.now)
        process = make(self.table, pid, self.now)
        self.running[pid] = process
        self.put(process)

    @rule(pid=st.integers(FAR, FAR + 3), ticks=st.integers(1, 5))
    def end(self, pid: int, ticks: int) -> None:
        process = self.running.pop(pid, None)
        if process is not None:
            self.put(process.but(ended_unix_nano=self.tick(ticks)))

    @rule(pid=st.integers(FAR, FAR + 3), name=st.sampled_from(["a", "b"]))
    def exec(self, pid: int, name: str) -> None:
        process = self.running.get(pid)
        if process is not None:
            self.running[pid] = process.but(command=name)
            self.put(self.running[pid])

    @rule(pid=st.integers(FAR, FAR + 3), lifetime=st.integers(1, 3))
    def told_late(self, pid: int, lifetime: int) -> None:
        """One that had the pid before the one that has it now, or nobody does."""
        since = self.tick(lifetime + 1) - lifetime * 3 * CREATION_TOLERANCE_NANOSECONDS
        if pid not in self.running:
            self.put(make(self.table, pid, since, self.now))

    @rule(pid=st.integers(FAR, FAR + 3), back=st.integers(0, 40))
    def find(self, pid: int, back: int) -> None:
        at = self.now - back * CREATION_TOLERANCE_NANOSECONDS
        found = self.table.find(pid, at_unix_nano=at)
        truth = [
            each
            for each in self.all.values()
            if each.pid == pid
            and each.created_unix_nano <= at
            and (each.ended_unix_nano is None or each.ended_unix_nano >= at)
        ]
        if found is not None:
            assert found.entity_id in {each.entity_id for each in truth}
            assert found == self.all[found.entity_id]

    @rule(data=st.data())
    def find_by_creation(self, data: st.DataObject) -> None:
        if self.all:
            wanted = data.draw(st.sampled_from(list(self.all.values())))
            found = self.table.find(wanted.pid, created_unix_nano=wanted.created_unix_nano)
            assert found in (wanted, None)

    @invariant()
    def never_more_than_there_is_room_for(self) -> None:
        assert len(self.table) <= self.LIMIT
        assert len(self.table) + self.table.evicted == self.put_count

    @invariant()
    def who_runs_is_known_while_there_is_room(self) -> None:
        ended = [each for each in self.all.values() if each.ended_unix_nano is not None]
        if len(self.all) - len(ended) <= self.LIMIT:
            assert {each.entity_id for each in self.table.running()} == {
                each.entity_id for each in self.running.values()
            }
            kept = sorted((each.ended_unix_nano or 0, each.entity_id) for each in ended)
            room = self.LIMIT - len(self.running)
            for _, entity in kept[len(kept) - min(room, len(kept)) :]:
                process = self.all[entity]
                found = self.table.find(process.pid, created_unix_nano=process.created_unix_nano)
                assert found == process


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_the_running_ones_asked_for_last_stay() -> None:
    table = ProcessTable(3)
    made = [make(table, FAR + number, number * SECOND) for number in range(5)]
    for process in made[:3]:
        table.put(process)
    table.feed_with(lambda: None)
    assert table.find(FAR, created_unix_nano=0) == made[0]
    table.put(made[3])
    assert [table.known(FAR + number) is not None for number in range(4)] == [True, False, True, True]
    table.put(made[3].but(ended_unix_nano=9 * SECOND))
    table.put(made[4])
    assert [table.known(FAR + number) is not None for number in range(5)] == [True, False, True, False, True]
    assert table.evicted == 2


def test_order_of_ends_is_kept_small() -> None:
    table = ProcessTable(10)
    process = make(table, FAR, 0)
    for number in range(1000):
        table.put(process.but(ended_unix_nano=number))
    for number in range(1000):
        table.put(make(table, FAR + number, number * SECOND, number * SECOND + 1))
    assert len(table) == 10
    assert len(table._shelf._ends) <= 40
